//! The whole thing on real servers: our program as a child process between a real Kafka and a real
//! Redis, under load, killed, robbed of its servers, taken over. Afterwards a judge that knows only
//! the log compares every message with the oracle, in every field.
//!
//! `BROKERS_TRADES` sets the size of the two large loads (200,000 trades; up to a million),
//! `BROKERS_SEED` the seed; it is printed.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the tests' own")]

use support::harness::{judge, model, notes, service, topic, workload};

mod figures;
mod hostile;
mod stage;
mod understanding;

use std::collections::BTreeMap;

use rand::RngExt;
use serde_json::json;

use crate::service::{PATIENCE, Service};
use crate::stage::Stage;
use crate::topic::now;
use crate::workload::{Order, Pace, Planned};
use support::oracle::Span;

/// Windows of every kind of content: all new, sliding, still filling.
const SPANS: [Span; 5] =
    [("10s", 10), ("1min", 60), ("5min", 300), ("15min", 900), ("1hour", 3_600)];

#[test]
fn every_message_and_every_dead_letter_is_as_it_should_be() {
    let mut stage = Stage::set("calm", &SPANS, seed());
    let records = plan(&mut stage, trades(), 1_000);
    let (backlog, rest) = records.split_at(records.len() / 2);
    let (ours, foreign) = rest.split_at(rest.len() * 3 / 4);
    stage.load(backlog);
    let service = stage.service();
    starve_while_catching_up(&service);
    let not_yet = service.ready();
    let read = service.figure("records_consumed_total");
    assert!(read >= as_f64(backlog.len()), "ready with {read} of {} records", backlog.len());
    stage.load(ours);
    stage.load_foreign(foreign);
    let quiet = stage.quiet(&service);
    stage.ticks(&service, 3);
    figures_agree(&stage, &service);
    statistics_agree(&mut stage, &service);
    for partition in 0..topic::PARTITIONS {
        assert_eq!(stage.codecs(partition), [2].into(), "Snappy");
    }
    stage.stop(service);
    let verdict = stage.judge(quiet, false);
    println!("said {not_yet} times that it was not ready; {verdict:?}");
}

#[test]
fn ten_kills_during_the_load_lose_nothing_and_double_nothing() {
    let mut stage = Stage::set("kills", &SPANS, seed());
    let records = plan(&mut stage, trades(), 1_000);
    // Flushes are short then, so a kill comes between those of two workers more often.
    stage.checkpoint_interval = "20ms";
    let mut service = stage.service();
    let mut again = 0.0;
    for (turn, slice) in records.chunks(records.len().div_ceil(10)).enumerate() {
        let crash = |stage: &mut Stage| {
            again += service.figure_if_up("trades_duplicate_total").unwrap_or_default();
            service.kill9();
            stage.service()
        };
        service = if turn % 2 == 0 {
            stage.load_while(slice, Pace::STEADY, crash)
        } else {
            stage.load_while(slice, Pace::FAST, crash)
        };
    }
    let quiet = stage.quiet(&service);
    stage.ticks(&service, 3);
    again += service.figure("trades_duplicate_total");
    stage.stop(service);
    assert!(stage.judge(quiet, true).whole_ticks >= 3);
    println!("{again} trades were read again and not counted again");
}

#[test]
fn a_redis_that_dies_or_comes_back_empty_costs_nothing() {
    let mut stage = Stage::set("redis", &SPANS, seed());
    let records = plan(&mut stage, SMALL, 300);
    let service = stage.service();
    service.ready();
    let quarters: Vec<_> = records.chunks(records.len().div_ceil(4)).collect();
    stage.load_while(quarters[0], Pace::STEADY, |stage| stage.redis.kill());
    stage.load(quarters[1]);
    stage.load_while(quarters[2], Pace::STEADY, |stage| stage.redis.restart_empty());
    stage.load_while(quarters[3], Pace::STEADY, |stage| stage.redis.restart_empty());
    let quiet = stage.quiet(&service);
    stage.ticks(&service, 2);
    stage.stop(service);

    let service = stage.service();
    service.ready();
    stage.ticks(&service, 2);
    assert!(service.figure("records_consumed_total") < 1.0, "all was in the checkpoint");
    service.kill9();

    stage.redis.restart_empty();
    let service = stage.service();
    service.ready();
    stage.ticks(&service, 2);
    assert!(service.figure("records_consumed_total") >= as_f64(records.len()), "rebuilt");
    stage.stop(service);
    assert!(stage.judge(quiet, true).whole_ticks >= 6);
}

#[test]
fn a_kafka_that_dies_and_comes_back_costs_nothing() {
    let mut stage = Stage::set("kafka", &SPANS, seed());
    let records = plan(&mut stage, SMALL, 300);
    let service = stage.service();
    service.ready();
    for slice in records.chunks(records.len().div_ceil(2)) {
        stage.load_while(slice, Pace::STEADY, |stage| {
            stage.kafka.kill9();
            stage.kafka.restart();
        });
    }
    let quiet = stage.quiet(&service);
    stage.ticks(&service, 3);
    stage.stop(service);
    assert!(stage.judge(quiet, true).whole_ticks >= 3);
}

#[test]
fn a_stop_under_load_and_a_take_over_hand_on_exactly() {
    let mut stage = Stage::set("handover", &SPANS, seed());
    let records = plan(&mut stage, SMALL, 300);
    let (first, second) = records.split_at(records.len() / 2);
    let service = stage.service();
    service.ready();
    let older = stage.load_while(first, Pace::STEADY, |stage| {
        stage.stop(service);
        stage.service()
    });
    older.ready();
    let newer = stage.load_while(second, Pace::STEADY, |stage| stage.beside());
    newer.ready();
    assert_eq!(older.exit_code(PATIENCE), 75, "{}", older.log());
    let quiet = stage.quiet(&newer);
    stage.ticks(&newer, 3);
    stage.stop(newer);
    assert!(stage.judge(quiet, true).whole_ticks >= 3);
}

#[test]
fn a_token_that_falls_silent_has_one_closing_message_and_then_none() {
    let mut stage = Stage::set("silence", &[("6s", 6), ("20s", 20)], seed());
    let (from, to) = (now().timestamp() - 3, now().timestamp() + 10);
    let order = Order { seed: seed(), trades: 5_000, tokens: 200, from, to, disorder_ms: 3_000 };
    let records = workload::records(&order);
    stage.plan(&records);
    let service = stage.service();
    service.ready();
    stage.load(&records);
    let quiet = stage.quiet(&service);
    service.until("silence", || now().timestamp() > to + 20 && service.figure("tokens") < 1.0);
    // Without one that is heard again, nobody knows that the others are silent.
    stage.notes.mark(&stage.trades, now().timestamp() + 5);
    stage.ticks(&service, 2);
    stage.stop(service);
    let verdict = stage.judge(quiet, false);
    assert!(verdict.whole_ticks >= 10, "{verdict:?}");
}

#[test]
fn a_record_of_eight_megabytes_and_one_of_a_hundred_thousand_elements_count_exactly() {
    let mut stage = Stage::set("hostile", &SPANS, seed());
    let at = now().timestamp() - 5;
    let records = [hostile::padded(at, 8 << 20), hostile::many(at, 100_000)];
    stage.plan(&records);
    let service = stage.service();
    service.ready();
    for record in &records {
        stage.load(std::slice::from_ref(record));
    }
    let quiet = stage.quiet(&service);
    stage.ticks(&service, 2);
    let most = service.most_memory_kb();
    println!("most memory: {most} kB");
    assert!(most < 400_000, "{most} kB");
    stage.stop(service);
    stage.judge(quiet, false);
}

/// Lets the service catch up so slowly that a tick passes meanwhile: what was read by then must not
/// be published.
fn starve_while_catching_up(service: &Service) {
    let counted = || service.figure_if_up("trades_counted_total").unwrap_or_default();
    let tick = || now().timestamp() / stage::INTERVAL;
    service.starved(|| {
        service.until("the first trades", || counted() > 0.0);
        let begun = tick();
        service.until("a tick to pass", || tick() > begun);
        println!("a tick passed when {} trades were counted", counted());
    });
}

/// A load whose trades lie from 14 minutes ago to 100 seconds ahead, so that every window slides.
fn plan(stage: &mut Stage, trades: usize, tokens: usize) -> Vec<Planned> {
    let (from, to) = (now().timestamp() - 840, now().timestamp() + 100);
    let seed = stage.rng.random();
    let records = workload::records(&Order { seed, trades, tokens, from, to, disorder_ms: 10_000 });
    stage.plan(&records);
    records
}

/// What `/metrics` says is what stood in the log and came out.
fn figures_agree(stage: &Stage, service: &Service) {
    let [log, letters] = stage.logs();
    let model = stage.model(&log);
    let mut by_reason: BTreeMap<&str, usize> = BTreeMap::new();
    for rejected in model.rejected.values() {
        *by_reason.entry(rejected.bad.reason).or_default() += 1;
    }
    let exactly = |name: &str, value: usize| {
        let found = service.figure(name);
        assert!((found - as_f64(value)).abs() < 0.5, "{name}: {found}, not {value}");
    };
    exactly("lag_records", 0);
    exactly("records_consumed_total", model.records);
    exactly("trades_consumed_total", model.elements);
    exactly("trades_counted_total", model.counted());
    exactly("trades_duplicate_total", 0);
    exactly("trades_late_total", 0);
    exactly("dead_letters_total", letters.len());
    exactly("rejected_total", model.rejected.len());
    assert!(by_reason.len() >= 9, "every reason that a trade can have: {by_reason:?}");
    for (reason, count) in by_reason {
        exactly(&format!("rejected_total{{reason=\"{reason}\"}}"), count);
    }
}

/// What `/stats` says is what stands in the output, between two ticks.
fn statistics_agree(stage: &mut Stage, service: &Service) {
    let mut stats = service.json("/stats");
    let mut published = (0, 0);
    service.until("a moment between two ticks", || {
        let said = stage.said();
        published = (said.len(), said.iter().map(|one| one.bytes).sum::<usize>());
        let before = std::mem::replace(&mut stats, service.json("/stats"));
        before == stats
    });
    let writer = &stats["writer_stats"];
    assert_eq!(stats["messages_sent"], json!(published.0));
    assert_eq!(stats["bytes_sent"], json!(published.1));
    assert_eq!(writer["messages"], stats["messages_sent"]);
    assert_eq!(writer["bytes"], stats["bytes_sent"]);
    assert_eq!([&stats["is_running"], &stats["messages_error"]], [&json!(true), &json!(0)]);
    assert_eq!(stats["brokers"], json!([stage.kafka.address()]));
    assert_eq!(stats["topic"], json!(stage.notes.aggregates.name));
    assert!(stats["average_latency"].as_u64().unwrap() > 0);
    assert!(writer["writes"].as_u64().unwrap() >= published.0.div_ceil(50) as u64);
    println!("statistics: {stats}");
}

fn trades() -> usize {
    variable("BROKERS_TRADES").unwrap_or(200_000).try_into().unwrap()
}

fn seed() -> u64 {
    variable("BROKERS_SEED").unwrap_or_else(|| rand::random::<u32>().into())
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).unwrap().into()
}

/// Trades of the scenarios that are about something else.
const SMALL: usize = 50_000;
