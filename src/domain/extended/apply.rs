//! One visit: which wallets were last in which pane, and which visits have no other of their wallet
//! so shortly before or after them. Two visits of a wallet with a gap of more than D seconds
//! between them, and none in between, are told apart by the preceding window of D seconds: the
//! later one brings the wallet into it again after the earlier one has taken it out.

use super::super::chunks::room;
use super::rows::{LINKS, SIDES, TRADED, UNCOUNTED, UPPER};
use super::spans::Span;
use super::token::{Context, NEVER, Seen, Token, is_flagged};
use super::types::Sides;
use super::wallets::{Clock, Times};

/// Where visits of one second go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) second: i64,
    /// The place of their pane.
    pub(super) row: usize,
    /// How many visits stand behind those of their pane.
    pub(super) behind: usize,
    /// What stands for the second.
    mark: u32,
    clock: Clock,
}

impl Group {
    pub(super) fn new(second: i64, row: usize, behind: usize, clock: &Clock) -> Self {
        Self { second, row, behind, mark: Clock::mark(second), clock: *clock }
    }
}

/// What is known of a wallet before a visit.
struct Known {
    place: usize,
    bought: Option<i64>,
    sold: Option<i64>,
}

impl Token {
    /// Applies a visit of any second up to the end.
    pub(super) fn apply(&mut self, context: &Context<'_>, to: &Group, seen: Seen) {
        let Some(known) = self.known(context, to, seen) else { return };
        let last = known.bought.max(known.sold);
        match last {
            Some(last) if last > to.second => {
                if self.joins(to, seen) {
                    self.changes_sides(context, to, seen, &known);
                    return;
                }
                self.links_between(context, to, seen);
            }
            Some(last) if last == to.second => {
                self.joins(to, seen);
                self.changes_sides(context, to, seen, &known);
                return;
            }
            _ => self.is_last(context, to, last),
        }
        self.changes_sides(context, to, seen, &known);
        room(&mut self.visits);
        let at = self.visits.len().saturating_sub(to.behind);
        self.visits.insert(at, seen);
        self.rows.change(to.row, TRADED, |word| word + UPPER);
    }

    /// Applies a visit that stands in its pane already, and is its wallet's newest one; false where
    /// it was not counted.
    pub(super) fn apply_newest(&mut self, context: &Context<'_>, to: &Group, seen: Seen) -> bool {
        let Some(known) = self.known(context, to, seen) else { return false };
        self.is_last(context, to, known.bought.max(known.sold));
        self.changes_sides(context, to, seen, &known);
        true
    }

    /// The wallet's times so far; `None` where there is no room for a new one.
    fn known(&mut self, context: &Context<'_>, to: &Group, seen: Seen) -> Option<Known> {
        match self.wallets.find(seen.hash()) {
            Ok(place) => {
                let Times { buy, sell } = self.wallets.times(place);
                let (bought, sold) = (to.clock.second(buy), to.clock.second(sell));
                Some(Known { place, bought, sold })
            }
            Err(_) if !context.budget.take() => {
                let word = self.rows.word(to.row, TRADED);
                self.flagged += usize::from(!is_flagged(word));
                self.rows.change(to.row, TRADED, |word| word | UNCOUNTED);
                None
            }
            Err(at) => {
                let times = now(to, seen, Times::default(), |_| true);
                let place = self.wallets.insert(at, seen.hash(), times);
                Some(Known { place, bought: None, sold: None })
            }
        }
    }

    /// The wallet's last buy and last sell move to this pane, where they were before it.
    fn changes_sides(&mut self, context: &Context<'_>, to: &Group, seen: Seen, known: &Known) {
        let sides = [(Sides::BOUGHT, known.bought, 1), (Sides::SOLD, known.sold, UPPER)];
        for (side, last, one) in sides {
            if !seen.sides().has(side) || last.is_some_and(|last| last >= to.second) {
                continue;
            }
            self.rows.change(to.row, SIDES, |word| word + one);
            if let Some(Ok(row)) = last.map(|last| self.rows.find(last)) {
                self.rows.change(row, SIDES, |word| word - one);
            }
            if self.end == NEVER {
                continue;
            }
            for (span, window) in context.spans.list.iter().zip(&mut self.windows) {
                let held = last.is_some_and(|last| span.holds(last, self.end));
                let comes = span.holds(to.second, self.end) && !held;
                window.sides += u64::from(comes) * one;
            }
        }
        let times = self.wallets.times(known.place);
        let before = |last: Option<i64>| last.is_none_or(|last| last < to.second);
        let times = now(to, seen, times, |side| {
            before(if side == Sides::BOUGHT { known.bought } else { known.sold })
        });
        self.wallets.set(known.place, times);
    }

    /// The wallet was here last: it moves from the pane where it was.
    fn is_last(&mut self, context: &Context<'_>, to: &Group, last: Option<i64>) {
        let gap = last.map_or(i64::MAX, |last| to.second - last);
        let left = last.and_then(|last| self.rows.find(last).ok());
        self.rows.change(to.row, TRADED, |word| word + 1);
        left.into_iter().for_each(|left| self.rows.change(left, TRADED, |word| word - 1));
        for (link, length) in (LINKS..).zip(&context.spans.links) {
            let apart = gap > *length;
            self.rows.change(to.row, link, |word| word + UPPER + u64::from(apart));
            if let Some(left) = left.filter(|_| !apart) {
                self.rows.change(left, link, |word| word - UPPER);
            }
        }
        if self.end == NEVER {
            return;
        }
        for (span, window) in context.spans.list.iter().zip(&mut self.windows) {
            let held = |of: fn(&Span, i64, i64) -> bool| {
                of(span, to.second, self.end) && !last.is_some_and(|last| of(span, last, self.end))
            };
            window.traders += u32::from(held(Span::holds));
            let comes = span.link.is_some() && held(Span::held);
            window.before += u32::from(comes);
        }
    }

    /// Whether the wallet has a visit in this pane; then it has these sides too.
    fn joins(&mut self, to: &Group, seen: Seen) -> bool {
        let until = self.visits.len().saturating_sub(to.behind);
        let from = until.saturating_sub(self.rows.visits(to.row));
        let mut held = self.visits.range_mut(from..until);
        let found = held.find(|held| held.hash() == seen.hash());
        found.map(|held| *held = held.and(seen)).is_some()
    }

    /// A visit between others of its wallet: its neighbours were linked to each other, or are too
    /// far away to matter.
    fn links_between(&mut self, context: &Context<'_>, to: &Group, seen: Seen) {
        if context.spans.links.is_empty() {
            return;
        }
        let (before, after) = self.neighbours(to, seen, context.spans.farthest);
        let second = |row: Option<usize>| row.map(|row| self.rows.second(row));
        let (second_before, second_after) = (second(before), second(after));
        let gap = |from: Option<i64>, until: Option<i64>| match (from, until) {
            (Some(from), Some(until)) => until - from,
            _ => i64::MAX,
        };
        let here = Some(to.second);
        let (gap_before, gap_after) = (gap(second_before, here), gap(here, second_after));
        let gap_over = gap(second_before, second_after);
        for (link, length) in (LINKS..).zip(&context.spans.links) {
            let first = u64::from(gap_before > *length);
            let last = u64::from(gap_after > *length);
            let apart = gap_over > *length;
            self.rows.change(to.row, link, |word| word + first + last * UPPER);
            if let Some(row) = before.filter(|_| apart && first == 0) {
                self.rows.change(row, link, |word| word - UPPER);
            }
            // What has come into the preceding window is not looked at again, and one before that
            // is gone may have kept it from being counted.
            let comes = |row: &usize| self.rows.second(*row) > self.end - *length;
            if let Some(row) = after.filter(|row| apart && last == 0 && comes(row)) {
                self.rows.change(row, link, |word| word - 1);
            }
        }
        for (span, window) in context.spans.list.iter().zip(&mut self.windows) {
            let held = |second: Option<i64>| second.is_some_and(|one| span.held(one, self.end));
            let comes = held(here) && !held(second_before) && !held(second_after);
            window.before += u32::from(span.link.is_some() && comes);
        }
    }

    /// The panes of the wallet's visits before and after, no further away than `farthest`.
    fn neighbours(&self, to: &Group, seen: Seen, farthest: i64) -> (Option<usize>, Option<usize>) {
        let until = self.visits.len().saturating_sub(to.behind);
        let is = |held: &Seen| held.hash() == seen.hash();
        let mut from = until.saturating_sub(self.rows.visits(to.row));
        let mut rows = (0..to.row).rev();
        let before = rows.find_map(|row| {
            let until = from;
            from = until.saturating_sub(self.rows.visits(row));
            let far = to.second - self.rows.second(row) > farthest;
            (far || self.visits.range(from..until).any(is)).then_some((row, far))
        });
        let mut from = until;
        let mut rows = to.row + 1..self.settled;
        let after = rows.find_map(|row| {
            let start = from;
            from = (start + self.rows.visits(row)).min(self.visits.len());
            let far = self.rows.second(row) - to.second > farthest;
            (far || self.visits.range(start..from).any(is)).then_some((row, far))
        });
        let near = |found: Option<(usize, bool)>| found.filter(|(_, far)| !far).map(|(row, _)| row);
        (near(before), near(after))
    }
}

/// The times of a wallet with those of this visit, on the sides that it is the last of.
fn now(to: &Group, seen: Seen, times: Times, is_last: impl Fn(Sides) -> bool) -> Times {
    let on = |side| seen.sides().has(side) && is_last(side);
    Times {
        buy: if on(Sides::BOUGHT) { to.mark } else { times.buy },
        sell: if on(Sides::SOLD) { to.mark } else { times.sell },
    }
}
