//! What a flush of one shard carries: an entry of what changed, or everything in parts.

use super::engine::Engine;
use crate::domain::time::Second;
use crate::ports::FlushBody;
use crate::sabotage::Bug;
use crate::wire::checkpoint::Writer;

/// A snapshot is written in parts of this many panes, up to 400 kB each: the first page of a load,
/// 16 entries of unknown size, is then some megabytes.
const SNAPSHOT_PANES: usize = 4_096;

/// What a flush of one shard carries.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// One entry of what changed, or the parts of everything.
    pub body: FlushBody,
    /// The second of the newest pane in it, and never before the last published one: entries are
    /// trimmed by it, and carry positions.
    pub newest: Second,
}

impl Engine {
    /// The checkpoint entry of what changed in the shard at a place.
    pub fn encode_changes(
        &mut self,
        at: usize,
        published: Second,
        latest: Second,
    ) -> Option<Encoded> {
        let shard = self.shard_mut(at)?;
        let (panes, tokens) = (shard.noted_changes(), shard.tokens());
        let mut entry = Writer::new(shard.positions(), published, latest, panes, tokens);
        let (mut newest, mut number) = (published, 0_u32);
        shard.take_changes(|token, second, pane, extended| {
            number += 1;
            if number % 2 == 1 && Bug::PositionsBeforePanes.on() {
                return;
            }
            newest = newest.max(second);
            entry.put(token, second, pane, extended);
        });
        Some(Encoded { body: FlushBody::Append(entry.finish().into()), newest })
    }

    /// The checkpoint entries of all that the shard at a place holds, or owes.
    pub fn encode_everything(
        &mut self,
        at: usize,
        published: Second,
        latest: Second,
    ) -> Option<Encoded> {
        let shard = self.shard_mut(at)?;
        shard.forget_changes();
        let positions: Vec<_> = shard.positions().collect();
        let half = Bug::SnapshotCut.on().then_some(shard.live_panes() / 2);
        let mut panes = shard.panes().take(half.unwrap_or(usize::MAX));
        let (mut blobs, mut newest) = (Vec::new(), published);
        loop {
            let mut taken = 0;
            let most = SNAPSHOT_PANES;
            let positions = positions.iter().copied();
            let mut entry = Writer::new(positions, published, latest, most, most);
            for (token, second, pane, extended) in panes.by_ref().take(SNAPSHOT_PANES) {
                newest = newest.max(second);
                taken += 1;
                entry.put(token, second, &pane, extended.as_ref());
            }
            if taken > 0 || blobs.is_empty() {
                blobs.push(entry.finish().into());
            }
            if taken < SNAPSHOT_PANES {
                return Some(Encoded { body: FlushBody::Snapshot(blobs), newest });
            }
        }
    }
}
