//! The tools beside the service, against a real Kafka and a real Redis: `check`, `topics`,
//! `completions`, `config`. Our program is a child process, as an operator runs it. Each test
//! prints whole pages: somebody reads them at night.
#![cfg(test)]

mod access;
mod print;
mod site;
mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use rskafka::client::partition::Compression;
use rskafka::record::Record;
use site::{Site, kafka, run};
use support::harness::service;
use support::harness::topic::{Topic, now};
use support::redis::RedisServer;

#[test]
fn missing_topics_fail_the_check_are_created_and_then_all_is_ok() {
    let redis = RedisServer::start_with(&["--appendonly", "yes"]);
    let site = Site::new("healthy", &redis);
    let before = site.topics();
    let check = site.run(&["check"]);
    check.ends(1).says("fail", "healthy-trades", "does not exist: nobody has written a trade");
    check.says("warn", "healthy-aggregates", "does not exist");
    let compared = site.run(&["topics"]);
    compared.ends(1);
    assert_eq!(compared.text.matches("missing: --create creates it").count(), 4);
    assert_eq!((site.topics(), redis.command("KEYS *")), (before, "*0\r\n".to_owned()));

    let created = site.run(&["topics", "--create", "--partitions", "6"]);
    created.ends(0);
    assert_eq!(created.text.matches("  created\n").count(), 4);
    let (topics, settings) = (site.topics(), site.settings());
    let again = site.run(&["topics", "--partitions", "6"]);
    again.ends(0);
    assert_eq!(again.text.matches("  as wanted\n").count(), 4);
    let check = site.run(&["check"]);
    check.ends(0).says("ok", "healthy-trades", "6 partitions, 1 copy, delete, kept 1h5m");
    check.says("ok", "healthy-aggregates", "kept 1h");
    check.says("ok", "healthy-letters", "3 partitions, 1 copy, delete, kept 7d");
    check.says("ok", "healthy-info", "kept for ever");
    check.says("ok", "cluster", "AAAAAAAAAAAAAAAAAAAAAQ, 1 broker");
    check.says("ok", "persistence", "append-only file, appendfsync everysec");
    check.says("ok", "permissions", "every command");
    assert!(check.text.ends_with(" findings are ok\n"), "nothing to look at");
    let json = site.run(&["check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json.ends(0).text).unwrap();
    assert_eq!(report["verdict"], "ok");
    let found = report["findings"].as_array().unwrap().len();
    assert!(check.text.contains(&format!("all {found} findings are ok")), "the same findings");
    // Asking changed nothing, not even the topic that Kafka makes for groups.
    assert_eq!((site.topics(), site.settings()), (topics, settings));
    assert_eq!(redis.command("KEYS *"), "*0\r\n");
    // Whoever else is in the group is seen, and nobody is where there is no group.
    site.order(&["join", "healthy", "healthy-trades"]);
    let joined = site.run(&["check"]);
    joined.ends(0).says("warn", "healthy", "1 other consumer in this group: neighbour at 127.0.0");
}

/// A record of a producer whose clock is fast is all that can be seen of clocks.
#[test]
fn a_record_that_is_ahead_of_the_clock_is_named() {
    let redis = RedisServer::start_with(&["--appendonly", "yes"]);
    let site = Site::new("ahead", &redis);
    site.run(&["topics", "--create"]).ends(0);
    let topic = Topic::open(&kafka().secure.broker, "ahead-trades");
    let record = |timestamp| Record {
        key: None,
        value: Some(b"[]".to_vec()),
        headers: BTreeMap::new(),
        timestamp,
    };
    topic.produce(0, vec![record(now())], Compression::NoCompression);
    site.run(&["check"]).ends(0).says("ok", "ahead-trades", "newest record ");
    let ahead = now() + Duration::from_secs(600);
    topic.produce(1, vec![record(ahead)], Compression::NoCompression);
    let check = site.run(&["check"]);
    check.ends(0).says("warn", "ahead-trades", "ahead of this host's clock");
    assert!(check.text.contains("→ compare a producer's clock with this host's"));
}

#[test]
fn an_input_that_forgets_is_named_by_check_topics_and_start_and_raised() {
    let redis = RedisServer::start();
    let mut site = Site::new("forgets", &redis);
    site.order(&["topic", "forgets-trades", "1", "retention.ms=20000", "retention.bytes=5000000"]);
    site.order(&["topic", "forgets-letters", "1", "max.message.bytes=1000"]);
    let service = site.start();
    service.ready();
    let says = "keeps 20s, the longest window is 1h: Redis is the only memory of the rest";
    let check = site.run(&["check"]);
    check.ends(0).says("warn", "forgets-trades", says);
    check.says("warn", "forgets-trades", "keeps 5 MB a partition, however old");
    check.says("warn", "forgets-letters", "takes 1 kB, the input 1 MB");
    check.says("warn", "persistence", "the input keeps 20s only: the windows are lost");
    check.says("ok", "checkpoint", "64 of 64 shards, 0 with trades, layout 1");
    check.says("ok", "checkpoint", "claimed by the instance that started at 20");
    check.says("ok", &format!("port {}", service.port), "an instance of this service answers");
    let warning = "the input forgets before its longest window ends: Redis is the only memory";
    service.until("the warning", || service.log().contains(warning));
    let log = service.log();
    let line = log.lines().find(|line| line.contains(warning)).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["topic"], "forgets-trades");
    assert_eq!((&line["retention_ms"], &line["longest_window_s"]), (&20_000.into(), &3_600.into()));
    assert_eq!(log.matches(warning).count(), 1, "once");

    let compared = site.run(&["topics", "--partitions", "2"]);
    compared.ends(1);
    assert!(compared.text.contains("too few partitions: 2 wanted (--alter raises it)"));
    assert!(compared.text.contains("its records go before 1h5m (--alter raises it)"));
    let raised = site.run(&["topics", "--partitions", "2", "--alter"]);
    raised.ends(0);
    assert!(raised.text.contains("now 2 partitions; now kept 1h5m"));
    let altered = site.run(&["check"]);
    altered.ends(0).says("ok", "forgets-trades", "2 partitions, 1 copy, delete, kept 1h5m");
    assert!(!altered.text.contains("longest window is"), "raised");
    // Once more and there is nothing left to do; fewer are never made.
    let again = site.run(&["topics", "--partitions", "1", "--alter"]);
    again.ends(0);
    assert!(again.text.contains("2 partitions") && !again.text.contains("now"));
}

#[test]
fn a_start_over_an_input_that_keeps_a_window_warns_of_nothing() {
    let redis = RedisServer::start();
    let mut site = Site::new("keeps", &redis);
    let service = site.start();
    service.ready();
    let (created, log) = ("topic created: it was missing", service.log());
    assert_eq!(log.matches(created).count(), 4, "{log}");
    assert!(!log.contains("WARN"), "{log}");
    site.run(&["topics"]).ends(0);
}

#[test]
fn wrong_usage_and_wrong_configuration_end_in_64() {
    for words in [&["topics", "--partitions", "0"][..], &["check", "--fast"]] {
        assert_eq!(run(words, &[]).code, 64);
    }
    let missing = [("KAFKA_TLS", "true"), ("KAFKA_TLS_CA", "/nowhere.pem")];
    for words in [&["check"], &["topics"]] {
        let refused = run(words, &missing);
        assert_eq!(refused.code, 64);
        assert!(refused.complaint.contains("KAFKA_TLS_CA: \"/nowhere.pem\""), "{refused:?}");
    }
}
