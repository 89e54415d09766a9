//! Token names on real servers: what `token-info` says is in the messages, the newest wins, and a
//! start that cannot read the topic any more has them from Redis.
#![cfg(test)]

use support::harness::{service, topic};

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rskafka::client::partition::Compression;
use rskafka::record::Record;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use service::{PATIENCE, Service};
use support::kafka::KafkaBroker;
use support::redis::RedisServer;
use topic::{Cursor, Topic, now};

#[test]
fn the_newest_name_is_shown_and_outlives_its_topic() {
    let kafka = KafkaBroker::shared();
    let redis = RedisServer::start();
    let [info, trades, aggregates] =
        ["info", "trades", "aggregates"].map(|kind| Topic::open(kafka, &format!("names-{kind}")));
    let newest = json!({"token": "a", "symbol": "NEW", "name": "Token \"A\"", "decimals": 9});
    say(&info, 1, &newest, Duration::ZERO);
    // Older by its timestamp, whatever is read first.
    let older = json!([{"Token": "a", "Symbol": "OLD"}, 7, {"Token": "c", "Name": "only"}]);
    say(&info, 0, &older, Duration::from_secs(60));
    say(&trades, 0, &json!([trade("a"), trade("b"), trade("c")]), Duration::ZERO);

    let mut service = start(kafka, &redis, "names-info");
    let mut cursor = Cursor::default();
    let mut heard = BTreeMap::new();
    for life in 0..2 {
        service.until("the names", || {
            hear(&aggregates, &mut cursor, &mut heard);
            let said = |token: &str| heard.get(token).cloned();
            said("a") == Some(json!(["NEW", "Token \"A\""]))
                && said("b") == Some(json!(["", ""]))
                && said("c") == Some(json!(["", "only"]))
        });
        service.terminate();
        assert_eq!(service.exit_code(PATIENCE), 0, "life {life}");
        hear(&aggregates, &mut cursor, &mut heard);
        heard.clear();
        service = start(kafka, &redis, "names-nothing");
    }
}

fn start(kafka: &KafkaBroker, redis: &RedisServer, info: &str) -> Service {
    let variables = [
        ("KAFKA_BROKERS", kafka.address()),
        ("REDIS_ADDR", redis.addr()),
        ("KAFKA_TOPIC", "names-trades".to_owned()),
        ("AGGREGATE_TOPIC", "names-aggregates".to_owned()),
        ("DLQ_TOPIC", "names-letters".to_owned()),
        ("TOKEN_INFO_TOPIC", info.to_owned()),
        ("AGGREGATE_PUBLISH_INTERVAL", "1s".to_owned()),
    ];
    let program = Path::new(env!("CARGO_BIN_EXE_aggregator-service"));
    Service::start(program, &variables.map(|(name, value)| (name.to_owned(), value)))
}

fn say(topic: &Topic, partition: usize, value: &Value, ago: Duration) {
    let record = Record {
        key: None,
        value: Some(value.to_string().into_bytes()),
        headers: BTreeMap::new(),
        timestamp: now() - ago,
    };
    topic.produce(partition, vec![record], Compression::NoCompression);
}

fn trade(token: &str) -> Value {
    let now = OffsetDateTime::from_unix_timestamp(now().timestamp()).unwrap();
    json!({
        "Token": token, "Wallet": "w", "SellBuy": "buy", "NativeAmount": "1", "TokenAmount": "1",
        "PriceUsd": "1", "TransTime": now.format(&Rfc3339).unwrap(), "TxHash": "t",
    })
}

/// The symbol and name that each token's last message shows.
fn hear(aggregates: &Topic, cursor: &mut Cursor, heard: &mut BTreeMap<String, Value>) {
    for stored in aggregates.read(cursor) {
        let message: Value = serde_json::from_slice(&stored.record.value.unwrap()).unwrap();
        let token = message["token"].as_str().unwrap().to_owned();
        heard.insert(token, json!([message["symbol"], message["name"]]));
    }
}
