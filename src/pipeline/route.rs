//! From fetched records to what each worker absorbs: decode, validate, route by token. Pure.
//!
//! One [`Batch`] per worker and fetch. Every worker gets one, trades or not, because it carries the
//! position too. Routing to workers is this one seam.

use std::iter::Enumerate;
use std::ops::Range;
use std::slice::Iter;
use std::sync::Arc;

use bytes::Bytes;

use super::dead_letters;
use crate::domain::amount::Amount;
use crate::domain::position::{Offset, Partition, Position};
use crate::domain::price::Price;
use crate::domain::reject::Reason;
use crate::domain::time::{EventTime, Second, WallMs};
use crate::domain::token::TokenHash;
use crate::domain::trade::{Side, Trade};
use crate::ports::{Message, Record};
use crate::sabotage::Bug;
use crate::wire::dead_letter::DeadLetter;
use crate::wire::trade::{Element, Elements};

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

/// What was fetched of one partition, while it is read.
#[derive(Debug)]
pub struct Routing<'a> {
    router: &'a Router,
    partition: Partition,
    now: WallMs,
    records: Enumerate<Iter<'a, Record>>,
    open: Option<Open<'a>>,
    routed: Routed,
}

/// The record that is being read.
#[derive(Debug)]
struct Open<'a> {
    at: usize,
    record: &'a Record,
    value: &'a Bytes,
    elements: Elements<'a>,
}

/// What came of one fetch.
#[derive(Debug)]
pub struct Routed {
    /// One per worker.
    pub batches: Vec<Batch>,
    /// Elements read: trades and rejected ones.
    pub elements: u64,
}

/// A rejected thing with its reason, ready to send.
pub type Rejected = (Reason, Message);

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
    /// Begins to decode and route what was fetched; everything below `next` is offered by it.
    /// `now` bounds how far ahead a trade may be where its record has no timestamp, or one ahead
    /// of `now`.
    #[must_use]
    pub fn route<'a>(
        &'a self,
        partition: Partition,
        records: &'a Arc<[Record]>,
        next: Offset,
        now: WallMs,
    ) -> Routing<'a> {
        let last = records.last().map_or(Offset(0), |record| record.offset.next());
        let next = if Bug::MarkerNotPassed.on() { last } else { next };
        let batch = |_| Batch {
            partition,
            next,
            records: Arc::clone(records),
            trades: Vec::new(),
            tokens: String::new(),
        };
        let batches = (0..self.workers.max(1)).map(batch).collect();
        Routing {
            router: self,
            partition,
            now,
            records: records.iter().enumerate(),
            open: None,
            routed: Routed { batches, elements: 0 },
        }
    }

    /// The dead letter of a batch that nobody could read.
    #[must_use]
    pub fn unreadable(&self, partition: Partition, range: &Range<Offset>, now: WallMs) -> Rejected {
        let last = range.end.0.saturating_sub(1);
        let message = format!("the batch at offsets {} to {last} is unreadable", range.start);
        let record = Record { offset: range.start, ..Record::default() };
        let reason = Reason::UnreadableBatch;
        let letter = self.letter(partition, &record, None, None, reason, &message);
        (reason, letter.into_message(now))
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

impl Routing<'_> {
    /// Reads on until enough was rejected for one batch of dead letters, or to the end: whatever a
    /// record holds, no more than that waits in memory. Nothing rejected: all is read.
    pub fn read_on(&mut self) -> Vec<Rejected> {
        let mut group = Vec::new();
        let mut bytes = 0;
        while group.len() < dead_letters::BATCH && bytes < dead_letters::BATCH_BYTES {
            match self.step() {
                Some(Some(rejected)) => {
                    bytes += dead_letters::size(&rejected.1);
                    group.push(rejected);
                }
                Some(None) => {}
                None => break,
            }
        }
        group
    }

    /// What came of it; all must have been read.
    #[must_use]
    pub fn finish(self) -> Routed {
        debug_assert!(self.open.is_none() && self.records.len() == 0);
        self.routed
    }

    /// Reads one element, or begins the next record; answers what was rejected. `None` at the end.
    fn step(&mut self) -> Option<Option<Rejected>> {
        let Some(open) = &mut self.open else { return self.open_next() };
        let Some(element) = open.elements.read_next() else {
            self.open = None;
            return Some(None);
        };
        self.routed.elements += 1;
        match element {
            Element::Trade { index, bytes, trade } => {
                let worker = usize::from(trade.hash.shard().0 % self.router.workers.max(1));
                if let Some(batch) = self.routed.batches.get_mut(worker) {
                    batch.push(open.at, index, range_in(open.value, bytes), &trade);
                }
                Some(None)
            }
            Element::Rejected { index, bytes, reason, message } => {
                let element = slice(open.value, range_in(open.value, bytes));
                let Self { router, partition, now, .. } = *self;
                let letter =
                    router.letter(partition, open.record, index, element, reason, &message);
                let swallowed = index.is_some() && Bug::ArrayRejectsSwallowed.on();
                Some((!swallowed).then(|| (reason, letter.into_message(now))))
            }
        }
    }

    fn open_next(&mut self) -> Option<Option<Rejected>> {
        let (at, record) = self.records.next()?;
        let Some(value) = &record.value else { return Some(None) };
        let Self { router, partition, now, .. } = *self;
        if value.len() > MAX_VALUE_BYTES {
            self.routed.elements += 1;
            let reason = Reason::TooLarge;
            let message = format!("{} bytes: at most {MAX_VALUE_BYTES} are read", value.len());
            let whole = Some(value.clone());
            let letter = router.letter(partition, record, None, whole, reason, &message);
            return Some(Some((reason, letter.into_message(now))));
        }
        let written = record.timestamp.map_or(now, |timestamp| timestamp.min(now));
        let latest = written.plus(router.max_future_skew).event_time();
        self.open = Some(Open { at, record, value, elements: Elements::of(value, Some(latest)) });
        Some(None)
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

    /// The timestamp of a trade's record, by the trade's place in the batch.
    #[must_use]
    pub fn written_at(&self, trade: usize) -> Option<WallMs> {
        self.records.get(self.trades.get(trade)?.record)?.timestamp
    }

    /// Where its trades count: their tokens' hashes and their seconds, in log order.
    pub fn places(&self) -> impl Iterator<Item = (TokenHash, Second)> {
        self.trades.iter().map(|routed| (routed.hash, routed.at.second))
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
