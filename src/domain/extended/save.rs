//! What is told of a token's panes, for the checkpoint.

use super::super::amount::Amount;
use super::super::time::Second;
use super::rows::{TRADED, UNCOUNTED, UNKNOWN};
use super::token::{NEVER, Token, Waiting};
use super::types::{ExtendedPane, Seen};

/// Which pane of a token was told last: one that is near it is found soon.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// Its place, and how many visits stand behind those of its pane.
    row: Option<(usize, usize)>,
}

impl Token {
    /// Puts the visits that wait in the order of their seconds. They came so, but for a few streams
    /// that were not in step: the stable way merges those.
    pub(super) fn order_waiting(&mut self) {
        if !std::mem::replace(&mut self.ordered, true) {
            self.waiting.sort_by_key(|waiting| waiting.second);
        }
    }

    /// Sorts the visits that wait, and makes one of those of the same wallet and second.
    pub(super) fn sort_waiting(&mut self) {
        self.waiting.sort_unstable();
        self.waiting.dedup_by(|later, earlier| {
            later.second == earlier.second && Seen::unite(&mut later.seen, &mut earlier.seen)
        });
        self.ordered = true;
    }

    /// Writes all that is known of a second to `pane`; false where that is nothing.
    pub(super) fn pane(
        &self,
        second: Second,
        cursor: &mut Cursor,
        pane: &mut ExtendedPane,
    ) -> bool {
        if second.0 <= self.until {
            return false;
        }
        // Most often they are asked for in their order.
        let next = cursor.row.map_or(0, |(row, _)| row + 1);
        let found =
            if self.rows.second(next) == second.0 { Ok(next) } else { self.rows.find(second.0) };
        let Ok(at) = found else { return false };
        let Some(folded) = self.panes.get(at) else { return false };
        let totals = self.own(at);
        let flags = self.rows.word(at, TRADED);
        pane.begin(folded.high);
        pane.low = folded.low;
        pane.trades = totals.trades.into();
        pane.usd = Amount::from_units(totals.usd);
        pane.buy_usd = Amount::from_units(totals.buy_usd);
        pane.token_volume = totals.volume();
        pane.uncounted = flags & (UNCOUNTED | UNKNOWN) != 0;
        pane.unknown = flags & UNKNOWN != 0;
        let until = self.visits.len().saturating_sub(self.behind(at, cursor));
        let from = until.saturating_sub(self.rows.visits(at));
        pane.visits.extend(self.visits.range(from..until));
        pane.visits.extend(self.waiting_of(folded.second));
        pane.unite();
        true
    }

    /// How many visits stand behind those of the pane at a place.
    fn behind(&self, at: usize, cursor: &mut Cursor) -> usize {
        let (last, behind) = cursor.row.unwrap_or_else(|| (self.visited().saturating_sub(1), 0));
        let behind = if at <= last {
            behind + self.rows.visits_within(at + 1..last + 1)
        } else {
            behind.saturating_sub(self.rows.visits_within(last + 1..at + 1))
        };
        cursor.row = Some((at, behind));
        behind
    }

    /// How many visits stand behind those of the pane at a place.
    pub(super) fn visits_behind(&self, at: usize) -> usize {
        self.behind(at, &mut Cursor::default())
    }

    /// After so many panes none has visits: they wait.
    const fn visited(&self) -> usize {
        if self.end == NEVER { self.rows.len() } else { self.settled }
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
}
