//! What waits to be published: at most one message per token, since a newer snapshot replaces one
//! that was not sent yet. So memory stays bounded while the brokers are away, and the newest state
//! goes out when they are back. Pure: time is an argument.
//!
//! It also knows the last tick whose messages are all acknowledged (or replaced by newer ones that
//! are), which the checkpoint keeps, and how many messages of the last order are not. Messages
//! that were ordered between ticks belong to none: they move no tick on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::newest::Newest;
use super::outgoing::{Batch, Cause, Outgoing};
use crate::domain::time::{Second, WallMs};
use crate::domain::token::TokenHash;
use crate::sabotage::Bug;

/// So many batches for each lane are enough to keep it busy while one is in flight.
const READY_BATCHES: usize = 4;

/// What a lane's publisher does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send these.
    Send(Batch),
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
    order: Order,
}

/// The last order: only one is under way.
#[derive(Debug, Default)]
struct Order {
    number: u64,
    outstanding: usize,
}

#[derive(Debug)]
struct Lane {
    queue: Newest<Outgoing>,
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
        let lane = |_| Lane { queue: Newest::new(), since: WallMs::default(), alone: 0 };
        let lanes = (0..lanes).map(lane).collect();
        let (ticks, order) = (BTreeMap::new(), Order::default());
        Self { lanes, batching, workers, ticks, published, order }
    }

    /// How many output partitions.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        u32::try_from(self.lanes.len()).unwrap_or(u32::MAX)
    }

    /// Adds a message, in place of an unsent one of the same token. An order for that one is
    /// fulfilled by the newer.
    pub fn push(&mut self, lane: u32, mut outgoing: Outgoing, now: WallMs) {
        if let Some(tick) = outgoing.cause.tick {
            self.ticks.entry(tick).or_default().outstanding += 1;
        }
        if outgoing.cause.order == Some(self.order.number) {
            self.order.outstanding += 1;
        }
        let replaced = self.lane(lane).and_then(|lane| {
            if lane.queue.len() == 0 {
                lane.since = now;
            }
            let Some(waiting) = lane.queue.get_mut(&outgoing) else {
                lane.queue.push_back(outgoing);
                return None;
            };
            outgoing.cause.order = outgoing.cause.order.or(waiting.cause.order);
            Some(std::mem::replace(waiting, outgoing).cause)
        });
        if let Some(replaced) = replaced {
            self.settle(replaced);
            self.move_on();
        }
    }

    /// Begins an order: its number, for the messages that it is about to add.
    pub const fn begin_order(&mut self) -> u64 {
        self.order = Order { number: self.order.number + 1, outstanding: 0 };
        self.order.number
    }

    /// Whether the brokers have every message that was added for an order, or a newer one.
    #[must_use]
    pub const fn is_fulfilled(&self, order: u64) -> bool {
        self.order.number == order && self.order.outstanding == 0
    }

    /// One worker has pushed all that it has for this tick.
    pub fn end_tick(&mut self, tick: Second) {
        self.ticks.entry(tick).or_default().workers_done += 1;
        self.move_on();
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
        match lane.queue.len() {
            0 => Next::Idle,
            waiting if waiting < size && filling && now < due => Next::Wait(due),
            _ => {
                let mut room = size;
                let batch = Batch::new(std::iter::from_fn(|| {
                    // The first one goes, whatever follows it.
                    let fits = |one: &Outgoing| room == size || one.count() <= room;
                    let one = lane.queue.pop_front_if(fits)?;
                    room = room.saturating_sub(one.count());
                    Some(one)
                }));
                lane.since = now;
                lane.alone = lane.alone.saturating_sub(1);
                Next::Send(batch)
            }
        }
    }

    /// The brokers have these.
    pub fn acknowledge(&mut self, batch: &Batch) {
        for cause in batch.causes() {
            if cause.order == Some(self.order.number) {
                self.order.outstanding = self.order.outstanding.saturating_sub(1);
            }
        }
        self.discard(batch);
    }

    /// Nobody will have these: their tick does not wait for them. Their order does, in vain.
    pub fn discard(&mut self, batch: &Batch) {
        batch.causes().for_each(|cause| self.settle(cause));
        self.move_on();
    }

    /// These were not acknowledged: they go first again, but for those that a newer message of
    /// their token has replaced meanwhile.
    pub fn put_back(&mut self, lane: u32, batch: &Batch) {
        for outgoing in batch.outgoing().rev() {
            let cause = outgoing.cause;
            let Some(lane) = self.lane(lane) else { return };
            match lane.queue.get_mut(&outgoing) {
                None => lane.queue.push_front(outgoing),
                Some(newer) if Bug::OldMessageWins.on() => *newer = outgoing,
                Some(newer) => {
                    newer.cause.order = newer.cause.order.or(cause.order);
                    self.settle(cause);
                }
            }
        }
        self.move_on();
    }

    /// These were refused for the size of their batch: they go first again, each in a batch of its
    /// own.
    pub fn put_back_alone(&mut self, lane: u32, batch: &Batch) {
        self.put_back(lane, batch);
        if let Some(lane) = self.lane(lane) {
            lane.alone = batch.messages.len();
        }
    }

    /// What waits of these tokens shall not go out: its tick does not wait for it.
    pub fn forget(&mut self, gone: impl Fn(TokenHash) -> bool) {
        for at in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(at) else { return };
            let waiting = std::iter::from_fn(|| lane.queue.pop_front());
            let (dropped, kept): (Vec<_>, Vec<_>) = waiting.partition(|one| gone(one.hash));
            kept.into_iter().for_each(|one| lane.queue.push_back(one));
            dropped.into_iter().for_each(|one| self.settle(one.cause));
        }
        self.move_on();
    }

    /// The last tick whose messages are all acknowledged.
    #[must_use]
    pub fn published(&self) -> Second {
        match self.ticks.last_key_value() {
            Some((tick, _)) if Bug::PublishedBeforeAcknowledged.on() => *tick,
            _ => self.published,
        }
    }

    /// Whether no more waits than keeps every lane busy. Who makes messages no faster finds their
    /// memory in the cache, again and again.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.waiting() <= self.lanes.len().saturating_mul(self.batching.size) * READY_BATCHES
    }

    /// Messages that wait, without those in flight.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.queue.len()).sum()
    }

    fn lane(&mut self, lane: u32) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::try_from(lane).ok()?)
    }

    /// A message's tick does not wait for it any more.
    fn settle(&mut self, cause: Cause) {
        if let Some(tick) = cause.tick.and_then(|tick| self.ticks.get_mut(&tick)) {
            tick.outstanding -= 1;
        }
    }

    /// Ticks that are done in order are published.
    fn move_on(&mut self) {
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
    use crate::domain::token::TokenHash;
    use crate::ports::Message;

    fn outgoing(token: &str, tick: i64) -> Outgoing {
        let message = Message {
            key: Some(token.to_owned().into()),
            value: None,
            common: None,
            headers: Vec::new(),
            timestamp: WallMs(tick * 1_000),
        };
        let cause = Cause { tick: Some(Second(tick)), order: None };
        Outgoing { hash: TokenHash::of(token), cause, message, view: None, tombstone: false }
    }

    fn ordered(token: &str, number: u64) -> Outgoing {
        let cause = Cause { tick: None, order: Some(number) };
        Outgoing { cause, ..outgoing(token, 45) }
    }

    fn outbox() -> Outbox {
        let batching = Batching { size: 2, timeout: Duration::from_millis(100) };
        Outbox::new(1, 1, batching, Second(0))
    }

    fn tokens(next: Next) -> Vec<(String, i64)> {
        let Next::Send(batch) = next else { panic!("nothing to send: {next:?}") };
        let tick = |cause: Cause| cause.tick.map_or(0, |Second(tick)| tick);
        let token = |message: &Message| String::from_utf8(message.key.clone().unwrap().into());
        let tokens = batch.messages.iter().map(|message| token(message).unwrap());
        tokens.zip(batch.causes().map(tick)).collect()
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
        outbox.put_back(0, &failed);
        outbox.end_tick(Second(60));
        assert_eq!(outbox.published(), Second(30), "replaced, so nothing of it is owed");
        let Next::Send(batch) = outbox.next(0, WallMs(0)) else { panic!("a batch was due") };
        assert_eq!(batch, Batch::new([outgoing("a", 60)].into_iter()));
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

    #[test]
    fn an_order_goes_at_once_and_moves_no_tick_on() {
        let mut outbox = outbox();
        let order = outbox.begin_order();
        outbox.push(0, ordered("a", order), WallMs(45_000));
        assert!(!outbox.is_fulfilled(order));
        let Next::Send(batch) = outbox.next(0, WallMs(45_000)) else { panic!("it was due") };
        outbox.acknowledge(&batch);
        assert!(outbox.is_fulfilled(order));
        assert_eq!(outbox.published(), Second(0));
    }

    #[test]
    fn a_newer_message_fulfils_an_order_when_it_is_acknowledged_not_before() {
        let mut outbox = outbox();
        let order = outbox.begin_order();
        outbox.push(0, ordered("a", order), WallMs(45_000));
        outbox.push(0, ordered("b", order), WallMs(45_000));
        let Next::Send(failed) = outbox.next(0, WallMs(45_000)) else { panic!("it was due") };
        outbox.push(0, outgoing("a", 60), WallMs(60_000));
        outbox.put_back(0, &failed);
        outbox.push(0, outgoing("b", 60), WallMs(60_000));
        outbox.end_tick(Second(60));
        assert!(!outbox.is_fulfilled(order));
        let Next::Send(batch) = outbox.next(0, WallMs(60_000)) else { panic!("it was due") };
        assert_eq!(batch.messages.len(), 2);
        outbox.acknowledge(&batch);
        assert!(outbox.is_fulfilled(order));
        assert_eq!(outbox.published(), Second(60));
    }

    #[test]
    fn an_order_whose_message_nobody_takes_is_never_fulfilled() {
        let mut outbox = outbox();
        let order = outbox.begin_order();
        outbox.push(0, ordered("a", order), WallMs(45_000));
        let Next::Send(batch) = outbox.next(0, WallMs(45_000)) else { panic!("it was due") };
        outbox.discard(&batch);
        assert!(!outbox.is_fulfilled(order));
        let next = outbox.begin_order();
        assert!(outbox.is_fulfilled(next) && !outbox.is_fulfilled(order));
    }
}
