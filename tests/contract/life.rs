//! The rows about what the service says of itself when all is not well, each with one of its own,
//! and about the port on which it says it.

use std::collections::BTreeSet;
use std::fs;

use rskafka::client::partition::Compression;
use rskafka::record::Record;
use serde_json::{Value, json};

use crate::ask::{ask, ask_if_up, ask_with};
use crate::document;
use crate::service::{PATIENCE, Service};
use crate::stage::{Stage, program};
use crate::topic::{Topic, now};
use support::kafka::free_ports;
use support::proxy::Weather;
use support::redis::RedisServer;

/// Status and reasons of `/readyz`; `None` where nobody listens yet.
fn readiness(service: &Service) -> Option<(u16, Value)> {
    let answer = ask_if_up(service.port, "GET /readyz")?;
    let body = answer.json();
    let expected: &[&str] = if answer.status == 200 { &["status"] } else { &["error", "reasons"] };
    let names: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, expected.iter().copied().collect(), "{body}");
    Some((answer.status, body["reasons"].clone()))
}

fn is_alive(service: &Service) -> bool {
    ask(service.port, "GET /livez").status == 200
}

/// Stops in order.
fn stop(service: &Service) {
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0, "{}", service.log());
}

pub(crate) fn without_anything(_: &Stage) {
    let [kafka, redis] = free_ports().map(|port: u16| format!("127.0.0.1:{port}"));
    let variables = [("KAFKA_BROKERS", kafka), ("REDIS_ADDR", redis)];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let service = Service::start(program(), &variables);
    service.until("a reason", || {
        readiness(&service).is_some_and(|(status, reasons)| {
            assert_eq!(status, 503);
            reasons[0] == "starting" && reasons.to_string().contains("kafka: ")
        })
    });
    assert!(is_alive(&service));
    let health = ask(service.port, "GET /health");
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("unhealthy")));
    document::conform(service.port);
    let publish = ask_with(
        service.port,
        "POST /publish",
        &["Content-Type: application/json"],
        r#"{"all":true}"#,
    );
    assert_eq!((publish.status, &*publish.error()), (503, "starting"));
    stop(&service);
}

pub(crate) fn catching_up(stage: &Stage) {
    let trades = Topic::open(&stage.kafka, "backlog-trades");
    let value = Value::Array(stage.trades.iter().map(|told| told.json()).collect());
    let value = Some(value.to_string().into_bytes());
    let record = Record { key: None, value, headers: Default::default(), timestamp: now() };
    trades.produce(0, vec![record; BACKLOG], Compression::default());
    stage.proxy.weather(Weather::Trickle(BYTES_PER_SECOND));
    let service = stage.start("backlog", &[("KAFKA_BROKERS", &stage.proxy.addr())]);
    service.until("it to be asked while catching up", || {
        let Some((status, reasons)) = readiness(&service) else { return false };
        assert_eq!(status, 503, "the backlog is not read yet");
        reasons[0] == "catching up"
    });
    assert!(is_alive(&service));
    stage.proxy.weather(Weather::Clear);
    service.ready();
    stop(&service);
}

pub(crate) fn stopping(stage: &Stage) {
    // Without it the last flush waits, and with it the stop.
    let redis = RedisServer::start();
    let service = stage.start("stopping", &[("REDIS_ADDR", &redis.addr())]);
    service.ready();
    redis.stop();
    let trades = Topic::open(&stage.kafka, "stopping-trades");
    crate::stage::produce(&trades, 0, &stage.trades[3].json());
    service.until("a change that waits for Redis", || service.figure("trades_counted_total") > 0.0);
    service.terminate();
    service.until("a stop under way", || {
        let Some((status, reasons)) = readiness(&service) else { return false };
        status == 503 && reasons[0] == "stopping"
    });
    assert!(is_alive(&service));
    assert_eq!(ask(service.port, "GET /stats").json()["is_running"], false);
    redis.cont();
    assert_eq!(service.exit_code(PATIENCE), 0, "{}", service.log());
}

pub(crate) fn no_http(stage: &Stage) {
    let service = stage.start("silent", &[("METRICS_ENABLED", "false")]);
    service.until("it to be ready", || service.log().contains("ready: caught up"));
    assert_eq!(listens(&service.pid), [].into());
    stop(&service);
}

pub(crate) fn any_port(stage: &Stage) {
    let service = stage.start("anywhere", &[("METRICS_PORT", "0")]);
    service.until("it to be ready", || service.log().contains("ready: caught up"));
    let log = service.log();
    let line = log.lines().find(|line| line.contains("reads and writes")).expect(&log);
    let line: Value = serde_json::from_str(line).unwrap();
    let port = u16::try_from(line["http"].as_u64().expect(&log)).unwrap();
    assert_eq!(listens(&service.pid), [port].into());
    assert_eq!(ask(port, "GET /livez").status, 200);
    stop(&service);
}

/// The TCP ports that a process listens on, as the kernel has them.
fn listens(pid: &str) -> BTreeSet<u16> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let open: BTreeSet<_> = open
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
        })
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")));
    let tables = tables.map(Result::unwrap).concat();
    let listening = tables.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let ours = fields.get(3) == Some(&"0A") && open.contains(*fields.get(9)?);
        let (_, port) = fields[1].rsplit_once(':')?;
        ours.then(|| u16::from_str_radix(port, 16).unwrap())
    });
    listening.collect()
}

/// Some hundred kilobytes: far more than passes until somebody has asked.
const BACKLOG: usize = 300;
const BYTES_PER_SECOND: usize = 20_000;
