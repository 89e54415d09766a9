//! Acknowledged messages on their way to the query view: the newest of each token. The view is
//! derived, so a write that fails is dropped; the next tick brings a newer one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tracing::warn;

use super::Shared;
use super::backoff::Backoff;
use super::outbox::Outgoing;
use crate::ports::View;

/// Entries in one write.
const BATCH: usize = 500;

/// What waits to be written, by token.
#[derive(Debug, Default)]
pub struct ViewQueue {
    waiting: Mutex<BTreeMap<Arc<str>, Bytes>>,
    wake: Notify,
    closed: AtomicBool,
}

impl ViewQueue {
    /// Adds messages that the brokers have acknowledged.
    pub fn put(&self, batch: Vec<Outgoing>) {
        let entries = batch.into_iter().filter_map(|out| Some((out.token, out.message.value?)));
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(entries);
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
                }
                Err(cause) => {
                    shared.metrics.view_errors.inc();
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

    fn take(&self) -> Vec<(String, Bytes)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let next = std::iter::from_fn(|| waiting.pop_first());
        next.take(BATCH).map(|(token, value)| (token.to_string(), value)).collect()
    }
}
