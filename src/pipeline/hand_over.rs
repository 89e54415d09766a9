//! Shards come to a worker and go from it. One that goes is published no more at once, then what
//! was published of it is awaited, then it is written for the last time: its next owner owes nobody
//! anything, and goes on from there.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::warn;

use super::custody::{Custody, Stage};
use super::reader::Release;
use super::recover::Recovered;
use super::worker::Worker;
use crate::domain::position::{Offset, Partition};
use crate::domain::time::{Second, WallMs};
use crate::domain::token::ShardId;
use crate::ports::Checkpoint;

/// How long a shard that is to go waits for the brokers and the checkpoint. Beyond, its next owner
/// reads on from what was written before: nothing is lost, more is read again.
const LIMIT: Duration = Duration::from_secs(5);

/// How often it is looked whether what was published is acknowledged.
const LOOK: Duration = Duration::from_millis(10);

/// Shards that are to go.
#[derive(Debug)]
pub struct Leaving {
    /// Their places.
    places: Vec<usize>,
    /// The last tick that they took part in.
    last: Second,
    /// They are asked to be written for the last time.
    writing: bool,
    /// When they go whatever is missing.
    until: WallMs,
    done: oneshot::Sender<()>,
}

impl<C: Checkpoint> Worker<C> {
    /// Takes a shard in.
    pub(super) fn adopt(&mut self, one: Recovered, targets: &BTreeMap<Partition, Offset>) {
        let Recovered { id, shard, chain, published, claimed, latest, unheard, .. } = one;
        let Some(at) = self.engine.place(id) else { return };
        // Not before: what had expired by then is missing from windows that end before.
        self.latest = self.latest.max(latest.start());
        let earliest = self.latest.next_multiple(self.emission.interval());
        self.next_tick = self.next_tick.max(earliest);
        let published = published.unwrap_or_else(|| claimed.second());
        let earlier = published.max(claimed.second());
        self.engine.adopt(id, shard, targets.clone(), published, earlier);
        self.flusher.adopt(at, chain, unheard.is_some());
    }

    /// Opens the shards that have caught up.
    pub(super) fn open(&mut self) {
        // A tick that is under way is its last owner's.
        let opened = self.engine.open(self.next_tick.second());
        if !opened.is_empty() {
            self.custody.set(opened, Stage::Open);
        }
    }

    /// Begins to let shards go. No tick is under way.
    pub(super) fn release(&mut self, release: Release, now: WallMs) {
        let Release { shards, lost, done } = release;
        let places: Vec<_> = shards.shards().filter_map(|id| self.engine.place(id)).collect();
        if lost {
            places.into_iter().for_each(|at| self.drop_place(at, let_go));
            drop(done);
            return;
        }
        for at in &places {
            self.engine.leave(*at, self.last_tick);
        }
        let (last, until) = (self.last_tick, now.plus(LIMIT));
        self.leaving = Some(Leaving { places, last, writing: false, until, done });
    }

    /// Lets shards go that have nothing left to do; when to look again.
    pub(super) fn let_go_when_written(&mut self, now: WallMs) -> WallMs {
        let Some(leaving) = &mut self.leaving else { return WallMs(i64::MAX) };
        let late = now >= leaving.until;
        if !leaving.writing && (late || self.mailbox.published() >= leaving.last) {
            leaving.writing = true;
            leaving.places.iter().for_each(|at| self.flusher.owe(*at));
            return now;
        }
        let written = leaving.places.iter().all(|at| self.flusher.is_settled(*at));
        if !(late || leaving.writing && written) {
            return now.plus(LOOK);
        }
        if !written {
            warn!(
                shards = leaving.places.len(),
                action = "check Redis and the brokers",
                "shards handed over without a last write: their next owner reads more again"
            );
        }
        if let Some(Leaving { places, done, .. }) = self.leaving.take() {
            places.into_iter().for_each(|at| self.drop_place(at, let_go));
            drop(done);
        }
        WallMs(i64::MAX)
    }

    /// The shard at a place is gone, and custody told so. What may come into the place after it is
    /// not to go.
    pub(super) fn drop_place(&mut self, at: usize, tell: fn(&Custody, ShardId)) {
        if let Some(leaving) = &mut self.leaving {
            leaving.places.retain(|place| *place != at);
        }
        self.engine.let_go(at);
        self.flusher.let_go(at);
        if let Some(id) = self.engine.shard_ids().nth(at) {
            tell(&self.custody, id);
        }
    }
}

fn let_go(custody: &Custody, shard: ShardId) {
    custody.let_go([shard]);
}
