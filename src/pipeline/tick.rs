//! A tick under way: the worker's shards are walked in steps, and between two steps the loop takes
//! what has come meanwhile, so that the input never waits for longer than one step. Where enough
//! messages are ready to go, the next step waits, for a while: those that are made are sent while
//! they are in the cache, and their memory serves the next ones.
//!
//! All messages of a tick have the same end, whenever they are made: nothing moves the windows
//! until it is over. A trade that is absorbed between two steps counts as it would have before the
//! tick where its shard is still to come, and as after the tick where it has been walked.

use std::time::Duration;

use tracing::field::Empty;
use tracing::{Span, debug, info_span, warn};

use super::messages::Making;
use super::outgoing::{Cause, Outgoing};
use super::worker::Worker;
use crate::domain::aggregate::Aggregate;
use crate::domain::time::{Second, WallMs};
use crate::metrics::Metrics;
use crate::ports::Checkpoint;
use crate::sabotage::Bug;

/// A step ends with the shard in which it has made so many messages, half a millisecond's: one of
/// 100,000 tokens in 64 shards takes about two.
const STEP_MESSAGES: usize = 500;

/// Shards in a step at most, however few messages they make: some steps in every tick, so that
/// what is true of many tokens is tried with few.
const STEP_SHARDS: usize = 8;

/// Events between two steps at most: about four parts of the worker's time for the input, one for
/// the tick, while both have work.
const EVENTS_A_STEP: usize = 4;

/// A tick's messages are made no faster than they go out, for so long: then whatever is left of
/// it, for the brokers are slow, and newer messages take the place of older ones.
const PACED: Duration = Duration::from_millis(500);

/// Between two looks whether a tick may begin that has to wait.
const LATE_LOOK: Duration = Duration::from_millis(50);

/// Where a tick is.
#[derive(Debug)]
pub struct Tick {
    second: Second,
    /// The place of the next shard.
    shard: usize,
    messages: usize,
    /// Events that come before the next step.
    events: usize,
    began: WallMs,
    /// It does not wait for the outbox any more.
    hurries: bool,
    /// Of one step, with their lanes; used again.
    outgoing: Vec<(u32, Outgoing)>,
    span: Span,
}

impl<C: Checkpoint> Worker<C> {
    /// Begins the tick that is due, the last multiple that is not after `now`, if this process may
    /// publish. If it may not for a moment, the tick waits for it.
    pub(super) fn begin_tick(&mut self, now: WallMs) {
        let interval = self.emission.interval();
        let tick = now.last_multiple(interval);
        let caught_up = self.custody.is_ready() || Bug::PublishedTooEarly.on();
        let membership = self.custody.membership();
        let waiting = self.waiting.filter(|(of, _)| *of == tick);
        // Others may have published it meanwhile, or the windows' end has moved on.
        let over = waiting
            .is_some_and(|(_, since)| since != membership || self.engine.end() > tick.second());
        let (due, permitted) = (caught_up && !over, self.custody.may_publish());
        if due && !permitted {
            self.waiting = Some((tick, membership));
            self.next_tick = now.plus(LATE_LOOK);
            return;
        }
        self.waiting = None;
        let missed = tick.since(self.next_tick).as_millis() / interval.as_millis().max(1);
        let missed = u64::try_from(missed).unwrap_or(u64::MAX);
        self.next_tick = tick.plus(interval);
        if missed > 0 {
            self.counts_ticks(|metrics| metrics.ticks_skipped.inc_by(missed));
            warn!(
                missed,
                action = "look at the CPU time and the clock that this host gets",
                "ticks skipped: the next one carries everything"
            );
        }
        if due && permitted {
            let second = tick.second();
            self.last_tick = second;
            // Here, not with a flush: with the checkpoint away what is owed must not gather.
            self.engine.acknowledge(self.mailbox.published());
            self.engine.advance(second.plus(Bug::TickOffByOne.on().into()));
            let span = info_span!(parent: None, "tick", second = second.0, messages = Empty);
            let (shard, messages, events, outgoing) = (0, 0, 0, Vec::new());
            let (began, hurries) = (now, false);
            self.tick =
                Some(Tick { second, shard, messages, events, began, hurries, outgoing, span });
        }
    }

    /// How long the tick that is under way waits for the outbox to run low, at most.
    pub(super) fn paced_for(&self, now: WallMs) -> Duration {
        let waits =
            |tick: &Tick| (!tick.hurries).then(|| PACED.saturating_sub(now.since(tick.began)));
        self.tick.as_ref().and_then(waits).unwrap_or_default()
    }

    /// Nothing else is to be done before the next step; the outbox is `low`, or was not for as long
    /// as the tick waits.
    pub(super) fn nothing_waits(&mut self, low: bool) {
        if let Some(tick) = &mut self.tick {
            tick.events = 0;
            tick.hurries |= !low;
        }
    }

    /// An event came between two steps.
    pub(super) fn count_event(&mut self) {
        if let Some(tick) = &mut self.tick {
            tick.events = tick.events.saturating_sub(1);
        }
    }

    /// Makes the next step, where it is time.
    pub(super) async fn step_when_due(&mut self, now: WallMs) {
        if self.tick.as_ref().is_some_and(|tick| tick.events == 0)
            && (self.paced_for(now).is_zero() || self.mailbox.is_low())
        {
            self.step().await;
        }
    }

    /// Publishes the next shards; lets others run.
    pub(super) async fn step(&mut self) {
        if let Some(mut tick) = self.tick.take() {
            let span = tick.span.clone();
            span.in_scope(|| self.publish(&mut tick));
            if tick.shard < self.engine.count() {
                tick.events = EVENTS_A_STEP;
                self.tick = Some(tick);
            } else {
                span.in_scope(|| self.end_tick(&tick));
            }
        }
        tokio::task::yield_now().await;
    }

    fn publish(&mut self, tick: &mut Tick) {
        let Tick { second, shard, outgoing, .. } = tick;
        let now = self.shared.clock.now();
        let lanes = self.mailbox.lanes();
        let mut making = self.messages.begin(Cause { tick: Some(*second), order: None }, now);
        let end = self.engine.count().min(*shard + STEP_SHARDS);
        let (whole, mut unchanged) = (self.emission.is_whole(*second), 0);
        while outgoing.len() < STEP_MESSAGES && *shard < end {
            let mut say = |making: &mut Making<'_>, aggregate: &Aggregate<'_>| {
                if !(aggregate.is_closing() && Bug::ClosingForgotten.on()) {
                    outgoing.push((aggregate.hash.partition(lanes), making.make(aggregate)));
                }
            };
            if self.emission.is_always_whole() {
                self.engine.due(*shard, *second, |aggregate| say(&mut making, aggregate));
            } else {
                self.engine.due_marked(*shard, *second, |before, aggregate| {
                    let mark = making.mark(aggregate);
                    if whole || before != Some(mark) {
                        say(&mut making, aggregate);
                    } else {
                        unchanged += 1;
                    }
                    mark
                });
            }
            *shard += 1;
        }
        self.shared.metrics.messages_unchanged.inc_by(unchanged);
        tick.messages += outgoing.len();
        self.mailbox.push(outgoing.drain(..), now);
    }

    fn end_tick(&self, tick: &Tick) {
        let Tick { second, messages, .. } = *tick;
        self.mailbox.end_tick(second);
        Span::current().record("messages", messages);
        debug!(second = second.0, messages, "tick");
        self.counts_ticks(|metrics| metrics.ticks.inc());
    }

    /// All workers have the same ticks: one of them counts.
    fn counts_ticks(&self, count: impl FnOnce(&Metrics)) {
        if self.engine.worker() == 0 {
            count(&self.shared.metrics);
        }
    }
}
