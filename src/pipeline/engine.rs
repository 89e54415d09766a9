//! The shards of one worker and what happens to them: absorb a batch, tick, encode a flush.
//! Synchronous and total: `replay` drives it directly, a worker drives it from its events.
//!
//! Shards come and go. One that has come is *joining* until it has been offered all that stood in
//! the log; then it is *open*, and takes part in ticks from the next one on; one that is to go
//! takes part in none after its last.

use std::collections::BTreeMap;

use super::route::Batch;
use crate::domain::aggregate::Aggregate;
use crate::domain::history::History;
use crate::domain::position::{Offset, Partition, Position};
use crate::domain::ranking::Sort;
use crate::domain::reject::Reason;
use crate::domain::shard::{Outcome, Shard};
use crate::domain::time::{Second, WallMs};
use crate::domain::token::{SHARDS, ShardId, TokenHash};
use crate::domain::trade::Trade;
use crate::sabotage::Bug;

/// What a trade will touch is brought near in four steps, so many trades ahead: each is told where
/// to look by what the one before has brought.
const STEPS_AHEAD: [(usize, Near); 4] = [
    (24, Shard::prefetch_index),
    (16, Shard::prefetch_token),
    (10, Shard::prefetch_places),
    (5, Shard::prefetch_pane),
];
/// So few tokens lie near by themselves: they fit the second level of a processor's cache.
const TOKENS_NEAR: usize = 2_000;

/// Brings something near of what a trade will touch.
type Near = fn(&Shard, TokenHash, Second);

/// Some of the shards `me`, `me + workers`, `me + 2 × workers`, … below [`SHARDS`], each in its
/// place.
#[derive(Debug)]
pub struct Engine {
    places: Vec<Option<Held>>,
    absorbed: Absorbed,
    workers: u16,
    me: u16,
    /// The end of the open shards' windows.
    end: Second,
}

/// A shard in its place.
#[derive(Debug)]
struct Held {
    shard: Shard,
    /// Where each partition ended when it came: open when all are reached.
    targets: BTreeMap<Partition, Offset>,
    /// The last tick that was published before it came.
    published: Second,
    /// Its last owner may have published it up to here.
    earlier: Second,
    /// The ticks that it takes part in, from the first to the last.
    ticks: [Second; 2],
}

/// Before all ticks, and after all.
const NEVER: [Second; 2] = [Second(i64::MIN), Second(i64::MAX)];

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
    /// An engine without shards, worker `me` among `workers`.
    #[must_use]
    pub fn new(me: u16, workers: u16) -> Self {
        let workers = workers.max(1);
        let places = (me..SHARDS).step_by(usize::from(workers)).map(|_| None).collect();
        let [end, _] = NEVER;
        Self { places, absorbed: Absorbed::default(), workers, me, end }
    }

    /// Its shards, whether they are here or not.
    pub fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (self.me..SHARDS).step_by(usize::from(self.workers)).map(ShardId)
    }

    /// The place of a shard; `None` where it is another worker's.
    #[must_use]
    pub fn place(&self, ShardId(id): ShardId) -> Option<usize> {
        (id % self.workers == self.me).then_some(usize::from(id / self.workers))
    }

    /// Takes a shard in. It joins until each partition is read up to its target. `published` is the
    /// last tick that was published of it, and it takes part in none up to `earlier`.
    pub fn adopt(
        &mut self,
        id: ShardId,
        shard: Shard,
        targets: BTreeMap<Partition, Offset>,
        published: Second,
        earlier: Second,
    ) {
        let [_, never] = NEVER;
        if let Some(place) = self.place(id).and_then(|at| self.places.get_mut(at)) {
            let ticks = [never, never];
            *place = Some(Held { shard, targets, published, earlier, ticks });
        }
    }

    /// Opens the joining shards that have been offered all up to their targets: they take part in
    /// ticks from `first` on. Answers which.
    pub fn open(&mut self, first: Second) -> Vec<ShardId> {
        let (workers, me, end) = (self.workers, self.me, self.end);
        let mut opened = Vec::new();
        for (id, held) in (me..SHARDS).step_by(workers.into()).zip(&mut self.places) {
            let Some(held) = held.as_mut().filter(|held| !held.is_open()) else { continue };
            let Held { shard, targets, earlier, ticks: [begin, _], .. } = held;
            targets.retain(|partition, target| shard.next_offset(*partition) < *target);
            if targets.is_empty() || Bug::PublishedTooEarly.on() {
                *begin = first.max(earlier.plus(1));
                shard.advance(end);
                opened.push(ShardId(id));
            }
        }
        opened
    }

    /// The ends of partitions have moved: joining shards wait for no more than is there.
    pub fn retarget(&mut self, partition: Partition, end: Offset) {
        for held in self.places.iter_mut().flatten() {
            held.targets.entry(partition).and_modify(|target| *target = end);
        }
    }

    /// The shard at a place takes part in no tick after `last`.
    pub fn leave(&mut self, at: usize, last: Second) {
        if let Some(Some(Held { ticks: [_, end], .. })) = self.places.get_mut(at) {
            *end = last;
        }
    }

    /// Lets the shard at a place go, with all that it holds.
    pub fn let_go(&mut self, at: usize) {
        if let Some(place) = self.places.get_mut(at) {
            *place = None;
        }
    }

    /// Applies a batch to the shards that it covers and that stand at its begin, or beyond; its
    /// positions count as passed. A shard that is behind has not been offered what lies before: it
    /// is read for anew, and left as it is.
    pub fn absorb(&mut self, batch: &Batch) -> &Absorbed {
        // Used again: its lists are as long as a batch.
        let mut absorbed = std::mem::take(&mut self.absorbed);
        absorbed.clear();
        let mut last = None;
        let many = self.shards().map(Shard::tokens).sum::<usize>() > TOKENS_NEAR;
        let Batch { partition, from, next, ref cover, .. } = *batch;
        let is_behind = |held: &Held| held.shard.next_offset(partition) < from;
        let any_behind = self.places.iter().flatten().any(is_behind);
        let mut steps = STEPS_AHEAD.map(|(ahead, near)| (ahead, batch.places(), near));
        for (at, (position, written, trade)) in batch.trades().enumerate() {
            if many {
                for (ahead, places, near) in &mut steps {
                    self.prefetch(places.take(std::mem::take(ahead) + 1), *near);
                }
            }
            if any_behind && self.held_mut(trade.hash.shard()).is_some_and(|held| is_behind(held)) {
                continue;
            }
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
        for shard in cover.shards() {
            if let Some(held) = self.held_mut(shard).filter(|held| !is_behind(held)) {
                held.shard.pass(partition, next);
            }
        }
        self.absorbed = absorbed;
        &self.absorbed
    }

    /// Brings near what trades in these places will touch.
    fn prefetch(&self, places: impl Iterator<Item = (TokenHash, Second)>, near: Near) {
        for (hash, second) in places {
            if let Some(shard) = self.shard_of(hash) {
                near(shard, hash, second);
            }
        }
    }

    /// Everything of a partition below `next` is gone.
    pub fn pass(&mut self, partition: Partition, next: Offset) {
        self.shards_mut().for_each(|shard| shard.pass(partition, next));
    }

    /// Applies one trade to the shard of its token. Where that is not here, it is another's.
    pub fn absorb_one(&mut self, position: Position, trade: &Trade<'_>) -> Outcome {
        let Some(Held { shard, .. }) = self.held_mut(trade.hash.shard()) else {
            return Outcome::Duplicate;
        };
        if Bug::LatePaneForgotten.on() && trade.at.second <= shard.end() {
            return Outcome::Late;
        }
        if Bug::DuplicateCounted.on() {
            shard.restart(position.partition, Offset(0));
        }
        shard.absorb(position, trade)
    }

    /// Moves the end of all windows.
    pub fn advance(&mut self, end: Second) {
        self.end = self.end.max(end);
        let open = self.places.iter_mut().flatten().filter(|held| held.is_open());
        open.for_each(|held| held.shard.advance(end));
    }

    /// Every message of the ticks up to `published` is acknowledged.
    pub fn acknowledge(&mut self, published: Second) {
        for held in self.places.iter_mut().flatten() {
            held.shard.acknowledge(held.published_of(published));
        }
    }

    /// Sets a partition's position in every shard, backwards too: its log was made anew.
    pub fn restart(&mut self, partition: Partition, next: Offset) {
        self.shards_mut().for_each(|shard| shard.restart(partition, next));
    }

    /// The end of all windows.
    #[must_use]
    pub const fn end(&self) -> Second {
        self.end
    }

    /// Which of the workers it belongs to.
    #[must_use]
    pub const fn worker(&self) -> u16 {
        self.me
    }

    /// How many places there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// What the tick of this second publishes of the shard at a place below
    /// [`count`](Self::count).
    pub fn due(&mut self, at: usize, tick: Second, each: impl FnMut(&Aggregate<'_>)) {
        if let Some(Some(held)) = self.places.get_mut(at)
            && (held.ticks[0]..=held.ticks[1]).contains(&tick)
        {
            held.shard.due(each);
        }
    }

    /// As [`due`](Self::due), of the tokens that are active at the windows' end; takes nothing from
    /// the tick.
    pub fn active(&self, at: usize, each: impl FnMut(&Aggregate<'_>)) {
        if let Some(shard) = self.open_at(at) {
            shard.active(each);
        }
    }

    /// As [`active`](Self::active), of one token; false where it is not active, or not here.
    pub fn active_one(&self, token: &str, each: impl FnMut(&Aggregate<'_>)) -> bool {
        let hash = TokenHash::of(token);
        self.open_of(hash).is_some_and(|shard| shard.active_one(hash, token, each))
    }

    /// As [`Shard::keys`], of the shard at a place below [`count`](Self::count).
    pub fn keys(
        &self,
        at: usize,
        window: usize,
        sort: Sort,
        each: impl FnMut(&str, &dyn Fn() -> i128),
    ) {
        if let Some(shard) = self.open_at(at) {
            shard.keys(window, sort, each);
        }
    }

    /// A token's last hour; `None` where it is not active, or not here.
    #[must_use]
    pub fn history(&self, token: &str) -> Option<History> {
        let hash = TokenHash::of(token);
        self.open_of(hash)?.history(hash, token)
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.places.iter().flatten().map(|held| &held.shard)
    }

    fn shards_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        self.places.iter_mut().flatten().map(|held| &mut held.shard)
    }

    /// The shard at a place.
    pub(super) fn shard_mut(&mut self, at: usize) -> Option<&mut Shard> {
        self.places.get_mut(at)?.as_mut().map(|held| &mut held.shard)
    }

    fn held_mut(&mut self, shard: ShardId) -> Option<&mut Held> {
        self.place(shard).and_then(|at| self.places.get_mut(at))?.as_mut()
    }

    fn open_at(&self, at: usize) -> Option<&Shard> {
        let held = self.places.get(at)?.as_ref().filter(|held| held.is_open());
        held.map(|held| &held.shard)
    }

    /// The shard that keeps a token, if it is here and open.
    fn open_of(&self, hash: TokenHash) -> Option<&Shard> {
        self.place(hash.shard()).and_then(|at| self.open_at(at))
    }

    /// The shard that keeps a token, if it is here.
    fn shard_of(&self, hash: TokenHash) -> Option<&Shard> {
        self.place(hash.shard()).and_then(|at| self.places.get(at)?.as_ref()).map(|it| &it.shard)
    }

    /// Whether the shard at a place has panes that changed since its last flush.
    #[must_use]
    pub fn has_changes(&self, at: usize) -> bool {
        matches!(self.places.get(at), Some(Some(held)) if held.shard.has_changes())
    }

    /// What a checkpoint would need is forgotten: for whoever writes none.
    pub fn clear_changes(&mut self) {
        for shard in self.shards_mut() {
            shard.clear_changes();
            shard.acknowledge(shard.end());
        }
    }

    /// The last tick that was published of the shard at a place, where all up to `published` was.
    #[must_use]
    pub fn published(&self, at: usize, published: Second) -> Option<Second> {
        Some(self.places.get(at)?.as_ref()?.published_of(published))
    }
}

impl Held {
    fn is_open(&self) -> bool {
        let ([_, never], [first, _]) = (NEVER, self.ticks);
        first < never
    }

    /// The last tick that was published of it, where all up to `published` was.
    fn published_of(&self, published: Second) -> Second {
        let [first, last] = self.ticks;
        let published = published.min(last);
        if published < first { self.published } else { published }
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
