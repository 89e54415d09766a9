//! Dead letters on their way: bounded, in order, sent until the broker acknowledges them. A flush
//! asks for a [`ticket`](DeadLetters::ticket) when it is encoded and waits until all that was sent
//! before is acknowledged, so no checkpoint passes a dead letter that could still be lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::{Notify, mpsc};
use tracing::{error, warn};

use super::Shared;
use super::backoff::Backoff;
use super::produce::produce;
use crate::domain::position::Partition;
use crate::metrics::Metrics;
use crate::ports::{Message, ProduceError, Producer, Target};
use crate::sabotage::Bug;
use crate::status::{Component, WHOLE};

/// Batches of dead letters that may wait, some 32 MB: when it is full, reading waits too.
const QUEUE: usize = 64;

/// Dead letters in one batch, which is one produce request.
pub(super) const BATCH: usize = 500;

/// Bytes in one batch: half of what brokers take by default.
pub(super) const BATCH_BYTES: usize = 512 * 1024;

/// Where dead letters are handed in. Cheap to clone; the writer ends when all clones are gone.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    queue: mpsc::Sender<Vec<Message>>,
    counts: Arc<Counts>,
}

/// The other end: what the writer task runs on.
#[derive(Debug)]
pub struct DeadLetterQueue {
    queue: mpsc::Receiver<Vec<Message>>,
    counts: Arc<Counts>,
}

/// How many were handed in, and how many of the first are acknowledged.
#[derive(Debug)]
struct Counts {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    moved: Notify,
    metrics: Arc<Metrics>,
}

/// Room for one batch.
#[derive(Debug)]
pub struct Room<'a> {
    place: mpsc::Permit<'a, Vec<Message>>,
    counts: &'a Counts,
}

impl Counts {
    fn show(&self) {
        let acknowledged = self.acknowledged.load(SeqCst);
        let waiting = self.sent.load(SeqCst).saturating_sub(acknowledged);
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.metrics.dead_letter_queue_records.set(waiting);
    }
}

impl Room<'_> {
    /// Fills it with as many of the first as are one batch.
    pub fn hand_in(self, letters: &mut VecDeque<Message>) {
        let letters: Vec<_> = letters.drain(..batch_length(letters)).collect();
        let count = u64::try_from(letters.len()).unwrap_or(u64::MAX);
        self.counts.sent.fetch_add(count, SeqCst);
        self.counts.show();
        self.place.send(letters);
    }
}

impl DeadLetters {
    /// Both ends of an empty queue.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> (Self, DeadLetterQueue) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (sent, acknowledged, moved) = Default::default();
        let counts = Arc::new(Counts { sent, acknowledged, moved, metrics });
        counts.show();
        let queue = DeadLetterQueue { queue: receiver, counts: Arc::clone(&counts) };
        (Self { queue: sender, counts }, queue)
    }

    /// Hands in the dead letters of one fetch; waits while the queue is full. They are in the
    /// queue, and count for every later ticket, before their batch goes to a worker.
    pub async fn send(&self, letters: Vec<Message>) {
        let mut letters = VecDeque::from(letters);
        while !letters.is_empty() {
            self.room().await.hand_in(&mut letters);
        }
    }

    /// Waits for room in the queue. Cancel-safe.
    pub async fn room(&self) -> Room<'_> {
        // The writer ends last; where it was aborted at the deadline, there is no room any more,
        // and no flush passes what was not handed in.
        match self.queue.reserve().await {
            Ok(place) => Room { place, counts: &self.counts },
            Err(_) => std::future::pending().await,
        }
    }

    /// How many have been handed in.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        self.counts.sent.load(SeqCst)
    }

    /// Waits until the first `ticket` dead letters are acknowledged.
    pub async fn acknowledged(&self, ticket: u64) {
        loop {
            let moved = self.counts.moved.notified();
            if self.counts.acknowledged.load(SeqCst) >= ticket {
                return;
            }
            moved.await;
        }
    }
}

impl DeadLetterQueue {
    /// Sends what is handed in until all senders are gone.
    pub async fn run<P: Producer>(mut self, producer: Arc<P>, shared: Arc<Shared>) {
        let mut turn = 0_u32;
        while let Some(batch) = self.queue.recv().await {
            turn = turn.wrapping_add(1);
            let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            deliver(&*producer, turn, batch, &shared).await;
            shared.metrics.dead_letters.inc_by(count);
            self.counts.acknowledged.fetch_add(count, SeqCst);
            self.counts.show();
            self.counts.moved.notify_waiters();
        }
    }
}

/// How many of the first letters are one batch: one at least.
fn batch_length(letters: &VecDeque<Message>) -> usize {
    let mut bytes = 0_usize;
    let fits = letters.iter().take(BATCH).take_while(|letter| {
        bytes = bytes.saturating_add(size(letter));
        bytes <= BATCH_BYTES
    });
    fits.count().max(1).min(letters.len())
}

/// A letter's bytes in a produce request, but for lengths.
pub(super) fn size(letter: &Message) -> usize {
    let parts = [&letter.key, &letter.value].into_iter().flatten().map(bytes::Bytes::len);
    let headers = letter.headers.iter().map(|(name, value)| name.len() + value.len());
    parts.chain(headers).sum()
}

/// Sends one batch until the broker has it. One letter that is too large for the topic goes without
/// its value, and says so; its position still leads to the original.
async fn deliver<P: Producer>(producer: &P, turn: u32, batch: Vec<Message>, shared: &Shared) {
    let metrics = &shared.metrics;
    let mut backoff = Backoff::new();
    let mut rest = vec![batch];
    while let Some(batch) = rest.pop() {
        let lane = turn % producer.partition_count(Target::DeadLetters).max(1);
        let partition = Partition(i32::try_from(lane).unwrap_or(0));
        match produce(producer, Target::DeadLetters, partition, &batch).await {
            Ok(()) => shared.status.works(Component::DeadLetters, WHOLE),
            Err(ProduceError::TooLarge { topic, cause }) => match without_value(batch) {
                Ok(halves) => rest.extend(halves),
                Err(letter) => {
                    metrics.dead_letter_errors.inc();
                    let headers = letter.headers;
                    error!(
                        topic,
                        cause,
                        ?headers,
                        action = "raise max.message.bytes of the topic",
                        "dead letter given up: its headers are too large"
                    );
                }
            },
            Err(cause @ ProduceError::Unavailable { .. }) => {
                metrics.dead_letter_errors.inc();
                let now = shared.clock.now();
                shared.status.progressed(now);
                shared.status.fails(Component::DeadLetters, WHOLE, now, cause.to_string());
                warn!(
                    %cause,
                    action = "check the brokers and DLQ_TOPIC",
                    "dead letters wait, and the checkpoint with them"
                );
                if !Bug::DeadLetterDropped.on() {
                    rest.push(batch);
                }
                backoff.wait().await;
            }
        }
    }
}

/// A batch that is too large in smaller steps: halves of it, then a single letter without its
/// value; the letter itself where nothing is left to leave out.
fn without_value(mut batch: Vec<Message>) -> Result<Vec<Vec<Message>>, Message> {
    if batch.len() > 1 {
        let half = batch.split_off(batch.len() / 2);
        return Ok(vec![half, batch]);
    }
    match batch.pop() {
        Some(letter) if letter.value.is_none() => Err(letter),
        Some(mut letter) => {
            let size = letter.value.take().map_or(0, |value| value.len());
            let note = format!("{size} bytes, larger than the dead-letter topic takes");
            letter.headers.push(("aggregator.errors.value_left_out".into(), note.into()));
            Ok(vec![vec![letter]])
        }
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::WallMs;

    fn letters(count: usize, bytes: usize) -> Vec<Message> {
        let value = Some(vec![0; bytes].into());
        let letter =
            Message { key: None, value, common: None, headers: vec![], timestamp: WallMs(0) };
        vec![letter; count]
    }

    /// How many of these are handed in while nobody sends any.
    async fn handed_in(letters: Vec<Message>) -> usize {
        let (dead_letters, _queue) = DeadLetters::new(Arc::new(Metrics::new().unwrap()));
        let sending = tokio::task::unconstrained(dead_letters.send(letters));
        let mut sending = std::pin::pin!(sending);
        assert!(futures::poll!(&mut sending).is_pending(), "the rest waits");
        usize::try_from(dead_letters.ticket()).unwrap()
    }

    #[tokio::test]
    async fn those_that_wait_are_bounded_in_number_and_in_bytes_however_they_come() {
        assert_eq!(handed_in(letters(100_000, 10)).await, QUEUE * BATCH);
        assert_eq!(handed_in(letters(1_000, 200_000)).await, QUEUE * 2);
        assert_eq!(handed_in(letters(100, 1_000_000)).await, QUEUE);
    }
}
