//! The whole way of a trade in one process, in the steady state: what a broker has answered is
//! unpacked, read, routed and absorbed; at each second's end the windows move on, what expires is
//! dropped, and the flush of every shard is encoded. As many tokens and panes come as go.

use std::cell::RefCell;
use std::sync::Arc;

use aggregator_service::domain::time::{Second, WallMs};
use aggregator_service::domain::token::Shards;
use aggregator_service::pipeline::engine::Engine;
use aggregator_service::pipeline::route::Router;
use aggregator_service::pool::Pool;
use aggregator_service::ports::records::Content;
use bytes::Bytes;
use divan::{Bencher, black_box, counter::ItemsCount};
use kafka_protocol::records::Compression;

use crate::fetch::{NOW, Stream, TRADES, engine, fetched, routed, router};

/// Every token trades within the longest window, so that none comes and none goes.
const WINDOWS: [u32; 5] = [5, 10, 20, 30, 60];
const PER_SECOND: usize = 20_000;
const ANSWERS: usize = PER_SECOND / TRADES;
/// Seconds until the longest window loses as much as it gains, and every list has its length.
const WARM: usize = 110;

/// Tokens, and trades in a value.
const KINDS: [(usize, usize); 4] = [(1_000, 1), (1_000, 50), (50_000, 50), (1_000_000, 50)];

/// What stands ready between two seconds.
struct Service {
    stream: Stream,
    size: usize,
    second: usize,
    pool: Arc<Pool<Content>>,
    router: Router,
    engine: Engine,
}

impl Service {
    fn new(tokens: usize, size: usize) -> Self {
        let (pool, router) = (Pool::new(1 << 30), router());
        let engine = engine(&WINDOWS, Second(NOW.second().0 - 60));
        let stream = Stream { tokens, per_second: PER_SECOND };
        Self { stream, size, second: 0, pool, router, engine }
    }

    /// What is fetched of the next second.
    fn answers(&self) -> [Bytes; ANSWERS] {
        let first = self.second * PER_SECOND;
        let answer = |at| self.stream.answer(first + at * TRADES, self.size, Compression::Snappy);
        std::array::from_fn(answer)
    }

    /// Takes up a second; how many trades were counted.
    fn live(&mut self, answers: &[Bytes; ANSWERS]) -> u64 {
        let mut counted = 0;
        for (at, answer) in answers.iter().enumerate() {
            let from = (self.second * PER_SECOND + at * TRADES) / self.size;
            let records = Arc::new(fetched(&self.pool, answer, from).records);
            for batch in routed(&self.router, &records, 0, self.now()) {
                counted += self.engine.absorb(&batch).counted;
            }
        }
        // The trades' clock reads NOW less a quarter of a minute.
        let end = Second(self.now().second().0 - 15);
        self.engine.advance(end);
        for shard in 0..usize::from(Shards::DEFAULT.count()) {
            black_box(self.engine.encode_changes(shard, end, end).unwrap());
        }
        self.second += 1;
        counted
    }

    fn now(&self) -> WallMs {
        WallMs(NOW.0 + i64::try_from(self.second).unwrap() * 1_000)
    }
}

#[divan::bench(args = KINDS, sample_count = 15, sample_size = 1)]
fn steady(bencher: Bencher, (tokens, size): (usize, usize)) {
    let mut service = Service::new(tokens, size);
    for _ in 0..WARM {
        service.live(&service.answers());
    }
    let service = RefCell::new(service);
    bencher
        .counter(ItemsCount::new(PER_SECOND))
        .with_inputs(|| service.borrow().answers())
        .bench_local_refs(|answers| {
            assert_eq!(service.borrow_mut().live(answers), PER_SECOND as u64);
        });
}
