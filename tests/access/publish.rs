//! `POST /publish` between real servers, logged in to Kafka by a token.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;

use rskafka::client::partition::Compression;
use rskafka::record::Record;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::topic::{Cursor, Topic, now};
use crate::{post, secure, start};
use support::kafka::secure::TOKEN;
use support::redis::RedisServer;

#[test]
fn publish_answers_when_the_messages_stand_in_the_topic() {
    let kafka = secure();
    let redis = RedisServer::start();
    let trades = Topic::open(&kafka.broker, "orders-trades");
    let aggregates = Topic::open(&kafka.broker, "orders-aggregates");
    let record = Record {
        key: None,
        value: Some(json!([trade("a"), trade("b"), trade("a")]).to_string().into_bytes()),
        headers: BTreeMap::new(),
        timestamp: now(),
    };
    trades.produce(1, vec![record], Compression::NoCompression);
    let address = (kafka.login(), redis.addr());
    let service = start(
        "orders",
        &[&[
            ("KAFKA_BROKERS", &address.0),
            ("REDIS_ADDR", &address.1),
            ("KAFKA_TLS", "true"),
            ("KAFKA_TLS_CA", &kafka.keys.path("ca.pem")),
            ("KAFKA_SASL_MECHANISM", "OAUTHBEARER"),
            ("KAFKA_SASL_OAUTH_TOKEN_FILE", &kafka.keys.write("orders", TOKEN)),
            // No tick comes in between, but at midnight.
            ("AGGREGATE_PUBLISH_INTERVAL", "24h"),
        ]],
    );
    let order = |body: Value| {
        let (status, body) = post(&service, "/publish", None, &body.to_string());
        (status, serde_json::from_str(&body).unwrap())
    };
    service.ready();
    let mut cursor = Cursor::default();
    let mut heard = || {
        let stored = aggregates.read(&mut cursor);
        let message = |value: Vec<u8>| {
            let message: Value = serde_json::from_slice(&value).unwrap();
            let trades = message["aggregate_data"][0]["total_trades"].as_u64().unwrap();
            (message["token"].as_str().unwrap().to_owned(), trades)
        };
        let mut heard: Vec<_> =
            stored.into_iter().map(|one| message(one.record.value.unwrap())).collect();
        heard.sort();
        heard
    };
    let [a, b] = [("a".to_owned(), 2), ("b".to_owned(), 1)];
    let said = order(json!({"tokens": ["a", "nobody"]}));
    assert_eq!(said, (200, json!({"published": 1, "unknown": ["nobody"]})));
    assert_eq!(heard(), std::slice::from_ref(&a));
    assert_eq!(order(json!({"token": "nobody"})).1, json!({"published": 0, "unknown": ["nobody"]}));
    assert_eq!(heard(), []);
    assert_eq!(order(json!({"all": true})), (200, json!({"published": 2, "unknown": []})));
    assert_eq!(heard(), [a, b]);
}

#[test]
fn clients_that_trickle_keep_neither_probes_nor_ticks_waiting() {
    let kafka = secure();
    let redis = RedisServer::start();
    let trades = Topic::open(&kafka.broker, "slow-trades");
    let aggregates = Topic::open(&kafka.broker, "slow-aggregates");
    let value = Some(trade("a").to_string().into_bytes());
    let record = Record { key: None, value, headers: BTreeMap::new(), timestamp: now() };
    trades.produce(0, vec![record], Compression::NoCompression);
    let address = (kafka.broker.address(), redis.addr());
    let service = start(
        "slow",
        &[&[
            ("KAFKA_BROKERS", &address.0),
            ("REDIS_ADDR", &address.1),
            ("AGGREGATE_PUBLISH_INTERVAL", "1s"),
        ]],
    );
    service.ready();
    let mut slow: Vec<_> = (0..SLOW_CLIENTS)
        .map(|_| TcpStream::connect(("127.0.0.1", service.port)).unwrap())
        .collect();
    let ends = aggregates.ends().iter().sum::<i64>();
    service.until("three ticks", || {
        for client in &mut slow {
            // Some had to make room for others: they are closed.
            drop(client.write_all(b"G"));
        }
        assert_eq!(service.get("/livez").unwrap().0, 200);
        aggregates.ends().iter().sum::<i64>() >= ends + 3
    });
}

fn trade(token: &str) -> Value {
    let now = OffsetDateTime::from_unix_timestamp(now().timestamp()).unwrap();
    json!({
        "Token": token, "Wallet": "w", "SellBuy": "buy", "NativeAmount": "1", "TokenAmount": "1",
        "PriceUsd": "1", "TransTime": now.format(&Rfc3339).unwrap(), "TxHash": "t",
    })
}

/// Three times as many as are served at once.
const SLOW_CLIENTS: usize = 200;
