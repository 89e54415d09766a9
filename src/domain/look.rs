//! What a shard says between ticks: aggregates, keys of a ranking, a token's history. All as of its
//! windows' end, and of active tokens alone. Changes nothing: the tick still owes what it owed.

use super::aggregate::Aggregate;
use super::history::History;
use super::ranking::Sort;
use super::shard::Shard;
use super::table::Token;
use super::token::TokenHash;

impl Shard {
    /// What a tick would publish of every active token if it came now.
    pub fn active(&self, mut each: impl FnMut(&Aggregate<'_>)) {
        for token in self.tokens.iter() {
            self.aggregate(token, &mut each);
        }
    }

    /// As [`active`](Self::active), of one token; false where it is not active.
    pub fn active_one(
        &self,
        hash: TokenHash,
        address: &str,
        mut each: impl FnMut(&Aggregate<'_>),
    ) -> bool {
        let token = self.tokens.find(hash, address).and_then(|slot| self.tokens.get(slot));
        token.is_some_and(|token| self.aggregate(token, &mut each))
    }

    /// The address of every active token, and how to get its key in the window at a place.
    pub fn keys(&self, window: usize, sort: Sort, mut each: impl FnMut(&str, &dyn Fn() -> i128)) {
        let (panes, end) = (&self.panes, self.end);
        let Some(spec) = self.windows.iter().nth(window) else { return };
        for token in self.tokens.iter().filter(|token| token.newest_until(end).is_some()) {
            let prices = || {
                let close = token.close(panes, end);
                (token.open(panes, spec, end).unwrap_or(close), close)
            };
            let sums = token.windows.get(window);
            each(&token.address, &|| sums.map_or(0, |sums| sort.key(sums, prices)));
        }
    }

    /// A token's last hour in steps; `None` where it is not active.
    #[must_use]
    pub fn history(&self, hash: TokenHash, address: &str) -> Option<History> {
        let token = self.tokens.find(hash, address).and_then(|slot| self.tokens.get(slot))?;
        token.newest_until(self.end)?;
        let mut history = History::new(self.windows.longest(), self.end);
        let first = token.panes.partition_point(|place| place.second < history.from);
        for place in token.panes.range(first..) {
            if let Some(stored) = self.panes.get(*place) {
                history.add(place.second, &stored.pane);
            }
        }
        Some(history)
    }

    fn aggregate(&self, token: &Token, each: &mut impl FnMut(&Aggregate<'_>)) -> bool {
        let active = token.newest_until(self.end).is_some();
        if active {
            let (mut figures, end) = (Vec::with_capacity(self.windows.count()), self.end);
            token.figures(&self.panes, &self.windows, end, &mut figures);
            let (address, hash) = (&*token.address, token.hash);
            each(&Aggregate { token: address, hash, end, windows: &figures });
        }
        active
    }
}
