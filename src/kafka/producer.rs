//! Batches to the output topics. One call is one batch on the partition's own connection; it
//! returns when all in-sync replicas have it. Never chooses a partition, never queues: order and
//! retries are the caller's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use rskafka::chrono::DateTime;
use rskafka::client::error::ProtocolError;
use rskafka::client::partition::Compression;
use rskafka::record::Record;

use super::connect::{Cluster, KafkaError};
use super::pool::Pool;
use crate::domain::position::Partition;
use crate::domain::time::WallMs;
use crate::ports::{Message, ProduceError, Producer, Target};

/// When a produce is given up: `rskafka` gives the broker 30 s to replicate; then something is
/// silent.
const PRODUCE_LIMIT: Duration = Duration::from_secs(35);

/// The output topics.
#[derive(Debug)]
pub struct KafkaProducer {
    aggregates: Output,
    dead_letters: Option<Output>,
}

/// One topic to write to.
#[derive(Debug)]
struct Output {
    cluster: Arc<Cluster>,
    topic: String,
    partitions: AtomicU32,
    pool: Pool,
}

impl KafkaProducer {
    /// A producer to topics that exist. Without a dead-letter topic, dead letters go nowhere: a
    /// produce to it succeeds at once.
    ///
    /// # Errors
    /// No broker answered, or a topic does not exist.
    pub async fn new(
        cluster: &Arc<Cluster>,
        aggregates: &str,
        dead_letters: Option<&str>,
    ) -> Result<Self, KafkaError> {
        Ok(Self {
            aggregates: Output::new(cluster, aggregates).await?,
            dead_letters: match dead_letters {
                Some(topic) => Some(Output::new(cluster, topic).await?),
                None => None,
            },
        })
    }

    /// Asks anew how many partitions the topics have. Partitions can be added at any time, and
    /// every client's own lookup goes by the present number: call it now and then.
    ///
    /// # Errors
    /// No broker answered, or a topic does not exist.
    pub async fn refresh(&self) -> Result<(), KafkaError> {
        self.aggregates.refresh().await?;
        match &self.dead_letters {
            Some(output) => output.refresh().await,
            None => Ok(()),
        }
    }

    const fn output(&self, target: Target) -> Option<&Output> {
        match target {
            Target::Aggregates => Some(&self.aggregates),
            Target::DeadLetters => self.dead_letters.as_ref(),
        }
    }
}

impl Producer for KafkaProducer {
    fn partition_count(&self, target: Target) -> u32 {
        self.output(target).map_or(1, |output| output.partitions.load(Relaxed))
    }

    async fn produce(
        &self,
        target: Target,
        partition: Partition,
        messages: Arc<[Message]>,
    ) -> Result<(), ProduceError> {
        match self.output(target) {
            Some(output) => output.produce(partition, &messages).await,
            None => Ok(()),
        }
    }
}

impl Output {
    async fn new(cluster: &Arc<Cluster>, topic: &str) -> Result<Self, KafkaError> {
        let output = Self {
            cluster: Arc::clone(cluster),
            topic: topic.to_owned(),
            partitions: AtomicU32::new(1),
            pool: Pool::new(Arc::clone(cluster), topic.to_owned()),
        };
        output.refresh().await?;
        Ok(output)
    }

    async fn refresh(&self) -> Result<(), KafkaError> {
        match self.cluster.partitions(&self.topic).await?.len() {
            0 => Err(KafkaError::Broker(ProtocolError::UnknownTopicOrPartition)),
            count => {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                self.partitions.store(count, Relaxed);
                Ok(())
            }
        }
    }

    async fn produce(
        &self,
        partition: Partition,
        messages: &[Message],
    ) -> Result<(), ProduceError> {
        let records: Vec<Record> = messages.iter().map(record).collect();
        let produced = self
            .pool
            .call(partition, PRODUCE_LIMIT, |client| async move {
                client.produce(records, Compression::Snappy).await
            })
            .await;
        let Err(error) = produced else {
            return Ok(());
        };
        let mut cause = error.to_string();
        if let Some(further) = self.recount(&error).await {
            cause = format!("{cause}; {further}");
        }
        let topic = self.topic.clone();
        Err(if is_too_large(&error) {
            ProduceError::TooLarge { topic, cause }
        } else {
            ProduceError::Unavailable { topic, partition, cause }
        })
    }

    /// A partition that is not there: the number of partitions is not what it was.
    async fn recount(&self, error: &KafkaError) -> Option<KafkaError> {
        let missing = matches!(error, KafkaError::Broker(ProtocolError::UnknownTopicOrPartition));
        if missing { self.refresh().await.err() } else { None }
    }
}

const fn is_too_large(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::Broker(ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge)
    )
}

fn record(message: &Message) -> Record {
    let WallMs(millis) = message.timestamp;
    Record {
        key: message.key.as_ref().map(|key| key.to_vec()),
        value: message.value.as_ref().map(|value| value.to_vec()),
        headers: message
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.to_vec()))
            .collect(),
        timestamp: DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH),
    }
}
