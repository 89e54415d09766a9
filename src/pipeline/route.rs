//! From fetched records to what each worker absorbs: decode, validate, route by token. Pure.
//!
//! One [`Batch`] per worker and fetch. Every worker gets one, trades or not, because it carries the
//! position too. Routing to workers is this one seam.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::amount::Amount;
use crate::domain::position::{Offset, Partition, Position};
use crate::domain::price::Price;
use crate::domain::reject::Reason;
use crate::domain::time::{EventTime, WallMs};
use crate::domain::token::TokenHash;
use crate::domain::trade::{Side, Trade};
use crate::ports::{Fetched, Message, Record};
use crate::sabotage::Bug;
use crate::wire::dead_letter::DeadLetter;
use crate::wire::trade::{Element, decode};

/// Values larger than this are rejected unread: twice the largest record that brokers are
/// commonly configured for.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// How records are read.
#[derive(Clone, Debug)]
pub struct Router {
    /// The input topic, named in dead letters.
    pub topic: Arc<str>,
    /// How many workers the shards are spread over.
    pub workers: u16,
    /// How far ahead of its record a trade may be.
    pub max_future_skew: std::time::Duration,
}

/// What one worker absorbs of one fetch.
#[derive(Debug)]
pub struct Batch {
    /// Source partition.
    pub partition: Partition,
    /// Everything below this has been offered once the batch is absorbed.
    pub next: Offset,
    records: Arc<[Record]>,
    trades: Vec<RoutedTrade>,
    tokens: String,
}

/// What came of one fetch.
#[derive(Debug)]
pub struct Routed {
    /// One per worker.
    pub batches: Vec<Batch>,
    /// What was rejected, with its reason, ready to send.
    pub rejected: Vec<(Reason, Message)>,
    /// Records read.
    pub records: u64,
    /// Elements read: trades and rejected ones.
    pub elements: u64,
}

/// A trade without its text: the token lies in the batch, the element in the record.
#[derive(Debug)]
struct RoutedTrade {
    token: Range<usize>,
    element: Range<usize>,
    record: usize,
    index: u32,
    hash: TokenHash,
    side: Side,
    native: Amount,
    usd: Amount,
    price: Price,
    at: EventTime,
}

impl Router {
    /// Decodes and routes what was fetched. `now` bounds how far ahead a trade may be where its
    /// record has no timestamp, or one ahead of `now`.
    #[must_use]
    pub fn route(&self, partition: Partition, fetched: Fetched, now: WallMs) -> Routed {
        let next = fetched.next;
        let records: Arc<[Record]> = fetched.records.into();
        let batch = |_| Batch {
            partition,
            next,
            records: Arc::clone(&records),
            trades: Vec::new(),
            tokens: String::new(),
        };
        let mut routed = Routed {
            batches: (0..self.workers.max(1)).map(batch).collect(),
            rejected: Vec::new(),
            records: u64::try_from(records.len()).unwrap_or(u64::MAX),
            elements: 0,
        };
        for (at, record) in records.iter().enumerate() {
            self.record(partition, at, record, now, &mut routed);
        }
        for range in fetched.unreadable {
            let last = range.end.0.saturating_sub(1);
            let message = format!("the batch at offsets {} to {last} is unreadable", range.start);
            let record = Record { offset: range.start, ..Record::default() };
            let reason = Reason::UnreadableBatch;
            let letter = self.letter(partition, &record, None, None, reason, &message);
            routed.rejected.push((reason, letter.into_message(now)));
        }
        routed
    }

    /// The dead letter of a trade that a shard had to refuse, by its place in the batch.
    #[must_use]
    pub fn refused(
        &self,
        batch: &Batch,
        trade: usize,
        reason: Reason,
        message: &str,
        now: WallMs,
    ) -> Option<Message> {
        let trade = batch.trades.get(trade)?;
        let record = batch.records.get(trade.record)?;
        let value = record.value.as_ref()?;
        // A single object is the whole value: it has no place in an array.
        let index = (trade.element.len() < value.len()).then_some(trade.index);
        let element = slice(value, trade.element.clone());
        let letter = self.letter(batch.partition, record, index, element, reason, message);
        Some(letter.into_message(now))
    }

    fn record(
        &self,
        partition: Partition,
        at: usize,
        record: &Record,
        now: WallMs,
        routed: &mut Routed,
    ) {
        let Some(value) = &record.value else { return };
        if value.len() > MAX_VALUE_BYTES {
            let reason = Reason::TooLarge;
            let message = format!("{} bytes: at most {MAX_VALUE_BYTES} are read", value.len());
            let whole = Some(value.clone());
            let letter = self.letter(partition, record, None, whole, reason, &message);
            routed.elements += 1;
            routed.rejected.push((reason, letter.into_message(now)));
            return;
        }
        let written = record.timestamp.map_or(now, |timestamp| timestamp.min(now));
        let latest = written.plus(self.max_future_skew).event_time();
        decode(value, Some(latest), &mut |element| {
            routed.elements += 1;
            match element {
                Element::Trade { index, bytes, trade } => {
                    let worker = usize::from(trade.hash.shard().0 % self.workers.max(1));
                    if let Some(batch) = routed.batches.get_mut(worker) {
                        batch.push(at, index, range_in(value, bytes), &trade);
                    }
                }
                Element::Rejected { index, bytes, reason, message } => {
                    let element = slice(value, range_in(value, bytes));
                    let letter = self.letter(partition, record, index, element, reason, &message);
                    if index.is_none() || !Bug::ArrayRejectsSwallowed.on() {
                        routed.rejected.push((reason, letter.into_message(now)));
                    }
                }
            }
        });
    }

    fn letter<'a>(
        &'a self,
        partition: Partition,
        record: &'a Record,
        index: Option<u32>,
        value: Option<Bytes>,
        reason: Reason,
        message: &'a str,
    ) -> DeadLetter<'a> {
        DeadLetter { topic: &self.topic, partition, record, index, value, reason, message }
    }
}

impl Batch {
    fn push(&mut self, record: usize, index: u32, element: Range<usize>, trade: &Trade<'_>) {
        let start = self.tokens.len();
        self.tokens.push_str(trade.token);
        self.trades.push(RoutedTrade {
            token: start..self.tokens.len(),
            element,
            record,
            index,
            hash: trade.hash,
            side: trade.side,
            native: trade.native,
            usd: trade.usd,
            price: trade.price,
            at: trade.at,
        });
    }

    /// Its trades with their positions, in log order.
    pub fn trades(&self) -> impl Iterator<Item = (Position, Trade<'_>)> {
        self.trades.iter().filter_map(|routed| {
            let offset = self.records.get(routed.record)?.offset;
            let position = Position { partition: self.partition, offset, index: routed.index };
            let RoutedTrade { hash, side, native, usd, price, at, .. } = *routed;
            let token = self.tokens.get(routed.token.clone())?;
            Some((position, Trade { token, hash, side, native, usd, price, at }))
        })
    }
}

/// Where `part`, a slice of `whole`, stands in it.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

/// A part is copied: while it waits it must not keep its whole record in memory.
fn slice(value: &Bytes, range: Range<usize>) -> Option<Bytes> {
    let part = value.get(range)?;
    Some(if part.len() < value.len() { Bytes::copy_from_slice(part) } else { value.clone() })
}
