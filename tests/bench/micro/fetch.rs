//! From a broker's answer to the shards: record batches decoded in every codec, routed, absorbed;
//! single trades, and arrays of fifty. Buffers are used again, as in the service.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::cover::Cover;
use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::shard::Shard;
use aggregator_service::domain::time::{Second, WallMs};
use aggregator_service::domain::token::{ShardId, Shards};
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::kafka::Batches;
use aggregator_service::pipeline::engine::Engine;
use aggregator_service::pipeline::route::{Batch, Router};
use aggregator_service::pool::Pool;
use aggregator_service::ports::records::Content;
use aggregator_service::ports::{Fetched, Records};
use bytes::{Bytes, BytesMut};
use divan::{Bencher, counter::ItemsCount};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// Trades of one answer, and of one of its batches.
const TRADES: usize = 4_000;
const BATCH: usize = 1_000;

/// Trades in a value.
const SIZES: [usize; 2] = [1, 50];

/// Somewhat after the first trades, which are of 10:30:00.
pub(crate) const NOW: WallMs = WallMs(1_736_332_215_000);

#[divan::bench(args = SIZES)]
fn decode_plain(bencher: Bencher, size: usize) {
    decode(bencher, size, Compression::None);
}

#[divan::bench(args = SIZES)]
fn decode_snappy(bencher: Bencher, size: usize) {
    decode(bencher, size, Compression::Snappy);
}

#[divan::bench(args = SIZES)]
fn decode_lz4(bencher: Bencher, size: usize) {
    decode(bencher, size, Compression::Lz4);
}

#[divan::bench(args = SIZES)]
fn decode_zstd(bencher: Bencher, size: usize) {
    decode(bencher, size, Compression::Zstd);
}

#[divan::bench(args = SIZES)]
fn decode_gzip(bencher: Bencher, size: usize) {
    decode(bencher, size, Compression::Gzip);
}

fn decode(bencher: Bencher, size: usize, codec: Compression) {
    let (pool, answer) = (Pool::new(1 << 30), FEW.answer(0, size, codec));
    bencher.counter(ItemsCount::new(TRADES)).bench_local(|| {
        assert_eq!(fetched(&pool, &answer, 0).records.len(), TRADES / size);
    });
}

/// For one of so many members; 0: for nobody, so that every trade is passed by.
#[divan::bench(args = SIZES, consts = [1, 2, 3, 0])]
fn route<const MEMBERS: u16>(bencher: Bencher, size: usize) {
    let answer = FEW.answer(0, size, Compression::None);
    let records = Arc::new(fetched(&Pool::new(1 << 30), &answer, 0).records);
    let router = router();
    let mine = |shard: &u16| shard.checked_rem(MEMBERS).is_some_and(|rest| rest == MEMBERS - 1);
    let cover = Cover::of(Shards::DEFAULT, (0..Shards::DEFAULT.count()).filter(mine).map(ShardId));
    bencher
        .counter(ItemsCount::new(TRADES))
        .bench_local(|| routed_for(&cover, &router, &records, 0, NOW));
}

#[divan::bench(args = SIZES)]
fn decode_route_and_absorb(bencher: Bencher, size: usize) {
    let (pool, answer) = (Pool::new(1 << 30), FEW.answer(0, size, Compression::Snappy));
    let (router, mut engine) = (router(), engine(&[60, 300, 900, 1_800, 3_600], NOW.second()));
    let mut offset = 0;
    bencher.counter(ItemsCount::new(TRADES)).bench_local(|| {
        let records = Arc::new(fetched(&pool, &answer, 0).records);
        offset += 1;
        // Another partition each time: what was counted once would be passed by.
        let batches = routed(&router, &records, offset, NOW);
        let counted = |batch: &Batch| engine.absorb(batch).counted;
        assert_eq!(batches.iter().map(counted).sum::<u64>(), u64::try_from(TRADES).unwrap());
    });
}

/// Trades in the order of their numbers, 320 bytes each: every token in turn, so many a second.
#[derive(Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) tokens: usize,
    pub(crate) per_second: usize,
}

const FEW: Stream = Stream { tokens: 1_000, per_second: 1_000 };

pub(crate) fn routed(
    router: &Router,
    records: &Arc<Records>,
    partition: i32,
    now: WallMs,
) -> Vec<Batch> {
    routed_for(&Cover::all(Shards::DEFAULT), router, records, partition, now)
}

fn routed_for(
    cover: &Cover,
    router: &Router,
    records: &Arc<Records>,
    partition: i32,
    now: WallMs,
) -> Vec<Batch> {
    let from = records.iter().next().unwrap().offset();
    let next = records.last().unwrap().offset().next();
    let mut routing = router.route(Partition(partition), records, from..next, cover, now);
    assert!(routing.read_on().is_empty());
    routing.finish().batches
}

pub(crate) fn router() -> Router {
    Router::new(Arc::from("trade-info"), Shards::DEFAULT, 1, Duration::from_secs(300))
}

pub(crate) fn engine(windows: &[u32], end: Second) -> Engine {
    let window = |seconds: &u32| Window { name: format!("{seconds}s"), seconds: *seconds };
    let windows = Windows::new(windows.iter().map(window).collect()).unwrap();
    let budget = Arc::new(Budget::new(usize::MAX, usize::MAX));
    let mut engine = Engine::new(Shards::DEFAULT, 0, 1);
    for id in engine.shard_ids() {
        let shard = Shard::new(windows.clone(), Arc::clone(&budget), end, Second(0));
        engine.adopt(id, shard, BTreeMap::new(), Second(0), Second(0));
    }
    engine.open(Second(0));
    engine
}

pub(crate) fn fetched(pool: &Arc<Pool<Content>>, answer: &[u8], from: usize) -> Fetched {
    let mut records = pool.take(1 << 20);
    records.answer.room(answer.len()).copy_from_slice(answer);
    records.answer.fill(answer.len());
    let batches = Batches { records, place: 0..answer.len(), ..Batches::default() };
    batches.read(Offset(i64::try_from(from).unwrap())).unwrap()
}

impl Stream {
    /// What a broker answers with the trades from `first` on: as many as [`TRADES`].
    fn answer(self, first: usize, size: usize, compression: Compression) -> Bytes {
        self.answer_of(first..first + TRADES, size, compression)
    }

    /// What a broker answers with these trades: whole batches.
    pub(crate) fn answer_of(self, trades: Range<usize>, size: usize, codec: Compression) -> Bytes {
        let options = RecordEncodeOptions { version: 2, compression: codec };
        let mut answer = BytesMut::new();
        for first in trades.step_by(BATCH) {
            let mut batch = BytesMut::new();
            let records = (first..first + BATCH).step_by(size);
            let records: Vec<_> = records.map(|first| self.record(first, size)).collect();
            RecordBatchEncoder::encode(&mut batch, &records, &options).unwrap();
            answer.extend_from_slice(&batch);
        }
        answer.freeze()
    }

    fn record(self, first: usize, size: usize) -> Record {
        let offset = i64::try_from(first / size).unwrap();
        Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            timestamp_type: TimestampType::Creation,
            // The encoder makes one batch of records whose numbers follow each other.
            sequence: i32::try_from(offset).unwrap().wrapping_add(NO_SEQUENCE),
            offset,
            timestamp: NOW.0 + i64::try_from(first * 1_000 / self.per_second).unwrap(),
            key: None,
            value: Some(self.value(first, size).into()),
            headers: Default::default(),
        }
    }

    /// Trades as collectors write them.
    fn value(self, first: usize, size: usize) -> String {
        let trade = |number: usize| {
            let second = number / self.per_second;
            format!(
                concat!(
                    r#"{{"Token":"{:A>40}pump","Wallet":"{:B>44}","SellBuy":"buy","#,
                    r#""NativeAmount":"0.{:0>9}","TokenAmount":"{}.{}","PriceUsd":"0.0000{}","#,
                    r#""TransTime":"2025-01-08T10:{}:{:02}Z","TxHash":"{:C>88}"}}"#
                ),
                number.wrapping_mul(2_654_435_761) % self.tokens,
                number,
                number % 9_973,
                number % 99_991,
                number % 9_973,
                number % 99_991,
                30 + second / 60,
                second % 60,
                number
            )
        };
        let text = (first..first + size).map(trade).collect::<Vec<_>>().join(",");
        if size == 1 { text } else { format!("[{text}]") }
    }
}
