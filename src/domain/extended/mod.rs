//! The extended figures of a shard's tokens: wallets, volumes of a side, highest and lowest prices,
//! and the window before. Beside the core and told of each trade that it counted: without it the
//! core is as it was. Pure: the windows' end is an argument.

mod hash;
mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::amount::Amount;
use super::price::Price;
use super::time::Second;
use super::trade::Side;
use super::window::{Window, Windows};

pub use types::{ExtendedPane, Figures, Previous, Sides, Visit, WalletBudget, WalletHash};

/// The extended figures of a shard's tokens, by the token's slot in the table.
#[derive(Debug)]
pub struct Extended {
    windows: Windows,
    wallets: Arc<WalletBudget>,
    tokens: BTreeMap<u32, BTreeMap<Second, ExtendedPane>>,
}

impl Extended {
    /// Of no token yet. A window's preceding one is told where the longest window holds both.
    #[must_use]
    pub fn new(windows: &Windows, wallets: Arc<WalletBudget>) -> Self {
        Self { windows: windows.clone(), wallets, tokens: BTreeMap::new() }
    }

    /// Adds a trade that the core has counted, of this second, to the token in a slot.
    pub fn add(&mut self, slot: u32, second: Second, visit: &Visit) {
        let panes = self.tokens.entry(slot).or_default();
        let Some(pane) = panes.get_mut(&second) else {
            panes.insert(second, ExtendedPane::of(visit));
            return;
        };
        pane.trades += 1;
        pane.usd = plus(pane.usd, visit.usd);
        if visit.side == Side::Buy {
            pane.buy_usd = plus(pane.buy_usd, visit.usd);
        }
        pane.token_volume = pane.token_volume.and_then(|held| {
            held.units().checked_add(visit.tokens.units()).map(Amount::from_units)
        });
        if visit.price.rank() > pane.high.rank() {
            pane.high = visit.price;
        }
        if visit.price.rank() < pane.low.rank() {
            pane.low = visit.price;
        }
        let sides = Sides::of(visit.side);
        match pane.visits.iter_mut().find(|(wallet, _)| *wallet == visit.wallet) {
            Some((_, held)) => *held = held.and(sides),
            None => pane.visits.push((visit.wallet, sides)),
        }
    }

    /// The figures of a token's windows that end at `end`, one item for each configured window, in
    /// place of what `figures` held. An `end` that is before the last one asked for counts as that.
    /// A slot of which nothing is known has windows without trades.
    pub fn figures(&mut self, slot: u32, end: Second, figures: &mut Vec<Figures>) {
        let none = BTreeMap::new();
        let panes = self.tokens.get(&slot).unwrap_or(&none);
        let longest = self.windows.longest();
        figures.clear();
        figures.extend(self.windows.iter().map(|window| of_window(panes, window, end, longest)));
    }

    /// All that is known of a token's trades of one second: for the checkpoint.
    #[must_use]
    pub fn pane(&self, slot: u32, second: Second) -> Option<ExtendedPane> {
        self.tokens.get(&slot)?.get(&second).cloned()
    }

    /// Puts a pane from the checkpoint in place of what is known of that token and second.
    pub fn restore(&mut self, slot: u32, second: Second, pane: ExtendedPane) {
        self.tokens.entry(slot).or_default().insert(second, pane);
    }

    /// A token's panes that are not after `until` are gone.
    pub fn expire(&mut self, slot: u32, until: Second) {
        if let Some(panes) = self.tokens.get_mut(&slot) {
            panes.retain(|second, _| *second > until);
        }
    }

    /// The token in a slot is gone; another may come.
    pub fn forget(&mut self, slot: u32) {
        self.tokens.remove(&slot);
    }

    /// A token has moved to another slot, which was free.
    pub fn moved(&mut self, from: u32, to: u32) {
        if let Some(panes) = self.tokens.remove(&from) {
            self.tokens.insert(to, panes);
        }
    }

    /// Brings near what a trade of the token in a slot will touch.
    pub fn prefetch(&self, slot: u32) {
        self.tokens.get(&slot).into_iter().for_each(memfn::prefetch);
    }

    /// The budget that it counts its wallets in.
    #[must_use]
    pub const fn wallets(&self) -> &Arc<WalletBudget> {
        &self.wallets
    }
}

fn of_window(
    panes: &BTreeMap<Second, ExtendedPane>,
    window: &Window,
    end: Second,
    longest: u32,
) -> Figures {
    let held: Vec<_> = inside(panes, window.left_by(end), end).collect();
    let known = held.iter().all(|pane| !pane.unknown);
    let units = |of: fn(&ExtendedPane) -> Option<Amount>| {
        let sum = held.iter().try_fold(0_i128, |sum, pane| sum.checked_add(of(pane)?.units()));
        sum.filter(|_| known).map(Amount::from_units)
    };
    let prices = |of: fn(&ExtendedPane) -> Price| held.iter().map(move |pane| of(pane));
    let high = prices(|pane| pane.high).max_by_key(|price| price.rank());
    let low = prices(|pane| pane.low).min_by_key(|price| price.rank());
    Figures {
        unique_buyers: wallets(held.iter().copied(), |sides| sides.has(Sides::BOUGHT)),
        unique_sellers: wallets(held.iter().copied(), |sides| sides.has(Sides::SOLD)),
        unique_traders: wallets(held.iter().copied(), |_| true),
        buy_usd: units(|pane| Some(pane.buy_usd)),
        token_volume: units(|pane| pane.token_volume),
        high: high.filter(|_| known),
        low: low.filter(|_| known),
        previous: (window.seconds * 2 <= longest).then(|| {
            let left = window.left_by(end);
            let before = || inside(panes, window.left_by(left), left);
            Previous {
                trades: before().map(|pane| pane.trades).sum(),
                usd: before().fold(Amount::ZERO, |sum, pane| plus(sum, pane.usd)),
                traders: wallets(before(), |_| true),
            }
        }),
    }
}

fn inside(
    panes: &BTreeMap<Second, ExtendedPane>,
    left: Second,
    end: Second,
) -> impl Iterator<Item = &ExtendedPane> {
    panes.iter().filter(move |(at, _)| left < **at && **at <= end).map(|(_, pane)| pane)
}

fn wallets<'a>(
    mut panes: impl Iterator<Item = &'a ExtendedPane>,
    those: impl Fn(Sides) -> bool,
) -> Option<u64> {
    let mut found = std::collections::BTreeSet::new();
    let counted = panes.all(|pane| {
        let those = pane.visits.iter().filter(|(_, sides)| those(*sides));
        found.extend(those.map(|(wallet, _)| *wallet));
        !pane.uncounted
    });
    if counted { u64::try_from(found.len()).ok() } else { None }
}

fn plus(left: Amount, right: Amount) -> Amount {
    Amount::from_units(left.units() + right.units())
}
