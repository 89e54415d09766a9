//! A shard's steps: absorb, fold and expire, a tick, a load; and what it holds in bytes. All 64
//! shards of one process, five windows, trades of addresses of 44 bytes.

use std::sync::Arc;

use aggregator_service::domain::amount::Amount;
use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::pane::Pane;
use aggregator_service::domain::position::{Offset, Partition, Position};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::shard::{Outcome, Shard};
use aggregator_service::domain::time::{EventTime, Second};
use aggregator_service::domain::token::{SHARDS, TokenHash};
use aggregator_service::domain::trade::{Side, Trade};
use aggregator_service::domain::window::{Window, Windows};
use divan::{Bencher, black_box, counter::ItemsCount};

const TOKENS: [u32; 3] = [1_000, 50_000, 1_000_000];
const START: i64 = 1_700_000_000;
/// Trades in a batch, and of one second of event time.
const BATCH: u32 = 4_096;
const TRADES_PER_SECOND: u32 = 20_000;
const WINDOWS: [u32; 5] = [60, 300, 900, 1_800, 3_600];

/// A trade as a batch has it.
type Traded = (String, TokenHash, Position, EventTime);

/// All shards, and trades at random.
struct Market {
    shards: Vec<Shard>,
    addresses: Vec<(String, TokenHash)>,
    trades: u32,
    random: u64,
}

impl Market {
    fn new(tokens: u32, windows: &[u32]) -> Self {
        let address = |number: u32| {
            let address = format!("{:A>40}pump", number.wrapping_mul(0x9e37_79b1));
            let hash = TokenHash::of(&address);
            (address, hash)
        };
        let addresses = (0..tokens).map(address).collect();
        Self { shards: shards(windows), addresses, trades: 0, random: 0x9e37_79b9_7f4a_7c15 }
    }

    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (usize::try_from(self.random >> 32).unwrap() * below) >> 32
    }

    /// Tokens at random, at the pace of [`TRADES_PER_SECOND`].
    fn batch(&mut self) -> Vec<Traded> {
        let made = (0..BATCH).map(|_| {
            self.trades += 1;
            let token = self.draw(self.addresses.len());
            self.traded(token, self.trades, self.trades / TRADES_PER_SECOND)
        });
        made.collect()
    }

    fn traded(&self, token: usize, offset: u32, second: u32) -> Traded {
        let offset = Offset(offset.into());
        let position = Position { partition: Partition(3), offset, index: 0 };
        let (address, hash) = self.addresses[token].clone();
        (address, hash, position, at(second))
    }

    /// Every token has traded, so that from here on only panes are new.
    fn warm(&mut self) {
        for token in 0..self.addresses.len() {
            self.absorb(&[self.traded(token, 0, 0)]);
        }
    }

    /// With prefetching, as an engine does it.
    fn absorb_ahead(&mut self, batch: &[Traded]) {
        let near = |market: &Self, at: usize, near: fn(&Shard, TokenHash, Second)| {
            if let Some((_, hash, _, time)) = batch.get(at) {
                near(&market.shards[usize::from(hash.shard().0)], *hash, time.second);
            }
        };
        (0..16).for_each(|at| near(self, at, |shard, hash, _| shard.prefetch_token(hash)));
        (0..8).for_each(|at| near(self, at, Shard::prefetch_pane));
        for (at, trade) in batch.iter().enumerate() {
            near(self, at + 16, |shard, hash, _| shard.prefetch_token(hash));
            near(self, at + 8, Shard::prefetch_pane);
            self.absorb(std::slice::from_ref(trade));
        }
    }

    fn absorb(&mut self, batch: &[Traded]) {
        for (address, hash, position, at) in batch {
            let shard = &mut self.shards[usize::from(hash.shard().0)];
            assert_eq!(shard.absorb(*position, &trade(address, *hash, *at)), Outcome::Counted);
        }
    }

    /// `seconds` full of trades, folded as they end; how many.
    fn live(&mut self, seconds: u32, trades: u32) -> u64 {
        for second in 0..seconds {
            for number in 0..trades {
                let token = self.draw(self.addresses.len());
                self.absorb(&[self.traded(token, second * trades + number, second)]);
            }
            self.advance(second);
        }
        self.panes()
    }

    fn advance(&mut self, second: u32) {
        self.shards.iter_mut().for_each(|shard| shard.advance(at(second).second));
    }

    fn panes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.panes().count() as u64).sum()
    }

    fn due(&mut self) -> u64 {
        let mut told = 0;
        for shard in &mut self.shards {
            shard.due(|aggregate| told += u64::from(black_box(aggregate).windows.len() == 5));
        }
        told
    }
}

fn shards(windows: &[u32]) -> Vec<Shard> {
    let window = |seconds: &u32| Window { name: format!("{seconds}s"), seconds: *seconds };
    let windows = Windows::new(windows.iter().map(window).collect()).unwrap();
    let budget = Arc::new(Budget::new(usize::MAX, usize::MAX));
    let shard = |_| Shard::new(windows.clone(), budget.clone(), Second(START - 1), Second(0));
    (0..SHARDS).map(shard).collect()
}

fn at(second: u32) -> EventTime {
    EventTime { second: Second(START + i64::from(second)), nanos: 250_000_000 }
}

fn trade(token: &str, hash: TokenHash, at: EventTime) -> Trade<'_> {
    Trade {
        token,
        hash,
        side: if at.nanos.is_multiple_of(2_000_000) { Side::Buy } else { Side::Sell },
        native: Amount::from_units(1_234_567_890_000_000_000),
        usd: Amount::from_units(241_234_567_890_123_456_789),
        price: Price::from_parts(123_456_789_012, 17).unwrap(),
        at,
    }
}

#[divan::bench(args = TOKENS, sample_count = 300, sample_size = 1)]
fn absorb(bencher: Bencher, tokens: u32) {
    absorbing(bencher, tokens, Market::absorb);
}

#[divan::bench(args = TOKENS, sample_count = 300, sample_size = 1)]
fn absorb_ahead(bencher: Bencher, tokens: u32) {
    absorbing(bencher, tokens, Market::absorb_ahead);
}

fn absorbing(bencher: Bencher, tokens: u32, absorb: fn(&mut Market, &[Traded])) {
    let mut market = Market::new(tokens, &WINDOWS);
    market.warm();
    let market = std::cell::RefCell::new(market);
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| market.borrow_mut().batch())
        .bench_local_refs(|batch| absorb(&mut market.borrow_mut(), batch));
}

/// A second's panes folded in, and taken away again by each window, and dropped.
#[divan::bench(args = [5, 20], sample_count = 3, sample_size = 1)]
fn fold_and_expire(bencher: Bencher, windows: u32) {
    let windows: Vec<u32> = (1..=windows).collect();
    bencher
        .counter(ItemsCount::new(50_000_u32 * 6))
        .with_inputs(|| {
            let mut market = Market::new(50_000, &windows);
            for second in 0..6 {
                for token in 0..50_000 {
                    market.absorb(&[market.traded(token, 0, second)]);
                }
            }
            market
        })
        .bench_local_refs(|market| (0..30).for_each(|second| market.advance(second)));
}

#[divan::bench(args = [1_000, 100_000], sample_count = 10, sample_size = 1)]
fn due(bencher: Bencher, tokens: u32) {
    let mut market = Market::new(tokens, &WINDOWS);
    market.live(100, tokens / 2);
    let told = market.due();
    bencher.counter(ItemsCount::new(told)).bench_local(move || assert_eq!(market.due(), told));
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn restore(bencher: Bencher) {
    let mut market = Market::new(50_000, &WINDOWS);
    let count = market.live(100, 20_000);
    let held: Vec<(String, Second, Pane)> = market.shards.iter().flat_map(saved).collect();
    drop(market);
    bencher.counter(ItemsCount::new(count)).with_inputs(|| shards(&WINDOWS)).bench_local_refs(
        |shards| {
            for (address, second, pane) in &held {
                let id = usize::from(TokenHash::of(address).shard().0);
                shards[id].restore(address, *second, pane);
            }
            shards.iter_mut().for_each(|shard| shard.open(Second(START + 99)));
        },
    );
}

fn saved(shard: &Shard) -> Vec<(String, Second, Pane)> {
    let owned = shard.panes().map(|(address, second, pane)| {
        let pane: &Pane = std::borrow::Borrow::borrow(&pane);
        (address.to_owned(), second, *pane)
    });
    owned.collect()
}

/// Not timed: resident bytes for each token that has one pane, then for each further pane. With
/// `PANES_MINUTES` set, of so many minutes of 50,000 tokens at 20,000 trades a second; 60 are
/// 24 million panes.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn bytes_held() {
    let minutes = minutes();
    let mut market = Market::new(50_000, &WINDOWS);
    let empty = resident();
    market.warm();
    market.shards.iter_mut().for_each(Shard::clear_changes);
    let tokens = resident() - empty;
    println!("{} bytes a token with a pane", tokens / 50_000);
    for minute in 1..=minutes.unwrap_or(4) {
        for second in minute * 60 - 59..=minute * 60 {
            for _ in 0..TRADES_PER_SECOND {
                let token = market.draw(50_000);
                market.absorb(&[market.traded(token, 0, second)]);
            }
            market.advance(second);
            market.shards.iter_mut().for_each(Shard::clear_changes);
        }
    }
    let (held, panes) = (resident() - empty, market.panes());
    println!("{panes} panes, {held} bytes: {} a pane beside the tokens", (held - tokens) / panes);
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

#[allow(clippy::disallowed_methods, reason = "a benchmark has no configuration")]
fn minutes() -> Option<u32> {
    std::env::var("PANES_MINUTES").ok().and_then(|text| text.parse().ok())
}
