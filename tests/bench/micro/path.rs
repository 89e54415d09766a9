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

use crate::counting::taken;
use crate::fetch::{NOW, Stream, engine, fetched, routed, router};

/// Every token trades within the longest window, so that none comes and none goes.
const WINDOWS: [u32; 5] = [5, 10, 20, 30, 60];
const PER_SECOND: usize = 20_000;
const FETCHES: usize = 5;
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
    /// One that has lived long enough.
    fn warm(tokens: usize, size: usize, per_second: usize) -> Self {
        let (pool, router) = (Pool::new(1 << 30), router());
        let engine = engine(&WINDOWS, Second(NOW.second().0 - 60));
        let stream = Stream { tokens, per_second };
        let mut service = Self { stream, size, second: 0, pool, router, engine };
        for _ in 0..WARM {
            let answers = service.answers();
            service.take_up(&answers);
            service.flush();
        }
        service
    }

    /// What is fetched of the next second.
    fn answers(&self) -> [Bytes; FETCHES] {
        let answer = |at| {
            let (first, of_fetch) = (self.first(at), self.stream.per_second / FETCHES);
            self.stream.answer_of(first..first + of_fetch, self.size, Compression::Snappy)
        };
        std::array::from_fn(answer)
    }

    /// The number of the first trade of a fetch of the next second.
    fn first(&self, fetch: usize) -> usize {
        self.second * self.stream.per_second + fetch * self.stream.per_second / FETCHES
    }

    /// Takes up a second; how many trades were counted.
    fn take_up(&mut self, answers: &[Bytes; FETCHES]) -> u64 {
        let mut counted = 0;
        for (at, answer) in answers.iter().enumerate() {
            let from = self.first(at) / self.size;
            let records = Arc::new(fetched(&self.pool, answer, from).records);
            for batch in routed(&self.router, &records, 0, self.now()) {
                counted += self.engine.absorb(&batch).counted;
            }
        }
        counted
    }

    /// The second is over: the windows move on, and every shard is flushed.
    fn flush(&mut self) {
        // The trades' clock reads NOW less a quarter of a minute.
        let end = Second(self.now().second().0 - 15);
        self.engine.advance(end);
        for shard in 0..usize::from(Shards::DEFAULT.count()) {
            black_box(self.engine.encode_changes(shard, end, end).unwrap());
        }
        self.second += 1;
    }

    fn now(&self) -> WallMs {
        WallMs(NOW.0 + i64::try_from(self.second).unwrap() * 1_000)
    }
}

#[divan::bench(args = KINDS, sample_count = 15, sample_size = 1)]
fn steady(bencher: Bencher, (tokens, size): (usize, usize)) {
    let service = RefCell::new(Service::warm(tokens, size, PER_SECOND));
    bencher
        .counter(ItemsCount::new(PER_SECOND))
        .with_inputs(|| service.borrow().answers())
        .bench_local_refs(|answers| {
            let mut service = service.borrow_mut();
            assert_eq!(service.take_up(answers), PER_SECOND as u64);
            service.flush();
        });
}

/// What [`steady`] allocates, apart: in a fetch, in a shard's flush, and how much of both grows
/// with the trades. Twice as many of them come in as many fetches and flushes.
#[divan::bench(args = [(1_000, 1), (1_000, 50), (50_000, 50)], sample_count = 1, sample_size = 1)]
fn steady_allocations((tokens, size): (usize, usize)) {
    let [[fetch, flush], [more_fetch, more_flush]] = [PER_SECOND, 2 * PER_SECOND].map(|trades| {
        let mut service = Service::warm(tokens, size, trades);
        let mut counts = [0; 2];
        for _ in 0..COUNTED {
            let answers = service.answers();
            let before = taken();
            service.take_up(&answers);
            let between = taken();
            service.flush();
            counts = [counts[0] + between - before, counts[1] + taken() - between];
        }
        counts.map(f64::from)
    });
    let [fetches, flushes] = [FETCHES, usize::from(Shards::DEFAULT.count())]
        .map(|a_second| f64::from(COUNTED) * f64::from(u32::try_from(a_second).unwrap()));
    let more = f64::from(COUNTED) * f64::from(u32::try_from(PER_SECOND).unwrap());
    println!(
        "{:.1} a fetch, {:.2} a shard's flush, {:.5} a trade",
        fetch / fetches,
        flush / flushes,
        (more_fetch + more_flush - fetch - flush) / more
    );
}

/// Seconds in which allocations are counted.
const COUNTED: u32 = 20;
