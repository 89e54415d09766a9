//! The input topic as a [`TradeLog`]. `rskafka` fetches; where it cannot decode what came, or
//! came back with nothing although something stands there, the batches are read on a connection
//! of our own. Never decides where to start or what to do about a lost range.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rskafka::chrono::DateTime;
use rskafka::client::error::ProtocolError;
use rskafka::client::partition::OffsetAt;
use rskafka::record::RecordAndOffset;
use tokio::time::timeout;

use super::batch::timestamp_of;
use super::connect::{Cluster, KafkaError};
use super::isolate;
use super::pool::{Pool, Slots};
use super::raw::Connection;
use crate::domain::position::{Offset, Partition};
use crate::domain::time::WallMs;
use crate::ports::{Fetched, LogError, PartitionRange, Record, TradeLog};

/// How long a broker holds a fetch when there is nothing new.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// The same in milliseconds, as the protocol wants it.
const MAX_WAIT_MS: i32 = 500;

/// From one byte, so that a record is answered at once, to 4 MB: decoding that much takes some
/// 10 ms, and less would ask too often when there is a backlog. The end is exclusive.
const FETCH_BYTES: std::ops::Range<i32> = 1..4 * 1024 * 1024 + 1;

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
    /// For fetches only, and for questions about offsets only.
    readers: Pool,
    askers: Pool,
    raw: Slots<Connection>,
}

impl KafkaLog {
    /// The log of `topic`; connections are opened as they are needed.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, topic: impl Into<String>) -> Self {
        let topic = topic.into();
        Self {
            readers: Pool::new(Arc::clone(&cluster), topic.clone()),
            askers: Pool::new(Arc::clone(&cluster), topic.clone()),
            raw: Slots::new(),
            cluster,
            topic,
        }
    }

    async fn offset(&self, partition: Partition, at: OffsetAt) -> Result<Offset, LogError> {
        self.askers
            .call(partition, ASK_LIMIT, |client| async move { client.get_offset(at).await })
            .await
            .map(Offset)
            .map_err(|error| self.unavailable(Some(partition), &error))
    }

    async fn range(&self, partition: Partition) -> Result<PartitionRange, LogError> {
        Ok(PartitionRange {
            partition,
            first: self.offset(partition, OffsetAt::Earliest).await?,
            end: self.offset(partition, OffsetAt::Latest).await?,
        })
    }

    /// Reads the batches at `from` ourselves.
    async fn fetch_raw(&self, partition: Partition, from: Offset) -> Result<Fetched, LogError> {
        let reading = async {
            let mut connection = match self.raw.take(partition) {
                Some(connection) => connection,
                None => {
                    Connection::to_leader(self.cluster.config(), &self.topic, partition.0).await?
                }
            };
            let batches = connection.fetch(&self.topic, partition.0, from).await?;
            self.raw.put(partition, connection);
            isolate::read(batches.bytes, from, batches.end)
                .ok_or_else(|| KafkaError::Undecodable("a part of a batch".to_owned()))
        };
        match timeout(FETCH_LIMIT, reading).await {
            Ok(Ok(fetched)) => Ok(fetched),
            Ok(Err(error)) => Err(self.failed(partition, from, &error).await),
            Err(_) => {
                let error = KafkaError::Down(format!("no answer within {FETCH_LIMIT:?}"));
                Err(self.unavailable(Some(partition), &error))
            }
        }
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
        let answer = self
            .readers
            .call(partition, FETCH_LIMIT, |client| async move {
                client.fetch_records(from.0, FETCH_BYTES, MAX_WAIT_MS).await
            })
            .await;
        match answer {
            Ok((records, end)) if !records.is_empty() || end <= from.0 => {
                Ok(fetched(records, from, Offset(end)))
            }
            // Compacted away, a marker, an open transaction, or a batch that broke off inside:
            // only the batches' own headers tell.
            Ok(_) | Err(KafkaError::Undecodable(_)) => self.fetch_raw(partition, from).await,
            Err(error) => Err(self.failed(partition, from, &error).await),
        }
    }
}

fn fetched(records: Vec<RecordAndOffset>, from: Offset, end: Offset) -> Fetched {
    let records: Vec<Record> = records.into_iter().map(record).collect();
    Fetched {
        next: records.last().map_or(from, |last| last.offset.next()),
        records,
        unreadable: Vec::new(),
        end,
    }
}

fn record(RecordAndOffset { record, offset }: RecordAndOffset) -> Record {
    Record {
        offset: Offset(offset),
        timestamp: timestamp_of(record.timestamp.timestamp_millis()),
        key: record.key.map(Bytes::from),
        value: record.value.map(Bytes::from),
        headers: record
            .headers
            .into_iter()
            .map(|(name, value)| (name, Bytes::from(value)))
            .collect(),
    }
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KafkaLog").field(&self.topic).finish()
    }
}
