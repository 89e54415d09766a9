//! The extended figures of one token.
//!
//! A trade is only kept, until some have come or figures are asked for: then they go to their panes
//! together. Their wallets' visits wait longer: most are of seconds after the end of the windows,
//! where a wallet must not yet count as having been there last. When figures are asked for, the
//! windows move to the end, and the visits up to it are applied. So a trade touches one place, and
//! a token's panes and wallets are touched together.
//!
//! Invariants, where `end` is the second up to which visits are applied:
//! - `rows` and `panes` are of the same seconds, ascending.
//! - `visits` has each applied (second, wallet) once, pane by pane; `wallets` has each wallet of
//!   them with its last buy and its last sell.
//! - A row tells how many wallets were in its pane last (bought, sold, traded); a window's wallets
//!   are the sums of that over its panes.
//! - A token that was loaded from a checkpoint has no `end`: its visits stand in their panes, and
//!   are applied by the first settling.

use std::collections::VecDeque;

use super::super::amount::Amount;
use super::super::chunks::{give_back, room};
use super::super::price::Price;
use super::super::time::Second;
use super::extremes::{Extremes, grow};
use super::pane::{Pane, Totals};
use super::rows::{Rows, TRADED, UNCOUNTED, UNKNOWN, UPPER};
use super::spans::{Running, Spans};
use super::types::{ExtendedPane, Sides, Visit, WalletBudget, WalletHash};
use super::wallets::Wallets;

/// Where nothing is settled.
pub(super) const NEVER: i64 = i64::MIN;

/// Visits that wait are sorted, and those that are the same made one, when there are so many, and
/// then when there are twice as many as were left.
const WAITING: usize = 1_024;
/// Panes that are gone are let go with the next figures, unless these are so many seconds behind:
/// then the token is as if it had been loaded.
const MOST_BEHIND: i64 = 600;
/// Panes to spare that are not given back.
const SPARE: usize = 4;

/// So many trades are kept at most until they go to their panes: few enough to be looked through
/// for a pane of the checkpoint.
const RECENT: usize = 32;

/// A trade that is kept. Aligned as a pane is.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(8))]
pub(super) struct Recent {
    pub(super) second: i64,
    pub(super) visit: Visit,
}

/// A wallet's hash above its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen(u64);

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
}

/// One token. In the order in which it is touched: what each trade needs stands first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Token {
    pub(super) recent: Vec<Recent>,
    pub(super) panes: VecDeque<Pane>,
    pub(super) end: i64,
    pub(super) waiting: Vec<Waiting>,
    /// Those that wait are known to stand by their seconds.
    pub(super) ordered: bool,
    pub(super) rows: Rows,
    /// As [`WAITING`] tells.
    limit: usize,
    /// How many panes are not after the end.
    pub(super) settled: usize,
    /// The sums of the panes that are gone.
    pub(super) gone: Totals,
    /// Panes that are not after this are gone, or go with the next settling.
    pub(super) until: i64,
    pub(super) visits: VecDeque<Seen>,
    pub(super) wallets: Wallets,
    pub(super) high: Extremes,
    pub(super) low: Extremes,
    /// One for each window.
    pub(super) windows: Box<[Running]>,
    /// How many panes have a flag.
    pub(super) flagged: usize,
}

impl Seen {
    pub(super) fn new(wallet: WalletHash, sides: Sides) -> Self {
        Self((wallet.bits() << 2) | u64::from(sides.bits()))
    }

    pub(super) const fn hash(self) -> u64 {
        self.0 >> 2
    }

    pub(super) fn sides(self) -> Sides {
        Sides::from_bits(u8::try_from(self.0 & 3).unwrap_or(0))
    }

    /// On these sides too.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | (other.0 & 3))
    }
}

impl Token {
    pub(super) fn new(spans: &Spans) -> Self {
        Self {
            recent: Vec::new(),
            panes: VecDeque::new(),
            waiting: Vec::new(),
            ordered: true,
            gone: Totals::default(),
            end: NEVER,
            until: NEVER,
            rows: Rows::new(spans.links.len()),
            visits: VecDeque::new(),
            wallets: Wallets::default(),
            high: Extremes::highest(),
            low: Extremes::lowest(),
            windows: vec![Running::default(); spans.list.len()].into(),
            settled: 0,
            flagged: 0,
            limit: WAITING,
        }
    }

    /// Adds a trade.
    #[inline]
    pub(super) fn add(&mut self, spans: &Spans, second: i64, visit: &Visit) {
        if self.recent.len() == RECENT {
            self.fold(spans);
        }
        self.recent.push(Recent { second, visit: *visit });
    }

    /// Brings the trades that are kept to their panes.
    pub(super) fn fold(&mut self, spans: &Spans) {
        let mut recent = std::mem::take(&mut self.recent);
        let mut newest = self.panes.back().map_or(NEVER, |pane| pane.second);
        let new = recent.iter().filter(|trade| {
            let later = trade.second > newest;
            newest = newest.max(trade.second);
            later
        });
        let new = new.count();
        if self.panes.capacity() - self.panes.len() < new {
            self.panes.reserve_exact(new.max(self.panes.len() / 4));
        }
        self.rows.reserve(new);
        // Whoever trades steadily keeps its room.
        if recent.capacity() > 2 * recent.len() {
            recent.shrink_to_fit();
        }
        recent.drain(..).for_each(|trade| self.take(spans, trade.second, &{ trade.visit }));
        self.recent = recent;
    }

    fn take(&mut self, spans: &Spans, second: i64, visit: &Visit) {
        let totals = Totals::of(visit);
        match self.panes.back_mut() {
            Some(newest) if newest.second == second => {
                newest.add(&totals);
                newest.reach(visit.price);
            }
            // Most often: a new second.
            Some(newest) if newest.second < second && second > self.end => {
                let mut pane = Pane::new(second, &newest.totals(), visit.price, visit.price);
                pane.add(&totals);
                grow(&mut self.panes);
                self.panes.push_back(pane);
                self.rows.insert(self.rows.len(), second);
            }
            _ => self.add_elsewhere(spans, second, &totals, visit.price),
        }
        if second <= self.end && !self.is_unknown(second) {
            self.high.add(second, visit.price);
            self.low.add(second, visit.price);
        }
        let seen = Seen::new(visit.wallet, Sides::of(visit.side));
        self.wait(second, seen);
        if self.waiting.len() >= self.limit {
            self.sort_waiting();
            self.limit = (2 * self.waiting.len()).max(WAITING);
        }
    }

    fn add_elsewhere(&mut self, spans: &Spans, second: i64, totals: &Totals, price: Price) {
        let at = self.place(spans, second, price);
        self.panes.range_mut(at..).for_each(|pane| pane.add(totals));
        self.panes.get_mut(at).into_iter().for_each(|pane| pane.reach(price));
    }

    /// The place of the pane of a second, where there was none with this price.
    fn place(&mut self, spans: &Spans, second: i64, price: Price) -> usize {
        let at = match self.rows.find(second) {
            Ok(at) => return at,
            Err(at) => at,
        };
        grow(&mut self.panes);
        self.panes.insert(at, Pane::new(second, &self.totals_before(at), price, price));
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

    /// The sums of all panes before a place.
    pub(super) fn totals_before(&self, at: usize) -> Totals {
        let before = at.checked_sub(1).and_then(|before| self.panes.get(before));
        before.map_or(self.gone, Pane::totals)
    }

    fn is_unknown(&self, second: i64) -> bool {
        let is = |at| self.rows.word(at, TRADED) & UNKNOWN != 0;
        self.flagged > 0 && self.rows.find(second).is_ok_and(is)
    }

    pub(super) fn wait(&mut self, second: i64, seen: Seen) {
        self.ordered &= self.waiting.last().is_none_or(|last| last.second <= second);
        self.waiting.push(Waiting { second, seen });
    }

    /// Makes it quick to tell [panes](Self::pane), one after the other.
    pub(super) fn gather(&mut self, spans: &Spans) {
        self.fold(spans);
        if !self.ordered {
            self.sort_waiting();
        }
    }

    /// Sorts the visits that wait, and makes one of those of the same wallet and second.
    pub(super) fn sort_waiting(&mut self) {
        self.waiting.sort_unstable();
        self.waiting.dedup_by(|later, earlier| {
            let same = later.second == earlier.second && later.seen.hash() == earlier.seen.hash();
            if same {
                earlier.seen = earlier.seen.and(later.seen);
            }
            same
        });
        self.ordered = true;
    }

    /// The visits of a second that wait.
    fn waiting_of(&self, second: i64) -> impl Iterator<Item = Seen> {
        let waiting = if self.ordered {
            let from = self.waiting.partition_point(|waiting| waiting.second < second);
            self.waiting.get(from..).unwrap_or_default()
        } else {
            &self.waiting
        };
        let until = move |waiting: &&Waiting| !self.ordered || waiting.second == second;
        let all = waiting.iter().take_while(until);
        all.filter(move |waiting| waiting.second == second).map(|waiting| waiting.seen)
    }

    /// All that is known of a second.
    pub(super) fn pane(&self, second: Second) -> Option<ExtendedPane> {
        let recent = || {
            let kept = self.recent.iter().filter(|trade| trade.second == second.0);
            kept.map(|trade| trade.visit)
        };
        if second.0 <= self.until {
            return None;
        }
        let mut pane = match self.folded_pane(second) {
            Some(pane) => pane,
            None => ExtendedPane::without_trade(recent().next()?.price),
        };
        recent().for_each(|visit| pane.add(&visit));
        pane.unite();
        Some(pane)
    }

    /// As [`pane`](Self::pane), without the trades that are kept. Its wallets may be there twice.
    fn folded_pane(&self, second: Second) -> Option<ExtendedPane> {
        let at = self.rows.find(second.0).ok()?;
        let pane = self.panes.get(at)?;
        let totals = pane.totals().minus(&self.totals_before(at));
        let until = self.visits.len().saturating_sub(self.visits_behind(at));
        let from = until.saturating_sub(self.rows.visits(at));
        let applied = self.visits.range(from..until).copied();
        let seen = applied.chain(self.waiting_of(second.0));
        let flags = self.rows.word(at, TRADED);
        Some(ExtendedPane {
            trades: totals.trades.into(),
            usd: Amount::from_units(totals.usd),
            buy_usd: Amount::from_units(totals.buy_usd),
            token_volume: totals.volume(),
            high: pane.high,
            low: pane.low,
            visits: seen.map(|seen| (WalletHash::from_bits(seen.hash()), seen.sides())).collect(),
            uncounted: flags & (UNCOUNTED | UNKNOWN) != 0,
            unknown: flags & UNKNOWN != 0,
        })
    }

    /// How many visits stand behind those of the pane at a place: after the end none is applied.
    pub(super) fn visits_behind(&self, at: usize) -> usize {
        let until = if self.end == NEVER { self.rows.len() } else { self.settled };
        self.rows.visits_within(at + 1..until)
    }

    /// Puts a pane in place of what is known of its second.
    pub(super) fn restore(&mut self, context: &Context<'_>, second: Second, pane: &ExtendedPane) {
        self.fold(context.spans);
        self.unsettle(context);
        let at = self.place(context.spans, second.0, pane.high);
        let held = self.panes.get(at).map(Pane::totals).unwrap_or_default();
        let held = held.minus(&self.totals_before(at));
        let change = Totals::of_pane(pane).minus(&held);
        self.panes.range_mut(at..).for_each(|pane| pane.add(&change));
        if let Some(place) = self.panes.get_mut(at) {
            (place.high, place.low) = (pane.high, pane.low);
        }
        self.waiting.retain(|waiting| waiting.second != second.0);
        let (behind, count) = (self.visits_behind(at), self.rows.visits(at));
        let until = self.visits.len().saturating_sub(behind);
        self.visits.drain(until.saturating_sub(count)..until);
        let seen = pane.visits.iter().map(|(wallet, sides)| Seen::new(*wallet, *sides));
        for (index, seen) in (until.saturating_sub(count)..).zip(seen) {
            room(&mut self.visits);
            self.visits.insert(index, seen);
        }
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
            + self.panes.capacity() * size_of::<Pane>()
            + self.rows.bytes()
            + size_of_val(&*self.windows)
            + self.high.bytes()
            + self.low.bytes()
            + self.waiting.capacity() * size_of::<Waiting>()
            + self.recent.capacity() * size_of::<Recent>()
            + self.pair_bytes()
    }

    /// Those of them that its wallets take.
    pub(super) fn pair_bytes(&self) -> usize {
        self.visits.capacity() * size_of::<Seen>() + self.wallets.bytes()
    }

    /// Gives back what is to spare.
    pub(super) fn tighten(&mut self) {
        self.limit = (2 * self.waiting.len()).max(WAITING);
        give_back(&mut self.visits);
        if self.panes.capacity() > 2 * self.panes.len() + SPARE {
            self.panes.shrink_to(self.panes.len() + self.panes.len() / 8);
        }
    }
}

/// Whether a row's word has a flag.
pub(super) const fn is_flagged(word: u64) -> bool {
    word & (UNCOUNTED | UNKNOWN) != 0
}
