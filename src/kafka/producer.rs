//! Batches to the output topics. One call is one batch on the partition's own connection; it
//! returns when all in-sync replicas have it. Never chooses a partition, never queues: order and
//! retries are the caller's.
//!
//! The connection is our own: `rskafka` writes a request's length and its body apart on a socket
//! with Nagle's delay, which costs 40 ms for each batch above 8 kB (10,000 messages took 2 s), and
//! it sends a throttled batch again although it was appended.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rskafka::client::error::ProtocolError;
use tokio::time::timeout;

use super::connect::{Cluster, KafkaError};
use super::encoder::Encoder;
use super::leader::until_led;
use super::raw::Connection;
use super::slots::Slots;
use crate::domain::position::Partition;
use crate::ports::{Message, ProduceError, Producer, Target};

/// When a produce is given up: the broker has 30 s to replicate; then something is silent.
const PRODUCE_LIMIT: Duration = Duration::from_secs(35);

/// When opening a connection is given up.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

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
    idle: Slots<Connection>,
    encoders: Encoders,
}

/// Encoders that are not in use: as many as ever encoded at once, which is a thread each.
#[derive(Debug, Default)]
struct Encoders(Mutex<Vec<Encoder>>);

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
    /// every client's own lookup goes by the present number. The service counts at its start.
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
        messages: &[Message],
    ) -> Result<(), ProduceError> {
        match self.output(target) {
            Some(output) => output.produce(partition, messages).await,
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
            idle: Slots::new(),
            encoders: Encoders::default(),
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
        let Err(error) = self.send(partition, messages).await else { return Ok(()) };
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

    async fn send(&self, partition: Partition, messages: &[Message]) -> Result<(), KafkaError> {
        let batch = self.encoders.encode(messages)?;
        until_led(|| self.attempt(partition, batch.clone())).await
    }

    /// A connection goes back after an answer only: where none came, one may still be on its way,
    /// and an error may mean that another broker leads now.
    async fn attempt(&self, partition: Partition, batch: Bytes) -> Result<(), KafkaError> {
        let mut connection = match self.idle.take(partition) {
            Some(connection) => connection,
            None => {
                let opening =
                    Connection::to_leader(self.cluster.config(), &self.topic, partition.0);
                timeout(OPEN_LIMIT, opening).await.map_err(|_| silent(OPEN_LIMIT))??
            }
        };
        let producing = connection.produce(&self.topic, partition.0, batch);
        let answer = timeout(PRODUCE_LIMIT, producing).await;
        let answer = answer.unwrap_or_else(|_| Err(silent(PRODUCE_LIMIT)));
        if answer.as_ref().err().is_none_or(is_too_large) {
            self.idle.put(partition, connection);
        }
        answer
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

fn silent(limit: Duration) -> KafkaError {
    KafkaError::Down(format!("no answer within {limit:?}"))
}

impl Encoders {
    fn encode(&self, messages: &[Message]) -> Result<Bytes, KafkaError> {
        let mut encoder = self.lock().pop().unwrap_or_default();
        let batch = encoder.encode(messages);
        self.lock().push(encoder);
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Encoder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
