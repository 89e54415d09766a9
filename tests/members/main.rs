//! Several instances of one group on real servers: they come, leave, are killed, hang and wake, one
//! after the other, under a steady load, while every message is judged as it comes, and a consumer
//! of another group that reads the same input notices nothing.
//!
//! `MEMBERS_RATE` sets the load (trades a second), `MEMBERS_SEED` the seed; it is printed.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the tests' own")]

#[path = "../soak/mod.rs"]
mod parts;

use parts::{auditor, drill, faults, flood, ledger, load, soak, world};
use support::harness::{judge, model, service, topic, workload};

mod foreign;
mod stage;

use std::collections::BTreeSet;
use std::time::Duration;

use stage::Stage;
use support::kafka::{KafkaBroker, consumer_groups};
use topic::PARTITIONS;
use world::Settings;

/// `KAFKA_SESSION_TIMEOUT`: the shortest that a broker takes by default.
const SESSION_S: i64 = 6;

/// Seconds for which a token's messages may be missing where an instance goes without a word: until
/// the others know, and until they have its shards.
const CRASH: i64 = SESSION_S + 2;

/// Where one comes, or goes as asked: a tick.
const GRACEFUL: i64 = INTERVAL;

/// Seconds between ticks.
const INTERVAL: i64 = 1;

#[test]
fn instances_that_come_go_crash_and_hang_publish_every_figure_exactly() {
    let settings = Settings {
        name: "members",
        program: env!("CARGO_BIN_EXE_aggregator-service").into(),
        lasts: Duration::ZERO,
        fault_every: Duration::from_secs(6),
        seed: number("MEMBERS_SEED").unwrap_or_else(|| rand::random::<u32>().into()),
        rate: number("MEMBERS_RATE").map_or(2_000, |rate| rate.try_into().unwrap()),
        tokens: 300,
        // Longer than what is missing and out of order; shorter than the silence of a part of the
        // tokens, so that they close.
        spans: vec![("10s", 10), ("30s", 30)],
        interval: INTERVAL,
        wave: 6,
    };
    println!("seed {}", settings.seed);
    let tally = stage::under_load(&settings, &mut KafkaBroker::start_for_load(&[]), |stage| {
        come(stage);
        go_without_a_word(stage);
        roll(stage);
        the_tool_shows(stage);
        forgotten_by_kafka(stage);
    });
    assert!(tally.clean() && tally.whole_ticks >= 10 && tally.closed > 0, "{tally:?}");
}

/// The second takes half of the shards, the third a third, and no others move.
fn come(stage: &mut Stage<'_>) {
    stage.act("the first starts", i64::MAX, |stage| stage.start("one"));
    stage.act("the second joins", GRACEFUL, |stage| stage.start("two"));
    let before = stage.taken();
    stage.act("the third joins", GRACEFUL, |stage| stage.start("three"));
    let moved = stage.taken() - before;
    assert!((20.5..22.5).contains(&moved), "a third of 64 shards moves, not {moved}");
}

fn go_without_a_word(stage: &mut Stage<'_>) {
    stage.act("the second is killed", CRASH, |stage| stage.kill("two"));
    stage.act("the second starts again", GRACEFUL, |stage| stage.start("two"));
    stage.act("the third is killed and starts at once", CRASH, |stage| {
        stage.kill("three");
        stage.start("three");
    });
    stage.halted("one", |stage| stage.act("the first hangs", CRASH, |_| {}));
    stage.act("the first wakes", GRACEFUL, |_| {});
}

/// A new version, one instance after the other.
fn roll(stage: &mut Stage<'_>) {
    for name in ["one", "two", "three"] {
        stage.act("one is stopped", GRACEFUL, |stage| stage.stop(name));
        stage.act("it starts again", GRACEFUL, |stage| stage.start(name));
    }
}

/// Kafka's own tool shows the members, and how far behind the group is.
fn the_tool_shows(stage: &Stage<'_>) {
    let members = stage.describe(&["--members"]);
    assert_eq!(members.len(), 3, "three members: {members:?}");
    // GROUP CONSUMER-ID GROUP-INSTANCE-ID HOST CLIENT-ID #PARTITIONS
    let names: BTreeSet<_> = members.iter().map(|member| member[2].as_str()).collect();
    assert_eq!(names, ["one", "two", "three"].into(), "{members:?}");
    assert!(members.iter().all(|member| member[3] == "/127.0.0.1"), "{members:?}");
    let rows = stage.describe(&[]);
    assert_eq!(rows.len(), PARTITIONS.unsigned_abs() as usize, "a row a partition: {rows:?}");
    // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID
    for row in &rows {
        let lag: i64 = row[5].parse().unwrap_or_else(|_| panic!("a lag: {row:?}"));
        let most = i64::try_from(stage.rate()).unwrap() * SEEN_LATE_S / PARTITIONS as i64;
        assert!((0..=most).contains(&lag), "a lag of {most} at the most: {row:?}");
        assert!(members.iter().any(|member| member[1] == row[6]), "a member's: {row:?}");
    }
}

/// Positions are committed every 5 s, of what is in the checkpoint; the tool takes its time, too.
const SEEN_LATE_S: i64 = 20;

/// What Kafka keeps of the group is for tools: without it all goes on as before.
fn forgotten_by_kafka(stage: &mut Stage<'_>) {
    stage.act("all are away, and the group's offsets, and the group", i64::MAX, |stage| {
        for name in ["one", "two", "three"] {
            stage.stop(name);
        }
        let topic = stage.topic();
        consumer_groups(stage.kafka(), &["--delete-offsets", "--group", GROUP, "--topic", &topic]);
        consumer_groups(stage.kafka(), &["--delete", "--group", GROUP]);
        stage.start("one");
    });
}

/// `KAFKA_CONSUMER_GROUP`.
const GROUP: &str = "members";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
