//! A topic of the broker, written and read by `rskafka` from outside of the service. Reading goes
//! on where it ended. Rides over a broker that is killed and comes back.

use std::time::Duration;

use aggregator_service::kafka::{Cluster, KafkaConfig};
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::Client;
use rskafka::client::error::Error;
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::record::Record;
use tokio::runtime::Runtime;

use crate::kafka::KafkaBroker;
use crate::kafka::topic::ensure;

/// Partitions of a topic where nothing else is said: the service's own choice.
pub const PARTITIONS: i32 = 3;

/// One topic.
pub struct Topic {
    pub name: String,
    runtime: Runtime,
    partitions: Vec<PartitionClient>,
}

/// How far a topic was read, partition by partition.
#[derive(Debug, Default)]
pub struct Cursor(pub Vec<i64>);

/// A record as it stands in the log.
#[derive(Clone, Debug)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub record: Record,
}

impl Topic {
    /// The topic, created where it is missing.
    pub fn open(broker: &KafkaBroker, name: &str) -> Self {
        Self::reach(&broker.config(), name)
    }

    /// As [`open`](Self::open), of any cluster. Its partitions are counted once, here.
    pub fn reach(config: &KafkaConfig, name: &str) -> Self {
        Self::wide(config, name, PARTITIONS)
    }

    /// As [`reach`](Self::reach), with another number of partitions where it is created.
    pub fn wide(config: &KafkaConfig, name: &str, partitions: i32) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let partitions = runtime.block_on(async {
            let cluster = Cluster::connect(config.clone(), PATIENCE).await.unwrap();
            ensure(&cluster, name, partitions).await;
            let client = cluster.client().await.unwrap();
            let opening = async {
                loop {
                    // A broker may hear of a new topic later than another one.
                    match open_all(&client, name).await {
                        Ok(partitions) if !partitions.is_empty() => return partitions,
                        _ => tokio::time::sleep(PAUSE).await,
                    }
                }
            };
            tokio::time::timeout(PATIENCE, opening).await.expect("partitions")
        });
        Self { name: name.to_owned(), runtime, partitions }
    }

    /// Produces one batch until it is acknowledged: twice, if an acknowledgement is lost.
    pub fn produce(&self, partition: usize, batch: Vec<Record>, codec: Compression) {
        self.insist(async || self.partitions[partition].produce(batch.clone(), codec).await);
    }

    /// How many partitions it had when it was opened.
    pub fn count(&self) -> usize {
        self.partitions.len()
    }

    /// One past the last offset of each partition.
    pub fn ends(&self) -> Vec<i64> {
        self.offsets(OffsetAt::Latest)
    }

    /// The first offset of each partition.
    pub fn firsts(&self) -> Vec<i64> {
        self.offsets(OffsetAt::Earliest)
    }

    fn offsets(&self, at: OffsetAt) -> Vec<i64> {
        let offset =
            |partition: &PartitionClient| self.insist(async || partition.get_offset(at).await);
        self.partitions.iter().map(offset).collect()
    }

    /// Everything that stands there.
    pub fn all(&self) -> Vec<Stored> {
        self.read(&mut Cursor(self.firsts()))
    }

    /// What came since the cursor was here, in the order of each partition.
    pub fn read(&self, cursor: &mut Cursor) -> Vec<Stored> {
        let mut stored = Vec::new();
        let Cursor(next) = cursor;
        next.resize(self.partitions.len(), 0);
        for ((next, end), client) in next.iter_mut().zip(self.ends()).zip(&self.partitions) {
            while *next < end {
                let from = *next;
                let fetch = async || client.fetch_records(from, 1..MAX_FETCH, MAX_WAIT_MS).await;
                let (records, _) = self.insist(fetch);
                *next = records.last().map_or(end, |last| last.offset + 1);
                stored.extend(records.into_iter().map(|found| Stored {
                    partition: client.partition(),
                    offset: found.offset,
                    timestamp_ms: found.record.timestamp.timestamp_millis(),
                    record: found.record,
                }));
            }
        }
        stored
    }

    fn insist<T>(&self, ask: impl AsyncFn() -> Result<T, Error>) -> T {
        let asking = async {
            loop {
                if let Ok(Ok(answer)) = tokio::time::timeout(ONE_TRY, ask()).await {
                    return answer;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
        answer.unwrap_or_else(|_| panic!("the broker does not serve {}", self.name))
    }
}

async fn open_all(client: &Client, name: &str) -> Result<Vec<PartitionClient>, Error> {
    let listed = client.list_topics().await?;
    let count = listed.iter().find(|topic| topic.name == name).map_or(0, |it| it.partitions.len());
    let mut partitions = Vec::new();
    for at in 0..i32::try_from(count).unwrap() {
        let opened = client.partition_client(name, at, UnknownTopicHandling::Error);
        partitions.push(opened.await?);
    }
    Ok(partitions)
}

/// The wall clock as Kafka has it.
pub fn now() -> DateTime<Utc> {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    DateTime::from_timestamp_millis(i64::try_from(since.as_millis()).unwrap()).unwrap()
}

const MAX_FETCH: i32 = 4_000_000;
/// There is something: nothing is waited for.
const MAX_WAIT_MS: i32 = 100;
/// Far above a request on an idle machine, below a broker's start.
const ONE_TRY: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);
/// Far above a broker's start.
pub const PATIENCE: Duration = Duration::from_secs(120);
