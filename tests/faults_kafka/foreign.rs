//! Everything that foreign producers may leave in a log, in one partition at once.

use rskafka::chrono::DateTime;
use rskafka::record::Record;

use crate::site;
use crate::stage::{Stage, stop};
use crate::topic::{Stored, now};
use crate::workload::Planned;
use support::kafka::raw_produce::{batch_with_header_key, produce_batch};

const TOPIC: &str = "foreign-trades";
/// A read takes half a second and more.
const READS: u32 = 120;

pub(crate) fn transactions_compaction_codecs_and_odd_headers_are_counted_exactly() {
    let site = site::shared();
    let order = |words: &[&str]| site.session().order(words);
    let settings = ["cleanup.policy=compact", "min.cleanable.dirty.ratio=0.01", "segment.ms=1000"];
    order(&[&["topic", TOPIC, "3"][..], &settings].concat());
    let mut stage = Stage::set("foreign", site.broker.config());
    let mut records = stage.plan();
    records.retain(|plan| line(plan).is_some());
    let mut chunks = records.chunks(records.len() / 10);
    let mut chunk = || chunks.next().unwrap();
    let send = |producer: &str, records: &[Planned], keys: &str, header: &str| {
        for (at, plan) in records.iter().enumerate() {
            let key = format!("{keys}-{at}");
            order(&["send", producer, TOPIC, "0", &key, header, line(plan).unwrap()]);
        }
        order(&["flush", producer]);
    };
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        order(&["producer", codec, codec, "-"]);
    }
    for transactional in ["ended", "open"] {
        order(&["producer", transactional, "lz4", transactional]);
    }
    let replaced = chunk();
    send("gzip", replaced, "same", "-");
    send("gzip", chunk(), "same", "-");
    let odd = |plan: &Planned, at: i64| {
        let value = line(plan).unwrap();
        let batch = batch_with_header_key(&[0xff, b'k'], Some(value), value, at);
        produce_batch(&site.broker.address(), TOPIC, batch);
    };
    let odd_ones = chunk();
    // By its timestamp a segment is over: it begins a new one, and the first one is compacted.
    odd(&odd_ones[0], now().timestamp_millis() + 60_000);
    for codec in ["snappy", "lz4", "zstd"] {
        send(codec, chunk(), codec, "null value");
    }
    for end in ["commit", "abort"] {
        order(&["begin", "ended"]);
        send("ended", chunk(), end, "-");
        order(&[end, "ended"]);
    }
    for plan in &odd_ones[1..] {
        odd(plan, now().timestamp_millis());
    }
    order(&["begin", "open"]);
    let (mark, marks) = stage.notes.next_mark(now().timestamp() - 1);
    send("open", &[mark], "open", "-");
    send("zstd", chunk(), "behind", "-");
    until_compacted(&replaced[replaced.len() - 1]);
    let service = stage.service();
    service.ready();
    stage.ticks(&service, 1);
    let said = stage.said();
    assert!(!said.iter().any(|one| marks.contains(&one.token)), "nothing of what is open");
    order(&["commit", "open"]);
    let quiet = stage.notes.heard(&service, &marks, 1);
    stage.ticks(&service, 1);
    assert!(service.figure("unreadable_batches_total") < 1.0);
    stop(service);
    stage.judge_by(&log("read_committed"), quiet, false);
}

/// Waits until a record's value is gone.
fn until_compacted(replaced: &Planned) {
    for _ in 0..READS {
        if !log("read_committed").iter().any(|one| one.record.value == replaced.value) {
            return;
        }
    }
    panic!("nothing is compacted");
}

/// A record's value where the foreign client can be told it.
fn line(plan: &Planned) -> Option<&str> {
    let text = std::str::from_utf8(plan.value.as_deref()?).ok()?;
    (!text.contains(['\t', '\n', '\r'])).then_some(text)
}

/// The log as a foreign consumer reads it.
fn log(isolation: &str) -> Vec<Stored> {
    let lines = site::shared().session().order(&["read", TOPIC, isolation]);
    let stored = |line: String| {
        let fields: Vec<_> = line.splitn(6, '\t').collect();
        let number = |at: usize| fields[at].parse::<i64>().unwrap();
        let headers = fields[4].split(',').filter_map(|header| header.split_once('='));
        Stored {
            partition: number(0).try_into().unwrap(),
            offset: number(1),
            timestamp_ms: number(2),
            record: Record {
                key: Some(fields[3].as_bytes().to_vec()),
                value: Some(fields[5].as_bytes().to_vec()),
                headers: headers
                    .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
                    .collect(),
                timestamp: DateTime::from_timestamp_millis(number(2)).unwrap(),
            },
        }
    };
    lines.into_iter().map(stored).collect()
}
