//! What is read: topics full of trades as collectors write them, some 320 bytes each, of the last
//! minutes. Nothing is late and nothing is wrong, so that all of it is counted.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::iter;
use rskafka::client::partition::{Compression, PartitionClient};
use rskafka::record::Record;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::floor::partitions;
use support::harness::topic::{Topic, now};
use support::kafka::KafkaBroker;

/// Trades in an array, where they come in arrays.
pub(crate) const ARRAY: usize = 50;

/// Trades in a batch: some 320 kB before the codec.
pub(crate) const BATCH: usize = 1_000;

/// Wallets that trade, each in any token.
const WALLETS: usize = 20_000;

/// A backlog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backlog {
    pub(crate) trades: usize,
    /// Trades in a record.
    pub(crate) array: usize,
    pub(crate) tokens: usize,
    /// Nine of ten trades are of one token.
    pub(crate) hot: bool,
    pub(crate) partitions: usize,
    pub(crate) codec: Compression,
    /// Event time that it covers, in seconds, up to the moment at which it is written.
    pub(crate) covered: usize,
}

impl Backlog {
    /// Arrays of a thousand tokens in three partitions, Snappy: what collectors send.
    pub(crate) fn usual(trades: usize) -> Self {
        Self {
            trades,
            array: ARRAY,
            tokens: 1_000,
            hot: false,
            partitions: 3,
            codec: Compression::Snappy,
            covered: 290,
        }
    }

    /// Produces it to a topic of this name, to all partitions at once.
    pub(crate) fn fill(self, broker: &KafkaBroker, name: &str) {
        let count = i32::try_from(self.partitions).unwrap();
        let made = Topic::wide(&broker.config(), name, count);
        assert_eq!(made.count(), self.partitions, "partitions of {name}");
        let begun = Instant::now();
        let begin = now().timestamp() - i64::try_from(self.covered).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clients = partitions(&broker.address(), name).await.into_iter().enumerate();
            let produce = |(at, client)| tokio::spawn(self.produce(at, client, begin));
            for task in clients.map(produce).collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
        eprintln!("{name}: {} trades written in {:.1?}", self.trades, begun.elapsed());
    }

    /// Writes one partition's batches. One alone would wait 40 ms each time: `rskafka` sends a
    /// request in two pieces on a socket with Nagle's delay.
    async fn produce(self, partition: usize, client: PartitionClient, begin: i64) {
        let firsts = (0..self.trades).step_by(BATCH).skip(partition).step_by(self.partitions);
        let batch = |first| client.produce(self.batch(first, begin), self.codec);
        let mut batches = iter(firsts).map(batch).buffered(IN_FLIGHT);
        while let Some(done) = batches.next().await {
            done.unwrap();
        }
    }

    fn batch(&self, first: usize, begin: i64) -> Vec<Record> {
        let end = (first + BATCH).min(self.trades);
        let timestamp = now();
        let mut second = (i64::MIN, String::new());
        let record = |first: usize| {
            let at = begin + i64::try_from(first * self.covered / self.trades).unwrap();
            if second.0 != at {
                let time = OffsetDateTime::from_unix_timestamp(at).unwrap();
                second = (at, time.format(&Rfc3339).unwrap());
            }
            let value = self.value(first..(first + self.array).min(end), &second.1);
            let value = Some(value.into_bytes());
            Record { key: None, value, headers: BTreeMap::new(), timestamp }
        };
        (first..end).step_by(self.array).map(record).collect()
    }

    /// Trades of the second `time`: an object, or an array.
    pub(crate) fn value(&self, numbers: Range<usize>, time: &str) -> String {
        let mut text = String::with_capacity(numbers.len() * TRADE_BYTES);
        for number in numbers {
            text.push(if text.is_empty() { '[' } else { ',' });
            self.trade(&mut text, number, time);
        }
        text.push(']');
        if self.array > 1 { text } else { text[1..text.len() - 1].to_owned() }
    }

    fn trade(&self, text: &mut String, number: usize, time: &str) {
        // No order that a cache could learn.
        let mixed = number.wrapping_mul(2_654_435_761);
        let token = if self.hot && !number.is_multiple_of(10) { 0 } else { mixed % self.tokens };
        let side = if number.is_multiple_of(3) { SELL } else { BUY };
        let (native, price) = (number % 9_973, number % 99_991);
        put(text, r#"{"Token":""#, AS, token);
        put(text, r#"pump","Wallet":""#, BS, (mixed >> 20) % WALLETS);
        put(text, side, ZEROS, native);
        put(text, r#"","TokenAmount":""#, "", price);
        put(text, ".", "", native);
        put(text, r#"","PriceUsd":"0.0000"#, "", price);
        text.push_str(r#"","TransTime":""#);
        text.push_str(time);
        put(text, r#"","TxHash":""#, CS, number);
        text.push_str(r#""}"#);
    }
}

/// Appends a number behind its padding, as wide as that: `format!` takes ten times as long.
fn put(text: &mut String, before: &str, padding: &str, number: usize) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    text.push_str(before);
    text.push_str(padding.get(digits.len()..).unwrap_or_default());
    text.push_str(digits);
}

/// Batches of a partition on their way at once.
const IN_FLIGHT: usize = 6;
/// Room for a trade.
const TRADE_BYTES: usize = 340;
const SELL: &str = r#"","SellBuy":"sell","NativeAmount":"0."#;
const BUY: &str = r#"","SellBuy":"buy","NativeAmount":"0."#;
/// What stands before a number where it is short of its field.
const AS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const BS: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
const CS: &str = concat!(
    "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC",
    "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"
);
const ZEROS: &str = "000000000";
