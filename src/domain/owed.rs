//! Closing messages that the brokers may not have yet. A token's last pane is kept here when it
//! expires, until the tick that closed the token is acknowledged: what is written to the checkpoint
//! meanwhile holds it, and whoever loads that closes the token again.

use std::collections::VecDeque;

use super::address::Address;
use super::pane::Pane;
use super::time::Second;

/// What is owed, in the order of the ticks that closed.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    closings: VecDeque<Closing>,
    /// How many of the first ones were taken for the checkpoint.
    taken: usize,
}

#[derive(Debug)]
struct Closing {
    /// The windows' end that left the token without a trade.
    at: Second,
    token: Address,
    second: Second,
    pane: Pane,
}

impl Owed {
    /// The windows' end has moved to `at`, and left a token with nothing: its last pane.
    pub(crate) fn add(&mut self, at: Second, token: &Address, second: Second, pane: Pane) {
        self.closings.push_back(Closing { at, token: token.clone(), second, pane });
    }

    /// Every message of the ticks up to `published` is acknowledged.
    pub(crate) fn acknowledge(&mut self, published: Second) {
        while self.closings.pop_front_if(|closing| closing.at <= published).is_some() {
            self.taken = self.taken.saturating_sub(1);
        }
        if self.closings.is_empty() {
            *self = Self::default();
        }
    }

    /// The last panes of tokens whose closing is owed.
    pub(crate) fn panes(&self) -> impl Iterator<Item = (&str, Second, Pane)> {
        self.closings.iter().map(|one| (one.token.as_str(), one.second, one.pane))
    }

    /// Those that came since it was last called: their panes may have expired before any entry had
    /// them.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (&str, Second, Pane)> {
        let taken = std::mem::replace(&mut self.taken, self.closings.len());
        self.panes().skip(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pane::{Mark, Sums};
    use super::super::position::Position;
    use super::super::price::Price;
    use super::*;

    #[test]
    fn what_the_brokers_have_is_owed_no_more() {
        let mark = Mark { position: Position::default(), price: Price::ZERO, nanos: 0 };
        let pane = Pane { sums: Sums::default(), first: mark, last: mark };
        let mut owed = Owed::default();
        for at in [20, 20, 30] {
            let token = Address::of(&format!("closed-at-{at}"));
            owed.add(Second(at), &token, Second(at - 10), pane);
        }
        assert_eq!(owed.take().count(), 3);
        let token = Address::of("closed-at-30, too");
        owed.add(Second(30), &token, Second(20), pane);
        assert_eq!((owed.take().count(), owed.take().count()), (1, 0), "each once");
        for (published, left) in [(19, 4), (20, 2), (29, 2), (30, 0)] {
            owed.acknowledge(Second(published));
            let seconds: Vec<_> = owed.panes().map(|(_, second, _)| second.0).collect();
            assert_eq!(seconds, [10, 10, 20, 20][4 - left..], "published until {published}");
        }
    }
}
