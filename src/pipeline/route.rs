//! From fetched records to what each worker absorbs: decode, validate, route by token. Pure.
//! Nothing is copied and nothing allocated for a trade: a batch says where its tokens stand in the
//! fetch that it shares with the other workers', and its list is used again.
//!
//! One [`Batch`] per worker and fetch. Every worker gets one, trades or not, because it carries the
//! position too. Routing to workers is this one seam.
//!
//! # How far it goes that every member reads everything
//!
//! A trade costs a member the reading, whosever it is, and its owner the rest. Reading is, on a
//! core of the README's, 0.25 µs at most in arrays and 0.43 µs alone: fetch and decode as the bare
//! loop has them (0.20 and 0.37), and 0.05 or 0.06 to find the token and skip the element. An own
//! one takes 0.10 or 0.12 there, and in all 0.75 to 1.0 times what a loop takes that only parses
//! (0.42 and 0.56). With `r` the part of one process' work that is reading, `n` members cost
//! `1 + (n − 1) r` times the CPU of one, and each has `r + (1 − r) / n` of its work. Measured at
//! 51,000 trades/s: two cost 1.22 times as much (`r` = 0.22), three 1.70 (0.35); that is less than
//! 0.25 of 0.42, as our fetch is cheaper than the bare one, and who lives publishes, too. So with
//! `r` = 0.35:
//!
//! | members | CPU of all | work of each | trades/s, one = 1 |
//! |---|---|---|---|
//! | 1 | 1.0 | 1.00 | 1.0 |
//! | 2 | 1.4 | 0.68 | 1.5 |
//! | 4 | 2.1 | 0.51 | 2.0 |
//! | 16 | 6.3 | 0.39 | 2.6 |
//! | any number | | 0.35 | 2.9 |
//!
//! A second and a third help; beyond `(1 − r) / r`, which the third is, a member spends more on
//! reading than on its own trades. What no number passes is a core's reading: 4 million trades/s in
//! arrays, 2.3 alone, times the cores of the smallest member, as partitions spread over them; and
//! the brokers' network, which carries the topic once for each. A second core gives more than a
//! second member, until a host has no more. All of that lies far above what all chains trade
//! together. That sixteen members over 1,024 partitions publish exactly, the simulation shows.
//! What would take over from there is told with the [`Batch`].

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub use super::batch::Batch;
use super::batch::List;
use super::dead_letters;
use crate::domain::cover::Cover;
use crate::domain::position::{Offset, Partition};
use crate::domain::reject::Reason;
use crate::domain::time::{EventTime, WallMs};
use crate::domain::token::{Shards, TokenHash};
use crate::domain::trade::Trade;
use crate::pool::Pool;
use crate::ports::{Message, Record, RecordView, Records};
use crate::sabotage::Bug;
use crate::wire::dead_letter::DeadLetter;
use crate::wire::trade::{Element, Elements};
use crate::wire::trade_scan::Scanner;

/// Values larger than this are rejected unread: twice the largest record that brokers are
/// commonly configured for.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// What is kept of the workers' batches: those of some 200,000 trades.
const KEPT_BYTES: usize = 20 << 20;

/// How records are read.
#[derive(Clone, Debug)]
pub struct Router {
    topic: Arc<str>,
    shards: Shards,
    workers: u16,
    max_future_skew: std::time::Duration,
    extended: bool,
    lists: Arc<Pool<List>>,
}

/// What was fetched of one partition, while it is read.
#[derive(Debug)]
pub struct Routing<'a> {
    router: &'a Router,
    partition: Partition,
    now: WallMs,
    records: &'a Records,
    /// The record that is begun next.
    next: usize,
    open: Option<Open<'a>>,
    scanner: Scanner,
    routed: Routed,
    /// The shards whose trades and dead letters are this process' matter; `None`: all.
    wanted: Option<Cover>,
    /// What of this partition has no valid token is this process' matter.
    answers: bool,
}

/// The record that is being read.
#[derive(Debug)]
struct Open<'a> {
    at: u32,
    record: RecordView<'a>,
    value: &'a [u8],
    elements: Elements<'a>,
    /// All but the value, for dead letters, once there is one.
    head: Option<Record>,
}

/// What came of one fetch.
#[derive(Debug)]
pub struct Routed {
    /// One per worker.
    pub batches: Vec<Batch>,
    /// Elements read: trades of covered shards, and rejected ones; none of those that are followed.
    pub elements: u64,
    /// Shards that are followed, if there are any.
    silent: Option<Cover>,
}

/// A rejected thing with its reason, ready to send.
pub type Rejected = (Reason, Message);

impl Router {
    /// Reads records of `topic`, which dead letters name, for so many workers over which the shards
    /// are spread. A trade may be `max_future_skew` ahead of its record.
    #[must_use]
    pub fn new(
        topic: Arc<str>,
        shards: Shards,
        workers: u16,
        max_future_skew: std::time::Duration,
    ) -> Self {
        let lists = Pool::new(KEPT_BYTES);
        let workers = workers.max(1);
        Self { topic, shards, workers, max_future_skew, extended: false, lists }
    }

    /// Whether trades are read with what the extended figures need.
    #[must_use]
    pub const fn extended(mut self, extended: bool) -> Self {
        self.extended = extended;
        self
    }

    /// The topic that is read.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Nothing is to be routed just now.
    pub fn rest(&self) {
        self.lists.rest();
    }

    /// Begins to decode and route what was fetched for the shards of `cover`; everything between
    /// `offsets` is offered by it. A trade with a valid token is rejected by the owner of the
    /// token's shard, anything else by the owner of the shard that
    /// [answers for](Shards::answering_for) the partition: once, however many instances read.
    /// `now` bounds how far ahead a trade may be where its record has no timestamp, or one ahead
    /// of `now`.
    #[must_use]
    pub fn route<'a>(
        &'a self,
        partition: Partition,
        records: &'a Arc<Records>,
        offsets: Range<Offset>,
        cover: &Cover,
        now: WallMs,
    ) -> Routing<'a> {
        let last = records.last().map_or(Offset(0), |record| record.offset().next());
        let Range { start: from, end: next } = offsets;
        let next = if Bug::MarkerNotPassed.on() { last } else { next };
        let batch = |_| Batch {
            partition,
            from,
            next,
            cover: cover.clone(),
            silent: None,
            records: Arc::clone(records),
            list: self.lists.take(records.end()),
        };
        let batches = (0..self.workers).map(batch).collect();
        Routing {
            router: self,
            partition,
            now,
            records,
            next: 0,
            open: None,
            scanner: Scanner::new().extended(self.extended),
            routed: Routed { batches, elements: 0, silent: None },
            wanted: (!cover.is_all()).then(|| cover.clone()),
            answers: cover.answers_for(partition),
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
        let trade = batch.list.trades.get(trade)?;
        let record = batch.records.get(usize::try_from(trade.record).ok()?)?;
        // A single object is the whole value: it has no place in an array.
        let index = (trade.element != record.place()).then_some(trade.index);
        let element = batch.records.bytes(trade.element).map(Bytes::copy_from_slice);
        let head = record.without_value();
        let letter = self.letter(batch.partition, &head, index, element, reason, message);
        Some(letter.into_message(now))
    }

    /// The place of a token's worker.
    fn worker(&self, hash: TokenHash) -> usize {
        usize::from(self.shards.of(hash).0 % self.workers)
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
    /// Of these shards trades are read, and what is rejected is another member's matter.
    #[must_use]
    pub fn silent_of(mut self, shards: &Cover) -> Self {
        self.answers &= !shards.answers_for(self.partition);
        self.routed.silent = shards.shards().next().map(|_| shards.clone());
        for batch in &mut self.routed.batches {
            batch.silent.clone_from(&self.routed.silent);
        }
        self
    }

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
        debug_assert!(self.open.is_none() && self.next == self.records.len());
        self.routed
    }

    /// Reads one element, or begins the next record; answers what was rejected. `None` at the end.
    fn step(&mut self) -> Option<Option<Rejected>> {
        let Some(open) = &mut self.open else { return self.open_next() };
        let Some(element) = open.elements.read_next(self.wanted.as_ref()) else {
            self.open = None;
            return Some(None);
        };
        let Some(element) = element else { return Some(None) };
        let Self { router, partition, now, .. } = *self;
        match element {
            Element::Trade { index, bytes, trade } => {
                let worker = router.worker(trade.hash);
                self.routed.push(worker, open.at, open.record, open.value, (index, bytes, &trade));
                Some(None)
            }
            Element::Rejected { hash: None, .. } if !self.answers => Some(None),
            Element::Rejected { hash: Some(hash), .. } if self.routed.is_silent(hash) => Some(None),
            Element::Rejected { index, bytes, reason, message, .. } => {
                self.routed.elements += 1;
                let head = open.head.get_or_insert_with(|| open.record.without_value());
                let element = Some(Bytes::copy_from_slice(bytes));
                let letter = router.letter(partition, head, index, element, reason, &message);
                let swallowed = index.is_some() && Bug::ArrayRejectsSwallowed.on();
                Some((!swallowed).then(|| (reason, letter.into_message(now))))
            }
        }
    }

    fn open_next(&mut self) -> Option<Option<Rejected>> {
        let record = self.records.get(self.next)?;
        let at = u32::try_from(self.next).unwrap_or(u32::MAX);
        self.next += 1;
        let Some(value) = record.value() else { return Some(None) };
        let Self { router, partition, now, .. } = *self;
        if value.len() > MAX_VALUE_BYTES && !self.answers {
            return Some(None);
        }
        if value.len() > MAX_VALUE_BYTES {
            self.routed.elements += 1;
            let reason = Reason::TooLarge;
            let message = format!("{} bytes: at most {MAX_VALUE_BYTES} are read", value.len());
            let (head, whole) = (record.without_value(), Some(Bytes::copy_from_slice(value)));
            let letter = router.letter(partition, &head, None, whole, reason, &message);
            return Some(Some((reason, letter.into_message(now))));
        }
        let written = record.timestamp().map_or(now, |timestamp| timestamp.min(now));
        let latest = written.plus(router.max_future_skew).event_time();
        if self.scan(at, record, value, latest) {
            return Some(None);
        }
        let elements = Elements::of(value, Some(latest)).extended(router.extended);
        self.open = Some(Open { at, record, value, elements, head: None });
        Some(None)
    }
}

impl Routing<'_> {
    /// Reads a value that is as usual, all of it at once; false where it is not, or holds anything
    /// to reject: then it is as if it had not been looked at.
    fn scan(&mut self, at: u32, record: RecordView<'_>, value: &[u8], latest: EventTime) -> bool {
        let Self { router, scanner, routed, wanted, .. } = self;
        let before = routed.elements;
        let usual =
            scanner.scan(value, Some(latest), wanted.as_ref(), &mut |index, element, trade| {
                let worker = router.worker(trade.hash);
                routed.push(worker, at, record, value, (index, element, &trade));
            });
        if !usual {
            routed.forget(at);
            routed.elements = before;
        }
        usual
    }
}

impl Routed {
    fn is_silent(&self, hash: TokenHash) -> bool {
        self.silent.as_ref().is_some_and(|silent| silent.has(hash))
    }

    /// Takes back what was read of a record, the last one.
    fn forget(&mut self, record: u32) {
        for batch in &mut self.batches {
            batch.forget(record);
        }
    }

    /// Adds a trade of a record to the batch of its token's worker.
    fn push(
        &mut self,
        worker: usize,
        number: u32,
        record: RecordView<'_>,
        value: &[u8],
        one: (u32, &[u8], &Trade<'_>),
    ) {
        self.elements += u64::from(!self.is_silent(one.2.hash));
        if let Some(batch) = self.batches.get_mut(worker) {
            batch.push(number, record, value, one);
        }
    }
}
