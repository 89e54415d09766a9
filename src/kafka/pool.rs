//! Connections to the partitions of one topic, each for one kind of request: a broker answers a
//! connection in order, so anything behind a long-poll fetch would wait for it. A connection is
//! taken out while it is used and put back after an answer; a call that failed, was cancelled or
//! took too long leaves it dropped, and the next call opens a new one.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::PartitionClient;
use tokio::time::timeout;

use super::connect::{Cluster, KafkaError};
use crate::domain::position::Partition;

/// Things by partition, taken out for use.
pub(super) struct Slots<T>(Mutex<BTreeMap<Partition, T>>);

/// The connections to one topic's partitions for one kind of request.
pub(super) struct Pool {
    cluster: Arc<Cluster>,
    topic: String,
    idle: Slots<Arc<PartitionClient>>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(super) fn take(&self, partition: Partition) -> Option<T> {
        self.lock().remove(&partition)
    }

    pub(super) fn put(&self, partition: Partition, thing: T) {
        self.lock().insert(partition, thing);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    pub(super) const fn new(cluster: Arc<Cluster>, topic: String) -> Self {
        Self { cluster, topic, idle: Slots::new() }
    }

    /// Runs one request; it has `limit` from when the connection stands.
    pub(super) async fn call<T, F, A>(
        &self,
        partition: Partition,
        limit: Duration,
        request: F,
    ) -> Result<T, KafkaError>
    where
        F: FnOnce(Arc<PartitionClient>) -> A + Send,
        A: Future<Output = Result<T, Error>> + Send,
    {
        let client = match self.idle.take(partition) {
            Some(client) => client,
            None => Arc::new(self.cluster.open(&self.topic, partition.0).await?),
        };
        let answer = match timeout(limit, request(Arc::clone(&client))).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(KafkaError::from(error)),
            Err(_) => Err(KafkaError::Down(format!("no answer within {limit:?}"))),
        };
        if answer.as_ref().err().is_none_or(connection_is_sound) {
            self.idle.put(partition, client);
        }
        answer
    }
}

/// Whether an error says that the connection works and leads to the right broker.
fn connection_is_sound(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::Undecodable(_) | KafkaError::Broker(ProtocolError::OffsetOutOfRange)
    )
}

impl<T> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slots").field(&self.lock().len()).finish()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.topic).finish()
    }
}
