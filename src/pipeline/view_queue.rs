//! Acknowledged messages on their way to the query view: the newest of each token. The view is
//! derived, so a write that fails is dropped; the next tick brings a newer one.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tracing::warn;

use super::Shared;
use super::backoff::Backoff;
use super::newest::{Newest, OfToken};
use super::outgoing::Batch;
use crate::domain::token::TokenHash;
use crate::metrics::Metrics;
use crate::ports::View;
use crate::status::{Component, WHOLE};

/// Entries in one write.
const BATCH: usize = 500;

/// What waits to be written.
#[derive(Debug)]
pub struct ViewQueue {
    waiting: Mutex<Newest<Entry>>,
    metrics: Arc<Metrics>,
    wake: Notify,
    closed: AtomicBool,
}

/// A token's address and message.
#[derive(Debug)]
struct Entry {
    hash: TokenHash,
    token: Bytes,
    message: Bytes,
}

impl OfToken for Entry {
    fn hash(&self) -> TokenHash {
        self.hash
    }

    fn token(&self) -> &[u8] {
        &self.token
    }
}

impl ViewQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let (wake, closed) = Default::default();
        Self { waiting: Mutex::new(Newest::new()), metrics, wake, closed }
    }

    /// Adds messages that the brokers have acknowledged.
    pub fn put(&self, batch: Batch) {
        let entries = batch.into_view();
        let entries = entries.map(|(hash, token, message)| Entry { hash, token, message });
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            match waiting.get_mut(&entry) {
                Some(older) => *older = entry,
                None => waiting.push_back(entry),
            }
        }
        self.show(&waiting);
        drop(waiting);
        self.wake.notify_one();
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        self.wake.notify_one();
    }

    /// Writes what comes until closed and empty.
    pub async fn run<V: View>(&self, view: Arc<V>, shared: Arc<Shared>) {
        let mut backoff = Backoff::new();
        loop {
            let entries = self.take();
            if entries.is_empty() {
                if self.closed.load(SeqCst) {
                    return;
                }
                self.wake.notified().await;
                continue;
            }
            match view.store(&entries).await {
                Ok(()) => {
                    backoff.succeeded();
                    shared.status.works(Component::View, WHOLE);
                }
                Err(cause) => {
                    shared.metrics.view_errors.inc();
                    let (now, says) = (shared.clock.now(), cause.to_string());
                    shared.status.fails(Component::View, WHOLE, now, says);
                    warn!(
                        %cause,
                        action = "check Redis: memory, permissions, network",
                        "query view not written: the next tick writes it anew"
                    );
                    backoff.wait().await;
                }
            }
        }
    }

    fn take(&self) -> Vec<(Bytes, Bytes)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let next = std::iter::from_fn(|| waiting.pop_front());
        let taken = next.take(BATCH).map(|entry| (entry.token, entry.message)).collect();
        self.show(&waiting);
        taken
    }

    fn show(&self, waiting: &Newest<Entry>) {
        self.metrics.view_queue_messages.set(i64::try_from(waiting.len()).unwrap_or(i64::MAX));
    }
}
