//! A producer and a view in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::domain::position::Partition;
use crate::ports::{Message, ProduceError, Producer, Target, View, ViewError};

/// A batch that was produced.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Where to.
    pub target: Target,
    /// Which partition.
    pub partition: Partition,
    /// The messages, in order.
    pub messages: Vec<Message>,
}

/// Keeps what is produced until it is taken.
#[derive(Debug)]
pub struct LocalProducer {
    partitions: u32,
    sent: Mutex<Vec<Sent>>,
}

impl LocalProducer {
    /// A producer whose targets have this many partitions.
    #[must_use]
    pub const fn new(partitions: u32) -> Self {
        Self { partitions, sent: Mutex::new(Vec::new()) }
    }

    /// What was produced since the last call, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Producer for LocalProducer {
    fn partition_count(&self, _: Target) -> u32 {
        self.partitions
    }

    async fn produce(
        &self,
        target: Target,
        partition: Partition,
        messages: &[Message],
    ) -> Result<(), ProduceError> {
        let messages = messages.to_vec();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(Sent { target, partition, messages });
        Ok(())
    }
}

/// Each token's last message.
#[derive(Debug, Default)]
pub struct LocalView {
    message_by_token: Mutex<BTreeMap<Bytes, Bytes>>,
}

impl LocalView {
    /// A token's last message.
    #[must_use]
    pub fn get(&self, token: &str) -> Option<Bytes> {
        let messages = self.message_by_token.lock().unwrap_or_else(PoisonError::into_inner);
        messages.get(token.as_bytes()).cloned()
    }
}

impl View for LocalView {
    async fn store(&self, entries: &[(Bytes, Bytes)]) -> Result<(), ViewError> {
        let mut messages = self.message_by_token.lock().unwrap_or_else(PoisonError::into_inner);
        messages.extend(entries.iter().cloned());
        Ok(())
    }
}
