//! What the service does with a backlog, printed: trades per second, CPU per trade, memory, the
//! time from start to ready, and the time from a tick to its last acknowledgement. Asserts nothing
//! of time.
//!
//! `cargo bench --bench drain`; `DRAIN_BINARY` names another build (the static one), `DRAIN_TRADES`
//! another backlog than 2,000,000 trades.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the bench's own")]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../support/mod.rs"]
mod support;

use harness::{service, topic};

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rskafka::client::partition::Compression;
use rskafka::record::Record;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use service::Service;
use support::kafka::KafkaBroker;
use support::redis::RedisServer;
use topic::{PARTITIONS, Topic, now};

/// Trades in an array, where they come in arrays.
const ARRAY: usize = 50;
/// Tokens of the backlog, and of the tick that is measured.
const TOKENS: usize = 1_000;
const MANY_TOKENS: usize = 10_000;
/// Trades a batch of the backlog: some 230 kB.
const BATCH: usize = 1_000;
/// Ticks of the many tokens that are measured.
const TICKS: f64 = 5.0;

fn main() {
    let trades: usize = variable("DRAIN_TRADES").map_or(2_000_000, |text| text.parse().unwrap());
    let kafka = KafkaBroker::start_for_load(&[]);
    let redis = RedisServer::start();
    let bench = Bench { kafka, redis };
    bench.idle();
    bench.drain("singles", trades, 1);
    bench.drain("arrays", trades, ARRAY);
    bench.tick();
}

struct Bench {
    kafka: KafkaBroker,
    redis: RedisServer,
}

impl Bench {
    /// From start to ready over nothing: an empty topic, an empty Redis. The first start of all
    /// creates the topics; it is not the one that is measured.
    fn idle(&self) {
        self.service("idle", "30s").ready();
        self.redis.command("FLUSHALL");
        let begun = Instant::now();
        let service = self.service("idle", "30s");
        service.ready();
        let ready_ms = begun.elapsed().as_millis();
        let (resident, _) = memory(&service);
        println!("idle: ready after {ready_ms} ms (polled every 10), resident {resident} kB");
    }

    /// A backlog is read from its begin to its end.
    fn drain(&self, name: &str, trades: usize, array: usize) {
        let topic = Topic::open(&self.kafka, &format!("{name}-trades"));
        fill(&topic, trades, array, TOKENS);
        let begun = Instant::now();
        let service = self.service(name, "30s");
        let counted = || service.figure_if_up("trades_counted_total").unwrap_or_default();
        service.until("the last trade", || counted() >= as_f64(trades));
        let (seconds, cpu, (_, peak)) =
            (begun.elapsed().as_secs_f64(), cpu(&service), memory(&service));
        println!(
            "{name}: {trades} trades in {seconds:.2} s, start included: {:.0} trades/s, \
             {:.2} µs CPU a trade, peak {peak} kB",
            as_f64(trades) / seconds,
            cpu.as_secs_f64() * 1e6 / as_f64(trades),
        );
    }

    /// Many active tokens: from the tick to the last acknowledged message.
    fn tick(&self) {
        let topic = Topic::open(&self.kafka, "tick-trades");
        fill(&topic, MANY_TOKENS * 2, ARRAY, MANY_TOKENS);
        let service = self.service("tick", "2s");
        service.ready();
        let ticks = || service.figure("publish_tick_seconds_count");
        service.until("ticks", || ticks() >= TICKS);
        let mean = service.figure("publish_tick_seconds_sum") / ticks();
        let tokens = service.figure("tokens");
        println!("tick: {tokens} tokens, last message acknowledged {:.0} ms after it", mean * 1e3);
    }

    fn service(&self, name: &str, interval: &str) -> Service {
        let built = || PathBuf::from(env!("CARGO_BIN_EXE_aggregator-service"));
        let program = variable("DRAIN_BINARY").map_or_else(built, PathBuf::from);
        let variables = [
            ("KAFKA_BROKERS", self.kafka.address()),
            ("REDIS_ADDR", self.redis.addr()),
            ("KAFKA_TOPIC", format!("{name}-trades")),
            ("AGGREGATE_TOPIC", format!("{name}-aggregates")),
            ("DLQ_TOPIC", format!("{name}-letters")),
            ("AGGREGATE_PUBLISH_INTERVAL", interval.to_owned()),
        ];
        Service::start(&program, &variables.map(|(name, value)| (name.to_owned(), value)))
    }
}

/// Trades of the last minutes, in Snappy batches over all partitions in turn.
fn fill(topic: &Topic, trades: usize, array: usize, tokens: usize) {
    let begin = now().timestamp() - 300;
    let partitions = usize::try_from(PARTITIONS).unwrap();
    for (turn, batch) in (0..trades).step_by(BATCH).enumerate() {
        let numbers = batch..(batch + BATCH).min(trades);
        let records = numbers.step_by(array).map(|first| {
            let last = (first + array).min(trades);
            let at = begin + i64::try_from(first * 290 / trades).unwrap();
            let time = OffsetDateTime::from_unix_timestamp(at).unwrap().format(&Rfc3339).unwrap();
            value(first..last, tokens, &time, array > 1)
        });
        let record = |value: String| Record {
            key: None,
            value: Some(value.into_bytes()),
            headers: std::collections::BTreeMap::new(),
            timestamp: now(),
        };
        topic.produce(turn % partitions, records.map(record).collect(), Compression::Snappy);
    }
}

fn value(numbers: std::ops::Range<usize>, tokens: usize, time: &str, array: bool) -> String {
    let mut text = String::new();
    for number in numbers {
        // No order that a cache could learn.
        let token = number.wrapping_mul(2_654_435_761) % tokens;
        let side = if number % 3 == 0 { "sell" } else { "buy" };
        let (native, price) = (number % 9_973, number % 99_991);
        let before = if text.is_empty() { "" } else { "," };
        write!(
            text,
            concat!(
                r#"{}{{"Token":"{:A>40}pump","Wallet":"{:B>44}","SellBuy":"{}","#,
                r#""NativeAmount":"0.{:0>9}","TokenAmount":"{}.{}","PriceUsd":"0.0000{}","#,
                r#""TransTime":"{}","TxHash":"{:C>88}"}}"#
            ),
            before, token, number, side, native, price, native, price, time, number,
        )
        .unwrap();
    }
    if array { format!("[{text}]") } else { text }
}

/// CPU time of the process so far, in user and system mode.
fn cpu(service: &Service) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", service.pid)).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    let ticks: u64 = [11, 12].map(|at: usize| fields[at].parse::<u64>().unwrap()).iter().sum();
    // USER_HZ is 100 on every Linux that there is.
    Duration::from_millis(ticks * 10)
}

/// Resident memory now and at its highest, in kB.
fn memory(service: &Service) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid)).unwrap();
    let kilobytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (kilobytes("VmRSS:"), kilobytes("VmHWM:"))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).unwrap().into()
}
