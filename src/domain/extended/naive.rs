//! The extended figures by their definition: every figure is counted anew from all trades. What the
//! fast ones are compared with.

use std::collections::BTreeMap;

use super::super::aggregate::Previous;
use super::super::amount::Amount;
use super::super::price::Price;
use super::super::time::Second;
use super::super::window::{Window, Windows};
use super::types::{ExtendedPane, Figures, Seen, Sides, Visit};

/// As [`Extended`](super::Extended).
pub(super) struct Naive {
    windows: Windows,
    pub(super) tokens: BTreeMap<u32, BTreeMap<Second, ExtendedPane>>,
}

impl Naive {
    pub(super) const fn new(windows: Windows) -> Self {
        Self { windows, tokens: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, slot: u32, second: Second, visit: &Visit) {
        let panes = self.tokens.entry(slot).or_default();
        let Some(pane) = panes.get_mut(&second) else {
            panes.insert(second, ExtendedPane::of(visit));
            return;
        };
        pane.trades += 1;
        pane.usd = plus(pane.usd, visit.usd);
        if visit.seen.sides() == Sides::BOUGHT {
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
        let (wallet, sides) = (visit.seen.wallet(), visit.seen.sides());
        match pane.visits.iter_mut().find(|held| held.wallet() == wallet) {
            Some(held) => *held = Seen::new(wallet, held.sides().and(sides)),
            None => pane.visits.push(visit.seen),
        }
    }

    pub(super) fn figures(&self, slot: u32, end: Second) -> Vec<Figures> {
        let none = BTreeMap::new();
        let panes = self.tokens.get(&slot).unwrap_or(&none);
        let longest = self.windows.longest();
        self.windows.iter().map(|window| of_window(panes, window, end, longest)).collect()
    }

    pub(super) fn restore(&mut self, slot: u32, second: Second, pane: &ExtendedPane) {
        self.tokens.entry(slot).or_default().insert(second, pane.clone());
    }

    pub(super) fn expire(&mut self, slot: u32, until: Second) {
        if let Some(panes) = self.tokens.get_mut(&slot) {
            panes.retain(|second, _| *second > until);
        }
    }

    pub(super) fn moved(&mut self, from: u32, to: u32) {
        if let Some(panes) = self.tokens.remove(&from) {
            self.tokens.insert(to, panes);
        }
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
                usd: before().fold(Amount::ZERO, |sum, pane| plus(sum, pane.usd)).units(),
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
        let those = pane.visits.iter().filter(|seen| those(seen.sides()));
        found.extend(those.map(|seen| seen.wallet()));
        !pane.uncounted
    });
    if counted { u64::try_from(found.len()).ok() } else { None }
}

fn plus(left: Amount, right: Amount) -> Amount {
    Amount::from_units(left.units() + right.units())
}
