//! The Kafka edge against a real broker and Java's own clients.
#![cfg(test)]

mod support;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::TokenHash;
use aggregator_service::kafka::{Cluster, KafkaError, KafkaLog, KafkaProducer, ensure_topic};
use aggregator_service::ports::{
    Fetched, LogError, Message, ProduceError, Producer, Record, Target, TradeLog,
};
use bytes::Bytes;
use support::kafka::raw_produce::{batch_with_header_key, produce_batch};
use support::kafka::{KafkaBroker, console_consume, console_produce, foreign};

const P0: Partition = Partition(0);

/// Far above what anything here takes: what is not there by then is not coming.
const PATIENCE: Duration = Duration::from_secs(60);

async fn cluster(broker: &KafkaBroker) -> Arc<Cluster> {
    Cluster::connect(broker.config(), PATIENCE)
        .await
        .expect("cluster")
}

/// A new topic of the shared broker, its log, and a producer to it.
async fn topic(name: &str, partitions: i32) -> (&'static KafkaBroker, KafkaLog, KafkaProducer) {
    let broker = tokio::task::spawn_blocking(KafkaBroker::shared)
        .await
        .expect("broker");
    let cluster = cluster(broker).await;
    let client = cluster.client().await.expect("client");
    ensure_topic(&client, name, partitions)
        .await
        .expect("topic");
    let producer = KafkaProducer::new(&cluster, name, None)
        .await
        .expect("producer");
    (broker, KafkaLog::new(cluster, name), producer)
}

fn message(key: Option<&str>, value: impl Into<Bytes>) -> Message {
    Message {
        key: key.map(|key| Bytes::from(key.to_owned())),
        value: Some(value.into()),
        headers: Vec::new(),
        timestamp: WallMs(1_750_000_000_000),
    }
}

async fn produce(producer: &KafkaProducer, messages: Vec<Message>) -> Result<(), ProduceError> {
    producer
        .produce(Target::Aggregates, P0, messages.into())
        .await
}

async fn produce_numbers(producer: &KafkaProducer, numbers: Range<u32>) {
    let messages = numbers
        .map(|number| message(None, number.to_string()))
        .collect();
    produce(producer, messages).await.expect("produce");
}

/// Reads partition 0 from `from` to its end.
async fn drain(log: &KafkaLog, from: i64) -> Fetched {
    let end = log.partitions().await.expect("partitions")[0].end;
    let mut all = Fetched {
        next: Offset(from),
        ..Fetched::default()
    };
    while all.next < end {
        let fetched = log.fetch(P0, all.next).await.expect("fetch");
        assert!(
            fetched.next > all.next,
            "no progress at {} of {end}",
            all.next
        );
        all.records.extend(fetched.records);
        all.unreadable.extend(fetched.unreadable);
        all.next = fetched.next;
        all.end = fetched.end;
    }
    all
}

fn values(records: &[Record]) -> Vec<String> {
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).expect("text");
    records
        .iter()
        .map(|record| record.value.as_ref().map(text).unwrap_or_default())
        .collect()
}

/// Bytes that no codec makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn lines(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{prefix} {number}"))
        .collect()
}

#[tokio::test]
async fn records_of_a_foreign_producer_are_read_in_all_four_codecs() {
    let (broker, log, _) = topic("codecs", 1).await;
    let mut written = Vec::new();
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let some = lines(codec, 50);
        let property = format!("compression.type={codec}");
        console_produce(broker, "codecs", &[&property], &[], &some.join("\n"));
        written.extend(some);
    }
    let read = drain(&log, 0).await;
    assert_eq!(values(&read.records), written);
    assert_eq!((read.next, read.unreadable), (Offset(200), vec![]));
}

#[tokio::test]
async fn header_values_that_are_null_and_keys_that_are_no_text_lose_nothing() {
    let (broker, log, producer) = topic("headers", 1).await;
    let reader = [
        "parse.headers=true",
        "null.marker=NULL",
        "headers.delimiter=|",
    ];
    let text = "a:NULL|one\na:b|two\nNULL|three\n";
    console_produce(broker, "headers", &["compression.type=zstd"], &reader, text);
    produce_batch(
        &broker.address(),
        "headers",
        batch_with_header_key(&[0xff, b'k'], "four"),
    );
    produce_numbers(&producer, 5..6).await;
    let read = drain(&log, 0).await;
    assert_eq!(values(&read.records), ["one", "two", "three", "four", "5"]);
    assert_eq!(read.unreadable, []);
    let header = |at: usize| read.records[at].headers.clone();
    assert_eq!(header(0), [("a".to_owned(), Bytes::new())]);
    assert_eq!(header(1), [("a".to_owned(), Bytes::from_static(b"b"))]);
    assert_eq!(
        header(3),
        [("\u{fffd}k".to_owned(), Bytes::from_static(b"v"))]
    );
}

#[tokio::test]
async fn transaction_markers_are_passed_and_an_open_transaction_is_the_end() {
    let (broker, log, _) = topic("transactions", 1).await;
    foreign(
        broker,
        &[
            "transactions",
            "transactions",
            "3",
            "commit",
            "abort",
            "commit",
            "open",
        ],
    );
    let read = drain(&log, 0).await;
    let expected = ["commit", "abort", "commit"].map(|step| [step; 3]).concat();
    assert_eq!(values(&read.records), expected);
    assert_eq!((read.next, read.unreadable), (Offset(12), vec![]));
    let further = log.fetch(P0, read.next).await.expect("fetch");
    assert_eq!(
        (further.next, further.end, further.records),
        (Offset(12), Offset(12), vec![])
    );
}

#[tokio::test]
async fn offsets_that_were_compacted_away_are_passed() {
    let (broker, _, _) = topic("any", 1).await;
    let settings = [
        "cleanup.policy=compact",
        "segment.ms=60000",
        "max.message.bytes=9000000",
    ];
    let settings = [
        &["topic", "compacted", "1", "min.cleanable.dirty.ratio=0.01"][..],
        &settings,
    ];
    foreign(broker, &settings.concat());
    let (_, log, producer) = topic("compacted", 1).await;
    // More than one fetch takes, so that the offsets lost before it come back as nothing.
    let large: Vec<u8> = noise(5_000_000);
    let later = Message {
        timestamp: WallMs(1_750_000_900_000),
        ..message(Some("z"), "last")
    };
    for batch in [
        vec![
            message(Some("a"), "0"),
            message(Some("b"), "1"),
            message(Some("c"), "2"),
        ],
        vec![message(Some("l"), large)],
        vec![message(Some("b"), "4"), message(Some("c"), "5")],
        vec![later],
    ] {
        produce(&producer, batch).await.expect("produce");
    }
    let cleaned =
        async { while log.fetch(P0, Offset(0)).await.expect("fetch").records.len() > 1 {} };
    tokio::time::timeout(PATIENCE, cleaned)
        .await
        .expect("compacted");
    let read = drain(&log, 1).await;
    let offsets: Vec<i64> = read.records.iter().map(|record| record.offset.0).collect();
    assert_eq!((offsets, read.unreadable), (vec![3, 4, 5, 6], vec![]));
}

#[tokio::test]
async fn an_offset_outside_the_log_is_answered_with_both_ends() {
    let (broker, log, producer) = topic("range", 1).await;
    produce_numbers(&producer, 0..10).await;
    foreign(broker, &["truncate", "range", "5"]);
    for outside in [0, 11] {
        let error = log
            .fetch(P0, Offset(outside))
            .await
            .expect_err("out of range");
        let LogError::OutOfRange {
            asked, first, end, ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((asked.0, first.0, end.0), (outside, 5, 10));
    }
    assert_eq!(
        values(&drain(&log, 5).await.records),
        ["5", "6", "7", "8", "9"]
    );
}

#[tokio::test]
async fn a_new_partition_is_seen_read_and_written() {
    let (broker, log, producer) = topic("grows", 1).await;
    assert_eq!(log.partitions().await.expect("partitions").len(), 1);
    foreign(broker, &["partitions", "grows", "2"]);
    let one: Arc<[Message]> = vec![message(None, "in the new one")].into();
    producer
        .produce(Target::Aggregates, Partition(1), one)
        .await
        .expect("produce");
    producer.refresh().await.expect("refresh");
    assert_eq!(producer.partition_count(Target::Aggregates), 2);
    assert_eq!(log.partitions().await.expect("partitions").len(), 2);
    let fetched = log.fetch(Partition(1), Offset(0)).await.expect("fetch");
    assert_eq!(values(&fetched.records), ["in the new one"]);
}

#[tokio::test]
async fn what_is_produced_is_read_by_us_and_by_a_foreign_consumer() {
    let (broker, log, producer) = topic("out", 1).await;
    let written = Message {
        headers: vec![("version".to_owned(), Bytes::from_static(b"1.0"))],
        ..message(Some("key"), "value".repeat(100))
    };
    let tombstone = Message {
        value: None,
        ..message(Some("gone"), "")
    };
    produce(&producer, vec![written.clone(), tombstone])
        .await
        .expect("produce");
    let read = drain(&log, 0).await.records;
    let expected = Record {
        offset: Offset(0),
        timestamp: Some(written.timestamp),
        key: written.key,
        value: written.value,
        headers: written.headers,
    };
    assert_eq!((&read[0], &read[1].value), (&expected, &None));
    let line = format!(
        "CreateTime:1750000000000\tPartition:0\tversion:1.0\tkey\t{}",
        "value".repeat(100)
    );
    assert_eq!(console_consume(broker, "out", 2)[0], line);
    const SNAPPY: u8 = 2;
    assert_eq!(broker.segment("out", 0)[22] & 0b111, SNAPPY);
}

#[tokio::test]
async fn a_key_goes_to_the_partition_that_the_java_client_chooses() {
    let (broker, _, _) = topic("keyed", 7).await;
    let keys = [
        "a",
        "0x0000000000000000000000000000000000000001",
        "So11111111111111111",
        "é",
    ];
    let chosen = foreign(broker, &[&["keyed", "keyed"][..], &keys].concat());
    let ours = keys.map(|key| TokenHash::of(key).partition(7).to_string());
    assert_eq!(chosen.lines().collect::<Vec<_>>(), ours);
}

#[tokio::test]
async fn a_batch_above_the_brokers_limit_is_too_large_and_the_next_one_goes_through() {
    let (_, log, producer) = topic("limit", 1).await;
    let large: Vec<u8> = noise(2_000_000);
    let error = produce(&producer, vec![message(None, large)])
        .await
        .expect_err("too large");
    assert!(matches!(error, ProduceError::TooLarge { .. }), "{error}");
    produce_numbers(&producer, 0..1).await;
    assert_eq!(values(&drain(&log, 0).await.records), ["0"]);
}

#[tokio::test]
async fn a_time_leads_to_the_first_record_not_before_it_or_to_the_end() {
    let (_, log, producer) = topic("times", 1).await;
    for second in [10, 20, 30] {
        let at = WallMs(1_750_000_000_000 + second * 1_000);
        let one = Message {
            timestamp: at,
            ..message(None, "x")
        };
        produce(&producer, vec![one]).await.expect("produce");
    }
    for (second, offset) in [(0, 0), (10, 0), (11, 1), (30, 2), (31, 3)] {
        let at = WallMs(1_750_000_000_000 + second * 1_000);
        assert_eq!(log.offset_at(P0, at).await.expect("offset"), Offset(offset));
    }
    assert_eq!(
        log.offset_at(P0, WallMs(i64::MIN)).await.expect("offset"),
        Offset(0)
    );
}

#[tokio::test]
async fn a_cancelled_fetch_spoils_no_later_one() {
    let (_, log, producer) = topic("cancelled", 1).await;
    let waiting = log.fetch(P0, Offset(0));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), waiting)
            .await
            .is_err()
    );
    produce_numbers(&producer, 0..3).await;
    assert_eq!(values(&drain(&log, 0).await.records), ["0", "1", "2"]);
}

#[tokio::test]
async fn a_topic_is_created_once_and_one_that_is_refused_is_named() {
    let (broker, ..) = topic("any", 1).await;
    let client = cluster(broker).await.client().await.expect("client");
    let twice = tokio::join!(
        ensure_topic(&client, "made", 3),
        ensure_topic(&client, "made", 3)
    );
    assert!(twice.0.expect("made") | twice.1.expect("made"));
    assert!(!ensure_topic(&client, "made", 5).await.expect("there"));
    let cluster = cluster(broker).await;
    assert_eq!(
        cluster.partitions("made").await.expect("partitions"),
        [0, 1, 2]
    );
    let refused = ensure_topic(&client, "no/such", 1)
        .await
        .expect_err("refused");
    assert!(matches!(&refused, KafkaError::NoTopic { topic, .. } if topic == "no/such"));
}

#[tokio::test]
async fn a_topic_that_was_made_again_is_out_of_range_and_then_read() {
    let (broker, log, producer) = topic("again", 1).await;
    produce_numbers(&producer, 0..9).await;
    assert_eq!(drain(&log, 0).await.records.len(), 9);
    foreign(broker, &["delete", "again"]);
    assert!(log.fetch(P0, Offset(9)).await.is_err());
    let (.., producer) = topic("again", 1).await;
    produce_numbers(&producer, 0..2).await;
    let noticed = async {
        loop {
            match log.fetch(P0, Offset(9)).await {
                Err(LogError::OutOfRange { first, end, .. }) => return (first, end),
                Err(LogError::Unavailable { .. }) => {}
                Ok(fetched) => panic!("{fetched:?}"),
            }
        }
    };
    let range = tokio::time::timeout(PATIENCE, noticed)
        .await
        .expect("noticed");
    assert_eq!(range, (Offset(0), Offset(2)));
    assert_eq!(values(&drain(&log, 0).await.records), ["0", "1"]);
}

/// A broker of one's own, with a topic `t` that holds the numbers 0 to 4.
async fn own_broker() -> (KafkaBroker, KafkaLog, KafkaProducer) {
    let broker = tokio::task::spawn_blocking(KafkaBroker::start)
        .await
        .expect("broker");
    let cluster = cluster(&broker).await;
    let client = cluster.client().await.expect("client");
    ensure_topic(&client, "t", 1).await.expect("topic");
    let producer = KafkaProducer::new(&cluster, "t", None)
        .await
        .expect("producer");
    produce_numbers(&producer, 0..5).await;
    let log = KafkaLog::new(cluster, "t");
    assert_eq!(drain(&log, 0).await.records.len(), 5);
    (broker, log, producer)
}

async fn fetch_until_answered(log: &KafkaLog, from: i64) -> Fetched {
    let answered = async {
        loop {
            if let Ok(fetched) = log.fetch(P0, Offset(from)).await {
                return fetched;
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .expect("answered")
}

#[tokio::test]
async fn a_silent_broker_is_unavailable_and_is_read_again_when_it_speaks() {
    let (broker, log, _) = own_broker().await;
    broker.stop();
    let asked = tokio::time::timeout(PATIENCE, log.fetch(P0, Offset(0)))
        .await
        .expect("bounded");
    assert!(
        matches!(asked, Err(LogError::Unavailable { .. })),
        "{asked:?}"
    );
    let asked = tokio::time::timeout(PATIENCE, log.partitions())
        .await
        .expect("bounded");
    assert!(
        matches!(asked, Err(LogError::Unavailable { .. })),
        "{asked:?}"
    );
    broker.cont();
    assert_eq!(fetch_until_answered(&log, 0).await.records.len(), 5);
}

#[tokio::test]
async fn a_killed_broker_is_unavailable_and_is_used_again_when_it_is_back() {
    let (mut broker, log, producer) = own_broker().await;
    broker.kill9();
    let error = log.fetch(P0, Offset(5)).await.expect_err("unavailable");
    assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
    let error = produce(&producer, vec![message(None, "5")])
        .await
        .expect_err("unavailable");
    assert!(matches!(error, ProduceError::Unavailable { .. }), "{error}");
    let broker = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    });
    let _broker = broker.await.expect("restarted");
    let produced = async { while produce(&producer, vec![message(None, "5")]).await.is_err() {} };
    tokio::time::timeout(PATIENCE, produced)
        .await
        .expect("produced");
    let read = fetch_until_answered(&log, 0).await;
    assert_eq!(values(&read.records), ["0", "1", "2", "3", "4", "5"]);
}
