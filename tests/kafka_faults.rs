//! The Kafka edge when the broker is silent, gone, or made anew.
#![cfg(test)]

use aggregator_service::domain::position::Offset;
use aggregator_service::kafka::{KafkaLog, KafkaProducer};
use aggregator_service::ports::{Fetched, LogError, ProduceError, TradeLog};
use support::kafka::topic::{
    P0, PATIENCE, cluster, drain, ensure, message, produce, produce_numbers, topic, values,
};
use support::kafka::{KafkaBroker, foreign};

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
    let range = tokio::time::timeout(PATIENCE, noticed).await.expect("noticed");
    assert_eq!(range, (Offset(0), Offset(2)));
    assert_eq!(values(&drain(&log, 0).await.records), ["0", "1"]);
}

/// A broker of one's own, with a topic `t` that holds the numbers 0 to 4.
async fn own_broker() -> (KafkaBroker, KafkaLog, KafkaProducer) {
    let broker = tokio::task::spawn_blocking(KafkaBroker::start).await.expect("broker");
    let cluster = cluster(&broker).await;
    ensure(&cluster, "t", 1).await;
    let producer = KafkaProducer::new(&cluster, "t", None).await.expect("producer");
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
    tokio::time::timeout(PATIENCE, answered).await.expect("answered")
}

#[tokio::test]
async fn a_silent_broker_is_unavailable_and_is_read_again_when_it_speaks() {
    let (broker, log, _) = own_broker().await;
    broker.stop();
    let asked = tokio::time::timeout(PATIENCE, log.fetch(P0, Offset(0))).await.expect("bounded");
    assert!(matches!(asked, Err(LogError::Unavailable { .. })), "{asked:?}");
    let asked = tokio::time::timeout(PATIENCE, log.partitions()).await.expect("bounded");
    assert!(matches!(asked, Err(LogError::Unavailable { .. })), "{asked:?}");
    broker.cont();
    assert_eq!(fetch_until_answered(&log, 0).await.records.len(), 5);
}

#[tokio::test]
async fn a_killed_broker_is_unavailable_and_is_used_again_when_it_is_back() {
    let (mut broker, log, producer) = own_broker().await;
    broker.kill9();
    let error = log.fetch(P0, Offset(5)).await.expect_err("unavailable");
    assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
    let error = produce(&producer, vec![message(None, "5")]).await.expect_err("unavailable");
    assert!(matches!(error, ProduceError::Unavailable { .. }), "{error}");
    let broker = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    });
    let _broker = broker.await.expect("restarted");
    let produced = async { while produce(&producer, vec![message(None, "5")]).await.is_err() {} };
    tokio::time::timeout(PATIENCE, produced).await.expect("produced");
    let read = fetch_until_answered(&log, 0).await;
    assert_eq!(values(&read.records.to_vec()), ["0", "1", "2", "3", "4", "5"]);
}
