//! The outbox as the tasks share it, and the publishers that empty it: one per output partition,
//! one batch in flight each, so that the order of a token's messages holds.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::Shared;
use super::backoff::Backoff;
use super::custody::Custody;
use super::outbox::{Next, Outbox};
use super::outgoing::{Batch, Outgoing};
use super::produce::produce;
use super::view_queue::ViewQueue;
use crate::domain::position::Partition;
use crate::domain::time::{Second, WallMs};
use crate::domain::token::TokenHash;
use crate::metrics::Metrics;
use crate::ports::{ProduceError, Producer, Target};
use crate::sabotage::Bug;
use crate::status::Component;

/// The shared outbox.
#[derive(Debug)]
pub struct Mailbox {
    outbox: Mutex<Outbox>,
    metrics: Arc<Metrics>,
    wake: Vec<Notify>,
    closed: AtomicBool,
    acknowledged: Notify,
    low: Notify,
}

impl Mailbox {
    /// Shares an outbox.
    #[must_use]
    pub fn new(outbox: Outbox, metrics: Arc<Metrics>) -> Self {
        let wake = (0..outbox.lanes()).map(|_| Notify::new()).collect();
        Self {
            outbox: Mutex::new(outbox),
            metrics,
            wake,
            closed: AtomicBool::new(false),
            acknowledged: Notify::new(),
            low: Notify::new(),
        }
    }

    /// Adds messages of one worker; each goes to its key's partition.
    pub fn push(&self, messages: impl Iterator<Item = (u32, Outgoing)>, now: WallMs) {
        let mut outbox = self.lock();
        for (lane, outgoing) in messages {
            outbox.push(lane, outgoing, now);
        }
        self.show(&outbox);
        drop(outbox);
        self.wake_all();
    }

    /// One worker has pushed all of a tick.
    pub fn end_tick(&self, tick: Second) {
        self.lock().end_tick(tick);
        self.wake_all();
    }

    /// Begins an order: its number, for the messages that it is about to add.
    pub fn begin_order(&self) -> u64 {
        self.lock().begin_order()
    }

    /// Returns when the brokers have all messages that were added for an order.
    pub async fn fulfilled(&self, order: u64) {
        loop {
            let acknowledged = self.acknowledged.notified();
            if self.lock().is_fulfilled(order) {
                return;
            }
            acknowledged.await;
        }
    }

    /// Nothing more will come: publishers end when they have sent what is here.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        self.wake_all();
    }

    /// The last tick whose messages are all acknowledged.
    #[must_use]
    pub fn published(&self) -> Second {
        self.lock().published()
    }

    /// Output partitions.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.lock().lanes()
    }

    /// Messages that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    /// Whether so little waits that more may be made.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.lock().is_low()
    }

    /// Returns when so little waits.
    pub async fn low(&self) {
        loop {
            let low = self.low.notified();
            if self.is_low() {
                return;
            }
            low.await;
        }
    }

    /// Gives up what waits of tokens that another member publishes.
    pub fn forget(&self, gone: impl Fn(TokenHash) -> bool) {
        let mut outbox = self.lock();
        outbox.forget(gone);
        self.show(&outbox);
    }

    /// Publishes what comes into one lane, while it is permitted, until the mailbox is closed and
    /// the lane is empty.
    pub async fn publish<P: Producer>(
        &self,
        lane: u32,
        producer: Arc<P>,
        view: Arc<ViewQueue>,
        custody: &Custody,
        shared: Arc<Shared>,
    ) {
        let mut backoff = Backoff::new();
        loop {
            if !custody.permitted().await {
                return;
            }
            let now = shared.clock.now();
            match self.next(lane, now) {
                Next::Send(batch) => {
                    self.send(lane, batch, &*producer, &view, &shared, &mut backoff).await;
                }
                Next::Wait(until) => {
                    let wait = tokio::time::sleep(until.since(now));
                    tokio::select! { biased; () = self.woken(lane) => {} () = wait => {} }
                }
                Next::Idle if self.closed.load(SeqCst) => return,
                Next::Idle => {
                    // What could not be sent was given up: nothing is owed any more.
                    if backoff.has_failed() {
                        shared.status.works(Component::Publishing, partition(lane).0);
                    }
                    self.woken(lane).await;
                }
            }
        }
    }

    fn next(&self, lane: u32, now: WallMs) -> Next {
        let mut outbox = self.lock();
        let next = outbox.next(lane, now);
        self.show(&outbox);
        if outbox.is_low() {
            self.low.notify_waiters();
        }
        next
    }

    async fn send<P: Producer>(
        &self,
        lane: u32,
        batch: Batch,
        producer: &P,
        view: &ViewQueue,
        shared: &Shared,
        backoff: &mut Backoff,
    ) {
        let partition = partition(lane);
        let began = shared.clock.now();
        shared.status.asks(Component::Publishing, partition.0, began);
        let sent = produce(producer, Target::Aggregates, partition, &batch.to_send()).await;
        match sent {
            Ok(()) => {
                let now = shared.clock.now();
                self.acknowledge(&batch, shared, now);
                shared.published(&batch, now.since(began), now);
                shared.status.works(Component::Publishing, partition.0);
                if backoff.succeeded() {
                    info!(partition = lane, "publishing again");
                }
                view.put(batch);
            }
            Err(ProduceError::TooLarge { topic, cause }) => {
                shared.metrics.publish_errors.inc();
                shared.status.works(Component::Publishing, partition.0);
                self.split(lane, &batch, &topic, &cause);
            }
            Err(cause @ ProduceError::Unavailable { .. }) => {
                shared.metrics.publish_errors.inc();
                let (now, says) = (shared.clock.now(), cause.to_string());
                shared.status.fails(Component::Publishing, partition.0, now, says);
                warn!(
                    %cause,
                    action = "check the brokers and the network to them",
                    "publishing waits: the newest message of each token is kept"
                );
                if Bug::BatchDropped.on() {
                    self.lock().acknowledge(&batch);
                } else {
                    let mut outbox = self.lock();
                    outbox.put_back(lane, &batch);
                    self.show(&outbox);
                }
                backoff.wait().await;
            }
        }
    }

    fn acknowledge(&self, batch: &Batch, shared: &Shared, now: WallMs) {
        let mut outbox = self.lock();
        let before = outbox.published();
        outbox.acknowledge(batch);
        let Second(tick) = outbox.published();
        if outbox.published() > before {
            let took = now.since(WallMs(tick.saturating_mul(1_000)));
            shared.metrics.publish_tick_seconds.observe(took.as_secs_f64());
        }
        drop(outbox);
        self.acknowledged.notify_waiters();
    }

    /// A batch that brokers refuse for its size goes in single messages; a single one is dropped,
    /// loudly: the next tick makes a new one.
    fn split(&self, lane: u32, batch: &Batch, topic: &str, cause: &str) {
        let mut outbox = self.lock();
        match &batch.messages[..] {
            [single] => {
                let token = String::from_utf8_lossy(single.key.as_deref().unwrap_or_default());
                let token = &*token;
                error!(
                    topic,
                    cause,
                    token,
                    action = "raise max.message.bytes of the topic",
                    "message dropped: too large for its topic"
                );
                outbox.discard(batch);
            }
            _ => outbox.put_back_alone(lane, batch),
        }
        self.show(&outbox);
    }

    async fn woken(&self, lane: u32) {
        match usize::try_from(lane).ok().and_then(|lane| self.wake.get(lane)) {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }

    fn show(&self, outbox: &Outbox) {
        self.metrics.outbox_messages.set(i64::try_from(outbox.waiting()).unwrap_or(i64::MAX));
    }

    fn wake_all(&self) {
        for wake in &self.wake {
            wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The output partition of a lane.
fn partition(lane: u32) -> Partition {
    Partition(i32::try_from(lane).unwrap_or(i32::MAX))
}
