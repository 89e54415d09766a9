//! Dead letters on their way: bounded, in order, sent until the broker acknowledges them. A flush
//! asks for a [`ticket`](DeadLetters::ticket) when it is encoded and waits until all that was sent
//! before is acknowledged, so no checkpoint passes a dead letter that could still be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tracing::{error, warn};

use super::Shared;
use super::backoff::Backoff;
use crate::domain::position::Partition;
use crate::ports::{Message, ProduceError, Producer, Target};
use crate::sabotage::Bug;

/// Groups of dead letters that may wait (a group: those of one fetch, a batch at most): when it is
/// full, reading waits too.
const QUEUE: usize = 64;

/// Dead letters in one produce request.
pub(super) const BATCH: usize = 500;

/// Bytes in one produce request: half of what brokers take by default.
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
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    moved: Notify,
}

/// Room for one group.
#[derive(Debug)]
pub struct Room<'a> {
    place: mpsc::Permit<'a, Vec<Message>>,
    counts: &'a Counts,
}

impl Room<'_> {
    /// Fills it.
    pub fn hand_in(self, letters: Vec<Message>) {
        let count = u64::try_from(letters.len()).unwrap_or(u64::MAX);
        self.counts.sent.fetch_add(count, SeqCst);
        self.place.send(letters);
    }
}

impl DeadLetters {
    /// Both ends of an empty queue.
    #[must_use]
    pub fn new() -> (Self, DeadLetterQueue) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let queue = DeadLetterQueue { queue: receiver, counts: Arc::clone(&counts) };
        (Self { queue: sender, counts }, queue)
    }

    /// Hands in the dead letters of one fetch; waits while the queue is full. They are in the
    /// queue, and count for every later ticket, before their batch goes to a worker.
    pub async fn send(&self, letters: Vec<Message>) {
        if !letters.is_empty() {
            self.room().await.hand_in(letters);
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
        while let Some(letters) = self.queue.recv().await {
            for batch in batches(letters) {
                turn = turn.wrapping_add(1);
                let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                deliver(&*producer, turn, batch, &shared).await;
                shared.metrics.dead_letters.inc_by(count);
                self.counts.acknowledged.fetch_add(count, SeqCst);
                self.counts.moved.notify_waiters();
            }
        }
    }
}

fn batches(letters: Vec<Message>) -> Vec<Vec<Message>> {
    let mut batches: Vec<Vec<Message>> = Vec::new();
    let mut room = 0;
    for letter in letters {
        let size = size(&letter);
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH && size <= room => {
                room -= size;
                batch.push(letter);
            }
            _ => {
                room = BATCH_BYTES.saturating_sub(size);
                batches.push(vec![letter]);
            }
        }
    }
    batches
}

/// A dead letter's bytes in a produce request, but for lengths.
pub(super) fn size(letter: &Message) -> usize {
    let [key, value] = [&letter.key, &letter.value].map(|part| part.as_ref().map_or(0, Bytes::len));
    let headers = letter.headers.iter().map(|(name, value)| name.len() + value.len());
    key + value + headers.sum::<usize>()
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
        let messages: Arc<[Message]> = batch.clone().into();
        match producer.produce(Target::DeadLetters, partition, messages).await {
            Ok(()) => {}
            Err(ProduceError::TooLarge { topic, cause }) => match without_value(batch) {
                Ok(halves) => rest.extend(halves),
                Err(letter) => {
                    metrics.dead_letter_errors.inc();
                    let headers = letter.headers;
                    error!(
                        topic,
                        cause,
                        ?headers,
                        "dead letter given up: its headers are too large"
                    );
                }
            },
            Err(cause @ ProduceError::Unavailable { .. }) => {
                metrics.dead_letter_errors.inc();
                shared.status.progressed(shared.clock.now());
                if backoff.worth_a_line() {
                    warn!(%cause, "dead letters wait, and the checkpoint with them");
                }
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

    #[test]
    fn a_letters_key_and_headers_count_for_the_size_of_its_batch() {
        let part = || Bytes::from(vec![0; BATCH_BYTES / 4]);
        let letter = Message {
            key: Some(part()),
            value: Some(part()),
            headers: vec![("x".repeat(BATCH_BYTES / 4), Bytes::new())],
            timestamp: WallMs(0),
        };
        let lengths = batches(vec![letter; 3]).into_iter().map(|batch| batch.len());
        assert_eq!(lengths.collect::<Vec<_>>(), [1, 1, 1]);
    }
}
