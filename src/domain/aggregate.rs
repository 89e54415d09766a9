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

/// The extended figures of one window; `None`: unknown, but for the times, which an empty window
/// has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExtendedFigures {
    /// Wallets with a buy.
    pub buyers: Option<u64>,
    /// Wallets with a sell.
    pub sellers: Option<u64>,
    /// Wallets with a trade.
    pub traders: Option<u64>,
    /// Volume of the buys in USD, in units of 10⁻¹⁸.
    pub buy_usd: Option<i128>,
    /// Quantity of the token, in units of 10⁻¹⁸.
    pub tokens: Option<i128>,
    /// The highest price; the last known one where the window is empty.
    pub high: Option<Price>,
    /// The lowest price; the last known one where the window is empty.
    pub low: Option<Price>,
    /// Second of the first trade.
    pub first: Option<Second>,
    /// Second of the last trade.
    pub last: Option<Second>,
    /// The preceding window of the same length, where that is kept.
    pub previous: Option<Previous>,
}

/// The figures of a preceding window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Previous {
    /// Trades.
    pub trades: u64,
    /// Volume in USD, in units of 10⁻¹⁸.
    pub usd: i128,
    /// Wallets with a trade; `None`: unknown.
    pub traders: Option<u64>,
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
    /// The extended ones of the same windows; empty where the figures are standard.
    pub extended: &'a [ExtendedFigures],
}

impl Aggregate<'_> {
    /// Whether nothing is left in any window: the token's last message, for now.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.windows.iter().all(|window| window.sums.trades() == 0)
    }
}
