//! What the rows play on: one broker, one Redis, topics with a few trades whose figures the oracle
//! knows, and one service that has read them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rskafka::client::partition::Compression;
use rskafka::record::Record;
use serde_json::{Value, json};

use crate::ask::{Answer, ask, ask_with};
use crate::service::Service;
use crate::topic::{Stored, Topic, now};
use support::kafka::{KafkaBroker, free_ports};
use support::oracle::{self, Span, Told};
use support::proxy::Proxy;
use support::redis::RedisServer;

/// The windows of every service here.
pub(crate) const SPANS: [Span; 3] = [("10s", 10), ("1min", 60), ("1hour", 3_600)];
/// Seconds between ticks.
pub(crate) const INTERVAL: i64 = 5;
/// All its trades are some half an hour old: its figures stand still while the rows are played.
pub(crate) const QUIET: &str = "So11111111111111111111111111111111111111112";
/// An address that has to be encoded in a path.
pub(crate) const ODD: &str = "0x/a b%3F?";
/// Its one trade is older than every window.
pub(crate) const LATE: &str = "late";
pub(crate) const ADMIN_TOKEN: &str = "hush-hush";

/// The world of all rows.
pub(crate) struct Stage {
    pub(crate) port: u16,
    pub(crate) trades: Vec<Told>,
    pub(crate) aggregates: Topic,
    pub(crate) variables: Vec<(String, String)>,
    service: Mutex<Service>,
    /// One order at a time is served.
    order: Mutex<()>,
    /// Before a listener of the broker.
    pub(crate) proxy: Proxy,
    pub(crate) redis: RedisServer,
    pub(crate) kafka: KafkaBroker,
}

impl Stage {
    /// Produces, starts, and waits until all is read.
    pub(crate) fn set() -> Self {
        let ((kafka, proxy), redis) = (proxied(), RedisServer::start());
        let names = Topic::open(&kafka, "contract-names");
        let named = json!([{"token": QUIET, "symbol": "SOL", "name": "Wrapped \"SOL\""}]);
        produce(&names, 0, &named);
        let trades = trades();
        let input = Topic::open(&kafka, "contract-trades");
        let mut elements: Vec<_> = trades.iter().map(Told::json).collect();
        elements.push(json!({"Token": QUIET}));
        produce(&input, 0, &Value::Array(elements));
        let aggregates = Topic::open(&kafka, "contract-aggregates");
        let variables = variables(&kafka, &redis, "contract", &[("ADMIN_TOKEN", ADMIN_TOKEN)]);
        let service = Service::start(program(), &variables);
        service.ready();
        service.until("the symbol", || {
            let messages = messages(&aggregates, QUIET);
            messages.iter().any(|(_, message)| message["symbol"] == "SOL")
        });
        let port = service.port;
        let service = Mutex::new(service);
        let order = Mutex::default();
        Self { port, trades, aggregates, variables, service, order, proxy, redis, kafka }
    }

    /// Asks the service; `request` is method and path.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        ask(self.port, request)
    }

    /// Asks for JSON that is there.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.ask(&format!("GET {path}"));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Posts as an administrator.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
        let headers = ["Content-Type: application/json", &bearer];
        let _turn = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        ask_with(self.port, &format!("POST {path}"), &headers, &body.to_string())
    }

    /// What the oracle says of a token at that second.
    pub(crate) fn expected(&self, token: &str, end: i64) -> Value {
        let told: Vec<_> = self.trades.iter().filter(|told| told.token == token).collect();
        Value::Array(oracle::windows(&told, &SPANS, end))
    }

    /// A token's messages as they stand in Kafka, in their order.
    pub(crate) fn messages(&self, token: &str) -> Vec<(Stored, Value)> {
        messages(&self.aggregates, token)
    }

    /// A service of one's own, with these variables over the usual ones.
    pub(crate) fn start(&self, group: &str, extra: &[(&str, &str)]) -> Service {
        Service::start(program(), &self.variables_of(group, extra))
    }

    /// What [`Self::start`] sets.
    pub(crate) fn variables_of(
        &self,
        group: &str,
        extra: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        variables(&self.kafka, &self.redis, group, extra)
    }

    /// What the service logged so far.
    pub(crate) fn log(&self) -> String {
        self.service.lock().unwrap().log()
    }
}

/// The binary.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_aggregator-service"))
}

/// The binary with arguments and no variables.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.env_clear().args(arguments).stdin(std::process::Stdio::null());
    command
}

/// The second of a time as messages have it.
pub(crate) fn second(time: &Value) -> i64 {
    let text = time.as_str().expect("a time");
    let rfc3339 = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(text, rfc3339).unwrap().unix_timestamp()
}

/// A broker, and a proxy before a second listener of it.
fn proxied() -> (KafkaBroker, Proxy) {
    let [port] = free_ports().map(|port: u16| format!("127.0.0.1:{port}"));
    let proxy = Proxy::to(&port);
    let kafka = KafkaBroker::start_with(&[
        ("+listeners", &format!(",PROXIED://{port}")),
        ("+advertised.listeners", &format!(",PROXIED://{}", proxy.addr())),
        ("+listener.security.protocol.map", ",PROXIED:PLAINTEXT"),
    ]);
    (kafka, proxy)
}

/// Topics are named by the group; `extra` wins.
fn variables(
    kafka: &KafkaBroker,
    redis: &RedisServer,
    group: &str,
    extra: &[(&str, &str)],
) -> Vec<(String, String)> {
    let windows = SPANS.map(|(name, _)| name).join(",");
    let (interval, prefix) = (format!("{INTERVAL}s"), format!("{group}:"));
    let [trades, aggregates, letters, names] =
        ["trades", "aggregates", "letters", "names"].map(|kind| format!("{group}-{kind}"));
    let (brokers, addr) = (kafka.address(), redis.addr());
    let usual = [
        ("KAFKA_BROKERS", &*brokers),
        ("KAFKA_TOPIC", &*trades),
        ("KAFKA_CONSUMER_GROUP", group),
        ("AGGREGATE_TOPIC", &*aggregates),
        ("DLQ_TOPIC", &*letters),
        ("TOKEN_INFO_TOPIC", &*names),
        ("AGGREGATE_PUBLISH_INTERVAL", &*interval),
        ("TIME_WINDOWS", &*windows),
        ("REDIS_ADDR", &*addr),
        ("REDIS_KEY_PREFIX", &*prefix),
        // A stop on a busy machine.
        ("SHUTDOWN_TIMEOUT", "60s"),
    ];
    let mut all: BTreeMap<&str, &str> = usual.into();
    all.extend(extra.iter().copied());
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Some of a quiet token, some of busy ones, one that is late.
fn trades() -> Vec<Told> {
    let now_s = now().timestamp();
    let mut trades = Vec::new();
    let mut tell = |token: &str, age_s: i64, buy: bool, amounts: [&str; 3]| {
        let [native, amount, price] = amounts.map(str::to_owned);
        let index = u32::try_from(trades.len()).unwrap();
        let at_ns = i128::from(now_s - age_s) * 1_000_000_000;
        let position = (0, 0, index);
        let token = token.to_owned();
        trades.push(Told { token, buy, native, amount, price, at_ns, position });
    };
    tell(QUIET, 2_400, true, ["1.5", "1000.25", "0.00000001234"]);
    tell(QUIET, 1_800, false, ["2", "3e2", "1.3e-8"]);
    tell(QUIET, 1_500, true, ["0.000000000000000001", "7", "0.0000000125"]);
    for age_s in [3_000, 45, 30, 20, 1] {
        tell("busy", age_s, age_s > 20, ["1", "2", "170.5"]);
    }
    tell(ODD, 600, false, ["3", "4", "5"]);
    tell(LATE, 9_000, true, ["1", "1", "1"]);
    trades
}

fn messages(aggregates: &Topic, token: &str) -> Vec<(Stored, Value)> {
    let mut all = aggregates.all();
    all.retain(|stored| stored.record.key.as_deref() == Some(token.as_bytes()));
    let parsed = |stored: Stored| {
        let value = serde_json::from_slice(stored.record.value.as_deref().unwrap()).unwrap();
        (stored, value)
    };
    all.into_iter().map(parsed).collect()
}

/// One record, stamped now.
pub(crate) fn produce(topic: &Topic, partition: usize, value: &Value) {
    let value = Some(value.to_string().into_bytes());
    let record = Record { key: None, value, headers: BTreeMap::new(), timestamp: now() };
    topic.produce(partition, vec![record], Compression::default());
}

/// Polls until `done`, within a bound.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..POLLS {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited for {what} in vain");
}

/// Two minutes.
const POLLS: u32 = 6_000;
