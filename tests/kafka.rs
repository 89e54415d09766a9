//! The Kafka edge against a real broker and Java's own clients.
#![cfg(test)]

use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::TokenHash;
use aggregator_service::kafka::{KafkaError, ensure_topics};
use aggregator_service::ports::{
    LogError, Message, ProduceError, Producer, Record, Target, TradeLog,
};
use bytes::Bytes;
use support::kafka::raw_produce::{batch_with_header_key, produce_batch};
use support::kafka::topic::{
    P0, PATIENCE, cluster, drain, ensure, message, noise, produce, produce_numbers, topic, values,
    wanted,
};
use support::kafka::{console_consume, console_produce, foreign};

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
    let reader = ["parse.headers=true", "null.marker=NULL", "headers.delimiter=|"];
    let text = "a:NULL|one\na:b|two\nNULL|three\n";
    console_produce(broker, "headers", &["compression.type=zstd"], &reader, text);
    let batch = batch_with_header_key(&[0xff, b'k'], None, "four", 1_750_000_000_000);
    produce_batch(&broker.address(), "headers", batch);
    produce_numbers(&producer, 5..6).await;
    let read = drain(&log, 0).await;
    assert_eq!(values(&read.records), ["one", "two", "three", "four", "5"]);
    assert_eq!(read.unreadable, []);
    let header = |at: usize| read.records[at].headers.clone();
    assert_eq!(header(0), [("a".to_owned(), Bytes::new())]);
    assert_eq!(header(1), [("a".to_owned(), Bytes::from_static(b"b"))]);
    assert_eq!(header(3), [("\u{fffd}k".to_owned(), Bytes::from_static(b"v"))]);
}

#[tokio::test]
async fn aborted_records_and_markers_are_passed_and_an_open_transaction_is_the_end() {
    let (broker, log, _) = topic("transactions", 1).await;
    foreign(broker, &["transactions", "transactions", "3", "commit", "abort", "commit", "open"]);
    let read = drain(&log, 0).await;
    assert_eq!(values(&read.records), ["commit"; 6]);
    assert_eq!((read.next, read.unreadable), (Offset(12), vec![]));
    let further = log.fetch(P0, read.next).await.expect("fetch");
    assert_eq!((further.next, further.end, further.records.len()), (Offset(12), Offset(12), 0));
}

#[tokio::test]
async fn offsets_that_were_compacted_away_are_passed() {
    let (broker, _, _) = topic("any", 1).await;
    let settings = ["cleanup.policy=compact", "segment.ms=60000", "max.message.bytes=9000000"];
    let settings = [&["topic", "compacted", "1", "min.cleanable.dirty.ratio=0.01"][..], &settings];
    foreign(broker, &settings.concat());
    let (_, log, producer) = topic("compacted", 1).await;
    // More than one fetch takes, so that the offsets lost before it come back as nothing.
    let large: Vec<u8> = noise(5_000_000);
    let later = Message { timestamp: WallMs(1_750_000_900_000), ..message(Some("z"), "last") };
    for batch in [
        vec![message(Some("a"), "0"), message(Some("b"), "1"), message(Some("c"), "2")],
        vec![message(Some("l"), large)],
        vec![message(Some("b"), "4"), message(Some("c"), "5")],
        vec![later],
    ] {
        produce(&producer, batch).await.expect("produce");
    }
    let cleaned =
        async { while log.fetch(P0, Offset(0)).await.expect("fetch").records.len() > 1 {} };
    tokio::time::timeout(PATIENCE, cleaned).await.expect("compacted");
    let passed = log.fetch(P0, Offset(1)).await.expect("fetch");
    assert_eq!((passed.records.len(), passed.next), (0, Offset(3)));
    let read = drain(&log, 1).await;
    let offsets: Vec<i64> = read.records.iter().map(|record| record.offset.0).collect();
    assert_eq!((offsets, read.unreadable), (vec![3, 4, 5, 6], vec![]));
}

#[tokio::test]
async fn where_a_time_begins_is_never_behind_a_record_that_comes_while_it_is_asked() {
    let (_, log, producer) = topic("begins", RACES).await;
    for partition in (0..RACES).map(Partition) {
        let messages = [message(None, "new")];
        let coming = producer.produce(Target::Aggregates, partition, &messages);
        let (begin, produced) = tokio::join!(log.offset_at(partition, WallMs(1)), coming);
        produced.expect("produce");
        assert_eq!(begin.expect("offset"), Offset(0), "partition {partition}");
    }
}

/// Partitions in which a record and the question meet.
const RACES: i32 = 40;

#[tokio::test]
async fn an_offset_outside_the_log_is_answered_with_both_ends() {
    let (broker, log, producer) = topic("range", 1).await;
    produce_numbers(&producer, 0..10).await;
    foreign(broker, &["truncate", "range", "5"]);
    for outside in [0, 11] {
        let error = log.fetch(P0, Offset(outside)).await.expect_err("out of range");
        let LogError::OutOfRange { asked, first, end, .. } = error else { panic!("{error}") };
        assert_eq!((asked.0, first.0, end.0), (outside, 5, 10));
    }
    assert_eq!(values(&drain(&log, 5).await.records), ["5", "6", "7", "8", "9"]);
}

#[tokio::test]
async fn a_new_partition_is_seen_read_and_written() {
    let (broker, log, producer) = topic("grows", 1).await;
    assert_eq!(log.partitions().await.expect("partitions").len(), 1);
    foreign(broker, &["partitions", "grows", "2"]);
    let one = [message(None, "in the new one")];
    producer.produce(Target::Aggregates, Partition(1), &one).await.expect("produce");
    producer.refresh().await.expect("refresh");
    assert_eq!(producer.partition_count(Target::Aggregates), 2);
    assert_eq!(log.partitions().await.expect("partitions").len(), 2);
    let fetched = log.fetch(Partition(1), Offset(0)).await.expect("fetch");
    assert_eq!(values(&fetched.records.to_vec()), ["in the new one"]);
}

#[tokio::test]
async fn what_is_produced_is_read_by_us_and_by_a_foreign_consumer() {
    let (broker, log, producer) = topic("out", 1).await;
    let written = Message {
        headers: vec![("version".into(), Bytes::from_static(b"1.0"))],
        ..message(Some("key"), "value".repeat(100))
    };
    let tombstone = Message { value: None, ..message(Some("gone"), "") };
    produce(&producer, vec![written.clone(), tombstone]).await.expect("produce");
    let read = drain(&log, 0).await.records;
    let expected = Record {
        offset: Offset(0),
        timestamp: Some(written.timestamp),
        key: written.key,
        value: written.value,
        headers: vec![("version".to_owned(), Bytes::from_static(b"1.0"))],
    };
    assert_eq!((&read[0], &read[1].value), (&expected, &None));
    let line =
        format!("CreateTime:1750000000000\tPartition:0\tversion:1.0\tkey\t{}", "value".repeat(100));
    assert_eq!(console_consume(broker, "out", 2)[0], line);
    const SNAPPY: u8 = 2;
    assert_eq!(broker.segment("out", 0)[22] & 0b111, SNAPPY);
}

#[tokio::test]
async fn a_key_goes_to_the_partition_that_the_java_client_chooses() {
    let (broker, _, _) = topic("keyed", 7).await;
    let keys = ["a", "0x0000000000000000000000000000000000000001", "So11111111111111111", "é"];
    let chosen = foreign(broker, &[&["keyed", "keyed"][..], &keys].concat());
    let ours = keys.map(|key| TokenHash::of(key).partition(7).to_string());
    assert_eq!(chosen.lines().collect::<Vec<_>>(), ours);
}

#[tokio::test]
async fn a_batch_above_the_brokers_limit_is_too_large_and_the_next_one_goes_through() {
    let (_, log, producer) = topic("limit", 1).await;
    let large: Vec<u8> = noise(2_000_000);
    let error = produce(&producer, vec![message(None, large)]).await.expect_err("too large");
    assert!(matches!(error, ProduceError::TooLarge { .. }), "{error}");
    produce_numbers(&producer, 0..1).await;
    assert_eq!(values(&drain(&log, 0).await.records), ["0"]);
}

#[tokio::test]
async fn a_time_leads_to_the_first_record_not_before_it_or_to_the_end() {
    let (_, log, producer) = topic("times", 1).await;
    for second in [10, 20, 30] {
        let at = WallMs(1_750_000_000_000 + second * 1_000);
        let one = Message { timestamp: at, ..message(None, "x") };
        produce(&producer, vec![one]).await.expect("produce");
    }
    for (second, offset) in [(0, 0), (10, 0), (11, 1), (30, 2), (31, 3)] {
        let at = WallMs(1_750_000_000_000 + second * 1_000);
        assert_eq!(log.offset_at(P0, at).await.expect("offset"), Offset(offset));
    }
    assert_eq!(log.offset_at(P0, WallMs(i64::MIN)).await.expect("offset"), Offset(0));
}

#[tokio::test]
async fn a_cancelled_fetch_spoils_no_later_one() {
    let (_, log, producer) = topic("cancelled", 1).await;
    let waiting = log.fetch(P0, Offset(0));
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    produce_numbers(&producer, 0..3).await;
    assert_eq!(values(&drain(&log, 0).await.records), ["0", "1", "2"]);
}

#[tokio::test]
async fn a_topic_is_created_once_and_one_that_is_refused_is_named() {
    let (broker, ..) = topic("any", 1).await;
    let cluster = cluster(broker).await;
    let twice = tokio::join!(ensure(&cluster, "made", 3), ensure(&cluster, "made", 3));
    assert!(twice.0 | twice.1);
    assert!(!ensure(&cluster, "made", 5).await);
    assert_eq!(cluster.partitions("made").await.expect("partitions"), [0, 1, 2]);
    let refused = ensure_topics(&cluster, &[wanted("no/such", 1)]).await.expect_err("refused");
    assert!(matches!(&refused, KafkaError::NoTopic { topic, .. } if topic == "no/such"));
}

fn lines(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix} {number}")).collect()
}
