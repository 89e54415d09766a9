//! How long the service takes from its start to ready over a large checkpoint, printed: panes per
//! second, the bytes that Redis holds, CPU, memory. Once as a changelog of many small flushes, once
//! as a snapshot: what is written after a loss. Asserts nothing of time.
//!
//! `cargo bench --bench load`; `LOAD_BINARY` names another build (the static one), `LOAD_PANES`
//! another size than 10,000,000 panes, `LOAD_SHAPE` one of `changelog` and `snapshot` alone.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the bench's own")]

use support::harness::{service, topic};

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aggregator_service::domain::pane::{Flow, Mark, Pane, Sums};
use aggregator_service::domain::position::{Offset, Partition, Position};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::time::Second;
use aggregator_service::domain::token::{ShardId, Shards};
use aggregator_service::ports::{Checkpoint, Flush, FlushBody, Verdict};
use aggregator_service::redis::{RedisCheckpoint, connect};
use aggregator_service::wire::checkpoint::{PaneAt, encode};
use bytes::Bytes;

use service::Service;
use support::kafka::KafkaBroker;
use support::redis::RedisServer;
use topic::{Topic, now};

/// Tokens that the panes are of.
const TOKENS: usize = 50_000;
/// The panes' seconds: most of an hour, so that none expires before it is loaded.
const SECONDS: usize = 3_000;
/// Flushes of each shard in each second: the default `CHECKPOINT_INTERVAL`.
const FLUSHES: usize = 4;
/// Panes in a part of a snapshot.
const PART: usize = 4_096;

fn main() {
    let panes: usize = variable("LOAD_PANES").map_or(10_000_000, |text| text.parse().unwrap());
    let kafka = KafkaBroker::start_for_load(&[]);
    let redis = RedisServer::start();
    for shape in ["changelog", "snapshot"] {
        if variable("LOAD_SHAPE").is_none_or(|wanted| wanted == shape) {
            redis.command("FLUSHALL");
            load(&kafka, &redis, shape, panes);
        }
    }
}

fn load(kafka: &KafkaBroker, redis: &RedisServer, shape: &str, panes: usize) {
    let topic = Topic::open(kafka, &format!("{shape}-trades"));
    fill(
        redis,
        &topic.name,
        shape == "snapshot",
        panes / SECONDS / usize::from(Shards::DEFAULT.count()),
    );
    let stored = redis.command("INFO memory");
    let stored = stored.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim();
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_aggregator-service"));
    let program = variable("LOAD_BINARY").map_or_else(built, PathBuf::from);
    let variables = [
        ("KAFKA_BROKERS", kafka.address()),
        ("REDIS_ADDR", redis.addr()),
        ("KAFKA_TOPIC", topic.name.clone()),
        ("AGGREGATE_TOPIC", format!("{shape}-aggregates")),
        ("DLQ_TOPIC", format!("{shape}-letters")),
        ("AGGREGATE_PUBLISH_INTERVAL", "5m".to_owned()),
    ];
    let server = cpu(redis.pid());
    let begun = Instant::now();
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let service = Service::start(&program, &variables);
    service.ready();
    let (seconds, cpu_ours) = (begun.elapsed().as_secs_f64(), cpu(&service.pid).as_secs_f64());
    let server = cpu(redis.pid()).saturating_sub(server).as_secs_f64();
    let found = service.figure("panes");
    println!(
        "{shape}: {found} panes of {stored} bytes in Redis, ready after {seconds:.2} s: {:.0} a \
         second; CPU {cpu_ours:.2} s and {server:.2} s of Redis; resident {} kB, peak {} kB",
        found / seconds,
        memory(&service, "VmRSS:"),
        memory(&service, "VmHWM:"),
    );
}

/// Writes a checkpoint with this many panes a shard and second.
fn fill(redis: &RedisServer, topic: &str, everything: bool, panes: usize) {
    let mut tokens = vec![Vec::new(); usize::from(Shards::DEFAULT.count())];
    for token in (0..TOKENS).map(|number| format!("{number:A>40}pump")) {
        tokens[usize::from(Shards::DEFAULT.of_token(&token).0)].push(token);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = connect(&support::checkpoint::config(&redis.addr())).unwrap();
        client.wait_until_reachable(Duration::from_secs(10)).await.unwrap();
        let group = "aggregator-service";
        let owner = RedisCheckpoint::new(
            client,
            "aggregator:",
            (group, topic),
            Shards::DEFAULT,
            "1:fill".to_owned(),
        );
        for shard in 0..Shards::DEFAULT.count() {
            assert_eq!(owner.claim(ShardId(shard), 1).await.unwrap(), 0);
        }
        let end = Second(now().timestamp());
        let at = |shard: usize, place: usize| {
            let second = end.plus(-i64::try_from(SECONDS - place / panes).unwrap());
            let tokens: &Vec<String> = &tokens[shard];
            let pane = pane(u32::try_from(place).unwrap());
            PaneAt { token: &tokens[place % tokens.len()], second, pane, extended: None }
        };
        let entry = |shard: usize, places: std::ops::Range<usize>| {
            let positions = [(Partition(0), Offset(0))];
            Bytes::from(encode(&positions, end, end, places.map(|place| at(shard, place))))
        };
        let all = panes * SECONDS;
        let step = if everything { all } else { panes.div_ceil(FLUSHES) };
        for (sequence, from) in (1..).zip((0..all).step_by(step)) {
            let flush = |shard: u16| {
                let to = (from + step).min(all);
                let one = |from: usize| entry(usize::from(shard), from..(from + PART).min(to));
                let mut parts: Vec<_> = (from..to).step_by(PART).map(one).collect();
                let last = parts.pop().unwrap();
                parts.push(last.clone());
                let append = FlushBody::Append(last);
                let body = if everything { FlushBody::Snapshot(parts) } else { append };
                let newest = at(usize::from(shard), to - 1).second;
                let (shard, trim) = (ShardId(shard), Second(0));
                Flush { shard, tenure: 1, previous: sequence - 1, sequence, body, newest, trim }
            };
            // Of all shards at once a snapshot would be the whole state once more.
            let together = if everything { 1 } else { Shards::DEFAULT.count() };
            for shard in (0..Shards::DEFAULT.count()).step_by(usize::from(together)) {
                let flushes: Vec<_> = (shard..shard + together).map(flush).collect();
                for verdict in owner.flush(&flushes).await {
                    assert_eq!(verdict.unwrap(), Verdict::Ok);
                }
            }
        }
    });
}

/// Two trades with volumes of 9 decimals, half of the time at one price.
fn pane(number: u32) -> Pane {
    let noise = number.wrapping_mul(2_654_435_761);
    let mark = |step: u32| Mark {
        nanos: noise % 1_000 * 1_000_000,
        position: Position {
            partition: Partition((number % 3).cast_signed()),
            offset: Offset(i64::from(number)),
            index: noise % 60 + step,
        },
        price: Price::from_parts(u128::from(noise) * 317 + u128::from(step), 15).unwrap(),
    };
    let flow = |count: u64| Flow { count, volume: i128::from(noise) * 1_000_000_000 };
    let usd = i128::from(noise) * 123_456_789_017;
    let sums = Sums { sell: flow(1), buy: flow(1), usd };
    let last = if noise.is_multiple_of(2) { mark(0) } else { mark(1) };
    Pane { sums, first: mark(0), last }
}

/// CPU time of a process so far, in user and system mode.
fn cpu(pid: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    let ticks: u64 = [11, 12].map(|at: usize| fields[at].parse::<u64>().unwrap()).iter().sum();
    // USER_HZ is 100 on every Linux that there is.
    Duration::from_millis(ticks * 10)
}

/// Resident memory, now or at its highest, in kB.
fn memory(service: &Service, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
