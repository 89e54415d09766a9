//! The extended figures of one token.
//!
//! Trades come together, some at a time, and go to their panes. Their wallets' visits wait longer:
//! most are of seconds after the end of the windows, where a wallet must not yet count as having
//! been there last. When figures are asked for, the windows move to the end, and the visits up to
//! it are applied. So a token's panes and wallets are touched together.
//!
//! Invariants, where `end` is the second up to which visits are applied:
//! - `rows` and `panes` are of the same seconds, ascending.
//! - `visits` has each applied (second, wallet) once, pane by pane; `wallets` has each wallet of
//!   them with its last buy and its last sell.
//! - The first `summed` panes hold the sums of all up to them, the others their own: a trade of a
//!   second that has passed is added to one pane, and the next settling sums up what is behind it,
//!   once for all that came. No more are summed than are settled.
//! - A row tells how many wallets were in its pane last (bought, sold, traded); a window's wallets
//!   are the sums of that over its panes.
//! - A token that was loaded from a checkpoint has no `end`: its visits stand in their panes, and
//!   are applied by the first settling.

use std::cell::Cell;
use std::cmp::Ordering;

use super::super::price::Price;
use super::super::time::Second;
use super::extremes::Extremes;
use super::pane::{Pane, Totals};
use super::recent::Kept;
use super::ring::Ring;
use super::rows::{Rows, TRADED, UNCOUNTED, UNKNOWN, UPPER};
use super::spans::{Running, Spans};
use super::types::{ExtendedPane, Seen, Visit, WalletBudget};
use super::wallets::Wallets;

/// Where nothing is settled.
pub(super) const NEVER: i64 = i64::MIN;

/// Visits that wait are sorted, and those that are the same made one, when there are so many, and
/// then when there are twice as many as were left.
const WAITING: usize = 1_024;
/// Panes that are gone are let go with the next figures, unless these are so many seconds behind:
/// then the token is as if it had been loaded.
const MOST_BEHIND: i64 = 600;
/// So many places of the budget are taken at once. While the last of them lie unused here, another
/// worker finds none: it tells null then, and nothing wrong.
const PLACES: usize = 32;
/// In a chunk.
const PANES: usize = 16;
const VISITS: usize = 64;

/// Trades of one second that came one after the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    second: i64,
    totals: Totals,
    high: Price,
    low: Price,
}

/// A visit that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    pub(super) second: i64,
    pub(super) seen: Seen,
}

/// What all tokens share.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) spans: &'a Spans,
    pub(super) budget: &'a WalletBudget,
    /// Places of the budget that were taken and no pair has yet: all workers take from it, and wait
    /// for each other at each time.
    spare: Cell<usize>,
}

/// One token. In the order in which it is touched: what each trade needs stands first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Token {
    pub(super) panes: Ring<Pane, PANES>,
    pub(super) end: i64,
    pub(super) waiting: Vec<Waiting>,
    /// Those that wait are known to stand by their seconds.
    pub(super) ordered: bool,
    pub(super) rows: Rows,
    /// As [`WAITING`] tells.
    limit: usize,
    /// How many panes are not after the end.
    pub(super) settled: usize,
    /// How many panes hold the sums of all up to them.
    pub(super) summed: usize,
    /// The sums of the panes that are gone.
    pub(super) gone: Totals,
    /// Panes that are not after this are gone, or go with the next settling.
    pub(super) until: i64,
    pub(super) visits: Ring<Seen, VISITS>,
    pub(super) wallets: Wallets,
    pub(super) high: Extremes,
    pub(super) low: Extremes,
    /// One for each window.
    pub(super) windows: Box<[Running]>,
    /// How many panes have a flag.
    pub(super) flagged: usize,
}

impl<'a> Context<'a> {
    pub(super) const fn new(spans: &'a Spans, budget: &'a WalletBudget) -> Self {
        Self { spans, budget, spare: Cell::new(0) }
    }

    /// Takes a place for a new pair, if there is one.
    #[inline]
    pub(super) fn take(&self) -> bool {
        let spare = match self.spare.get() {
            0 => self.budget.take(PLACES),
            spare => spare,
        };
        self.spare.set(spare.saturating_sub(1));
        spare > 0
    }
}

/// What no pair has come for is free again.
impl Drop for Context<'_> {
    fn drop(&mut self) {
        if self.spare.get() > 0 {
            self.budget.release(self.spare.get());
        }
    }
}

impl Run {
    fn of(second: i64, visit: &Visit) -> Self {
        Self { second, totals: Totals::of(visit), high: visit.price, low: visit.price }
    }

    fn add(&mut self, visit: &Visit) {
        self.totals = self.totals.plus(&Totals::of(visit));
        if visit.price.order(self.high) == Ordering::Greater {
            self.high = visit.price;
        }
        if visit.price.order(self.low) == Ordering::Less {
            self.low = visit.price;
        }
    }
}

impl Token {
    pub(super) fn new(spans: &Spans) -> Self {
        Self {
            panes: Ring::default(),
            waiting: Vec::new(),
            ordered: true,
            gone: Totals::default(),
            end: NEVER,
            until: NEVER,
            rows: Rows::new(spans.links.len()),
            visits: Ring::default(),
            wallets: Wallets::default(),
            high: Extremes::highest(),
            low: Extremes::lowest(),
            windows: vec![Running::default(); spans.list.len()].into(),
            settled: 0,
            summed: 0,
            flagged: 0,
            limit: WAITING,
        }
    }

    /// Brings trades to their panes.
    pub(super) fn take<'a>(&mut self, spans: &Spans, trades: impl Iterator<Item = &'a Kept>) {
        let mut run: Option<Run> = None;
        for Kept { second, visit, .. } in trades.copied() {
            self.wait(second, visit.seen);
            match run.as_mut().filter(|run| run.second == second) {
                Some(run) => run.add(&visit),
                None => run
                    .replace(Run::of(second, &visit))
                    .into_iter()
                    .for_each(|run| self.add(spans, &run)),
            }
        }
        run.into_iter().for_each(|run| self.add(spans, &run));
        if self.waiting.len() >= self.limit {
            self.sort_waiting();
            self.limit_waiting();
        }
    }

    fn add(&mut self, spans: &Spans, run: &Run) {
        let Run { second, totals, high, low } = *run;
        let newest = self.panes.back().map_or(NEVER, |newest| newest.second);
        // Most often: a new second.
        if newest < second && second > self.end {
            self.panes.push_back(Pane::new(second, &totals, high, low));
            return self.rows.insert(self.rows.len(), second);
        }
        let at = self.place(spans, second, (high, low));
        self.panes.get_mut(at).into_iter().for_each(|pane| pane.take(&totals, (high, low)));
    }

    /// The panes from a place on hold their own sums again.
    pub(super) fn part(&mut self, at: usize) {
        while self.summed > at {
            self.summed -= 1;
            let before = self.totals_before(self.summed);
            let pane = self.panes.get_mut(self.summed);
            pane.into_iter().for_each(|pane| pane.put(&pane.totals().minus(&before)));
        }
    }

    /// The place of the pane of a second, which holds its own sums; where there was none it is new,
    /// with these prices.
    fn place(&mut self, spans: &Spans, second: i64, (high, low): (Price, Price)) -> usize {
        let found = self.rows.find(second);
        let (Ok(at) | Err(at)) = found;
        self.part(at);
        if found.is_ok() {
            return at;
        }
        self.panes.insert(at, Pane::new(second, &Totals::default(), high, low));
        self.rows.insert(at, second);
        if second <= self.end {
            self.settled += 1;
            for (span, window) in spans.list.iter().zip(&mut self.windows) {
                window.start += u32::from(!span.holds(second, self.end));
                let later = span.holds(second, self.end) || span.held(second, self.end);
                window.start_before += u32::from(span.link.is_some() && !later);
            }
        }
        at
    }

    /// The sums of one pane alone.
    pub(super) fn own(&self, at: usize) -> Totals {
        let sums = self.panes.get(at).map(Pane::totals).unwrap_or_default();
        if at < self.summed { sums.minus(&self.totals_before(at)) } else { sums }
    }

    /// The sums of all panes before a place, the last of which is summed.
    pub(super) fn totals_before(&self, at: usize) -> Totals {
        let before = at.checked_sub(1).and_then(|before| self.panes.get(before));
        before.map_or(self.gone, Pane::totals)
    }

    pub(super) fn wait(&mut self, second: i64, seen: Seen) {
        self.ordered &= self.waiting.last().is_none_or(|last| last.second <= second);
        self.waiting.push(Waiting { second, seen });
    }

    /// Puts a pane in place of what is known of its second.
    pub(super) fn restore(&mut self, context: &Context<'_>, second: Second, pane: &ExtendedPane) {
        self.unsettle(context);
        let at = self.place(context.spans, second.0, (pane.high, pane.low));
        let kept = Pane::new(second.0, &Totals::of_pane(pane), pane.high, pane.low);
        self.panes.get_mut(at).into_iter().for_each(|place| *place = kept);
        self.waiting.retain(|waiting| waiting.second != second.0);
        let (behind, count) = (self.visits_behind(at), self.rows.visits(at));
        let until = self.visits.len().saturating_sub(behind);
        self.visits.replace(until.saturating_sub(count)..until, pane.visits.iter().copied());
        let (unknown, uncounted) = (u64::from(pane.unknown), u64::from(pane.uncounted));
        let count = u64::try_from(pane.visits.len()).unwrap_or(0);
        let word = (count * UPPER) | (unknown * UNKNOWN) | (uncounted * UNCOUNTED);
        let before = self.rows.word(at, TRADED);
        self.rows.change(at, TRADED, |_| word);
        self.flagged += usize::from(is_flagged(word));
        self.flagged -= usize::from(is_flagged(before));
    }

    /// Panes that are not after `until` are gone.
    pub(super) fn expire(&mut self, context: &Context<'_>, until: Second) {
        self.until = self.until.max(until.0);
        let behind = self.end.saturating_sub(context.spans.longest).saturating_add(MOST_BEHIND);
        if self.end != NEVER && self.until > behind {
            self.unsettle(context);
        }
        if self.end == NEVER {
            self.drop_loaded(self.until);
        }
    }

    /// Bytes that there is memory for.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.panes.bytes()
            + self.rows.bytes()
            + size_of_val(&*self.windows)
            + self.high.bytes()
            + self.low.bytes()
            + self.waiting.capacity() * size_of::<Waiting>()
            + self.pair_bytes()
    }

    /// Those of them that its wallets take.
    pub(super) fn pair_bytes(&self) -> usize {
        self.visits.bytes() + self.wallets.bytes()
    }

    /// Tells anew how many visits may wait before they are sorted.
    pub(super) fn limit_waiting(&mut self) {
        self.limit = (2 * self.waiting.len()).max(WAITING);
    }
}

/// Whether a row's word has a flag.
pub(super) const fn is_flagged(word: u64) -> bool {
    word & (UNCOUNTED | UNKNOWN) != 0
}
