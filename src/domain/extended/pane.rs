//! What is summed of a token's panes. Once a pane is settled it holds the sums of all up to it:
//! what a window holds is the difference of two, and one that moves on need not touch what it
//! passes.

use std::cmp::Ordering;

use super::super::amount::Amount;
use super::super::price::Price;
use super::types::{ExtendedPane, Sides, Visit};

/// Sums, modulo a power of two: right as a difference, since what a window holds is less.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) usd: i128,
    pub(super) buy_usd: i128,
    tokens: u128,
    tokens_above: u32,
    pub(super) trades: u32,
}

/// A pane: the sums up to its end, or its own, and its prices. Not aligned more than a word is:
/// allocators take longer, and more, for what is.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(8))]
pub(super) struct Pane {
    usd: i128,
    buy_usd: i128,
    tokens: u128,
    tokens_above: u32,
    trades: u32,
    pub(super) second: i64,
    pub(super) high: Price,
    pub(super) low: Price,
}

impl Totals {
    /// Of one trade.
    pub(super) fn of(visit: &Visit) -> Self {
        let usd = visit.usd.units();
        Self {
            usd,
            buy_usd: if visit.seen.sides() == Sides::BOUGHT { usd } else { 0 },
            tokens: visit.tokens.units().unsigned_abs(),
            tokens_above: 0,
            trades: 1,
        }
    }

    /// Of a pane from the checkpoint.
    pub(super) fn of_pane(pane: &ExtendedPane) -> Self {
        Self {
            usd: pane.usd.units(),
            buy_usd: pane.buy_usd.units(),
            tokens: pane.token_volume.unwrap_or_default().units().unsigned_abs(),
            // What has left 128 bits stays out of them in every window that holds it.
            tokens_above: u32::from(pane.token_volume.is_none()),
            trades: u32::try_from(pane.trades).unwrap_or(u32::MAX),
        }
    }

    #[inline]
    pub(super) fn plus(&self, other: &Self) -> Self {
        let (tokens, carry) = self.tokens.overflowing_add(other.tokens);
        let above = self.tokens_above.wrapping_add(other.tokens_above);
        Self {
            usd: self.usd.wrapping_add(other.usd),
            buy_usd: self.buy_usd.wrapping_add(other.buy_usd),
            tokens,
            tokens_above: above.wrapping_add(u32::from(carry)),
            trades: self.trades.wrapping_add(other.trades),
        }
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        let (tokens, borrow) = self.tokens.overflowing_sub(other.tokens);
        let above = self.tokens_above.wrapping_sub(other.tokens_above);
        Self {
            usd: self.usd.wrapping_sub(other.usd),
            buy_usd: self.buy_usd.wrapping_sub(other.buy_usd),
            tokens,
            tokens_above: above.wrapping_sub(u32::from(borrow)),
            trades: self.trades.wrapping_sub(other.trades),
        }
    }

    /// The quantity of the token, where it fits 128 bits.
    pub(super) fn volume(&self) -> Option<Amount> {
        let units = i128::try_from(self.tokens).ok().filter(|_| self.tokens_above == 0);
        units.map(Amount::from_units)
    }
}

impl Pane {
    /// A pane with these sums and prices.
    pub(super) const fn new(second: i64, sums: &Totals, high: Price, low: Price) -> Self {
        let Totals { usd, buy_usd, tokens, tokens_above, trades } = *sums;
        Self { usd, buy_usd, tokens, tokens_above, trades, second, high, low }
    }

    /// The sums that it holds.
    #[inline]
    pub(super) const fn totals(&self) -> Totals {
        let Self { usd, buy_usd, tokens, tokens_above, trades, .. } = *self;
        Totals { usd, buy_usd, tokens, tokens_above, trades }
    }

    /// Puts sums in place of those that it holds.
    #[inline]
    pub(super) fn put(&mut self, sums: &Totals) {
        *self = Self::new(self.second, sums, self.high, self.low);
    }

    /// Trades of these sums and prices have come.
    #[inline]
    pub(super) fn take(&mut self, more: &Totals, (high, low): (Price, Price)) {
        self.put(&self.totals().plus(more));
        if high.order(self.high) == Ordering::Greater {
            self.high = high;
        }
        if low.order(self.low) == Ordering::Less {
            self.low = low;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_takes_96_bytes() {
        assert_eq!((size_of::<Pane>(), align_of::<Pane>()), (96, 8));
    }
}
