//! One visit: which wallets were last in which pane, and which visits have no other of their wallet
//! so shortly before or after them. Two visits of a wallet with a gap of more than D seconds
//! between them, and none in between, are told apart by the preceding window of D seconds: the
//! later one brings the wallet into it again after the earlier one has taken it out.

use super::rows::{LINKS, SIDES, TRADED, UNCOUNTED, UPPER};
use super::token::{Context, NEVER, Token, is_flagged};
use super::types::{Seen, Sides};
use super::wallets::{Clock, Spot, Times};

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

/// What is known of a wallet before a visit; [`NEVER`] where it was not there on that side.
struct Known {
    place: Spot,
    bought: i64,
    sold: i64,
    /// The later one of these.
    last: i64,
    /// The pane of the last, where the visit is after it.
    row: Option<usize>,
}

/// Wallets of which nothing was known, that came with visits of one pane. Most are, and the same is
/// counted of each: so they are counted together, once all have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newcomers {
    wallets: u32,
    /// Buyers; above them, by 32 bits, sellers.
    sides: u64,
}

impl Token {
    /// Applies a visit of any second up to the end. Who is new is still to be
    /// [welcomed](Self::welcome).
    #[inline]
    pub(super) fn apply(
        &mut self,
        context: &Context<'_>,
        to: &Group,
        seen: Seen,
        new: &mut Newcomers,
    ) {
        let place = match self.wallets.find(seen.hash()) {
            Ok(place) => place,
            Err(place) => {
                if self.enter(context, to, (place, seen), new) {
                    self.note(to, seen);
                }
                return;
            }
        };
        let known = self.known(to, place);
        let old = known.last == to.second || (known.last > to.second && self.joins(to, seen));
        if old {
            let sides = known.sides_at(to.second);
            if known.last == to.second && !sides.has(seen.sides()) {
                self.joins(to, seen);
            }
            self.moves(context, to, seen, &known);
            return;
        }
        if known.last > to.second {
            self.links_between(context, to, seen);
        } else {
            self.links_last(context, to, &known);
        }
        self.moves(context, to, seen, &known);
        self.note(to, seen);
    }

    /// Puts a visit behind the others of its pane.
    #[inline]
    fn note(&mut self, to: &Group, seen: Seen) {
        if to.behind == 0 {
            self.visits.push_back(seen);
        } else {
            self.visits.insert(self.visits.len().saturating_sub(to.behind), seen);
        }
        self.rows.change(to.row, TRADED, |word| word + UPPER);
    }

    /// Applies a visit that stands in its pane already, and is its wallet's newest one; false where
    /// it was not counted.
    pub(super) fn apply_newest(
        &mut self,
        context: &Context<'_>,
        to: &Group,
        seen: Seen,
        new: &mut Newcomers,
    ) -> bool {
        match self.wallets.find(seen.hash()) {
            Ok(place) => {
                let known = self.known(to, place);
                self.links_last(context, to, &known);
                self.moves(context, to, seen, &known);
                true
            }
            Err(place) => self.enter(context, to, (place, seen), new),
        }
    }

    /// The wallet's times so far.
    #[inline]
    fn known(&self, to: &Group, place: Spot) -> Known {
        let Times { buy, sell } = self.wallets.times(place);
        let second = |mark| to.clock.second(mark).unwrap_or(NEVER);
        let (bought, sold) = (second(buy), second(sell));
        let last = bought.max(sold);
        let row = if last < to.second { self.rows.find(last).ok() } else { None };
        Known { place, bought, sold, last, row }
    }

    /// Adds a wallet of which nothing was known, if there is room for it.
    #[inline]
    fn enter(
        &mut self,
        context: &Context<'_>,
        to: &Group,
        (place, seen): (Spot, Seen),
        new: &mut Newcomers,
    ) -> bool {
        if !context.take() {
            let word = self.rows.word(to.row, TRADED);
            self.flagged += usize::from(!is_flagged(word));
            self.rows.change(to.row, TRADED, |word| word | UNCOUNTED);
            return false;
        }
        self.wallets.insert(place, seen.hash(), now(to, seen.sides(), Times::default()));
        let (buys, sells) = (seen.sides().has(Sides::BOUGHT), seen.sides().has(Sides::SOLD));
        new.wallets += 1;
        new.sides += u64::from(buys) + u64::from(sells) * UPPER;
        true
    }

    /// Counts those that have come, in their pane and in the windows that hold it.
    pub(super) fn welcome(&mut self, context: &Context<'_>, to: &Group, new: &Newcomers) {
        let Newcomers { wallets, sides } = *new;
        let count = u64::from(wallets);
        if count == 0 {
            return;
        }
        self.rows.change(to.row, SIDES, |word| word + sides);
        self.rows.change(to.row, TRADED, |word| word + count);
        for link in (LINKS..).take(context.spans.links.len()) {
            self.rows.change(to.row, link, |word| word + count + count * UPPER);
        }
        if self.end == NEVER {
            return;
        }
        for (span, window) in context.spans.list.iter().zip(&mut self.windows) {
            if span.holds(to.second, self.end) {
                window.traders += wallets;
                window.sides += sides;
            } else if span.link.is_some() && span.held(to.second, self.end) {
                window.before += wallets;
            }
        }
    }

    /// The wallet's last trade, last buy and last sell move to this pane, those that were before
    /// it; the windows that they have come into count them.
    #[inline]
    fn moves(&mut self, context: &Context<'_>, to: &Group, seen: Seen, known: &Known) {
        let Known { place, bought, sold, last, row } = *known;
        let buys = seen.sides().has(Sides::BOUGHT) && bought < to.second;
        let sells = seen.sides().has(Sides::SOLD) && sold < to.second;
        let trades = last < to.second;
        for (moves, before, one) in [(buys, bought, 1), (sells, sold, UPPER)] {
            if !moves {
                continue;
            }
            self.rows.change(to.row, SIDES, |word| word + one);
            let row = if before == last { row } else { self.row_of(before) };
            row.into_iter().for_each(|row| self.rows.change(row, SIDES, |word| word - one));
        }
        if trades {
            self.rows.change(to.row, TRADED, |word| word + 1);
            row.into_iter().for_each(|row| self.rows.change(row, TRADED, |word| word - 1));
        }
        if buys || sells {
            let moving = if buys { Sides::BOUGHT } else { Sides::default() };
            let moving = moving.and(if sells { Sides::SOLD } else { Sides::default() });
            let times = self.wallets.times(place);
            self.wallets.set(place, now(to, moving, times));
        }
        if self.end == NEVER {
            return;
        }
        for (span, window) in context.spans.list.iter().zip(&mut self.windows) {
            let left = self.end.saturating_sub(span.seconds);
            if to.second > left {
                window.traders += u32::from(trades && last <= left);
                let sides = (u64::from(buys && bought <= left), u64::from(sells && sold <= left));
                window.sides += sides.0 + sides.1 * UPPER;
            } else if trades && span.link.is_some() {
                let left = left.saturating_sub(span.seconds);
                window.before += u32::from(to.second > left && last <= left);
            }
        }
    }

    fn row_of(&self, second: i64) -> Option<usize> {
        if second == NEVER { None } else { self.rows.find(second).ok() }
    }

    /// The visit is the last of its wallet.
    #[inline]
    fn links_last(&mut self, context: &Context<'_>, to: &Group, known: &Known) {
        let gap = to.second.saturating_sub(known.last);
        for (link, length) in (LINKS..).zip(&context.spans.links) {
            let apart = gap > *length;
            self.rows.change(to.row, link, |word| word + UPPER + u64::from(apart));
            if let Some(row) = known.row.filter(|_| !apart) {
                self.rows.change(row, link, |word| word - UPPER);
            }
        }
    }

    /// Whether the wallet has a visit in this pane; then it has these sides too.
    fn joins(&mut self, to: &Group, seen: Seen) -> bool {
        let until = self.visits.len().saturating_sub(to.behind);
        let from = until.saturating_sub(self.rows.visits(to.row));
        let is = |held: &Seen| held.hash() == seen.hash();
        let at = (from..until).rev().find(|at| self.visits.get(*at).is_some_and(is));
        let held = at.and_then(|at| self.visits.get_mut(at));
        held.is_some_and(|held| Seen::unite(&mut { seen }, held))
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

impl Known {
    /// The sides on which it is known to have traded in a second.
    fn sides_at(&self, second: i64) -> Sides {
        let side = |last, side| if last == second { side } else { Sides::default() };
        side(self.bought, Sides::BOUGHT).and(side(self.sold, Sides::SOLD))
    }
}

/// The times of a wallet with this second, on these sides.
const fn now(to: &Group, sides: Sides, times: Times) -> Times {
    Times {
        buy: if sides.has(Sides::BOUGHT) { to.mark } else { times.buy },
        sell: if sides.has(Sides::SOLD) { to.mark } else { times.sell },
    }
}
