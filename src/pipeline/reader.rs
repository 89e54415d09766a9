//! One task per source partition: fetch, decode and route, hand on. The next fetch is under way
//! while the last one is decoded. A full worker queue stops the reading: back-pressure reaches the
//! broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, debug, info, info_span, warn};

use super::Shared;
use super::backoff::Backoff;
use super::dead_letters::DeadLetters;
use super::orders::Order;
use super::queries::Query;
use super::reading::Reading;
use super::recover::Recovered;
use super::route::{Batch, Rejected, Router};
use crate::domain::cover::Cover;
use crate::domain::position::{Offset, Partition};
use crate::domain::time::WallMs;
use crate::ports::{Fetched, LogError, RecordView, TradeLog};
use crate::sabotage::Bug;
use crate::status::Component;

/// What a worker is told.
#[derive(Debug)]
pub enum Event {
    /// Absorb this; the span is of the fetch that brought it.
    Batch(Batch, Span),
    /// The partition is read on from `next`, where its log begins by now; it ends at `end`.
    Restart {
        /// Which.
        partition: Partition,
        /// Its first offset.
        next: Offset,
        /// Its end.
        end: Offset,
        /// The log was made anew: positions go back to its begin. Otherwise retention has removed
        /// its begin, and what some shards have counted of it counts.
        anew: bool,
    },
    /// Take this shard in: it is open when each partition has been read to where it ended.
    Adopt(Box<Recovered>, Arc<BTreeMap<Partition, Offset>>),
    /// Let shards go.
    Release(Release),
    /// Publish between ticks.
    Order(Order),
    /// Say something about tokens.
    Query(Query),
}

/// Shards that another member shall have.
#[derive(Debug)]
pub struct Release {
    /// Which; those of other workers are not meant.
    pub shards: Cover,
    /// Another owner may have them already: nothing is written or published any more.
    pub lost: bool,
    /// Dropped when they are gone.
    pub done: oneshot::Sender<()>,
}

/// What every reader needs.
#[derive(Debug)]
pub struct Reader<L> {
    /// The log.
    pub log: Arc<L>,
    /// How records become batches.
    pub router: Arc<Router>,
    /// The workers' queues.
    pub workers: Vec<mpsc::Sender<Event>>,
    /// Where rejected trades go; `None`: they are only counted.
    pub dead_letters: Option<DeadLetters>,
    /// Clock, metrics, status.
    pub shared: Arc<Shared>,
    /// How far each partition is read, and for whom.
    pub reading: Arc<Reading>,
    /// Ends the reading.
    pub stop: CancellationToken,
}

impl<L> Clone for Reader<L> {
    fn clone(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            router: Arc::clone(&self.router),
            workers: self.workers.clone(),
            dead_letters: self.dead_letters.clone(),
            shared: Arc::clone(&self.shared),
            reading: Arc::clone(&self.reading),
            stop: self.stop.clone(),
        }
    }
}

impl<L: TradeLog> Reader<L> {
    /// Reads a partition from an offset on, where its reading has begun, until stopped or the
    /// workers are gone.
    pub async fn read(self, partition: Partition, mut from: Offset) {
        self.shared.metrics.open(partition);
        let mut backoff = Backoff::new();
        let mut fetch = self.fetch(partition, from);
        loop {
            let answer = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                answer = &mut fetch => answer,
            };
            let Ok((asked, answer, read)) = answer else { break }; // the runtime is shutting down
            let went_on = match answer {
                Ok(fetched) => {
                    if backoff.succeeded() {
                        self.shared.status.works(Component::Kafka, partition.0);
                        info!(%partition, offset = %from, "reading again");
                    }
                    let anything = fetched.next > from;
                    let begin = std::mem::replace(&mut from, fetched.next);
                    fetch = self.fetch(partition, from);
                    self.shared.status.progressed(self.shared.clock.now());
                    self.shared.status.ends(partition, fetched.end, asked);
                    if !anything {
                        self.router.rest();
                    }
                    !anything || self.go_on(partition, begin, fetched, read).await
                }
                Err(LogError::OutOfRange { first, end, .. }) => {
                    let went_on = self.reset(partition, from, first, end).await;
                    from = first;
                    fetch = self.fetch(partition, from);
                    went_on
                }
                Err(cause @ LogError::Unavailable { .. }) => {
                    self.shared.metrics.fetch_errors.inc();
                    let (now, says) = (self.shared.clock.now(), cause.to_string());
                    self.shared.status.progressed(now);
                    self.shared.status.fails(Component::Kafka, partition.0, now, says);
                    warn!(
                        %cause,
                        action = "check the brokers and the network to them",
                        "reading waits for the brokers"
                    );
                    tokio::select! {
                        biased;
                        () = self.stop.cancelled() => break,
                        () = backoff.wait() => {}
                    }
                    if Bug::RecordSkippedAfterError.on() {
                        from = from.next();
                    }
                    fetch = self.fetch(partition, from);
                    true
                }
            };
            if !went_on {
                break;
            }
        }
        fetch.abort();
    }

    /// What stands at `from`, with the moment at which it was asked for, and a span that lasts
    /// until the last worker has absorbed what came of it.
    fn fetch(
        &self,
        partition: Partition,
        from: Offset,
    ) -> JoinHandle<(WallMs, Result<Fetched, LogError>, Span)> {
        let (log, asked) = (Arc::clone(&self.log), self.shared.clock.now());
        let read = info_span!(
            parent: None,
            "batch",
            topic = self.router.topic(),
            partition = partition.0,
            from = from.0,
            next = Empty,
            records = Empty,
            cause = Empty,
            in_vain = Empty,
        );
        tokio::spawn(async move {
            let fetching = info_span!(parent: &read, "fetch", cause = Empty, in_vain = Empty);
            let answer = log.fetch(partition, from).instrument(fetching.clone()).await;
            match &answer {
                Ok(Fetched { next, .. }) if *next == from => {
                    fetching.record("in_vain", true);
                    read.record("in_vain", true);
                }
                Ok(Fetched { records, next, .. }) => {
                    read.record("records", records.len()).record("next", next.0);
                }
                Err(cause) => {
                    fetching.record("cause", display(cause));
                    read.record("cause", display(cause));
                }
            }
            drop(fetching);
            (asked, answer, read)
        })
    }

    /// Hands on what was fetched; false when the workers are gone.
    async fn go_on(
        &self,
        partition: Partition,
        from: Offset,
        fetched: Fetched,
        read: Span,
    ) -> bool {
        let next = fetched.next;
        let cover = self.reading.hand_on(partition, next);
        let newest = self.hand_on(partition, from, fetched, &cover, read).await;
        if let Some(newest) = newest {
            self.shared.status.reads(partition, next, newest);
        }
        newest.is_some()
    }

    /// Routes what was fetched for these shards: the newest timestamp among the records, or `None`
    /// when the workers are gone. What is rejected goes out before the rest is read: a record of
    /// nothing but bad elements waits for room as many records do.
    pub(super) async fn hand_on(
        &self,
        partition: Partition,
        from: Offset,
        fetched: Fetched,
        cover: &Cover,
        read: Span,
    ) -> Option<Option<WallMs>> {
        let routing = info_span!(parent: &read, "route");
        let (batches, newest) =
            self.route(partition, from, fetched, cover).instrument(routing).await;
        for (worker, batch) in self.workers.iter().zip(batches) {
            self.shared.metrics.worker_queue_batches.inc();
            if worker.send(Event::Batch(batch, read.clone())).await.is_err() {
                return None;
            }
        }
        Some(newest)
    }

    /// A batch for each worker, and the newest timestamp among the records.
    async fn route(
        &self,
        partition: Partition,
        from: Offset,
        fetched: Fetched,
        cover: &Cover,
    ) -> (Vec<Batch>, Option<WallMs>) {
        let metrics = &self.shared.metrics;
        let now = self.shared.clock.now();
        let Fetched { records, unreadable, next, .. } = fetched;
        metrics.unreadable_batches.inc_by(u64::try_from(unreadable.len()).unwrap_or(0));
        let records = Arc::new(records);
        let mut routing = self.router.route(partition, &records, from..next, cover, now);
        loop {
            let rejected = routing.read_on();
            if rejected.is_empty() {
                break;
            }
            self.reject(rejected).await;
        }
        let routed = routing.finish();
        let answers = cover.answers_for(partition) && !Bug::UnreadableNotReported.on();
        let unreadable = unreadable.iter().filter(|_| answers);
        let unreadable = unreadable.map(|range| self.router.unreadable(partition, range, now));
        self.reject(unreadable.collect()).await;
        metrics.records_consumed.inc_by(u64::try_from(records.len()).unwrap_or(u64::MAX));
        metrics.trades_consumed.inc_by(routed.elements);
        debug!(%partition, records = records.len(), elements = routed.elements, "batch read");
        let newest = records.iter().filter_map(RecordView::timestamp).max();
        (routed.batches, newest)
    }

    async fn reject(&self, rejected: Vec<Rejected>) {
        let mut letters = Vec::with_capacity(rejected.len());
        for (reason, letter) in rejected {
            self.shared.metrics.reject(reason);
            letters.push(letter);
        }
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.send(letters).await;
            self.shared.status.progressed(self.shared.clock.now());
        }
    }

    /// The offset asked for is not in the log: go on where it begins, and say what that costs.
    async fn reset(&self, partition: Partition, asked: Offset, first: Offset, end: Offset) -> bool {
        let anew = asked > end;
        self.shared.status.reads(partition, first, None);
        self.shared.status.ends(partition, end, self.shared.clock.now());
        self.reading.hand_on(partition, first);
        if anew {
            self.shared.new_log(partition, asked, first, end);
        } else {
            self.shared.offsets_lost(partition, asked, first);
        }
        if anew && Bug::RemadeLogForgotten.on() {
            return true;
        }
        self.restart(partition, first, end, anew || Bug::LostRangeMovesBack.on()).await
    }

    /// Tells the workers where a partition begins by now; false when they are gone.
    pub(super) async fn restart(
        &self,
        partition: Partition,
        next: Offset,
        end: Offset,
        anew: bool,
    ) -> bool {
        for worker in &self.workers {
            if worker.send(Event::Restart { partition, next, end, anew }).await.is_err() {
                return false;
            }
        }
        true
    }
}
