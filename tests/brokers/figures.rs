//! The figures against what the log, the clock and the harness know: bounds are exact, because both
//! sides look at one clock.

use std::collections::BTreeMap;

use rskafka::chrono::DateTime;
use rskafka::client::partition::Compression;
use rskafka::record::Record;

use crate::service::Service;
use crate::stage::Stage;
use crate::topic::{PARTITIONS, now};
use crate::workload::token;
use crate::{SPANS, as_f64, seed};
use support::kafka::foreign;
use support::oracle::Told;

#[test]
fn lag_counts_and_latency_are_those_of_the_log_and_of_the_clock() {
    let mut stage = Stage::set("figures", &SPANS, seed());
    stage.further = vec![("CHECKPOINT_MAX_AGE", "2s")];
    let old_ms = now().timestamp_millis() - AGE_MS;
    for partition in 0..usize::try_from(PARTITIONS).unwrap() {
        produce(&stage, partition, (0..BACKLOG).map(|place| one(place, old_ms)).collect());
    }
    let begun_ms = now().timestamp_millis();
    let service = stage.service();
    service.ready();
    let backlog = BACKLOG * usize::try_from(PARTITIONS).unwrap();
    counted(&service, backlog, backlog);
    exactly(&service, "lag_seconds", 0);
    latency(&service, backlog, [begun_ms, now().timestamp_millis()].map(|at| at - old_ms));

    // Nobody takes dead letters any more: the reader of a record full of them waits.
    foreign(&stage.kafka, &["delete", "figures-letters"]);
    let mark_ms = now().timestamp_millis();
    let mark = vec![told(0, mark_ms).json(); IN_A_BLOCK];
    produce(&stage, 0, vec![record(serde_json::Value::Array(mark).to_string(), mark_ms)]);
    let all_counted = || service.figure("records_consumed_total") >= as_f64(backlog + 1);
    service.until("the mark", all_counted);
    let position = stage.trades.ends()[0];
    produce(&stage, 0, vec![record(format!("[{}0]", "0,".repeat(BAD - 1)), mark_ms)]);
    let unread_ms = now().timestamp_millis();
    for _ in 0..2 {
        produce(&stage, 0, (0..BACKLOG).map(|place| one(place, mark_ms)).collect());
        let unread = as_f64(usize::try_from(stage.trades.ends()[0] - position).unwrap());
        service.until("the lag of the log", || {
            (service.figure("lag_records{partition=\"0\"}") - unread).abs() < 0.5
        });
    }
    for partition in 1..PARTITIONS {
        exactly(&service, &format!("lag_records{{partition=\"{partition}\"}}"), 0);
    }
    aged(&service, unread_ms, mark_ms);
    waiting(&service);

    foreign(&stage.kafka, &["topic", "figures-letters", "3"]);
    service.until("everything to be read", || service.figure("lag_records") < 0.5);
    service.ready();
    let records = backlog + 1 + 2 * BACKLOG;
    counted(&service, records - 1 + IN_A_BLOCK, records);
    exactly(&service, "rejected_total", BAD);
    let sent = || service.figure("dead_letters_total") >= as_f64(BAD);
    service.until("every dead letter", sent);
    exactly(&service, "dead_letters_total", BAD);
    exactly(&service, "dead_letter_queue_records", 0);
    stage.stop(service);
}

/// So many trades of so many records were produced, and read, and counted; nothing is left. No
/// record has trades for two workers.
fn counted(service: &Service, trades: usize, records: usize) {
    service.until("all to be counted", || service.figure("trades_counted_total") >= as_f64(trades));
    exactly(service, "trades_counted_total", trades);
    exactly(service, "count_latency_seconds_count", records);
    exactly(service, "lag_records", 0);
    exactly(service, "worker_queue_batches", 0);
}

/// Every record was as old when it was counted as it was between two moments.
fn latency(service: &Service, records: usize, [least_ms, most_ms]: [i64; 2]) {
    let of_all = |ms: i64| as_f64(usize::try_from(ms).unwrap()) / 1_000.0 * as_f64(records);
    let (least, most) = (of_all(least_ms), of_all(most_ms));
    let sum = service.figure("count_latency_seconds_sum");
    let width = (most - least) / most * 100.0;
    println!("latencies of {sum} s in all, between {least} and {most}: known to {width:.2} %");
    assert!((least..=most).contains(&sum), "{sum} s, not {least} to {most} s");
    let beyond = service.figure("count_latency_seconds_bucket{le=\"64\"}");
    assert!(beyond < 0.5, "{beyond} records were no older than 64 s");
}

/// What is unread came at `unread_ms`, and all before `read_ms` was read.
fn aged(service: &Service, unread_ms: i64, read_ms: i64) {
    let least = now().timestamp_millis() - unread_ms;
    let age = service.figure("lag_seconds{partition=\"0\"}") * 1_000.0;
    let most = now().timestamp_millis() - read_ms;
    let [least, most] = [least, most].map(|ms| as_f64(usize::try_from(ms).unwrap()));
    println!("a lag of {age} ms, between {least} and {most}");
    assert!((least - 0.5..=most + 0.5).contains(&age), "{age} ms, not {least} to {most} ms");
}

/// The queue is full, the checkpoint waits for it, and that is said.
fn waiting(service: &Service) {
    // What has room in the queue, and the batch that is being sent.
    exactly(service, "dead_letter_queue_records", 65 * 500);
    service.until("it to be unready", || {
        let (status, body) = service.get("/readyz").unwrap();
        status == 503 && body.contains("checkpoint: a change of ")
    });
    exactly(service, "ready", 0);
    let (_, health) = service.get("/health").unwrap();
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    let letters = &health["components"]["dead_letters"];
    assert_eq!(letters["status"], "unhealthy", "{letters}");
    println!("dead letters: {}", letters["reason"]);
}

fn exactly(service: &Service, name: &str, value: usize) {
    let found = service.figure(name);
    assert!((found - as_f64(value)).abs() < 1e-6, "{name}: {found}, not {value}");
}

/// A record of one trade, both of the same moment.
fn one(place: usize, at_ms: i64) -> Record {
    record(told(place, at_ms).json().to_string(), at_ms)
}

fn told(place: usize, at_ms: i64) -> Told {
    Told {
        token: token(place % 500),
        buy: true,
        native: "1".to_owned(),
        amount: "1".to_owned(),
        price: "1".to_owned(),
        at_ns: i128::from(at_ms) * 1_000_000,
        position: (0, 0, 0),
    }
}

fn record(value: String, at_ms: i64) -> Record {
    let timestamp = DateTime::from_timestamp_millis(at_ms).unwrap();
    Record { key: None, value: Some(value.into_bytes()), headers: BTreeMap::new(), timestamp }
}

fn produce(stage: &Stage, partition: usize, records: Vec<Record>) {
    stage.trades.produce(partition, records, Compression::Lz4);
}

/// Inside the longest window, and so old that the time of the reading is 1 % of it at most.
const AGE_MS: i64 = 3_300_000;
/// Records of each load, in each of its partitions.
const BACKLOG: usize = 1_000;
/// Trades of one token in one record.
const IN_A_BLOCK: usize = 10;
/// More than have room among the dead letters.
const BAD: usize = 100_000;
