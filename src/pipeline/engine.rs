//! The shards of one worker and what happens to them: absorb a batch, tick, encode a flush.
//! Synchronous and total: `replay` drives it directly, a worker drives it from its events.
//!
//! Shards come and go. One that has come is *joining* until it has been offered all that stood in
//! the log; then it is *open*, and takes part in ticks from the next one on; one that is to go
//! takes part in none after its last. One that is *followed* only absorbs: it is another member's.

use std::collections::BTreeMap;

use super::absorb::Absorbed;
use crate::domain::aggregate::Aggregate;
use crate::domain::history::History;
use crate::domain::position::{Offset, Partition, Position};
use crate::domain::ranking::Sort;
use crate::domain::shard::{Outcome, Shard};
use crate::domain::time::Second;
use crate::domain::token::{ShardId, Shards, TokenHash};
use crate::domain::trade::Trade;
use crate::sabotage::Bug;

/// Some of the shards `me`, `me + workers`, `me + 2 × workers`, …, each in its place.
#[derive(Debug)]
pub struct Engine {
    pub(super) held: Vec<Option<Held>>,
    /// By shard id its place in `held`; behind their end where it is another worker's.
    places: Vec<usize>,
    pub(super) absorbed: Absorbed,
    pub(super) all: Shards,
    workers: u16,
    me: u16,
    /// The end of the open shards' windows.
    end: Second,
}

/// A shard in its place.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) shard: Shard,
    /// Where each partition ended when it came: open when all are reached.
    targets: BTreeMap<Partition, Offset>,
    /// The last tick that was published before it came.
    published: Second,
    /// Its last owner may have published it up to here.
    earlier: Second,
    /// The ticks that it takes part in, from the first to the last.
    ticks: [Second; 2],
    /// It is another member's.
    pub(super) followed: bool,
}

/// Before all ticks, and after all.
const NEVER: [Second; 2] = [Second(i64::MIN), Second(i64::MAX)];

impl Engine {
    /// An engine that has none of all the shards yet, worker `me` among `workers`.
    #[must_use]
    pub fn new(all: Shards, me: u16, workers: u16) -> Self {
        let workers = workers.max(1);
        let ids = (me..all.count()).step_by(usize::from(workers));
        let held = ids.clone().map(|_| None).collect();
        let mut places = vec![usize::MAX; usize::from(all.count())];
        for (at, id) in ids.enumerate() {
            places.get_mut(usize::from(id)).into_iter().for_each(|place| *place = at);
        }
        let [end, _] = NEVER;
        Self { held, places, absorbed: Absorbed::default(), all, workers, me, end }
    }

    /// Its shards, whether they are here or not.
    pub fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (self.me..self.all.count()).step_by(usize::from(self.workers)).map(ShardId)
    }

    /// The place of a shard; `None` where it is another worker's.
    #[must_use]
    pub fn place(&self, shard: ShardId) -> Option<usize> {
        Some(self.place_of(shard)).filter(|at| *at < self.held.len())
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
        let (at, ticks, followed) = (self.place_of(id), [never, never], false);
        if let Some(place) = self.held.get_mut(at) {
            *place = Some(Held { shard, targets, published, earlier, ticks, followed });
        }
    }

    /// Takes a shard in that another member has, unless it is here: it never opens.
    pub fn follow(&mut self, id: ShardId, shard: Shard) {
        let (at, end) = (self.place_of(id), shard.end());
        if self.held.get(at).is_some_and(Option::is_none) {
            self.adopt(id, shard, BTreeMap::new(), end, end);
            self.held_mut(id).into_iter().for_each(|held| held.followed = true);
        }
    }

    /// Lets a shard that is followed go; its state.
    pub fn unfollow(&mut self, id: ShardId) -> Option<Shard> {
        let at = self.place_of(id);
        self.held.get_mut(at)?.take_if(|held| held.followed).map(|held| held.shard)
    }

    /// Whether any shard is followed.
    #[must_use]
    pub fn follows_any(&self) -> bool {
        self.held.iter().flatten().any(|held| held.followed)
    }

    /// Opens the joining shards that have been offered all up to their targets: they take part in
    /// ticks from `first` on. Answers which.
    pub fn open(&mut self, first: Second) -> Vec<ShardId> {
        let end = self.end;
        let mut opened = Vec::new();
        for (id, held) in self.shard_ids().zip(&mut self.held) {
            let joins = |held: &&mut Held| !held.is_open() && !held.followed;
            let Some(held) = held.as_mut().filter(joins) else { continue };
            let Held { shard, targets, earlier, ticks: [begin, _], .. } = held;
            targets.retain(|partition, target| shard.next_offset(*partition) < *target);
            if targets.is_empty() || Bug::PublishedTooEarly.on() {
                *begin = first.max(earlier.plus(1));
                shard.advance(end);
                opened.push(id);
            }
        }
        opened
    }

    /// The ends of partitions have moved: joining shards wait for no more than is there.
    pub fn retarget(&mut self, partition: Partition, end: Offset) {
        for held in self.held.iter_mut().flatten() {
            held.targets.entry(partition).and_modify(|target| *target = end);
        }
    }

    /// The shard at a place takes part in no tick after `last`.
    pub fn leave(&mut self, at: usize, last: Second) {
        if let Some(Some(Held { ticks: [_, end], .. })) = self.held.get_mut(at) {
            *end = last;
        }
    }

    /// Lets the shard at a place go, with all that it holds.
    pub fn let_go(&mut self, at: usize) {
        if let Some(place) = self.held.get_mut(at) {
            *place = None;
        }
    }

    /// Everything of a partition below `next` is gone.
    pub fn pass(&mut self, partition: Partition, next: Offset) {
        self.shards_mut().for_each(|shard| shard.pass(partition, next));
    }

    /// Applies one trade to the shard of its token. Where that is not here, it is another's.
    #[inline]
    pub fn absorb_one(&mut self, position: Position, trade: &Trade<'_>) -> Outcome {
        let Some(Held { shard, .. }) = self.held_mut(self.all.of(trade.hash)) else {
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
        let open = self.held.iter_mut().flatten().filter(|held| held.is_open());
        open.for_each(|held| held.shard.advance(end));
    }

    /// Every message of the ticks up to `published` is acknowledged.
    pub fn acknowledge(&mut self, published: Second) {
        for held in self.held.iter_mut().flatten() {
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
        self.held.len()
    }

    /// What the tick of this second publishes of the shard at a place below
    /// [`count`](Self::count).
    pub fn due(&mut self, at: usize, tick: Second, each: impl FnMut(&Aggregate<'_>)) {
        if let Some(held) = self.ticking(at, tick) {
            held.shard.due(each);
        }
    }

    /// As [`due`](Self::due), with marks: see [`Shard::due_marked`].
    pub fn due_marked(
        &mut self,
        at: usize,
        tick: Second,
        each: impl FnMut(Option<u64>, &Aggregate<'_>) -> u64,
    ) {
        if let Some(held) = self.ticking(at, tick) {
            held.shard.due_marked(each);
        }
    }

    fn ticking(&mut self, at: usize, tick: Second) -> Option<&mut Held> {
        let held = self.held.get_mut(at)?.as_mut();
        held.filter(|held| (held.ticks[0]..=held.ticks[1]).contains(&tick))
    }

    /// As [`due`](Self::due), of the tokens that are active at the windows' end; takes nothing from
    /// the tick.
    pub fn active(&mut self, at: usize, each: impl FnMut(&Aggregate<'_>)) {
        if let Some(shard) = self.open_at_mut(at) {
            shard.active(each);
        }
    }

    /// As [`active`](Self::active), of one token; false where it is not active, or not here.
    pub fn active_one(&mut self, token: &str, each: impl FnMut(&Aggregate<'_>)) -> bool {
        let hash = TokenHash::of(token);
        let shard = self.place(self.all.of(hash)).and_then(|at| self.open_at_mut(at));
        shard.is_some_and(|shard| shard.active_one(hash, token, each))
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

    /// The shards that answer between ticks: open, and not about to go.
    pub fn open_shards(&self) -> impl Iterator<Item = ShardId> {
        let ids = self.shard_ids().enumerate();
        ids.filter(|(at, _)| self.open_at(*at).is_some()).map(|(_, id)| id)
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.held.iter().flatten().map(|held| &held.shard)
    }

    fn shards_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        self.held.iter_mut().flatten().map(|held| &mut held.shard)
    }

    /// The shard at a place.
    pub(super) fn shard_mut(&mut self, at: usize) -> Option<&mut Shard> {
        self.held.get_mut(at)?.as_mut().map(|held| &mut held.shard)
    }

    pub(super) fn held_mut(&mut self, shard: ShardId) -> Option<&mut Held> {
        let at = self.place_of(shard);
        self.held.get_mut(at)?.as_mut()
    }

    fn open_at(&self, at: usize) -> Option<&Shard> {
        let held = self.held.get(at)?.as_ref().filter(|held| held.is_open() && held.stays());
        held.map(|held| &held.shard)
    }

    fn open_at_mut(&mut self, at: usize) -> Option<&mut Shard> {
        let held = self.held.get_mut(at)?.as_mut().filter(|held| held.is_open() && held.stays());
        held.map(|held| &mut held.shard)
    }

    /// The shard that keeps a token, if it is here, open, and not about to go.
    fn open_of(&self, hash: TokenHash) -> Option<&Shard> {
        self.place(self.all.of(hash)).and_then(|at| self.open_at(at))
    }

    /// The shard that keeps a token, if it is here.
    pub(super) fn shard_of(&self, hash: TokenHash) -> Option<&Shard> {
        self.held.get(self.place_of(self.all.of(hash)))?.as_ref().map(|held| &held.shard)
    }

    fn place_of(&self, ShardId(id): ShardId) -> usize {
        self.places.get(usize::from(id)).copied().unwrap_or(usize::MAX)
    }

    /// Whether the shard at a place has panes that changed since its last flush.
    #[must_use]
    pub fn has_changes(&self, at: usize) -> bool {
        matches!(self.held.get(at), Some(Some(held)) if held.shard.has_changes())
    }

    /// What a checkpoint would need is forgotten: for whoever writes none.
    pub fn clear_changes(&mut self) {
        for shard in self.shards_mut() {
            shard.forget_changes();
            shard.acknowledge(shard.end());
        }
    }

    /// The last tick that was published of the shard at a place, where all up to `published` was.
    #[must_use]
    pub fn published(&self, at: usize, published: Second) -> Option<Second> {
        Some(self.held.get(at)?.as_ref()?.published_of(published))
    }
}

impl Held {
    fn is_open(&self) -> bool {
        let ([_, never], [first, _]) = (NEVER, self.ticks);
        first < never
    }

    /// One that is to go is read no more.
    fn stays(&self) -> bool {
        let ([_, never], [_, last]) = (NEVER, self.ticks);
        last == never
    }

    /// The last tick that was published of it, where all up to `published` was.
    fn published_of(&self, published: Second) -> Second {
        let [first, last] = self.ticks;
        let published = published.min(last);
        if published < first { self.published } else { published }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::budget::Budget;
    use crate::domain::window::{Window, Windows};

    #[test]
    fn a_shard_answers_between_ticks_from_its_opening_until_it_is_about_to_go() {
        let windows = Windows::new(vec![Window { name: "1min".to_owned(), seconds: 60 }]).unwrap();
        let shard = Shard::new(windows, Arc::new(Budget::new(1, 1)), Second(0), Second(0));
        let mut engine = Engine::new(Shards::DEFAULT, 1, 2);
        let (id, partition) = (ShardId(3), Partition(0));
        let targets = BTreeMap::from([(partition, Offset(5))]);
        let answering = |engine: &Engine| engine.open_shards().collect::<Vec<_>>();
        engine.adopt(id, shard, targets, Second(0), Second(0));
        assert_eq!((engine.open(Second(10)), answering(&engine)), (vec![], vec![]), "it joins");
        engine.pass(partition, Offset(5));
        assert_eq!((engine.open(Second(10)), answering(&engine)), (vec![id], vec![id]));
        let at = engine.place(id).unwrap();
        engine.leave(at, Second(20));
        assert_eq!(answering(&engine), [], "it is read no more");
        let ticks = [9, 10, 20, 21].map(|tick| engine.ticking(at, Second(tick)).is_some());
        assert_eq!(ticks, [false, true, true, false], "it ends with the tick that had begun");
    }
}
