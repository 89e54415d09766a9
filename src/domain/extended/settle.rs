//! A token's windows move to their end: what comes into them, what leaves them, what is gone, and
//! the visits up to there. And its figures, once it is settled.

use super::super::aggregate::Previous;
use super::super::amount::Amount;
use super::super::time::Second;
use super::apply::{Group, Newcomers};
use super::rows::{LINKS, SIDES, TRADED, UNCOUNTED, UNKNOWN, UPPER};
use super::spans::Running;
use super::token::{Context, NEVER, Token, Waiting, is_flagged};
use super::types::Figures;
use super::wallets::Clock;

impl Token {
    /// Settles up to `end`, if there is anything to do.
    pub(super) fn settle(&mut self, context: &Context<'_>, end: Second) {
        let end = end.0.max(self.end);
        let left = end.saturating_sub(context.spans.longest);
        if end == NEVER {
            return;
        }
        if self.end != NEVER && self.until > left && self.rows.second(0) <= self.until {
            self.unsettle(context);
        }
        let clock = Clock::new(end);
        if self.end == NEVER {
            self.drop_loaded(self.until.max(left));
            self.apply_loaded(context, &clock, end);
        }
        if end > self.end {
            self.advance(context, end);
        }
        self.sum_up(left);
        self.drop_settled(context, left);
        if self.waiting.is_empty() {
            (self.waiting, self.ordered) = (Vec::new(), true);
        } else {
            self.apply_waiting(context, &clock, left.max(self.until));
            self.limit_waiting();
        }
    }

    /// Moves the windows.
    fn advance(&mut self, context: &Context<'_>, end: i64) {
        let (mut sides, mut traded) = (0, 0);
        while self.rows.second(self.settled) <= end {
            sides += self.rows.word(self.settled, SIDES);
            traded += lower(self.rows.word(self.settled, TRADED));
            self.settled += 1;
        }
        self.end = end;
        let rows = &self.rows;
        for (span, window) in context.spans.list.iter().zip(&mut self.windows) {
            window.sides = window.sides.wrapping_add(sides);
            window.traders = window.traders.wrapping_add(traded);
            let settled = u32::try_from(self.settled).unwrap_or(u32::MAX);
            let left = end.saturating_sub(span.seconds);
            while window.start < settled && rows.second(place(window.start)) <= left {
                let at = place(window.start);
                window.sides = window.sides.wrapping_sub(rows.word(at, SIDES));
                window.traders = window.traders.wrapping_sub(lower(rows.word(at, TRADED)));
                if let Some(link) = span.link {
                    let first = lower(rows.word(at, LINKS + link));
                    window.before = window.before.wrapping_add(first);
                }
                window.start += 1;
            }
            let Some(link) = span.link else { continue };
            let left = end.saturating_sub(2 * span.seconds);
            while window.start_before < window.start
                && rows.second(place(window.start_before)) <= left
            {
                let last = rows.word(place(window.start_before), LINKS + link);
                window.before = window.before.wrapping_sub(lower(last >> 32));
                window.start_before += 1;
            }
        }
    }

    /// Sums up the panes to the end, from the first on that is new or has changed, and tells the
    /// best prices after `left`. Prices of a pane only get better: what is before those is kept.
    fn sum_up(&mut self, left: i64) {
        if self.summed < self.settled {
            let first = self.rows.second(self.summed);
            self.high.cut(first);
            self.low.cut(first);
        }
        let mut sums = self.totals_before(self.summed);
        while self.summed < self.settled {
            let unknown = self.rows.word(self.summed, TRADED) & UNKNOWN != 0;
            if let Some(pane) = self.panes.get_mut(self.summed) {
                sums = sums.plus(&pane.totals());
                pane.put(&sums);
                if !unknown {
                    self.high.push(pane.second, pane.high);
                    self.low.push(pane.second, pane.low);
                }
            }
            self.summed += 1;
        }
        self.high.expire(left);
        self.low.expire(left);
    }

    /// Applies the visits that wait and are not after the end; those up to `gone` are forgotten.
    fn apply_waiting(&mut self, context: &Context<'_>, clock: &Clock, gone: i64) {
        self.order_waiting();
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut before: Option<Group> = None;
        let due = waiting.partition_point(|waiting| waiting.second <= self.end);
        let due_ones = waiting.get(..due).unwrap_or_default();
        for group in due_ones.chunk_by(|one, next| one.second == next.second) {
            let Some(Waiting { second, .. }) = group.first().filter(|one| one.second > gone) else {
                continue;
            };
            let Ok(row) = self.rows.find(*second) else { continue };
            let behind = before.map_or_else(
                || self.visits_behind(row),
                |one| one.behind - self.rows.visits_within(one.row + 1..row + 1),
            );
            let to = Group::new(*second, row, behind, clock);
            before = Some(to);
            let mut new = Newcomers::default();
            for (at, waiting) in group.iter().enumerate() {
                if let Some(later) = group.get(at + AHEAD) {
                    self.wallets.prefetch(later.seen.hash());
                }
                self.apply(context, &to, waiting.seen, &mut new);
            }
            self.welcome(context, &to, &new);
        }
        if waiting.capacity() > 2 * waiting.len() {
            waiting.shrink_to_fit();
        }
        waiting.drain(..due);
        self.waiting = waiting;
    }

    /// Forgets the panes that no window and no preceding one holds.
    fn drop_settled(&mut self, context: &Context<'_>, left: i64) {
        let (mut count, mut taken, mut removed) = (0, 0, 0);
        while count < self.settled && self.rows.second(count) <= left {
            let mark = Clock::mark(self.rows.second(count));
            for _ in 0..self.rows.visits(count) {
                let Some(seen) = self.visits.get(taken).copied() else { break };
                taken += 1;
                let Ok(at) = self.wallets.find(seen.hash()) else { continue };
                let mut times = self.wallets.times(at);
                times.buy = if times.buy == mark { 0 } else { times.buy };
                times.sell = if times.sell == mark { 0 } else { times.sell };
                if times.buy == 0 && times.sell == 0 {
                    self.wallets.remove(at);
                    removed += 1;
                } else {
                    self.wallets.set(at, times);
                }
            }
            count += 1;
        }
        context.budget.release(removed);
        self.visits.pop_front(taken);
        self.pop(count);
        let gone = u32::try_from(count).unwrap_or(u32::MAX);
        for window in &mut self.windows {
            window.start = window.start.saturating_sub(gone);
            window.start_before = window.start_before.saturating_sub(gone);
        }
        self.settled -= count;
        if count > 0 {
            self.limit_waiting();
        }
    }

    /// Forgets panes up to `until` of a token that is not settled.
    pub(super) fn drop_loaded(&mut self, until: i64) {
        let mut count = 0;
        while count < self.rows.len() && self.rows.second(count) <= until {
            self.visits.pop_front(self.rows.visits(count));
            count += 1;
        }
        if count > 0 {
            self.pop(count);
            self.waiting.retain(|waiting| waiting.second > until);
            self.limit_waiting();
        }
    }

    fn pop(&mut self, count: usize) {
        if let Some(summed) = self.summed.checked_sub(count) {
            (self.gone, self.summed) = (self.totals_before(count), summed);
        }
        let flagged = |at: &usize| is_flagged(self.rows.word(*at, TRADED));
        let flags = if self.flagged == 0 { 0 } else { (0..count).filter(flagged).count() };
        self.flagged -= flags;
        self.panes.pop_front(count);
        self.rows.pop(count);
    }

    /// Applies the visits that were loaded, up to `end`; the others wait.
    fn apply_loaded(&mut self, context: &Context<'_>, clock: &Clock, end: i64) {
        let (mut read, mut kept) = (0, 0);
        for row in 0..self.rows.len() {
            let (second, count) = (self.rows.second(row), self.rows.visits(row));
            let (group, mut new) = (Group::new(second, row, 0, clock), Newcomers::default());
            for _ in 0..count {
                let Some(seen) = self.visits.get(read).copied() else { break };
                read += 1;
                if second > end {
                    self.wait(second, seen);
                    self.rows.change(row, TRADED, |word| word - UPPER);
                    continue;
                }
                if self.apply_newest(context, &group, seen, &mut new) {
                    self.visits.get_mut(kept).into_iter().for_each(|place| *place = seen);
                    kept += 1;
                } else {
                    self.rows.change(row, TRADED, |word| word - UPPER);
                }
            }
            self.welcome(context, &group, &new);
        }
        self.visits.truncate(kept);
    }

    /// As if it had just been loaded: what settling has made is forgotten.
    pub(super) fn unsettle(&mut self, context: &Context<'_>) {
        if self.end == NEVER {
            return;
        }
        context.budget.release(self.wallets.len());
        self.part(0);
        self.wallets.clear();
        self.rows.forget();
        self.high.clear();
        self.low.clear();
        self.windows.fill(Running::default());
        (self.end, self.settled) = (NEVER, 0);
        self.drop_loaded(self.until);
    }

    /// The figures of all windows as they are settled, behind those in `figures`.
    pub(super) fn tell(&self, context: &Context<'_>, figures: &mut Vec<Figures>) {
        let last = self.totals_before(self.settled);
        for (span, window) in context.spans.list.iter().zip(&self.windows) {
            let (start, start_before) = (place(window.start), place(window.start_before));
            let first = self.totals_before(start);
            let sums = last.minus(&first);
            let (unknown, uncounted) = self.flags(start, self.settled);
            let left = self.end.saturating_sub(span.seconds);
            let counted = |count: u32| Some(u64::from(count)).filter(|_| !uncounted);
            let previous = span.link.map(|_| {
                let sums = first.minus(&self.totals_before(start_before));
                let (_, uncounted) = self.flags(start_before, start);
                Previous {
                    trades: sums.trades.into(),
                    usd: sums.usd,
                    traders: Some(window.before.into()).filter(|_| !uncounted),
                }
            });
            figures.push(Figures {
                unique_buyers: counted(lower(window.sides)),
                unique_sellers: counted(lower(window.sides >> 32)),
                unique_traders: counted(window.traders),
                buy_usd: Some(Amount::from_units(sums.buy_usd)).filter(|_| !unknown),
                token_volume: sums.volume().filter(|_| !unknown),
                high: self.high.after(left).filter(|_| !unknown),
                low: self.low.after(left).filter(|_| !unknown),
                previous,
            });
        }
    }

    /// Whether any of these panes is unknown, and whether the wallets of all were counted.
    fn flags(&self, from: usize, until: usize) -> (bool, bool) {
        if self.flagged == 0 {
            return (false, false);
        }
        let flags = (from..until).fold(0, |flags, at| flags | self.rows.word(at, TRADED));
        (flags & UNKNOWN != 0, flags & (UNKNOWN | UNCOUNTED) != 0)
    }
}

/// The wallet of so many visits further on is brought near.
const AHEAD: usize = 6;

pub(super) const fn place(at: u32) -> usize {
    at as usize
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest 32 bits are what is wanted")]
pub(super) const fn lower(word: u64) -> u32 {
    word as u32
}
