//! The input topic as a [`TradeLog`]. Fetches on connections of our own: `rskafka` hides which
//! transactions were aborted, refuses what it cannot decode, and does not tell where to go on.
//! Questions about offsets are its matter. Never decides where to start or what to do about a lost
//! range.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use rskafka::chrono::DateTime;
use rskafka::client::error::ProtocolError;
use rskafka::client::partition::{OffsetAt, PartitionClient};
use tokio::time::timeout;

use super::connect::{Cluster, KafkaError};
use super::fetch::MAX_WAIT;
use super::leader::until_led;
use super::raw::Connection;
use super::slots::Slots;
use crate::domain::position::{Offset, Partition};
use crate::domain::time::WallMs;
use crate::pool::Pool;
use crate::ports::records::Content;
use crate::ports::{Fetched, LogError, PartitionRange, TradeLog};

/// How much one fetch asks for: decoding that much takes a millisecond, during which the next one
/// comes. With less the asking begins to cost, with more the buffers leave the cache before the
/// workers have absorbed what is in them: with 1 MB a trade costs a tenth more, of 12 partitions
/// a fifth.
const FETCH_BYTES: i32 = 256 << 10;

/// What is kept of answers and of what was decompressed of them, for all partitions together:
/// twice the third-level cache, beyond which a buffer that was used before is no faster.
const KEPT_BYTES: usize = 64 << 20;

/// How much it asks for at least. One that took too long asks for a quarter the next time, and one
/// that came for twice as much: over a slow link a backlog of any size is read.
const LEAST_FETCH_BYTES: i32 = 64 << 10;

/// When a fetch is given up: a silent peer would hang it for ever.
const FETCH_LIMIT: Duration = MAX_WAIT.saturating_add(Duration::from_secs(10));

/// When a question for an offset is given up.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// Partitions asked for their offsets at a time: a connection each.
const ASKED_AT_ONCE: usize = 16;

/// One topic, read partition by partition.
pub struct KafkaLog {
    cluster: Arc<Cluster>,
    topic: String,
    /// For questions about offsets.
    askers: Slots<PartitionClient>,
    /// For fetches, and how much the next one asks for.
    readers: Slots<Connection>,
    bytes: Slots<i32>,
    buffers: Arc<Pool<Content>>,
}

impl KafkaLog {
    /// The log of `topic`; connections are opened as they are needed.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, topic: impl Into<String>) -> Self {
        Self {
            askers: Slots::new(),
            readers: Slots::new(),
            bytes: Slots::new(),
            buffers: Pool::new(KEPT_BYTES),
            cluster,
            topic: topic.into(),
        }
    }

    async fn offset(&self, partition: Partition, at: OffsetAt) -> Result<Offset, LogError> {
        let answer = match timeout(ASK_LIMIT, self.ask(partition, at)).await {
            Ok(answer) => answer,
            Err(_) => Err(KafkaError::Down(format!("no answer within {ASK_LIMIT:?}"))),
        };
        answer.map_err(|error| self.unavailable(Some(partition), &error))
    }

    async fn ask(&self, partition: Partition, at: OffsetAt) -> Result<Offset, KafkaError> {
        let client = match self.askers.take(partition) {
            Some(client) => client,
            None => self.cluster.open(&self.topic, partition.0).await?,
        };
        let offset = client.get_offset(at).await?;
        self.askers.put(partition, client);
        Ok(Offset(offset))
    }

    async fn range(&self, partition: Partition) -> Result<PartitionRange, LogError> {
        Ok(PartitionRange {
            partition,
            first: self.offset(partition, OffsetAt::Earliest).await?,
            end: self.offset(partition, OffsetAt::Latest).await?,
        })
    }

    async fn read(
        &self,
        partition: Partition,
        from: Offset,
        bytes: i32,
    ) -> Result<Fetched, KafkaError> {
        let mut connection = match self.readers.take(partition) {
            Some(connection) => connection,
            None => Connection::to_leader(self.cluster.config(), &self.topic, partition.0).await?,
        };
        let batches =
            connection.fetch(&self.topic, partition.0, from, bytes, &self.buffers).await?;
        self.readers.put(partition, connection);
        batches.read(from).ok_or_else(|| KafkaError::Undecodable("a part of a batch".to_owned()))
    }

    /// What a fetch's error means. An offset that is out of range is so on one side: both ends are
    /// asked, and if it lies between them by now, the next fetch will tell.
    async fn failed(&self, partition: Partition, asked: Offset, error: &KafkaError) -> LogError {
        if !matches!(error, KafkaError::Broker(ProtocolError::OffsetOutOfRange)) {
            return self.unavailable(Some(partition), error);
        }
        match self.range(partition).await {
            Ok(range) if range.first <= asked && asked <= range.end => {
                self.unavailable(Some(partition), error)
            }
            Ok(PartitionRange { first, end, .. }) => {
                LogError::OutOfRange { partition, asked, first, end }
            }
            Err(error) => error,
        }
    }

    fn unavailable(&self, partition: Option<Partition>, error: &KafkaError) -> LogError {
        LogError::Unavailable { topic: self.topic.clone(), partition, cause: error.to_string() }
    }
}

impl TradeLog for KafkaLog {
    async fn partitions(&self) -> Result<Vec<PartitionRange>, LogError> {
        let listed = self.cluster.partitions(&self.topic).await;
        let listed = listed.map_err(|error| self.unavailable(None, &error))?;
        if listed.is_empty() {
            let error = KafkaError::Broker(ProtocolError::UnknownTopicOrPartition);
            return Err(self.unavailable(None, &error));
        }
        stream::iter(listed)
            .map(|partition| self.range(Partition(partition)))
            .buffered(ASKED_AT_ONCE)
            .try_collect()
            .await
    }

    async fn offset_at(&self, partition: Partition, at: WallMs) -> Result<Offset, LogError> {
        // Below zero the protocol's numbers mean something else.
        let at = DateTime::from_timestamp_millis(at.0.max(0)).unwrap_or(DateTime::UNIX_EPOCH);
        // Asked first: afterwards it could lie behind a record that came in between.
        let end = self.offset(partition, OffsetAt::Latest).await?;
        match self.offset(partition, OffsetAt::Timestamp(at)).await? {
            Offset(..0) => Ok(end),
            found => Ok(found),
        }
    }

    /// Cancel-safe: a connection is taken out for the fetch and dropped with it.
    async fn fetch(&self, partition: Partition, from: Offset) -> Result<Fetched, LogError> {
        let bytes = self.bytes.take(partition).unwrap_or(FETCH_BYTES);
        match timeout(FETCH_LIMIT, until_led(|| self.read(partition, from, bytes))).await {
            Ok(Ok(fetched)) => {
                self.bytes.put(partition, bytes.saturating_mul(2).min(FETCH_BYTES));
                Ok(fetched)
            }
            Ok(Err(error)) => Err(self.failed(partition, from, &error).await),
            Err(_) => {
                self.bytes.put(partition, (bytes / 4).max(LEAST_FETCH_BYTES));
                let error = KafkaError::Down(format!("no answer within {FETCH_LIMIT:?}"));
                Err(self.unavailable(Some(partition), &error))
            }
        }
    }
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KafkaLog").field(&self.topic).finish()
    }
}
