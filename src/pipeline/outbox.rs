//! What waits to be published: at most one message per token, since a newer snapshot replaces one
//! that was not sent yet. So memory stays bounded while the brokers are away, and the newest state
//! goes out when they are back. Pure: time is an argument.
//!
//! It also knows the last tick whose messages are all acknowledged (or replaced by newer ones that
//! are), which the checkpoint keeps.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::time::{Second, WallMs};
use crate::ports::Message;
use crate::sabotage::Bug;

/// A token's message of one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Token address.
    pub token: Arc<str>,
    /// The tick's second.
    pub tick: Second,
    /// What to send.
    pub message: Message,
}

/// What a lane's publisher does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send these.
    Send(Vec<Outgoing>),
    /// A batch is filling: look again at this time, or when something comes.
    Wait(WallMs),
    /// Nothing is here.
    Idle,
}

/// How messages are batched.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Messages a batch at most.
    pub size: usize,
    /// How long the first message of a batch waits for others at most.
    pub timeout: Duration,
}

/// The messages of all output partitions, a lane each.
#[derive(Debug)]
pub struct Outbox {
    lanes: Vec<Lane>,
    batching: Batching,
    workers: usize,
    ticks: BTreeMap<Second, Tick>,
    published: Second,
}

#[derive(Debug, Default)]
struct Lane {
    order: VecDeque<Arc<str>>,
    waiting_by_token: HashMap<Arc<str>, Outgoing>,
    since: WallMs,
    /// How many of the next batches hold a single message.
    alone: usize,
}

#[derive(Debug, Default)]
struct Tick {
    outstanding: usize,
    workers_done: usize,
}

impl Outbox {
    /// An empty outbox of `lanes` output partitions, filled by `workers`; `published` is the last
    /// tick that was acknowledged before.
    #[must_use]
    pub fn new(lanes: u32, workers: usize, batching: Batching, published: Second) -> Self {
        let lanes = (0..lanes).map(|_| Lane::default()).collect();
        Self { lanes, batching, workers, ticks: BTreeMap::new(), published }
    }

    /// How many output partitions.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        u32::try_from(self.lanes.len()).unwrap_or(u32::MAX)
    }

    /// Adds a message, in place of an unsent one of the same token.
    pub fn push(&mut self, lane: u32, outgoing: Outgoing, now: WallMs) {
        self.ticks.entry(outgoing.tick).or_default().outstanding += 1;
        let replaced = self.lane(lane).and_then(|lane| {
            if lane.order.is_empty() {
                lane.since = now;
            }
            let token = Arc::clone(&outgoing.token);
            let replaced = lane.waiting_by_token.insert(Arc::clone(&token), outgoing);
            if replaced.is_none() {
                lane.order.push_back(token);
            }
            replaced
        });
        if let Some(replaced) = replaced {
            self.settle(replaced.tick, 1);
        }
    }

    /// One worker has pushed all that it has for this tick.
    pub fn end_tick(&mut self, tick: Second) {
        self.ticks.entry(tick).or_default().workers_done += 1;
        self.settle(tick, 0);
    }

    /// What the publisher of a lane does now.
    pub fn next(&mut self, lane: u32, now: WallMs) -> Next {
        let filling = self.ticks.values().any(|tick| tick.workers_done < self.workers);
        let Batching { size, timeout } = self.batching;
        let Some(lane) = self.lane(lane) else {
            return Next::Idle;
        };
        lane.since = lane.since.min(now); // a clock set back delays nothing
        let due = lane.since.plus(timeout);
        let size = if lane.alone > 0 { 1 } else { size };
        match lane.order.len() {
            0 => Next::Idle,
            waiting if waiting < size && filling && now < due => Next::Wait(due),
            waiting => {
                let tokens = lane.order.drain(..waiting.min(size));
                let batch = tokens.filter_map(|token| lane.waiting_by_token.remove(&token));
                let batch = batch.collect();
                lane.since = now;
                lane.alone = lane.alone.saturating_sub(1);
                Next::Send(batch)
            }
        }
    }

    /// The brokers have these.
    pub fn acknowledge(&mut self, batch: &[Outgoing]) {
        for outgoing in batch {
            self.settle(outgoing.tick, 1);
        }
    }

    /// These were not acknowledged: they go first again, but for those that a newer message of
    /// their token has replaced meanwhile.
    pub fn put_back(&mut self, lane: u32, batch: Vec<Outgoing>) {
        for outgoing in batch.into_iter().rev() {
            let tick = outgoing.tick;
            let Some(lane) = self.lane(lane) else { return };
            if lane.waiting_by_token.contains_key(&outgoing.token) && !Bug::OldMessageWins.on() {
                self.settle(tick, 1);
            } else {
                lane.order.push_front(Arc::clone(&outgoing.token));
                lane.waiting_by_token.insert(Arc::clone(&outgoing.token), outgoing);
            }
        }
    }

    /// These were refused for the size of their batch: they go first again, each in a batch of its
    /// own.
    pub fn put_back_alone(&mut self, lane: u32, batch: Vec<Outgoing>) {
        let count = batch.len();
        self.put_back(lane, batch);
        if let Some(lane) = self.lane(lane) {
            lane.alone = count;
        }
    }

    /// The last tick whose messages are all acknowledged.
    #[must_use]
    pub fn published(&self) -> Second {
        match self.ticks.last_key_value() {
            Some((tick, _)) if Bug::PublishedBeforeAcknowledged.on() => *tick,
            _ => self.published,
        }
    }

    /// Messages that wait, without those in flight.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.order.len()).sum()
    }

    fn lane(&mut self, lane: u32) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::try_from(lane).ok()?)
    }

    /// `count` messages of a tick need no more; ticks that are done in order are published.
    fn settle(&mut self, tick: Second, count: usize) {
        if let Some(tick) = self.ticks.get_mut(&tick) {
            tick.outstanding -= count;
        }
        // A worker that was late skips a tick: a later one that all have done ends it too.
        let last_whole =
            self.ticks.iter().rev().find(|(_, tick)| tick.workers_done >= self.workers);
        let Some(last_whole) = last_whole.map(|(second, _)| *second) else {
            return;
        };
        while let Some(first) = self.ticks.first_entry()
            && first.get().outstanding == 0
            && *first.key() <= last_whole
        {
            self.published = self.published.max(*first.key());
            first.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(token: &str, tick: i64) -> Outgoing {
        let message = Message {
            key: None,
            value: None,
            headers: Vec::new(),
            timestamp: WallMs(tick * 1_000),
        };
        Outgoing { token: token.into(), tick: Second(tick), message }
    }

    fn outbox() -> Outbox {
        let batching = Batching { size: 2, timeout: Duration::from_millis(100) };
        Outbox::new(1, 1, batching, Second(0))
    }

    fn tokens(next: Next) -> Vec<(String, i64)> {
        let Next::Send(batch) = next else { panic!("nothing to send: {next:?}") };
        batch.iter().map(|outgoing| (outgoing.token.to_string(), outgoing.tick.0)).collect()
    }

    #[test]
    fn a_batch_goes_when_full_or_its_time_is_up_or_the_tick_is_whole() {
        let mut outbox = outbox();
        outbox.push(0, outgoing("a", 30), WallMs(30_000));
        assert_eq!(outbox.next(0, WallMs(30_099)), Next::Wait(WallMs(30_100)));
        assert_eq!(tokens(outbox.next(0, WallMs(30_100))), [("a".into(), 30)]);
        outbox.push(0, outgoing("b", 30), WallMs(30_101));
        outbox.push(0, outgoing("c", 30), WallMs(30_101));
        outbox.push(0, outgoing("d", 30), WallMs(30_101));
        assert_eq!(tokens(outbox.next(0, WallMs(30_101))).len(), 2);
        outbox.end_tick(Second(30));
        assert_eq!(tokens(outbox.next(0, WallMs(30_101))), [("d".into(), 30)]);
        assert_eq!(outbox.next(0, WallMs(30_101)), Next::Idle);
    }

    #[test]
    fn the_newest_message_of_a_token_wins_while_the_broker_is_away() {
        let mut outbox = outbox();
        outbox.push(0, outgoing("a", 30), WallMs(0));
        outbox.end_tick(Second(30));
        let Next::Send(failed) = outbox.next(0, WallMs(0)) else { panic!("a batch was due") };
        outbox.push(0, outgoing("a", 60), WallMs(0));
        outbox.put_back(0, failed);
        outbox.end_tick(Second(60));
        assert_eq!(outbox.published(), Second(30), "replaced, so nothing of it is owed");
        let Next::Send(batch) = outbox.next(0, WallMs(0)) else { panic!("a batch was due") };
        assert_eq!(batch, [outgoing("a", 60)]);
        outbox.acknowledge(&batch);
        assert_eq!(outbox.published(), Second(60));
    }

    #[test]
    fn a_tick_is_published_when_all_before_it_is() {
        let mut outbox = outbox();
        outbox.push(0, outgoing("a", 30), WallMs(0));
        outbox.end_tick(Second(30));
        let Next::Send(first) = outbox.next(0, WallMs(0)) else { panic!("a batch was due") };
        outbox.push(0, outgoing("b", 60), WallMs(0));
        outbox.end_tick(Second(60));
        let Next::Send(second) = outbox.next(0, WallMs(0)) else { panic!("a batch was due") };
        outbox.acknowledge(&second);
        assert_eq!(outbox.published(), Second(0));
        outbox.acknowledge(&first);
        assert_eq!(outbox.published(), Second(60));
    }
}
