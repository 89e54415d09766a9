//! What a shard says between ticks: aggregates, keys of a ranking, a token's history. All as of its
//! windows' end, and of active tokens alone. Changes nothing: the tick still owes what it owed.

use super::aggregate::{Aggregate, ExtendedFigures, Figures};
use super::beside::beside;
use super::extended;
use super::held::Token;
use super::history::History;
use super::pane::{Running, Sums};
use super::ranking::Sort;
use super::shard::Shard;
use super::token::TokenHash;

/// Room for the figures of one token: used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Room {
    figures: Vec<Figures>,
    extended: Vec<ExtendedFigures>,
    /// As the extended figures tell them.
    told: Vec<extended::Figures>,
}

impl Shard {
    /// Whether it has extended figures.
    #[must_use]
    pub const fn is_extended(&self) -> bool {
        self.extended.is_some()
    }

    /// What a tick would publish of every active token if it came now.
    pub fn active(&mut self, mut each: impl FnMut(&Aggregate<'_>)) {
        let mut room = Room::default();
        for slot in 0..self.tokens.slots() {
            let token = self.tokens.get(slot);
            if token.is_some_and(|token| token.newest_until(self.end).is_some()) {
                self.tell(slot, &mut room, &mut each);
            }
        }
    }

    /// As [`active`](Self::active), of one token; false where it is not active.
    pub fn active_one(
        &mut self,
        hash: TokenHash,
        address: &str,
        mut each: impl FnMut(&Aggregate<'_>),
    ) -> bool {
        let found = self.active_token(hash, address).map(|(slot, _)| slot);
        found.inspect(|slot| self.tell(*slot, &mut Room::default(), &mut each)).is_some()
    }

    /// The address of every active token, and how to get its key in the window at a place.
    pub fn keys(&self, window: usize, sort: Sort, mut each: impl FnMut(&str, &dyn Fn() -> i128)) {
        let (panes, end) = (&self.panes, self.end);
        let Some(spec) = self.windows.iter().nth(window) else { return };
        for (slot, token) in self.actives() {
            let prices = || {
                let close = token.close(panes, end);
                let oldest = token.oldest_in(spec, end).and_then(|place| panes.open(place));
                (oldest.unwrap_or(close), close)
            };
            let sums = || self.sums(slot, token.longest(panes, end), window);
            each(token.address.as_str(), &|| sort.key(&sums(), prices));
        }
    }

    /// A token's last hour in steps; `None` where it is not active.
    #[must_use]
    pub fn history(&self, hash: TokenHash, address: &str) -> Option<History> {
        let (_, token) = self.active_token(hash, address)?;
        let mut history = History::new(self.windows.longest(), self.end);
        for place in token.after(history.from.plus(-1)) {
            if let Some((_, pane)) = self.panes.get(place) {
                history.add(place.second(), &pane);
            }
        }
        Some(history)
    }

    /// Tells a token's figures.
    pub(super) fn tell(
        &mut self,
        slot: u32,
        room: &mut Room,
        each: &mut impl FnMut(&Aggregate<'_>),
    ) {
        let Room { figures, extended, told } = room;
        extended.clear();
        if let Some(beside) = &mut self.extended {
            beside.figures(slot, self.end, told);
        }
        let Some(token) = self.tokens.get(slot) else { return };
        let (panes, end) = (&self.panes, self.end);
        let close = token.close(panes, end);
        let whole = token.longest(panes, end);
        // Windows that begin with the same pane have one open price: of a young token all do.
        let mut before = (None, close);
        figures.clear();
        figures.extend(self.windows.iter().enumerate().map(|(at, window)| {
            let oldest = token.oldest_in(window, end);
            if oldest != before.0 {
                before = (oldest, oldest.and_then(|place| panes.open(place)).unwrap_or(close));
            }
            let open = before.1;
            Figures { sums: self.sums(slot, whole, at), open, close }
        }));
        if self.extended.is_some() {
            let each = told.iter().zip(&self.windows);
            extended.extend(each.map(|(told, window)| beside(token, window, end, close, told)));
        }
        let (address, hash) = (token.address.as_str(), token.hash);
        each(&Aggregate { token: address, hash, end, windows: figures, extended });
    }

    /// Sums of a token's window at a place: those of the longest without what it has lost.
    fn sums(&self, slot: u32, mut longest: Sums, window: usize) -> Sums {
        let shorter = self.windows.shorter_at(window);
        let lost = shorter.and_then(|at| self.tokens.lost(slot, at)).map(Running::sums);
        lost.into_iter().for_each(|lost| longest.subtract(&lost));
        longest
    }

    fn actives(&self) -> impl Iterator<Item = (u32, &Token)> {
        self.tokens.iter().filter(|(_, token)| token.newest_until(self.end).is_some())
    }

    fn active_token(&self, hash: TokenHash, address: &str) -> Option<(u32, &Token)> {
        let slot = self.tokens.find(hash, address)?;
        let token = self.tokens.get(slot)?;
        token.newest_until(self.end).map(|_| (slot, token))
    }
}
