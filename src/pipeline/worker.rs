//! The loop of one worker: wait for one event, apply it to the engine, perform what follows.
//! Events: a batch, an order to publish, a query, the time (tick, flush, fold), the verdicts of a
//! flush, the end of the input.
//!
//! Invariants:
//! - Ticks lie at wall-clock multiples of the interval; one that was missed is skipped.
//! - Nothing is published before every partition has been read to where it ended at the start.
//! - Orders and queries are answered between ticks: what they say ends before the next tick, and
//!   they take nothing from it.
//! - One flush of all changed shards is in flight; it waits for the dead letters before it.
//! - Windows never end earlier than windows did before: after a clock that was set back, ticks wait
//!   for it, or the worker ends and all is rebuilt.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, info, info_span, warn};

use super::Shared;
use super::dead_letters::{DeadLetters, Room};
use super::engine::Engine;
use super::flusher::{Fenced, Flusher, Replies};
use super::mailbox::Mailbox;
use super::messages::Messages;
use super::orders::{Done, Order};
use super::outbox::Cause;
use super::queries::Query;
use super::reader::Event;
use super::route::{Batch, Router};
use super::shared::CLOCK_WAIT;
use crate::domain::aggregate::Aggregate;
use crate::domain::position::{Offset, Partition};
use crate::domain::reject::Reason;
use crate::domain::time::{Second, WallMs};
use crate::metrics::Metrics;
use crate::ports::{Checkpoint, Message, Wanted};
use crate::sabotage::Bug;

/// Seconds are folded into the windows when they are this old: by then most of their trades are
/// there, and a trade into an open second costs least. A tick folds all.
const FOLD_AFTER: Duration = Duration::from_secs(5);

/// How long the loop sleeps at most, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Why a worker ended before its input did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halted {
    /// Another owner has taken a shard over.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The clock was set back by more than ticks wait for: what the windows have dropped counts
    /// again, and only the log has it.
    #[error("the clock was set back")]
    ClockSetBack,
}

/// One worker: its shards, their checkpoints, and what it needs.
#[derive(Debug)]
pub struct Worker<C> {
    /// Its shards.
    pub engine: Engine,
    /// Writes their changes.
    pub flusher: Flusher<C>,
    /// Makes messages of aggregates.
    pub messages: Messages,
    /// Where messages go.
    pub mailbox: Arc<Mailbox>,
    /// Where refused trades go; `None`: they are only counted.
    pub dead_letters: Option<DeadLetters>,
    /// Refused trades that wait for room there. Until then nothing is absorbed or flushed; ticks
    /// go on.
    pub refused: VecDeque<Message>,
    /// Makes dead letters of refused trades.
    pub router: Arc<Router>,
    /// Where each partition ended at the start: until all are reached, nothing is published.
    pub targets: BTreeMap<Partition, Offset>,
    /// Told once when all are reached.
    pub caught_up: Option<oneshot::Sender<()>>,
    /// The latest that the clock has ever shown, before this start too.
    pub latest: WallMs,
    /// Time between ticks.
    pub publish_interval: Duration,
    /// Clock, metrics, status.
    pub shared: Arc<Shared>,
}

/// What the loop waits for.
enum Happened {
    /// It is time to look at the clock.
    Time,
    /// The checkpoint has answered.
    Replies(Replies),
    /// A reader says something.
    Event(Event),
    /// The readers have ended.
    End,
}

/// What comes after the tick that may be due.
enum Asked {
    /// Publish.
    Order(Order),
    /// Say something.
    Query(Query),
}

impl<C: Checkpoint> Worker<C> {
    /// Runs until the input ends, then writes the last flush.
    ///
    /// # Errors
    /// Another owner has taken a shard over, or the clock was set back too far.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>) -> Result<(), Halted> {
        // Not before `latest`: what had expired by then is missing from windows that end before.
        let mut next_tick = self.look().max(self.latest).next_multiple(self.publish_interval);
        let mut asked = None;
        self.check_caught_up();
        loop {
            let now = self.look();
            if self.latest.since(now) > CLOCK_WAIT && !Bug::ClockTrusted.on() {
                return Err(Halted::ClockSetBack);
            }
            if now >= next_tick {
                next_tick = self.tick(next_tick, now).await;
            }
            match asked.take() {
                Some(Asked::Order(order)) => self.fulfil(order, now).await,
                Some(Asked::Query(query)) => self.answer(query, now).await,
                None => {}
            }
            self.fold(now);
            // Not while a refused trade waits for room: the flush would pass its position.
            let mut wake = next_tick;
            if self.refused.is_empty() {
                self.start_flush(now);
                wake = wake.min(self.flusher.due_at());
            }
            match self.wait(&mut events, wake.since(now).min(LONGEST_SLEEP)).await {
                Happened::Time => {}
                Happened::Replies(replies) => self.settle(replies)?,
                Happened::Event(event) => asked = self.apply(event),
                Happened::End => return self.finish().await,
            }
        }
    }

    async fn wait(&mut self, events: &mut mpsc::Receiver<Event>, longest: Duration) -> Happened {
        let Self { flusher, dead_letters, refused, .. } = self;
        tokio::select! {
            biased;
            replies = flusher.replies() => Happened::Replies(replies),
            () = tokio::time::sleep(longest) => Happened::Time,
            room = room(dead_letters.as_ref()), if !refused.is_empty() => {
                room.hand_in(refused);
                Happened::Time
            }
            event = events.recv(), if refused.is_empty() => {
                event.map_or(Happened::End, Happened::Event)
            }
        }
    }

    /// What is asked is handed back: it comes after the tick that may be due.
    fn apply(&mut self, event: Event) -> Option<Asked> {
        match event {
            Event::Batch(batch, read) => {
                self.shared.metrics.worker_queue_batches.dec();
                let span = info_span!(
                    parent: &read,
                    "absorb",
                    counted = Empty,
                    late = Empty,
                    duplicate = Empty,
                    refused = Empty,
                );
                span.in_scope(|| self.absorb(&batch));
            }
            Event::Restart { partition, next, end, anew } => {
                if anew {
                    self.engine.restart(partition, next);
                } else {
                    self.engine.pass(partition, next);
                }
                self.targets.entry(partition).and_modify(|target| *target = end);
            }
            Event::Order(order) => return Some(Asked::Order(order)),
            Event::Query(query) => return Some(Asked::Query(query)),
        }
        self.check_caught_up();
        None
    }

    fn absorb(&mut self, batch: &Batch) {
        let absorbed = self.engine.absorb(batch);
        let now = self.shared.clock.now();
        let span = Span::current();
        span.record("counted", absorbed.counted).record("late", absorbed.late);
        span.record("duplicate", absorbed.duplicate).record("refused", absorbed.refused.len());
        self.shared.absorbed(absorbed, now);
        if self.dead_letters.is_some() {
            for &(trade, reason) in &absorbed.refused {
                let letter = self.router.refused(batch, trade, reason, refusal(reason), now);
                self.refused.extend(letter);
            }
        }
    }

    /// The tick that is due, the last multiple that is not after `now`; when the next one is.
    async fn tick(&mut self, due: WallMs, now: WallMs) -> WallMs {
        let tick = now.last_multiple(self.publish_interval);
        let missed = tick.since(due).as_millis() / self.publish_interval.as_millis().max(1);
        let missed = u64::try_from(missed).unwrap_or(u64::MAX);
        if missed > 0 {
            self.counts_ticks(|metrics| metrics.ticks_skipped.inc_by(missed));
            warn!(
                missed,
                action = "look at the CPU time and the clock that this host gets",
                "ticks skipped: the next one carries everything"
            );
        }
        if self.caught_up.is_none() || Bug::PublishedTooEarly.on() {
            let span = info_span!(parent: None, "tick", second = tick.second().0, messages = Empty);
            self.publish(tick.second()).instrument(span).await;
        }
        tick.plus(self.publish_interval)
    }

    /// All workers have the same ticks: one of them counts.
    fn counts_ticks(&self, count: impl FnOnce(&Metrics)) {
        if self.engine.worker() == 0 {
            count(&self.shared.metrics);
        }
    }

    async fn publish(&mut self, tick: Second) {
        self.engine.advance(tick.plus(Bug::TickOffByOne.on().into()));
        let cause = Cause { tick: Some(tick), order: None };
        let mut messages = 0;
        for at in 0..self.engine.count() {
            let now = self.shared.clock.now();
            let mut outgoing = Vec::new();
            let lanes = self.mailbox.lanes();
            self.engine.due(at, |aggregate| {
                let closing = aggregate.windows.iter().all(|window| window.sums.trades() == 0);
                if closing && Bug::ClosingForgotten.on() {
                    return;
                }
                let lane = aggregate.hash.partition(lanes);
                outgoing.push((lane, self.messages.make(aggregate, cause, now)));
            });
            messages += outgoing.len();
            self.mailbox.push(outgoing, now);
            tokio::task::yield_now().await;
        }
        self.mailbox.end_tick(tick);
        Span::current().record("messages", messages);
        debug!(second = tick.0, messages, "tick");
        self.counts_ticks(|metrics| metrics.ticks.inc());
    }

    /// Publishes what a tick at this moment would, but for closing messages. The next tick's end is
    /// later: it was not due yet.
    async fn fulfil(&mut self, order: Order, now: WallMs) {
        if self.caught_up.is_some() {
            return;
        }
        self.engine.advance(now.second());
        let cause = Cause { tick: None, order: Some(order.number) };
        let (messages, lanes) = (&self.messages, self.mailbox.lanes());
        let make = |aggregate: &Aggregate<'_>| {
            (aggregate.hash.partition(lanes), messages.make(aggregate, cause, now))
        };
        let mut done = Done::default();
        match &*order.wanted {
            Wanted::Tokens(tokens) => {
                let mut outgoing = Vec::new();
                for token in tokens {
                    if self.engine.active_one(token, |aggregate| outgoing.push(make(aggregate))) {
                        done.known.insert(token.clone());
                    }
                }
                done.published = outgoing.len();
                self.mailbox.push(outgoing, now);
            }
            Wanted::All => {
                for at in 0..self.engine.count() {
                    let mut outgoing = Vec::new();
                    self.engine.active(at, |aggregate| outgoing.push(make(aggregate)));
                    done.published += outgoing.len();
                    self.mailbox.push(outgoing, now);
                    tokio::task::yield_now().await;
                }
            }
        }
        // Whoever asked may have given up.
        drop(order.done.send(done));
    }

    /// Says what a tick at this moment would. Before the log is read, nothing.
    async fn answer(&mut self, query: Query, now: WallMs) {
        if self.caught_up.is_none() {
            self.engine.advance(now.second());
            query.answer(&self.engine, &self.messages.names).await;
        }
    }

    /// Folds what has become old enough, so that the tick has little left to do.
    fn fold(&mut self, now: WallMs) {
        if self.caught_up.is_none() {
            self.engine.advance(now.minus(FOLD_AFTER).second());
        }
    }

    /// Reads the clock.
    fn look(&mut self) -> WallMs {
        let now = self.shared.clock.now();
        self.latest = self.latest.max(now);
        now
    }

    fn start_flush(&mut self, now: WallMs) {
        let published = self.mailbox.published();
        self.flusher.start_if_due(&mut self.engine, published, now, self.latest);
    }

    fn settle(&mut self, replies: Replies) -> Result<(), Fenced> {
        self.flusher.settle(replies, self.shared.clock.now())
    }

    fn check_caught_up(&mut self) {
        self.targets.retain(|partition, end| self.engine.next_offset(*partition) < *end);
        if self.targets.is_empty()
            && let Some(caught_up) = self.caught_up.take()
            && caught_up.send(()).is_err()
        {
            info!("caught up while stopping");
        }
    }

    /// The input has ended: everything that changed goes to the checkpoint.
    async fn finish(&mut self) -> Result<(), Halted> {
        self.flusher.hurry();
        loop {
            if Bug::LastFlushSkipped.on() {
                return Ok(());
            }
            let now = self.look();
            self.start_flush(now);
            if self.flusher.is_idle() {
                return Ok(());
            }
            let sleep = tokio::time::sleep(self.flusher.due_at().since(now).min(LONGEST_SLEEP));
            tokio::select! {
                biased;
                replies = self.flusher.replies() => self.settle(replies)?,
                () = sleep => {}
            }
        }
    }
}

/// What a dead letter says of a trade that a shard had to refuse.
#[must_use]
pub fn refusal(reason: Reason) -> &'static str {
    if reason == Reason::OutOfRange {
        "the token's sums in the longest window would leave 128 bits"
    } else {
        "MAX_TOKENS or MAX_PANES is reached"
    }
}

/// Room for refused trades; never where dead letters are off, and so none wait.
async fn room(dead_letters: Option<&DeadLetters>) -> Room<'_> {
    match dead_letters {
        Some(dead_letters) => dead_letters.room().await,
        None => std::future::pending().await,
    }
}
