//! What the extended figures add to a trade: what a tick of 10 seconds takes of them, by trade.
//! Trades at 20,000 a second of tokens at random, and then the figures of every token.

use std::cell::RefCell;
use std::sync::Arc;

use aggregator_service::domain::amount::Amount;
use aggregator_service::domain::extended::{
    Extended, Seen, Sides, Visit, WalletBudget, WalletHash,
};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::time::Second;
use aggregator_service::domain::window::{Window, Windows};
use divan::{Bencher, black_box, counter::ItemsCount};

use super::panes::WINDOWS;

/// Tokens, and wallets of each.
const MARKETS: [(u32, u64); 3] = [(1_000, 20_000), (50_000, 8), (50_000, 20_000)];
const TRADES_PER_SECOND: usize = 20_000;
const SECONDS: i64 = 10;

struct Market {
    extended: Extended,
    tokens: u32,
    wallets: u64,
    second: i64,
    random: u64,
}

type Traded = (u32, Second, Visit);

impl Market {
    fn new((tokens, wallets): (u32, u64)) -> Self {
        let window = |seconds: &u32| Window { name: format!("{seconds}s"), seconds: *seconds };
        let windows = Windows::new(WINDOWS.iter().map(window).collect()).unwrap();
        let extended = Extended::new(&windows, Arc::new(WalletBudget::new(usize::MAX)));
        Self { extended, tokens, wallets, second: 1_700_000_000, random: 0x9e37_79b9_7f4a_7c15 }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 32) * below) >> 32
    }

    fn batch(&mut self) -> Vec<Traded> {
        let first = self.second;
        self.second += SECONDS;
        let trades = (first..self.second).flat_map(|second| [second; TRADES_PER_SECOND]);
        trades.map(|second| self.traded(Second(second))).collect()
    }

    fn traded(&mut self, second: Second) -> Traded {
        let token = self.draw(self.tokens.into());
        let wallet = (token * self.wallets + self.draw(self.wallets)).to_string();
        let sides = if self.draw(2) == 0 { Sides::BOUGHT } else { Sides::SOLD };
        let visit = Visit {
            seen: Seen::new(WalletHash::of(&wallet), sides),
            usd: Amount::from_units(241_234_567_890_123_456_789),
            tokens: Amount::from_units(1_234_567_890_000_000_000),
            price: Price::from_parts((100_000 + self.draw(9_000)).into(), 9).unwrap(),
        };
        (u32::try_from(token).unwrap(), second, visit)
    }

    fn tick(&mut self, batch: &[Traded]) {
        for (token, second, visit) in batch {
            self.extended.add(*token, *second, visit);
        }
        let mut figures = Vec::new();
        for token in 0..self.tokens {
            self.extended.figures(token, Second(self.second - 1), &mut figures);
            black_box(&figures);
        }
    }
}

#[divan::bench(args = [0, 1, 2], sample_count = 20, sample_size = 1)]
fn extended_tick(bencher: Bencher, market: usize) {
    let market = RefCell::new(Market::new(MARKETS[market]));
    bencher
        .counter(ItemsCount::new(TRADES_PER_SECOND * usize::try_from(SECONDS).unwrap()))
        .with_inputs(|| market.borrow_mut().batch())
        .bench_local_refs(|batch| market.borrow_mut().tick(batch));
    let market = market.borrow();
    let (bytes, of_pairs) = market.extended.bytes();
    assert!(of_pairs < bytes && market.extended.wallets().held() > 0);
}
