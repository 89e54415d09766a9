//! A topic with one log and one producer of ours, and what tests do with them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::kafka::{Cluster, KafkaLog, KafkaProducer, Wanted, ensure_topics};
use aggregator_service::ports::{Message, ProduceError, Producer, Record, Target, TradeLog};
use bytes::Bytes;

use super::KafkaBroker;

pub const P0: Partition = Partition(0);

/// Far above what anything here takes: what is not there by then is not coming.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn cluster(broker: &KafkaBroker) -> Arc<Cluster> {
    Cluster::connect(broker.config(), PATIENCE).await.expect("cluster")
}

/// A new topic of the shared broker, its log, and a producer to it.
pub async fn topic(name: &str, partitions: i32) -> (&'static KafkaBroker, KafkaLog, KafkaProducer) {
    let broker = tokio::task::spawn_blocking(KafkaBroker::shared).await.expect("broker");
    let cluster = cluster(broker).await;
    ensure(&cluster, name, partitions).await;
    let producer = KafkaProducer::new(&cluster, name, None).await.expect("producer");
    (broker, KafkaLog::new(cluster, name), producer)
}

/// A topic that keeps everything, created where it is missing; whether it was.
pub async fn ensure(cluster: &Cluster, name: &str, partitions: i32) -> bool {
    !ensure_topics(cluster, &[wanted(name, partitions)]).await.expect("topic").is_empty()
}

pub fn wanted(name: &str, partitions: i32) -> Wanted {
    Wanted {
        name: name.to_owned(),
        variable: "KAFKA_TOPIC",
        partitions: Some(partitions),
        replicas: None,
        retention: None,
        keyless: true,
        table: false,
    }
}

pub fn message(key: Option<&str>, value: impl Into<Bytes>) -> Message {
    Message {
        key: key.map(|key| Bytes::from(key.to_owned())),
        value: Some(value.into()),
        common: None,
        headers: Vec::new(),
        timestamp: WallMs(1_750_000_000_000),
    }
}

pub async fn produce(producer: &KafkaProducer, messages: Vec<Message>) -> Result<(), ProduceError> {
    producer.produce(Target::Aggregates, P0, &messages).await
}

pub async fn produce_numbers(producer: &KafkaProducer, numbers: Range<u32>) {
    let messages = numbers.map(|number| message(None, number.to_string())).collect();
    produce(producer, messages).await.expect("produce");
}

/// What was read of a partition.
pub struct Drained {
    pub records: Vec<Record>,
    pub unreadable: Vec<Range<Offset>>,
    pub next: Offset,
}

/// Reads partition 0 from `from` to its end.
pub async fn drain(log: &KafkaLog, from: i64) -> Drained {
    let end = log.partitions().await.expect("partitions")[0].end;
    let mut all = Drained { records: Vec::new(), unreadable: Vec::new(), next: Offset(from) };
    while all.next < end {
        let fetched = log.fetch(P0, all.next).await.expect("fetch");
        assert!(fetched.next > all.next, "no progress at {} of {end}", all.next);
        all.records.extend(fetched.records.to_vec());
        all.unreadable.extend(fetched.unreadable);
        all.next = fetched.next;
    }
    all
}

pub fn values(records: &[Record]) -> Vec<String> {
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).expect("text");
    records.iter().map(|record| record.value.as_ref().map(text).unwrap_or_default()).collect()
}

/// Bytes that no codec makes smaller.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
