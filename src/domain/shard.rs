//! A shard: the tokens of one hash range, their panes and windows, and for every source partition
//! the position it expects next. Never waits and never reads a clock.
//!
//! Invariants:
//! - Applying a trade twice does nothing: one below the expected position is skipped.
//! - A token's windows are the sums of its panes with `end − D < pane ≤ end`, at every moment.
//! - A pane lives while the longest window holds it, or will: `end − longest < pane`.
//! - The figures depend on which trades were absorbed, not on the order in which they came.

use std::collections::VecDeque;
use std::sync::Arc;

use super::aggregate::Aggregate;
use super::budget::Budget;
use super::pane::{Pane, Sums};
use super::position::{Offset, Partition, Position};
use super::price::Price;
use super::reject::Reason;
use super::store::{PaneRef, PaneStore, StoredPane};
use super::table::{Token, TokenTable};
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
    /// It cannot count: `Capacity` or `OutOfRange` (a sum would leave 128 bits).
    Refused(Reason),
}

/// So few changes are not looked through for those that have expired.
const MANY_CHANGES: usize = 1_024;

/// The state of one shard.
#[derive(Debug)]
pub struct Shard {
    pub(super) windows: Windows,
    budget: Arc<Budget>,
    pub(super) end: Second,
    pub(super) tokens: TokenTable,
    pub(super) panes: PaneStore,
    /// By partition number; 0 where nothing is known.
    next_offsets: Vec<Offset>,
    dirty: Vec<PaneRef>,
    /// Trades that are not after this second are late, whatever the windows hold.
    floor: Second,
}

impl Shard {
    /// An empty shard whose windows end at `end`; trades that are not after `floor` are late.
    #[must_use]
    pub fn new(windows: Windows, budget: Arc<Budget>, end: Second, floor: Second) -> Self {
        Self {
            windows,
            budget,
            end,
            tokens: TokenTable::default(),
            panes: PaneStore::default(),
            next_offsets: Vec::new(),
            dirty: Vec::new(),
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
    pub fn positions(&self) -> impl Iterator<Item = (Partition, Offset)> {
        (0_i32..).map(Partition).zip(self.next_offsets.iter().copied())
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
    pub fn absorb(&mut self, position: Position, trade: &Trade<'_>) -> Outcome {
        if position.offset < self.next_offset(position.partition) {
            return Outcome::Duplicate;
        }
        let second = trade.at.second;
        if second <= self.horizon() {
            return Outcome::Late;
        }
        let Some(slot) = self.slot_of(trade.hash, trade.token, Budget::take_token) else {
            return Outcome::Refused(Reason::Capacity);
        };
        let pane = Pane::of(trade, position);
        let Some(token) = self.tokens.get_mut(slot) else {
            return Outcome::Refused(Reason::Capacity);
        };
        let Some(total) = token.total.checked_add(&pane.sums) else {
            return Outcome::Refused(Reason::OutOfRange);
        };
        let place = match token.place(second) {
            Ok(place) => {
                if let Some(stored) = self.panes.get_mut(place) {
                    stored.pane.merge(&pane);
                }
                place
            }
            Err(_) if !self.budget.take_pane() => return Outcome::Refused(Reason::Capacity),
            Err(at) => {
                let place = self.panes.push(second, StoredPane { slot, dirty: false, pane });
                token.panes.insert(at, place);
                place
            }
        };
        token.total = total;
        if second <= self.end {
            token.add(&self.windows, second, self.end, &pane.sums);
        }
        self.mark_dirty(place);
        Outcome::Counted
    }

    /// Moves the windows' end forwards: folds in the seconds that begin to count, takes away those
    /// that leave. An `end` that is not later changes nothing.
    pub fn advance(&mut self, end: Second) {
        if end <= self.end {
            return;
        }
        let before = std::mem::replace(&mut self.end, end);
        for bucket in self.panes.between(before, end) {
            for stored in &bucket.panes {
                if let Some(token) = self.tokens.get_mut(stored.slot) {
                    token.add(&self.windows, bucket.second, end, &stored.pane.sums);
                }
            }
        }
        for (at, window) in self.windows.iter().enumerate() {
            let leaving = window.left_by(end).min(before);
            for bucket in self.panes.between(window.left_by(before), leaving) {
                for stored in &bucket.panes {
                    let token = self.tokens.get_mut(stored.slot);
                    if let Some(sums) = token.and_then(|token| token.windows.get_mut(at)) {
                        sums.subtract(&stored.pane.sums);
                    }
                }
            }
        }
        self.expire();
    }

    /// What a tick publishes: every active token, and once more, with zero counts, each one whose
    /// last trade has left the longest window since.
    pub fn due(&mut self, mut each: impl FnMut(&Aggregate<'_>)) {
        let (panes, windows, end) = (&self.panes, &self.windows, self.end);
        let mut figures = Vec::with_capacity(windows.count());
        let mut closed = Vec::new();
        for (slot, token) in self.tokens.iter_mut() {
            let active = token.newest_until(end).is_some();
            if active || token.closing {
                token.figures(panes, windows, end, &mut figures);
                let (address, hash) = (&*token.address, token.hash);
                each(&Aggregate { token: address, hash, end, windows: &figures });
            }
            token.closing = false;
            if token.panes.is_empty() {
                closed.push(slot);
            }
        }
        for slot in closed {
            self.remove(slot);
        }
    }

    /// How many changes are noted: never many more than there are live panes.
    #[must_use]
    pub const fn noted_changes(&self) -> usize {
        self.dirty.len()
    }

    /// How many live panes there are.
    #[must_use]
    pub const fn live_panes(&self) -> usize {
        self.panes.count()
    }

    /// Whether anything changed since [`clear_changes`](Self::clear_changes).
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The panes that changed since then, whole, with their tokens and seconds. Those that expired
    /// meanwhile are not among them.
    pub fn changes(&self) -> impl Iterator<Item = (&str, Second, &Pane)> {
        self.dirty.iter().filter_map(|place| {
            let stored = self.panes.get(*place)?;
            Some((&*self.tokens.get(stored.slot)?.address, place.second, &stored.pane))
        })
    }

    /// The changes are taken: from here on only newer ones are.
    pub fn clear_changes(&mut self) {
        for place in self.dirty.drain(..) {
            if let Some(stored) = self.panes.get_mut(place) {
                stored.dirty = false;
            }
        }
    }

    /// All live panes, oldest second first.
    pub fn panes(&self) -> impl Iterator<Item = (&str, Second, &Pane)> {
        self.panes.iter().filter_map(|(second, stored)| {
            Some((&*self.tokens.get(stored.slot)?.address, second, &stored.pane))
        })
    }

    /// Puts a pane from the checkpoint in place of what is known of that token and second. The
    /// windows see it with the next [`open`](Self::open).
    pub fn restore(&mut self, address: &str, second: Second, pane: &Pane) {
        let take = |budget: &Budget| {
            budget.restore_token();
            true
        };
        let Some(slot) = self.slot_of(TokenHash::of(address), address, take) else {
            return;
        };
        let Some(token) = self.tokens.get_mut(slot) else {
            return;
        };
        match token.place(second) {
            Ok(place) => {
                if let Some(stored) = self.panes.get_mut(place) {
                    stored.pane = *pane;
                }
            }
            Err(at) => {
                let stored = StoredPane { slot, dirty: false, pane: *pane };
                token.panes.insert(at, self.panes.push(second, stored));
                self.budget.restore_pane();
            }
        }
    }

    /// Begins after [`restore`](Self::restore) as the shard was when its windows ended at
    /// `published`, the last tick whose messages were acknowledged. What the longest window had
    /// lost by then has been closed.
    pub fn open(&mut self, published: Second) {
        self.end = published;
        for (second, stored) in self.panes.iter() {
            let Some(token) = self.tokens.get_mut(stored.slot) else { continue };
            // What a valid checkpoint holds was checked when it was counted.
            if let Some(total) = token.total.checked_add(&stored.pane.sums) {
                token.total = total;
                if second <= published {
                    token.add(&self.windows, second, published, &stored.pane.sums);
                }
            }
        }
        self.expire();
        let mut closed = Vec::new();
        for (slot, token) in self.tokens.iter_mut() {
            token.closing = false;
            if token.panes.is_empty() {
                closed.push(slot);
            }
        }
        for slot in closed {
            self.remove(slot);
        }
    }

    /// The newest second that does not count any more.
    fn horizon(&self) -> Second {
        self.end.plus(-i64::from(self.windows.longest())).max(self.floor)
    }

    fn slot_of(
        &mut self,
        hash: TokenHash,
        address: &str,
        take: impl Fn(&Budget) -> bool,
    ) -> Option<u32> {
        if let Some(slot) = self.tokens.find(hash, address) {
            return Some(slot);
        }
        take(&self.budget).then(|| {
            self.tokens.insert(Token {
                address: address.into(),
                hash,
                panes: VecDeque::new(),
                total: Sums::default(),
                windows: vec![Sums::default(); self.windows.count()].into(),
                last_price: Price::ZERO,
                closing: false,
            })
        })
    }

    fn mark_dirty(&mut self, place: PaneRef) {
        if let Some(stored) = self.panes.get_mut(place)
            && !stored.dirty
        {
            stored.dirty = true;
            self.dirty.push(place);
        }
    }

    /// Drops the panes that no window holds any more. A token that is left without one owes a
    /// closing message.
    fn expire(&mut self) {
        let horizon = self.horizon();
        while let Some(bucket) = self.panes.pop_until(horizon) {
            self.budget.release_panes(bucket.panes.len());
            for stored in bucket.panes {
                let Some(token) = self.tokens.get_mut(stored.slot) else { continue };
                token.panes.pop_front();
                token.total.subtract(&stored.pane.sums);
                token.last_price = stored.pane.last.price;
                token.closing = token.newest_until(self.end).is_none();
            }
        }
        // With the checkpoint away for long, most of what changed has gone again.
        if self.dirty.len() > 2 * self.panes.count() + MANY_CHANGES {
            self.dirty.retain(|place| place.second > horizon);
            self.dirty.shrink_to(2 * self.dirty.len());
        }
    }

    fn remove(&mut self, slot: u32) {
        self.tokens.remove(slot);
        self.budget.release_token();
    }
}

/// What it held is free for others: a shard that is dropped is loaded anew.
impl Drop for Shard {
    fn drop(&mut self) {
        self.budget.release_panes(self.panes.count());
        self.tokens.iter_mut().for_each(|_| self.budget.release_token());
    }
}
