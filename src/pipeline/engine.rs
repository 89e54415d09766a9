//! The shards of one worker and what happens to them: absorb a batch, tick, encode a flush.
//! Synchronous and total: `replay` drives it directly, a worker drives it from its events.

use bytes::Bytes;

use super::route::Batch;
use crate::domain::aggregate::Aggregate;
use crate::domain::history::History;
use crate::domain::pane::Pane;
use crate::domain::position::{Offset, Partition, Position};
use crate::domain::ranking::Sort;
use crate::domain::reject::Reason;
use crate::domain::shard::{Outcome, Shard};
use crate::domain::time::{Second, WallMs};
use crate::domain::token::{SHARDS, ShardId, TokenHash};
use crate::domain::trade::Trade;
use crate::sabotage::Bug;
use crate::wire::checkpoint::{self, PaneAt, Writer};

/// A snapshot is written in parts of this many panes, up to 400 kB each: the first page of a load,
/// 16 entries of unknown size, is then some megabytes.
const SNAPSHOT_PANES: usize = 4_096;

/// What a trade will touch is brought near in four steps, so many trades ahead: each is told where
/// to look by what the one before has brought.
const INDEX_AHEAD: usize = 24;
const TOKEN_AHEAD: usize = 16;
const PLACES_AHEAD: usize = 10;
const PANE_AHEAD: usize = 5;
/// So few tokens lie near by themselves: they fit the second level of a processor's cache.
const TOKENS_NEAR: usize = 2_000;

/// The slots of the trades that come next, by their places modulo so many.
type Slots = [Option<u32>; TOKEN_AHEAD];

/// The shards `me`, `me + workers`, `me + 2 × workers`, … below [`SHARDS`].
#[derive(Debug)]
pub struct Engine {
    shards: Vec<Shard>,
    /// By shard id its place in `shards`; behind their end where it is another worker's.
    places: Vec<usize>,
    absorbed: Absorbed,
    me: u16,
}

/// What a flush of one shard carries.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// One entry of what changed, or the parts of everything.
    pub blobs: Vec<Bytes>,
    /// The second of the newest pane in them, and never before the last published one: entries are
    /// trimmed by it, and carry positions.
    pub newest: Second,
}

/// What became of a batch's trades.
#[derive(Debug, Default)]
pub struct Absorbed {
    /// Counted.
    pub counted: u64,
    /// Counted before.
    pub duplicate: u64,
    /// Older than the longest window.
    pub late: u64,
    /// The records of which something was counted, by their timestamps: how many in a row have the
    /// same one. Those without are left out.
    pub written: Vec<(WallMs, u32)>,
    /// Refused: the trade's place in the batch, and why.
    pub refused: Vec<(usize, Reason)>,
}

impl Engine {
    /// The shard ids of worker `me` among `workers`.
    pub fn shard_ids(me: u16, workers: u16) -> impl Iterator<Item = ShardId> {
        (me..SHARDS).step_by(usize::from(workers.max(1))).map(ShardId)
    }

    /// An engine over `shards`, in the order of [`shard_ids`](Self::shard_ids).
    #[must_use]
    pub fn new(me: u16, workers: u16, shards: Vec<Shard>) -> Self {
        debug_assert_eq!(shards.len(), Self::shard_ids(me, workers).count(), "a shard for each id");
        let mut places = vec![usize::MAX; usize::from(SHARDS)];
        for (at, ShardId(id)) in Self::shard_ids(me, workers).enumerate() {
            places.get_mut(usize::from(id)).into_iter().for_each(|place| *place = at);
        }
        Self { shards, places, absorbed: Absorbed::default(), me }
    }

    /// Applies a batch; its positions count as passed.
    pub fn absorb(&mut self, batch: &Batch) -> &Absorbed {
        // Used again: its lists are as long as a batch.
        let mut absorbed = std::mem::take(&mut self.absorbed);
        absorbed.clear();
        let mut last = None;
        let many = self.shards.iter().map(Shard::tokens).sum::<usize>() > TOKENS_NEAR;
        let (ahead, mut slots) = (if many { INDEX_AHEAD } else { 0 }, Slots::default());
        for step in 0..batch.count() + ahead {
            if many {
                self.look_ahead(batch, step, &mut slots);
            }
            let Some(at) = step.checked_sub(ahead) else { continue };
            let Some((position, written, trade)) = batch.trade(at) else { continue };
            match self.absorb_one(position, &trade) {
                Outcome::Counted => {
                    absorbed.counted += 1;
                    if last.replace(position.offset) != Some(position.offset) {
                        absorbed.add_record(written);
                    }
                }
                Outcome::Duplicate => absorbed.duplicate += 1,
                Outcome::Late => absorbed.late += 1,
                Outcome::Refused(reason) => absorbed.refused.push((at, reason)),
            }
        }
        self.pass(batch.partition, batch.next);
        self.absorbed = absorbed;
        &self.absorbed
    }

    /// The first step of the trade at place `step`, and the later ones of trades before it.
    fn look_ahead(&self, batch: &Batch, step: usize, slots: &mut Slots) {
        let before = |ahead: usize| {
            let at = step.checked_sub(INDEX_AHEAD - ahead)?;
            let (hash, second) = batch.place(at)?;
            Some((at % TOKEN_AHEAD, self.shard_of(hash)?, hash, second))
        };
        if let Some((_, shard, hash, _)) = before(INDEX_AHEAD) {
            shard.prefetch_index(hash);
        }
        if let Some((at, shard, hash, _)) = before(TOKEN_AHEAD) {
            let slot = shard.prefetch_token(hash);
            slots.get_mut(at).into_iter().for_each(|place| *place = slot);
        }
        let known = |at| slots.get(at).copied().flatten();
        if let Some((at, shard, _, second)) = before(PLACES_AHEAD) {
            known(at).into_iter().for_each(|slot| shard.prefetch_places(slot, second));
        }
        if let Some((at, shard, _, second)) = before(PANE_AHEAD) {
            known(at).into_iter().for_each(|slot| shard.prefetch_pane(slot, second));
        }
    }

    /// Everything of a partition below `next` has been offered, or is gone.
    pub fn pass(&mut self, partition: Partition, next: Offset) {
        for shard in &mut self.shards {
            shard.pass(partition, next);
        }
    }

    /// Applies one trade to the shard of its token.
    #[inline]
    pub fn absorb_one(&mut self, position: Position, trade: &Trade<'_>) -> Outcome {
        debug_assert!(self.shard_of(trade.hash).is_some(), "routed to its worker");
        let at = self.place_of(trade.hash);
        match self.shards.get_mut(at) {
            Some(shard) if Bug::LatePaneForgotten.on() && trade.at.second <= shard.end() => {
                Outcome::Late
            }
            Some(shard) => {
                if Bug::DuplicateCounted.on() {
                    shard.restart(position.partition, Offset(0));
                }
                shard.absorb(position, trade)
            }
            None => Outcome::Refused(Reason::Capacity),
        }
    }

    /// Moves the end of all windows.
    pub fn advance(&mut self, end: Second) {
        for shard in &mut self.shards {
            shard.advance(end);
        }
    }

    /// Every message of the ticks up to `published` is acknowledged.
    pub fn acknowledge(&mut self, published: Second) {
        self.shards.iter_mut().for_each(|shard| shard.acknowledge(published));
    }

    /// Sets a partition's position in every shard, backwards too: its log was made anew.
    pub fn restart(&mut self, partition: Partition, next: Offset) {
        for shard in &mut self.shards {
            shard.restart(partition, next);
        }
    }

    /// The end of all windows.
    #[must_use]
    pub fn end(&self) -> Second {
        self.shards.first().map(Shard::end).unwrap_or_default()
    }

    /// Which of the workers it belongs to.
    #[must_use]
    pub const fn worker(&self) -> u16 {
        self.me
    }

    /// How many shards there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shards.len()
    }

    /// What a tick publishes of the shard at a place below [`count`](Self::count).
    pub fn due(&mut self, at: usize, each: impl FnMut(&Aggregate<'_>)) {
        if let Some(shard) = self.shards.get_mut(at) {
            shard.due(each);
        }
    }

    /// As [`due`](Self::due), of the tokens that are active at the windows' end; takes nothing from
    /// the tick.
    pub fn active(&self, at: usize, each: impl FnMut(&Aggregate<'_>)) {
        if let Some(shard) = self.shards.get(at) {
            shard.active(each);
        }
    }

    /// As [`active`](Self::active), of one token; false where it is not active, or not here.
    pub fn active_one(&self, token: &str, each: impl FnMut(&Aggregate<'_>)) -> bool {
        let hash = TokenHash::of(token);
        self.shard_of(hash).is_some_and(|shard| shard.active_one(hash, token, each))
    }

    /// As [`Shard::keys`], of the shard at a place below [`count`](Self::count).
    pub fn keys(
        &self,
        at: usize,
        window: usize,
        sort: Sort,
        each: impl FnMut(&str, &dyn Fn() -> i128),
    ) {
        if let Some(shard) = self.shards.get(at) {
            shard.keys(window, sort, each);
        }
    }

    /// A token's last hour; `None` where it is not active, or not here.
    #[must_use]
    pub fn history(&self, token: &str) -> Option<History> {
        let hash = TokenHash::of(token);
        self.shard_of(hash)?.history(hash, token)
    }

    /// The shard that keeps a token, if it is here.
    fn shard_of(&self, hash: TokenHash) -> Option<&Shard> {
        self.shards.get(self.place_of(hash))
    }

    fn place_of(&self, hash: TokenHash) -> usize {
        self.places.get(usize::from(hash.shard().0)).copied().unwrap_or(usize::MAX)
    }

    /// Whether the shard at a place has panes that changed since its last flush.
    #[must_use]
    pub fn has_changes(&self, at: usize) -> bool {
        self.shards.get(at).is_some_and(Shard::has_changes)
    }

    /// What a checkpoint would need is forgotten: for whoever writes none.
    pub fn clear_changes(&mut self) {
        for shard in &mut self.shards {
            shard.take_changes(|_, _, _| {});
            shard.acknowledge(shard.end());
        }
    }

    /// The lowest position that any of its shards expects of a partition.
    #[must_use]
    pub fn next_offset(&self, partition: Partition) -> Offset {
        self.shards.iter().map(|shard| shard.next_offset(partition)).min().unwrap_or_default()
    }

    /// The checkpoint entry of what changed in the shard at a place.
    pub fn encode_changes(
        &mut self,
        at: usize,
        published: Second,
        latest: Second,
    ) -> Option<Encoded> {
        let shard = self.shards.get_mut(at)?;
        let positions: Vec<_> = shard.positions().collect();
        let (panes, tokens) = (shard.noted_changes(), shard.tokens());
        let mut entry = Writer::new(&positions, published, latest, panes, tokens);
        let (mut newest, mut number) = (published, 0_u32);
        shard.take_changes(|token, second, pane| {
            number += 1;
            if number % 2 == 1 && Bug::PositionsBeforePanes.on() {
                return;
            }
            newest = newest.max(second);
            entry.put(token, second, pane);
        });
        Some(Encoded { blobs: vec![entry.finish().into()], newest })
    }

    /// The checkpoint entries of all that the shard at a place holds, or owes.
    pub fn encode_everything(
        &mut self,
        at: usize,
        published: Second,
        latest: Second,
    ) -> Option<Encoded> {
        let shard = self.shards.get_mut(at)?;
        shard.take_changes(|_, _, _| {});
        let positions: Vec<_> = shard.positions().collect();
        let half = Bug::SnapshotCut.on().then_some(shard.live_panes() / 2);
        let mut panes = shard.panes().take(half.unwrap_or(usize::MAX)).map(pane_at);
        let (mut blobs, mut newest) = (Vec::new(), published);
        loop {
            let mut taken = 0;
            let part = panes.by_ref().take(SNAPSHOT_PANES).inspect(|pane| {
                newest = newest.max(pane.second);
                taken += 1;
            });
            let blob = checkpoint::encode(&positions, published, latest, part);
            if taken > 0 || blobs.is_empty() {
                blobs.push(blob.into());
            }
            if taken < SNAPSHOT_PANES {
                return Some(Encoded { blobs, newest });
            }
        }
    }
}

impl Absorbed {
    fn clear(&mut self) {
        (self.counted, self.duplicate, self.late) = (0, 0, 0);
        self.written.clear();
        self.refused.clear();
    }

    fn add_record(&mut self, written: Option<WallMs>) {
        let Some(written) = written else { return };
        match self.written.last_mut() {
            Some((last, count)) if *last == written => *count += 1,
            _ => self.written.push((written, 1)),
        }
    }
}

fn pane_at<'a>((token, second, pane): (&'a str, Second, Pane)) -> PaneAt<'a> {
    PaneAt { token, second, pane }
}
