//! What one message says of one token: its windows' figures at one end.

use serde::{Deserialize, Serialize};

use super::pane::Sums;
use super::price::Price;
use super::time::Second;
use super::token::TokenHash;

/// The figures of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Figures {
    /// Counts and volumes.
    pub sums: Sums,
    /// Price of the first trade in the window; the last known price where it is empty.
    pub open: Price,
    /// Price of the last trade in the window; the last known price where it is empty.
    pub close: Price,
}

/// One token's windows, all with the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregate<'a> {
    /// Token address.
    pub token: &'a str,
    /// Hash of `token`.
    pub hash: TokenHash,
    /// The windows' end.
    pub end: Second,
    /// One item per configured window, in the configured order.
    pub windows: &'a [Figures],
}

impl Aggregate<'_> {
    /// Whether nothing is left in any window: the token's last message, for now.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.windows.iter().all(|window| window.sums.trades() == 0)
    }
}
