//! The rows about the output as other systems load it: a compacted table, `CloudEvents`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::service::PATIENCE;
use crate::stage::{Stage, command, produce, until};
use crate::topic::{Topic, now};
use support::kafka::Session;

/// Windows that are over soon.
const BRIEF: [(&str, &str); 2] = [("TIME_WINDOWS", "1s,4s"), ("AGGREGATE_PUBLISH_INTERVAL", "1s")];

fn trade(token: &str) -> Value {
    let at = OffsetDateTime::from_unix_timestamp(now().timestamp()).unwrap();
    let at = at.format(&Rfc3339).unwrap();
    json!({
        "Token": token, "Wallet": "w", "SellBuy": "buy", "NativeAmount": "1", "TokenAmount": "1",
        "PriceUsd": "2", "TransTime": at, "TxHash": "t",
    })
}

/// A record as Java's consumer has it.
struct Row {
    key: String,
    headers: BTreeMap<String, String>,
    /// Empty: a tombstone.
    value: String,
}

fn rows(session: &mut Session, topic: &str) -> Vec<Row> {
    let row = |line: String| {
        let [_, _, _, key, headers, value] =
            line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().expect(&line);
        let header = |text: &str| {
            let (name, value) = text.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        let headers = headers.split(',').filter(|text| !text.is_empty()).map(header).collect();
        Row { key, headers, value }
    };
    session.order(&["read", topic, "read_committed"]).into_iter().map(row).collect()
}

pub(crate) fn compacted(stage: &Stage) {
    let extra = [&BRIEF[..], &[("AGGREGATE_TOMBSTONES", "true")]].concat();
    let service = stage.start("table", &extra);
    service.ready();
    let verdicts = command(&["topics"]).envs(stage.variables_of("table", &extra)).output().unwrap();
    let verdicts = String::from_utf8(verdicts.stdout).unwrap();
    let made = verdicts.lines().find(|line| line.contains("table-aggregates")).expect(&verdicts);
    assert!(made.contains("kept for ever, compacted"), "{made}");
    let trades = Topic::open(&stage.kafka, "table-trades");
    produce(&trades, 0, &trade("gone"));
    let mut session = Session::start(&stage.kafka.address());
    // A new consumer loads the table from the beginning, whenever it comes.
    let mut load = || {
        let mut table: BTreeMap<String, Value> = BTreeMap::new();
        let mut forgotten = BTreeSet::new();
        for Row { key, value, .. } in rows(&mut session, "table-aggregates") {
            if value.is_empty() {
                table.remove(&key).expect("a token that was in the table");
                forgotten.insert(key);
            } else {
                table.insert(key, serde_json::from_str(&value).unwrap());
            }
        }
        (table, forgotten)
    };
    let mut table = BTreeMap::new();
    until("one token that stays, and one that is gone", || {
        produce(&trades, 1, &trade("stays"));
        let (loaded, forgotten) = load();
        table = loaded;
        forgotten.contains("gone") && table.contains_key("stays")
    });
    assert_eq!(table.keys().collect::<Vec<_>>(), ["stays"]);
    let longest = &table["stays"]["aggregate_data"][1];
    assert!(longest["total_trades"].as_u64().unwrap() > 0, "{longest}");
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0, "{}", service.log());
}

pub(crate) fn events(stage: &Stage) {
    let extra = [&BRIEF[..], &[("AGGREGATE_CLOUDEVENTS", "true")]].concat();
    let service = stage.start("events", &extra);
    service.ready();
    let trades = Topic::open(&stage.kafka, "events-trades");
    produce(&trades, 0, &trade("a"));
    let mut session = Session::start(&stage.kafka.address());
    let mut found = Vec::new();
    until("messages", || {
        found = rows(&mut session, "events-aggregates");
        found.len() >= 2
    });
    for Row { key, headers, value } in found {
        let value: Value = serde_json::from_str(&value).unwrap();
        let end = value["aggregate_data"][0]["timestamp"].as_str().unwrap();
        let id = format!("{key}@{end}");
        let expected = [
            ("ce_id", id.as_str()),
            ("ce_source", "/aggregator-service/events-trades"),
            ("ce_specversion", "1.0"),
            ("ce_subject", &key),
            ("ce_time", value["generated_at"].as_str().unwrap()),
            ("ce_type", "aggregator-service.aggregate.v1"),
            ("content-type", "application/json"),
            ("token", &key),
            ("version", "1.0"),
        ];
        let headers: Vec<_> = headers.iter().map(|(name, at)| (&**name, &**at)).collect();
        assert_eq!(headers, expected);
    }
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0, "{}", service.log());
}
