//! What is read: topics full of trades as collectors write them, some 320 bytes each, of the last
//! minutes. Nothing is late and nothing is wrong, so that all of it is counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use rskafka::client::partition::Compression;
use rskafka::record::Record;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::harness::topic::{Topic, now};
use crate::support::kafka::KafkaBroker;

/// Trades in an array, where they come in arrays.
pub(crate) const ARRAY: usize = 50;

/// Trades in a batch: some 320 kB before the codec.
pub(crate) const BATCH: usize = 1_000;

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

    /// Produces it to a topic of this name, by as many threads as there are cores.
    pub(crate) fn fill(&self, broker: &KafkaBroker, name: &str) {
        let partitions = i32::try_from(self.partitions).unwrap();
        let made = Topic::wide(&broker.config(), name, partitions);
        assert_eq!(made.count(), self.partitions, "partitions of {name}");
        let threads = std::thread::available_parallelism().unwrap().get().min(self.partitions);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    let topic = Topic::reach(&broker.config(), name);
                    let batches = (0..self.trades).step_by(BATCH).enumerate();
                    for (turn, first) in batches.skip(thread).step_by(threads) {
                        let records = self.batch(first..(first + BATCH).min(self.trades));
                        topic.produce(turn % self.partitions, records, self.codec);
                    }
                });
            }
        });
    }

    fn batch(&self, numbers: Range<usize>) -> Vec<Record> {
        let begin = now().timestamp() - i64::try_from(self.covered).unwrap();
        let end = numbers.end;
        let record = |first: usize| {
            let at = begin + i64::try_from(first * self.covered / self.trades).unwrap();
            record(self.value(first..(first + self.array).min(end), at))
        };
        numbers.step_by(self.array).map(record).collect()
    }

    /// Trades of the second `at`: an object, or an array.
    pub(crate) fn value(&self, numbers: Range<usize>, at: i64) -> String {
        let time = OffsetDateTime::from_unix_timestamp(at).unwrap().format(&Rfc3339).unwrap();
        let mut text = String::with_capacity(numbers.len() * 330);
        for number in numbers {
            // No order that a cache could learn.
            let mixed = number.wrapping_mul(2_654_435_761);
            let token =
                if self.hot && !number.is_multiple_of(10) { 0 } else { mixed % self.tokens };
            let side = if number.is_multiple_of(3) { "sell" } else { "buy" };
            let (native, price) = (number % 9_973, number % 99_991);
            let before = if text.is_empty() { "" } else { "," };
            write!(
                text,
                concat!(
                    r#"{}{{"Token":"{:A>40}pump","Wallet":"{:B>44}","SellBuy":"{}","#,
                    r#""NativeAmount":"0.{:0>9}","TokenAmount":"{}.{}","PriceUsd":"0.0000{}","#,
                    r#""TransTime":"{}","TxHash":"{:C>88}"}}"#
                ),
                before, token, number, side, native, price, native, price, time, number,
            )
            .unwrap();
        }
        if self.array > 1 { format!("[{text}]") } else { text }
    }
}

/// A record as collectors send it: no key, stamped now.
pub(crate) fn record(value: String) -> Record {
    Record {
        key: None,
        value: Some(value.into_bytes()),
        headers: BTreeMap::new(),
        timestamp: now(),
    }
}
