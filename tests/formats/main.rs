//! The formats with a schema, against a real registry and a client that is not ours: what it
//! decodes is what JSON says, and what a registry refuses, or is away for, is said. And JSON, read
//! as the README shows it.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "the wall clock is the tests' own")]

mod foreign;
mod quick_start;
mod refusals;
mod registry;
mod trades;

use support::harness::{service, topic};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aggregator_service::wire::extended::Chosen;
use aggregator_service::wire::registered::Format;
use serde_json::Value;

use foreign::Decoded;
use registry::Registry;
use service::Service;
use support::kafka::KafkaBroker;
use support::oracle;
use support::redis::RedisServer;
use topic::Topic;
use trades::{SPANS, TRADES};

const FORMATS: [Format; 3] = [Format::JsonSchema, Format::Avro, Format::Protobuf];

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_aggregator-service"))
}

/// Of a service in this format, its group and topics named so; `extra` wins.
fn variables(
    name: &str,
    format: &str,
    redis: &RedisServer,
    extra: &[(&str, &str)],
) -> Vec<(String, String)> {
    let windows = SPANS.map(|(name, _)| name).join(",");
    let mut all: BTreeMap<String, String> = [
        ("KAFKA_BROKERS", KafkaBroker::shared().address()),
        ("KAFKA_TOPIC", format!("{name}-trades")),
        ("KAFKA_CONSUMER_GROUP", name.to_owned()),
        ("AGGREGATE_TOPIC", name.to_owned()),
        ("DLQ_TOPIC", String::new()),
        ("TOKEN_INFO_TOPIC", String::new()),
        ("AGGREGATE_PUBLISH_INTERVAL", "1s".to_owned()),
        ("AGGREGATE_FORMAT", format.to_owned()),
        ("TIME_WINDOWS", windows),
        ("REDIS_ADDR", redis.addr()),
        ("REDIS_KEY_PREFIX", format!("{name}:")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if format != "json" {
        all.insert("SCHEMA_REGISTRY_URL".to_owned(), Registry::shared().url());
    }
    all.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    all.into_iter().collect()
}

/// What was said of each token at each end, without the time when it was said.
fn told(decoded: Vec<Decoded>) -> BTreeMap<(String, String), Value> {
    let pair = |Decoded { key, mut value, .. }: Decoded| {
        let end = value["aggregate_data"][0]["timestamp"].as_str().unwrap().to_owned();
        assert_eq!(value["token"], key);
        let made = value.as_object_mut().unwrap().remove("generated_at").unwrap();
        assert!(made.as_str().unwrap() >= &*end, "{made} is before {end}");
        ((key, end), value)
    };
    decoded.into_iter().map(pair).collect()
}

#[test]
fn a_foreign_client_decodes_all_four_formats_and_their_figures_are_equal() {
    formats_agree("formats", "standard", (Chosen::STANDARD, "aggregate.proto"));
}

#[test]
fn so_it_does_with_extended_figures() {
    formats_agree("extended", "extended", (Chosen::ALL, "aggregate-extended.proto"));
}

/// Services of all formats, of the same trades; their names begin with `name`.
fn formats_agree(name: &str, fields: &str, (chosen, protobuf): (Chosen, &str)) {
    let redis = RedisServer::start();
    let preparing = std::thread::spawn(foreign::python);
    let (trades_topic, names_topic) = (format!("{name}-trades"), format!("{name}-names"));
    trades::produce(&trades_topic, &names_topic);
    let formats = ["json", "json-schema", "avro", "protobuf"];
    let names = formats.map(|format| (format, format!("{name}-{format}")));
    let shared = [
        ("KAFKA_TOPIC", &*trades_topic),
        ("TOKEN_INFO_TOPIC", &*names_topic),
        ("AGGREGATE_FIELDS", fields),
    ];
    let start = |(format, name): &(&str, String)| {
        Service::start(program(), &variables(name, format, &redis, &shared))
    };
    let services: Vec<_> = names.iter().map(start).collect();
    for service in &services {
        service.ready();
    }
    let topics: Vec<_> =
        names.iter().map(|(_, name)| Topic::open(KafkaBroker::shared(), name)).collect();
    let ends: Vec<_> = topics.iter().map(Topic::ends).collect();
    let grown = |(topic, before): (&Topic, &Vec<i64>)| {
        let messages: i64 = topic.ends().iter().zip(before).map(|(now, then)| now - then).sum();
        messages >= i64::try_from(4 * trades::tokens().len()).unwrap()
    };
    services[0].until("four ticks", || topics.iter().zip(&ends).all(grown));
    in_the_view(&redis, name, chosen);
    services.iter().for_each(Service::terminate);
    services.iter().for_each(|service| assert_eq!(service.exit_code(service::PATIENCE), 0));

    preparing.join().unwrap();
    let mut by_format: BTreeMap<String, Vec<Decoded>> = BTreeMap::new();
    for one in foreign::decoded(&names, protobuf) {
        let format = FORMATS.into_iter().find(|format| format.name() == one.format);
        let expected = format.map_or("application/json", Format::content_type);
        assert_eq!(one.headers["content-type"], expected);
        assert_eq!(one.headers["token"], one.key);
        by_format.entry(one.format.clone()).or_default().push(one);
    }
    let json = told(by_format.remove("json").unwrap());
    for ((token, end), message) in &json {
        let expected = trades::expected(token, end, chosen);
        assert!(oracle::same(&message["aggregate_data"], &expected), "{message}\n{expected}");
    }
    assert_eq!(by_format.len(), FORMATS.len());
    for (format, decoded) in by_format {
        let subject = format!("{name}-{format}-value");
        let stands = Registry::shared().latest(&subject).expect("the schema");
        assert!(decoded.iter().all(|one| stands["id"] == one.id), "{stands}");
        let ours = FORMATS.into_iter().find(|ours| ours.name() == format).unwrap();
        assert_eq!(stands["schema"], ours.schema(chosen), "{subject}");
        let told = told(decoded);
        let both: Vec<_> = told.keys().filter(|place| json.contains_key(*place)).collect();
        for place in &both {
            let (expected, found) = (&json[*place], &told[*place]);
            assert!(oracle::same(expected, found), "{format}: {found}\n{expected}");
        }
        let tokens: BTreeSet<_> = both.iter().map(|(token, _)| token.clone()).collect();
        assert_eq!(tokens, trades::tokens(), "{format}");
        println!("{format}: {} of {} messages are in JSON, too", both.len(), told.len());
    }
}

/// The view is JSON, whatever goes out.
fn in_the_view(redis: &RedisServer, name: &str, chosen: Chosen) {
    for format in ["json", "json-schema", "avro", "protobuf"] {
        for token in [TRADES[0].token, "plain"] {
            let answer = redis.command(&format!("GET {name}-{format}:view:{token}"));
            let text = answer.split_once("\r\n").expect("a value").1;
            let message: Value = serde_json::from_str(text.trim_end()).expect(text);
            let end = message["aggregate_data"][0]["timestamp"].as_str().unwrap();
            let expected = trades::expected(token, end, chosen);
            assert!(oracle::same(&message["aggregate_data"], &expected), "{message}\n{expected}");
        }
    }
}
