//! The fast figures against their definition: whatever comes, in whatever order.

#[cfg(test)]
use std::sync::Arc;

use proptest::prelude::*;

use super::super::amount::Amount;
use super::super::price::Price;
use super::super::time::Second;
use super::super::window::{Window, Windows};
use super::naive::Naive;
use super::{Extended, ExtendedPane, Figures, Seen, Sides, Visit, WalletBudget, WalletHash};

/// What happens to a token.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A trade so many seconds from the newest end, by a wallet, of a price.
    Trade { age: i64, wallet: u64, buy: bool, price: u8 },
    /// The end moves by so many seconds, and figures are asked for.
    Tick { by: i64 },
    /// The core drops what the longest window has lost, before figures are asked for.
    Expire,
    /// As above, and so many seconds more.
    Floor { more: i64 },
    /// Another process takes over; or one pane is loaded again.
    Restore { all: bool },
    /// The token moves to another slot.
    Move,
    /// Its panes are about to be written.
    Gather,
}

/// Windows, and how many seconds a second is: with the longest of these they have a day.
fn any_windows() -> impl Strategy<Value = (Windows, i64)> {
    let scale = prop::sample::select(vec![1, 1, 1, 2_880]);
    (prop::collection::vec(1_u32..=30, 1..6), scale).prop_map(|(seconds, scale)| {
        let window = |seconds| Window { name: String::new(), seconds: seconds * scale };
        (Windows::new(seconds.into_iter().map(window).collect()).unwrap(), scale.into())
    })
}

fn any_step(wallets: u64) -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (-4_i64..40, 0..wallets, any::<bool>(), any::<u8>())
            .prop_map(|(age, wallet, buy, price)| Step::Trade { age, wallet, buy, price }),
        8 => (-1_i64..3, 0..wallets, any::<bool>(), any::<u8>())
            .prop_map(|(age, wallet, buy, price)| Step::Trade { age, wallet, buy, price }),
        6 => (0_i64..5).prop_map(|by| Step::Tick { by }),
        1 => prop::sample::select(vec![20, 70, 700, 131_071, 200_000])
            .prop_map(|by| Step::Tick { by }),
        2 => Just(Step::Expire),
        1 => (1_i64..12).prop_map(|more| Step::Floor { more }),
        1 => any::<bool>().prop_map(|all| Step::Restore { all }),
        1 => Just(Step::Move),
        2 => Just(Step::Gather),
    ]
}

fn visit(wallet: u64, buy: bool, price: u8) -> Visit {
    let price = u128::from(price);
    // Some amounts are such that few of them leave 128 bits.
    let tokens = if price.is_multiple_of(16) { i128::MAX / 3 } else { 7 + 3 * price.cast_signed() };
    Visit {
        seen: Seen::new(
            WalletHash::of(&wallet.to_string()),
            if buy { Sides::BOUGHT } else { Sides::SOLD },
        ),
        usd: Amount::from_units(1 + price.cast_signed()),
        tokens: Amount::from_units(tokens),
        price: Price::from_parts(price % 40, if price < 128 { 0 } else { 1 }).unwrap(),
    }
}

/// Both, at the same moment.
struct Stage {
    windows: Windows,
    fast: Extended,
    naive: Naive,
    budget: Arc<WalletBudget>,
    slot: u32,
    end: i64,
    floor: i64,
    /// So many seconds is one of a step.
    scale: i64,
}

impl Stage {
    fn new((windows, scale): (Windows, i64), most: usize) -> Self {
        let budget = Arc::new(WalletBudget::new(most));
        let fast = Extended::new(&windows, budget.clone());
        let naive = Naive::new(windows.clone());
        let end = 1_700_000_000;
        Self { windows, fast, naive, budget, slot: 3, end, floor: i64::MIN, scale }
    }

    fn horizon(&self) -> i64 {
        (self.end - i64::from(self.windows.longest())).max(self.floor)
    }

    fn expire(&mut self) {
        let until = Second(self.horizon());
        self.fast.expire(self.slot, until);
        self.naive.expire(self.slot, until);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Trade { age, wallet, buy, price } => {
                let second = self.end - age * self.scale;
                if second > self.horizon() {
                    let visit = visit(wallet, buy, price);
                    self.fast.add(self.slot, Second(second), &visit);
                    self.naive.add(self.slot, Second(second), &visit);
                }
            }
            Step::Tick { by } => self.end += by * self.scale,
            Step::Expire => self.expire(),
            Step::Floor { more } => {
                self.floor = self.horizon() + more * self.scale;
                self.expire();
            }
            Step::Restore { all: true } => {
                let mut next = Extended::new(&self.windows, self.budget.clone());
                let mut tell = self.fast.panes();
                for (second, pane) in self.naive.tokens.get(&self.slot).into_iter().flatten().rev()
                {
                    let mut saved = tell(self.slot, *second).unwrap();
                    assert_eq!(saved.uncounted, pane.uncounted);
                    saved.visits.reverse();
                    next.restore(self.slot, *second, saved.clone());
                    next.restore(self.slot, *second, saved);
                }
                drop(tell);
                self.fast = next;
            }
            Step::Restore { all: false } => {
                let panes = self.naive.tokens.get(&self.slot);
                let Some((second, pane)) = panes.and_then(|panes| panes.last_key_value()) else {
                    return;
                };
                let (second, mut pane) = (*second, pane.clone());
                pane.high = Price::from_parts(999, 0).unwrap();
                self.fast.restore(self.slot, second, pane.clone());
                self.naive.restore(self.slot, second, &pane);
            }
            Step::Gather => self.fast.gather(self.slot),
            Step::Move => {
                let to = if self.slot == 3 { 900 } else { 3 };
                self.fast.moved(self.slot, to);
                self.naive.moved(self.slot, to);
                self.slot = to;
            }
        }
    }

    /// The fast figures, and those by definition.
    fn figures(&mut self) -> (Vec<Figures>, Vec<Figures>) {
        let mut figures = Vec::new();
        self.fast.figures(self.slot, Second(self.end), &mut figures);
        (figures, self.naive.figures(self.slot, Second(self.end)))
    }

    /// Panes as they would be written, compared.
    fn compare_panes(&mut self) {
        let mut tell = self.fast.panes();
        for (second, pane) in self.naive.tokens.get(&self.slot).into_iter().flatten() {
            let mut pane = pane.clone();
            pane.visits.sort_unstable();
            let saved = tell(self.slot, *second);
            if pane.unknown {
                assert!(saved.is_some_and(|saved| saved.unknown && saved.usd == pane.usd));
            } else {
                assert_eq!(saved, Some(pane), "{second:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// All figures, in every window, after every tick.
    #[test]
    fn figures_are_what_their_definition_says(
        windows in any_windows(),
        steps in prop::collection::vec(any_step(6), 1..120),
    ) {
        let mut stage = Stage::new(windows, usize::MAX);
        for step in steps {
            stage.step(step);
            if matches!(step, Step::Tick { .. }) {
                let (fast, naive) = stage.figures();
                prop_assert_eq!(fast, naive);
            }
            if matches!(step, Step::Expire | Step::Tick { .. } | Step::Gather) {
                stage.expire();
                stage.compare_panes();
            }
        }
        let (fast, naive) = stage.figures();
        prop_assert_eq!(fast, naive);
        stage.fast.forget(stage.slot);
        prop_assert_eq!(stage.budget.held(), 0);
    }

    /// At the bound of wallets every figure is right or not told, and those of no wallet always
    /// right; in the end all are told again.
    #[test]
    fn at_the_bound_of_wallets_no_figure_is_wrong(
        windows in any_windows(),
        most in 0_usize..5,
        steps in prop::collection::vec(any_step(8), 1..120),
    ) {
        let mut stage = Stage::new(windows, most);
        for step in steps {
            if matches!(step, Step::Restore { .. }) {
                continue;
            }
            stage.step(step);
            prop_assert!(stage.budget.held() <= most);
            if matches!(step, Step::Tick { .. }) {
                stage.expire();
                let (fast, naive) = stage.figures();
                right_or_untold(&fast, &naive, stage.budget.refused() == 0)?;
            }
        }
        stage.figures();
        stage.end += 1_000_000;
        stage.expire();
        let (fast, naive) = stage.figures();
        prop_assert_eq!(fast, naive);
        prop_assert_eq!(stage.budget.held(), 0);
    }
}

fn right_or_untold(fast: &[Figures], naive: &[Figures], all: bool) -> Result<(), TestCaseError> {
    for (fast, naive) in fast.iter().zip(naive) {
        let wallets = |figures: &Figures| {
            let Figures { unique_buyers, unique_sellers, unique_traders, .. } = *figures;
            let before = figures.previous.map(|previous| previous.traders);
            [Some(unique_buyers), Some(unique_sellers), Some(unique_traders), before]
        };
        for (fast, naive) in wallets(fast).iter().zip(wallets(naive)) {
            prop_assert!(*fast == naive || (!all && *fast == Some(None)), "{:?} {:?}", fast, naive);
        }
        let mut rest = *naive;
        (rest.unique_buyers, rest.unique_sellers) = (fast.unique_buyers, fast.unique_sellers);
        rest.unique_traders = fast.unique_traders;
        if let (Some(rest), Some(fast)) = (&mut rest.previous, fast.previous) {
            rest.traders = fast.traders;
        }
        prop_assert_eq!(*fast, rest);
    }
    Ok(())
}

#[test]
fn figures_that_are_not_known_are_told_again_when_their_panes_have_left() {
    let window = |seconds| Window { name: String::new(), seconds };
    let windows = Windows::new([10, 20].map(window).into()).unwrap();
    let mut stage = Stage::new((windows, 1), usize::MAX);
    let at = Second(stage.end);
    let pane = ExtendedPane::unknown(5, Amount::from_units(7));
    stage.fast.restore(3, at, pane.clone());
    stage.naive.restore(3, at, &pane);
    let trade = Step::Trade { age: 0, wallet: 1, buy: true, price: 3 };
    for second in 0..25 {
        stage.step(trade);
        let (fast, naive) = stage.figures();
        assert_eq!(fast, naive);
        let known = fast.iter().map(|one| one.high.is_some() && one.unique_buyers.is_some());
        assert_eq!(known.collect::<Vec<_>>(), [second >= 10, second >= 20]);
        let before = fast[0].previous.unwrap();
        assert_eq!(before.traders.is_some(), !(10..20).contains(&second));
        assert_eq!(before.usd == 0, second < 10);
        stage.step(Step::Tick { by: 1 });
        stage.expire();
    }
}

/// 200,000 trades of 500 tokens by 20,000 wallets: as many as a busy hour has.
#[test]
fn a_pair_takes_24_bytes_and_a_token_without_one_less_than_a_thousand() {
    let window = |seconds| Window { name: String::new(), seconds };
    let windows = Windows::new([60, 300, 900, 1_800, 3_600].map(window).into()).unwrap();
    let budget = Arc::new(WalletBudget::new(usize::MAX));
    let mut extended = Extended::new(&windows, budget.clone());
    let (mut random, mut figures) = (0x9e37_79b9_7f4a_7c15_u64, Vec::new());
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        ((random >> 32) * below) >> 32
    };
    let mut panes = std::collections::BTreeSet::new();
    for trade in 0..200_000 {
        let (slot, second) = (u32::try_from(draw(500)).unwrap(), Second(trade / 60));
        let visit = visit(draw(20_000), draw(2) == 0, 1);
        extended.add(slot, second, &visit);
        panes.insert((slot, second));
        if trade % 1_800 == 1_799 || trade == 199_999 {
            (0..500).for_each(|slot| extended.figures(slot, second, &mut figures));
        }
    }
    let (all, of_pairs) = extended.bytes();
    let (pairs, rest) = (budget.held(), all - of_pairs);
    assert!(pairs > 190_000 && of_pairs <= 24 * pairs, "{of_pairs} bytes of {pairs} pairs");
    assert!(rest <= 170 * panes.len() + 500 * 1_000, "{rest} bytes of {} panes", panes.len());
}
