//! What a shard has to do with its extended figures: it tells them of its trades and panes, and
//! puts together what they and the core know of a window. Nothing of it runs where the figures are
//! standard.

use super::aggregate::ExtendedFigures;
use super::amount::Amount;
use super::extended::{self, ExtendedPane, Seen, Sides, Visit};
use super::held::Token;
use super::pane::Sums;
use super::price::Price;
use super::shard::Shard;
use super::store::PaneRef;
use super::time::Second;
use super::trade::{More, Trade};
use super::window::Window;

/// A window's extended figures, with what the core knows of them: `close` is the last known price.
pub(super) fn beside(
    token: &Token,
    window: &Window,
    end: Second,
    close: Price,
    told: &extended::Figures,
) -> ExtendedFigures {
    let first = token.oldest_in(window, end).map(PaneRef::second);
    let last = first.and_then(|_| token.newest_until(end)).map(PaneRef::second);
    let price = |told: Option<Price>| if first.is_some() { told } else { Some(close) };
    ExtendedFigures {
        buyers: told.unique_buyers,
        sellers: told.unique_sellers,
        traders: told.unique_traders,
        buy_usd: told.buy_usd.map(Amount::units),
        tokens: told.token_volume.map(Amount::units),
        high: price(told.high),
        low: price(told.low),
        first,
        last,
        previous: told.previous,
    }
}

impl Shard {
    /// Tells the extended figures of a trade that was counted. One that was read without what they
    /// need makes its pane unknown.
    pub(super) fn visit(&mut self, slot: u32, trade: &Trade<'_>) {
        let Some(extended) = &mut self.extended else { return };
        let second = trade.at.second;
        if let Some(More { wallet, quantity: tokens }) = trade.more {
            let Trade { side, usd, price, .. } = *trade;
            let seen = Seen::new(wallet, Sides::of(side));
            return extended.add(slot, second, &Visit { seen, usd, tokens, price });
        }
        let place = self.tokens.get(slot).and_then(|token| token.place(second));
        if let Some(sums) = place.and_then(|place| self.panes.sums_at(place)) {
            self.restore_beside(slot, second, &sums, None);
        }
    }

    /// Puts what a checkpoint has of a pane with these sums in place of what is known.
    pub(super) fn restore_beside(
        &mut self,
        slot: u32,
        second: Second,
        sums: &Sums,
        pane: Option<ExtendedPane>,
    ) {
        if let Some(extended) = &mut self.extended {
            let usd = Amount::from_units(sums.usd);
            let unknown = || ExtendedPane::unknown(sums.trades(), usd);
            extended.restore(slot, second, pane.unwrap_or_else(unknown));
        }
    }
}
