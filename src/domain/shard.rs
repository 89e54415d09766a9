//! A shard: the tokens of one hash range, their panes and windows, and for every source partition
//! the position it expects next. Never waits and never reads a clock.
//!
//! Invariants:
//! - Applying a trade twice does nothing: one below the expected position is skipped.
//! - A token's windows are the sums of its panes with `end − D < pane ≤ end`, at every moment: its
//!   total without the panes ahead of `end` and without what the window has lost of the live ones.
//! - A pane lives while the longest window holds it, or will: `end − longest < pane`.
//! - The figures depend on which trades were absorbed, not on the order in which they came.

use std::sync::Arc;

use super::aggregate::Aggregate;
use super::budget::Budget;
use super::changes::Changes;
use super::extended::{Extended, ExtendedPane};
use super::held::Token;
use super::look::Room;
use super::owed::Owed;
use super::pane::{Pane, Running};
use super::position::{Offset, Partition, Position};
use super::reject::Reason;
use super::store::{PaneRef, PaneStore};
use super::table::TokenTable;
use super::time::Second;
use super::token::TokenHash;
use super::trade::Trade;
use super::window::Windows;

/// What became of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Counted,
    /// It counted before.
    Duplicate,
    /// It is older than the longest window: it changes nothing.
    Late,
    /// It cannot count: `Capacity` or `OutOfRange` (a sum would leave 128 bits, or no text could
    /// tell such a time).
    Refused(Reason),
}

/// The state of one shard.
#[derive(Debug)]
pub struct Shard {
    pub(super) windows: Windows,
    pub(super) budget: Arc<Budget>,
    pub(super) end: Second,
    pub(super) tokens: TokenTable,
    pub(super) panes: PaneStore,
    pub(super) owed: Owed,
    /// By partition number; 0 where nothing is known.
    next_offsets: Vec<Offset>,
    pub(super) changes: Changes,
    /// Trades that are not after this second are late, whatever the windows hold.
    floor: Second,
    /// The extended figures, where they are wanted.
    pub(super) extended: Option<Extended>,
}

impl Shard {
    /// An empty shard whose windows end at `end`; trades that are not after `floor` are late. It
    /// has extended figures where the budget has wallets.
    #[must_use]
    pub fn new(windows: Windows, budget: Arc<Budget>, end: Second, floor: Second) -> Self {
        let wallets = budget.wallets().cloned();
        Self {
            tokens: TokenTable::new(&windows),
            extended: wallets.map(|wallets| Extended::new(&windows, wallets)),
            windows,
            budget,
            end,
            panes: PaneStore::default(),
            owed: Owed::default(),
            next_offsets: Vec::new(),
            changes: Changes::default(),
            floor,
        }
    }

    /// The end of its windows.
    #[must_use]
    pub const fn end(&self) -> Second {
        self.end
    }

    /// The position that it expects next of a partition.
    #[must_use]
    pub fn next_offset(&self, partition: Partition) -> Offset {
        let known = usize::try_from(partition.0).ok().and_then(|at| self.next_offsets.get(at));
        known.copied().unwrap_or_default()
    }

    /// The expected positions of all partitions that it knows of.
    pub fn positions(&self) -> impl ExactSizeIterator<Item = (Partition, Offset)> {
        let partition = |at| Partition(i32::try_from(at).unwrap_or(i32::MAX));
        self.next_offsets.iter().enumerate().map(move |(at, next)| (partition(at), *next))
    }

    /// Everything of a partition below `next` has been offered.
    pub fn pass(&mut self, partition: Partition, next: Offset) {
        if next > self.next_offset(partition) {
            self.restart(partition, next);
        }
    }

    /// Sets the expected position, backwards too: only for a log that was made anew.
    pub fn restart(&mut self, partition: Partition, next: Offset) {
        let Ok(at) = usize::try_from(partition.0) else {
            return;
        };
        if at >= self.next_offsets.len() {
            self.next_offsets.resize(at + 1, Offset::default());
        }
        if let Some(place) = self.next_offsets.get_mut(at) {
            *place = next;
        }
    }

    /// Counts a trade, unless it was counted before. The positions of a record move on with
    /// [`pass`](Self::pass), after all its trades.
    // Inline: a position that is handed over in parts, through memory, is slow to read as a whole.
    #[inline]
    pub fn absorb(&mut self, position: Position, trade: &Trade<'_>) -> Outcome {
        if position.offset < self.next_offset(position.partition) {
            return Outcome::Duplicate;
        }
        let second = trade.at.second;
        if second <= self.horizon() {
            return Outcome::Late;
        }
        if PaneRef::new(second, 0).is_none() {
            return Outcome::Refused(Reason::OutOfRange);
        }
        let Some(slot) = self.slot_of(trade.hash, trade.token, Budget::take_token) else {
            return Outcome::Refused(Reason::Capacity);
        };
        let pane = Pane::of(trade, position);
        let Some(token) = self.tokens.get_mut(slot) else {
            return Outcome::Refused(Reason::Capacity);
        };
        let Some(total) = token.total.sums().checked_add(&pane.sums) else {
            return Outcome::Refused(Reason::OutOfRange);
        };
        let changed = match token.place(second) {
            Some(place) => self.panes.merge(place, &pane).then_some(place),
            None if !self.budget.take_pane() => return Outcome::Refused(Reason::Capacity),
            None => {
                let Some(place) = self.panes.push(second, slot, &pane, true) else {
                    self.budget.release_panes(1);
                    return Outcome::Refused(Reason::Capacity);
                };
                token.insert(place);
                Some(place)
            }
        };
        token.total = Running::from(&total);
        if second <= self.end {
            let at = (second, self.end);
            self.tokens.each_lost(slot, &self.windows, at, |lost| lost.add(&pane.sums));
        }
        if let Some(place) = changed {
            self.changes.note(slot, place);
        }
        if self.extended.is_some() {
            self.visit(slot, trade);
        }
        Outcome::Counted
    }

    /// How many tokens it holds: few lie in the processor's cache, and need no prefetching.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens.count()
    }

    /// Moves the windows' end forwards: the seconds that begin to count are in the totals, those
    /// that leave a window are noted for it. An `end` that is not later changes nothing.
    pub fn advance(&mut self, end: Second) {
        if end <= self.end {
            return;
        }
        let before = std::mem::replace(&mut self.end, end);
        self.panes.tighten(before, end);
        for (at, window) in self.windows.shorter().enumerate() {
            let (lost, leaving) = (window.left_by(before), window.left_by(end));
            let near = |tokens: &TokenTable, slot| tokens.prefetch_lost(slot, at);
            for bucket in self.panes.between(lost, leaving) {
                self.tokens.each(bucket, near, |tokens, index, stored| {
                    let sums = self.panes.sums(bucket.second, index, stored);
                    if let (Some(lost), Some(sums)) = (tokens.lost_mut(stored.slot(), at), sums) {
                        lost.add(&sums);
                    }
                });
            }
            // Late panes may have come since it closed.
            self.panes.tighten(lost, leaving);
        }
        self.expire();
    }

    /// What a tick publishes: every active token, and once more, with zero counts, each one whose
    /// last trade has left the longest window since.
    pub fn due(&mut self, mut each: impl FnMut(&Aggregate<'_>)) {
        self.each_due(|_, aggregate| {
            each(aggregate);
            None
        });
    }

    /// As [`due`](Self::due), with the mark of what was said last of the token, if anything was;
    /// `each` answers the mark of now.
    pub fn due_marked(&mut self, mut each: impl FnMut(Option<u64>, &Aggregate<'_>) -> u64) {
        self.each_due(|mark, aggregate| Some(each(mark, aggregate)));
    }

    fn each_due(&mut self, mut each: impl FnMut(Option<u64>, &Aggregate<'_>) -> Option<u64>) {
        let mut room = Room::default();
        for slot in 0..self.tokens.slots() {
            self.prefetch_due(slot);
            let Some(token) = self.tokens.get(slot) else { continue };
            if token.closing || token.newest_until(self.end).is_some() {
                let (before, mut mark) = (self.tokens.mark(slot), None);
                self.tell(slot, &mut room, &mut |of| mark = each(before, of));
                if let Some(mark) = mark {
                    self.tokens.set_mark(slot, mark);
                }
            }
            self.closed(slot);
        }
        self.compact();
    }

    /// How many live panes there are.
    #[must_use]
    pub const fn live_panes(&self) -> usize {
        self.panes.count()
    }

    /// All that a successor needs, oldest second first: the last panes of tokens whose closing is
    /// owed, and all live ones; with what the extended figures have of them, where there are any.
    /// No window holds the last panes any more: nothing extended is kept of them.
    pub fn panes(&mut self) -> impl Iterator<Item = (&str, Second, Pane, Option<ExtendedPane>)> {
        let Self { tokens, panes, owed, extended, .. } = self;
        let tokens: &TokenTable = tokens;
        let mut beside = extended.as_mut().map(Extended::panes);
        let live = panes.iter().filter_map(move |(slot, second, pane)| {
            let address = tokens.get(slot)?.address.as_str();
            let extended = beside.as_mut().and_then(|beside| beside(slot, second));
            Some((address, second, pane, extended))
        });
        owed.panes().map(|(address, second, pane)| (address, second, pane, None)).chain(live)
    }

    /// Every message of the ticks up to `published` is acknowledged: their closings are not owed.
    pub fn acknowledge(&mut self, published: Second) {
        self.owed.acknowledge(published);
    }

    /// The newest second that does not count any more.
    fn horizon(&self) -> Second {
        self.end.plus(-i64::from(self.windows.longest())).max(self.floor)
    }

    pub(super) fn slot_of(
        &mut self,
        hash: TokenHash,
        address: &str,
        take: impl Fn(&Budget) -> bool,
    ) -> Option<u32> {
        if let Some(slot) = self.tokens.find(hash, address) {
            return Some(slot);
        }
        if !take(&self.budget) {
            return None;
        }
        let slot = self.tokens.insert(Token::new(address, hash));
        if slot.is_none() {
            self.budget.release_token();
        }
        slot
    }

    /// Drops the panes that no window holds any more. A token that is left without one owes a
    /// closing message.
    pub(super) fn expire(&mut self) {
        let horizon = self.horizon();
        let live = self.panes.count();
        for bucket in self.panes.between(Second(i64::MIN), horizon) {
            self.tokens.each(bucket, TokenTable::prefetch_all, |tokens, index, stored| {
                let Some(token) = tokens.get_mut(stored.slot()) else { return };
                let Some(pane) = self.panes.pane(bucket.second, index, stored) else { return };
                token.pop_oldest();
                if let Some(extended) = &mut self.extended {
                    extended.expire(stored.slot(), bucket.second);
                }
                token.total.subtract(&pane.sums);
                token.last_price = pane.last.price;
                token.closing = token.newest_until(self.end).is_none();
                if token.closing {
                    self.owed.add(self.end, &token.address, bucket.second, pane);
                }
                let at = (bucket.second, self.end);
                let forget = |lost: &mut Running| lost.subtract(&pane.sums);
                tokens.each_lost(stored.slot(), &self.windows, at, forget);
            });
        }
        self.panes.drop_until(horizon);
        self.budget.release_panes(live - self.panes.count());
        self.changes.expire(horizon, self.panes.count());
    }

    /// What was due of a token has been told. One without a pane is forgotten.
    pub(super) fn closed(&mut self, slot: u32) {
        let Some(token) = self.tokens.get_mut(slot) else { return };
        token.closing = false;
        if token.is_empty() {
            self.tokens.remove(slot);
            self.extended.iter_mut().for_each(|extended| extended.forget(slot));
            self.budget.release_token();
        }
    }

    pub(super) fn compact(&mut self) {
        let (panes, extended, mut any) = (&mut self.panes, &mut self.extended, false);
        self.tokens.compact(|token, from, slot| {
            token.panes().for_each(|place| panes.set_slot(place, slot));
            extended.iter_mut().for_each(|extended| extended.moved(from, slot));
            any = true;
        });
        if any {
            self.changes.moved(&self.panes);
        }
    }
}

/// What it held is free for others: a shard that is dropped is loaded anew.
impl Drop for Shard {
    fn drop(&mut self) {
        self.budget.release_panes(self.panes.count());
        (0..self.tokens.count()).for_each(|_| self.budget.release_token());
    }
}

#[cfg(test)]
mod tests {
    use super::super::amount::Amount;
    use super::super::price::Price;
    use super::super::time::EventTime;
    use super::super::trade::Side;
    use super::super::window::Window;
    use super::*;

    /// A trade of each of so many tokens in each of these seconds.
    fn trade_all(shard: &mut Shard, tokens: u32, seconds: std::ops::Range<i64>) {
        for second in seconds {
            for token in 0..tokens {
                let token = format!("{token:A>44}");
                let trade = Trade {
                    token: &token,
                    hash: TokenHash::of(&token),
                    side: Side::Buy,
                    native: Amount::from_units(1),
                    usd: Amount::from_units(1),
                    price: Price::ZERO,
                    at: EventTime { second: Second(second), nanos: 0 },
                    more: None,
                };
                assert_eq!(shard.absorb(Position::default(), &trade), Outcome::Counted);
            }
            shard.advance(Second(second));
            shard.due(|_| {});
        }
    }

    fn bytes(shard: &Shard) -> usize {
        shard.tokens.bytes() + shard.panes.bytes() + shard.changes.bytes()
    }

    #[test]
    fn after_a_loud_minute_a_quiet_one_gives_the_memory_back() {
        let window = |seconds| Window { name: format!("{seconds}s"), seconds };
        let windows = Windows::new([10, 20, 30, 40, 60].map(window).into()).unwrap();
        let budget = Arc::new(Budget::new(usize::MAX, usize::MAX));
        let mut shard = Shard::new(windows, budget, Second(0), Second(i64::MIN));
        trade_all(&mut shard, 2_000, 1..61);
        let loud = bytes(&shard);
        let least = 2_000 * (192 + 4 * 64) + 120_000 * 84;
        assert!(loud > least && loud < least * 5 / 4, "{loud} bytes where {least} are needed");
        trade_all(&mut shard, 10, 61..181);
        let quiet = bytes(&shard);
        assert!(quiet < 200_000, "{quiet} of {loud} bytes are left");
        assert_eq!((shard.tokens.count(), shard.panes.count()), (10, 600));
        trade_all(&mut shard, 2_000, 181..183);
        assert_eq!((shard.tokens.count(), shard.panes.count()), (2_000, 10 * 58 + 4_000));
    }
}
