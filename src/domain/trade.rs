//! A trade as the windows need it: validated, in exact units, its token's hash computed once.

use super::amount::Amount;
use super::extended::WalletHash;
use super::price::Price;
use super::time::EventTime;
use super::token::TokenHash;

/// Longest token address, in bytes.
pub const MAX_TOKEN_BYTES: usize = 128;

/// Who took the initiative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The wallet bought the token.
    Buy,
    /// The wallet sold it.
    Sell,
}

/// One valid trade. Borrows its token from the bytes that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade<'a> {
    /// Token address, 1 to [`MAX_TOKEN_BYTES`] bytes.
    pub token: &'a str,
    /// Hash of `token`.
    pub hash: TokenHash,
    /// Buy or sell.
    pub side: Side,
    /// Volume in the chain's native currency.
    pub native: Amount,
    /// `TokenAmount × PriceUsd`, rounded once.
    pub usd: Amount,
    /// USD for one token.
    pub price: Price,
    /// `TransTime` in full.
    pub at: EventTime,
    /// What only the extended figures need, where it was read.
    pub more: Option<More>,
}

/// What only the extended figures need of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct More {
    /// Hash of the wallet; of its spelling where it holds half of a surrogate pair, and so is no
    /// text.
    pub wallet: WalletHash,
    /// `TokenAmount`.
    pub quantity: Amount,
}
