//! A shard's steps: absorb, fold and expire, a tick, a flush, a load. All 64 shards of one process,
//! five windows, trades of addresses of 44 bytes.

use std::sync::Arc;

use aggregator_service::domain::amount::Amount;
use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::pane::Pane;
use aggregator_service::domain::position::{Offset, Partition, Position};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::shard::{Outcome, Shard};
use aggregator_service::domain::time::{EventTime, Second};
use aggregator_service::domain::token::{Shards, TokenHash};
use aggregator_service::domain::trade::{Side, Trade};
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::wire::checkpoint::Writer;
use divan::{Bencher, black_box, counter::ItemsCount};

const TOKENS: [u32; 3] = [1_000, 50_000, 1_000_000];
const START: i64 = 1_700_000_000;
/// Trades in a batch, and of one second of event time.
const BATCH: u32 = 4_096;
const TRADES_PER_SECOND: u32 = 20_000;
pub(crate) const WINDOWS: [u32; 5] = [60, 300, 900, 1_800, 3_600];

/// A trade as a batch has it.
type Traded = (String, TokenHash, Position, EventTime);

/// All shards, and trades at random.
pub(crate) struct Market {
    shards: Vec<Shard>,
    addresses: Vec<(String, TokenHash)>,
    trades: u32,
    random: u64,
}

impl Market {
    pub(crate) fn new(tokens: u32, windows: &[u32]) -> Self {
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

    pub(crate) fn traded(&self, token: usize, offset: u32, second: u32) -> Traded {
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
        for (at, trade) in batch.iter().enumerate() {
            if let Some((shard, hash, _)) = self.place(batch.get(at + 24)) {
                shard.prefetch_index(hash);
            }
            if let Some((shard, hash, _)) = self.place(batch.get(at + 12)) {
                shard.prefetch_token(hash);
            }
            if let Some((shard, hash, second)) = self.place(batch.get(at + 6)) {
                let slot = shard.prefetch_token(hash);
                slot.into_iter().for_each(|slot| shard.prefetch_places(slot, second));
            }
            self.absorb(std::slice::from_ref(trade));
        }
    }

    fn place(&self, traded: Option<&Traded>) -> Option<(&Shard, TokenHash, Second)> {
        let (_, hash, _, at) = traded?;
        Some((&self.shards[usize::from(Shards::DEFAULT.of(*hash).0)], *hash, at.second))
    }

    pub(crate) fn absorb(&mut self, batch: &[Traded]) {
        for (address, hash, position, at) in batch {
            let shard = &mut self.shards[usize::from(Shards::DEFAULT.of(*hash).0)];
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

    pub(crate) fn advance(&mut self, second: u32) {
        self.shards.iter_mut().for_each(|shard| shard.advance(at(second).second));
    }

    pub(crate) fn panes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.live_panes() as u64).sum()
    }

    /// Every shard's flush, encoded; their bytes.
    pub(crate) fn flush(&mut self) -> usize {
        let flush = |shard: &mut Shard| {
            let (end, panes) = (shard.end(), shard.noted_changes());
            let mut entry = Writer::new(shard.positions(), end, end, panes, panes);
            shard.take_changes(|token, second, pane, beside| {
                entry.put(token, second, pane, beside);
            });
            entry.finish().len()
        };
        self.shards.iter_mut().map(flush).sum()
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
    (0..Shards::DEFAULT.count()).map(shard).collect()
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
        more: None,
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

/// Tokens and windows.
const FOLDED: [(u32, u32); 4] = [(1_000, 5), (50_000, 5), (50_000, 20), (1_000_000, 5)];

/// Seconds of panes that begin to count, leave each window, and are dropped.
#[divan::bench(args = FOLDED, sample_count = 3, sample_size = 1)]
fn fold_and_expire(bencher: Bencher, (tokens, windows): (u32, u32)) {
    let windows: Vec<u32> = (1..=windows).collect();
    bencher
        .counter(ItemsCount::new(tokens * 6))
        .with_inputs(|| {
            let mut market = Market::new(tokens, &windows);
            for second in 0..6 {
                for token in 0..market.addresses.len() {
                    market.absorb(&[market.traded(token, 0, second)]);
                }
            }
            market
        })
        .bench_local_refs(|market| (0..30).for_each(|second| market.advance(second)));
}

#[divan::bench(args = TOKENS, sample_count = 5, sample_size = 1)]
fn due(bencher: Bencher, tokens: u32) {
    let mut market = Market::new(tokens, &WINDOWS);
    market.live(100, (tokens / 2).min(TRADES_PER_SECOND));
    let told = market.due();
    bencher.counter(ItemsCount::new(told)).bench_local(move || assert_eq!(market.due(), told));
}

/// What a second has changed, encoded.
#[divan::bench(args = TOKENS, sample_count = 20, sample_size = 1)]
fn flush(bencher: Bencher, tokens: u32) {
    let mut market = Market::new(tokens, &WINDOWS);
    market.warm();
    let market = std::cell::RefCell::new(market);
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| {
            let mut market = market.borrow_mut();
            market.flush();
            let batch = market.batch();
            market.absorb(&batch);
        })
        .bench_local_refs(|()| market.borrow_mut().flush());
}

#[divan::bench(args = TOKENS, sample_count = 3, sample_size = 1)]
fn restore(bencher: Bencher, tokens: u32) {
    let mut market = Market::new(tokens, &WINDOWS);
    let count = market.live(100, TRADES_PER_SECOND);
    let held: Vec<(String, Second, Pane)> = market.shards.iter_mut().flat_map(saved).collect();
    drop(market);
    bencher.counter(ItemsCount::new(count)).with_inputs(|| shards(&WINDOWS)).bench_local_refs(
        |shards| {
            for (address, second, pane) in &held {
                let id = usize::from(Shards::DEFAULT.of_token(address).0);
                shards[id].restore(address, *second, pane, None);
            }
            shards.iter_mut().for_each(|shard| shard.open(Second(START + 99)));
        },
    );
}

fn saved(shard: &mut Shard) -> Vec<(String, Second, Pane)> {
    let owned = shard.panes().map(|(address, second, pane, _)| {
        let pane: &Pane = std::borrow::Borrow::borrow(&pane);
        (address.to_owned(), second, *pane)
    });
    owned.collect()
}
