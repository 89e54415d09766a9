//! Closing messages that the brokers may not have yet. A token's last pane is kept here when it
//! expires, until the tick that closed the token is acknowledged: a checkpoint that is written
//! anew meanwhile holds it, and whoever loads that closes the token again.

use std::collections::VecDeque;

use super::address::Address;
use super::pane::Pane;
use super::time::Second;

/// What is owed, in the order of the ticks that closed.
#[derive(Debug, Default)]
pub(crate) struct Owed(VecDeque<Closing>);

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
        self.0.push_back(Closing { at, token: token.clone(), second, pane });
    }

    /// Every message of the ticks up to `published` is acknowledged.
    pub(crate) fn acknowledge(&mut self, published: Second) {
        while self.0.pop_front_if(|closing| closing.at <= published).is_some() {}
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    /// The last panes of tokens whose closing is owed.
    pub(crate) fn panes(&self) -> impl Iterator<Item = (&str, Second, Pane)> {
        self.0.iter().map(|one| (one.token.as_str(), one.second, one.pane))
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
        for (published, left) in [(19, 3), (20, 1), (29, 1), (30, 0)] {
            owed.acknowledge(Second(published));
            let seconds: Vec<_> = owed.panes().map(|(_, second, _)| second.0).collect();
            assert_eq!(seconds, [10, 10, 20][3 - left..], "published until {published}");
        }
    }
}
