//! Log lines: how many, how often, how they look.

use std::collections::HashMap;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::service::{PATIENCE, Service};
use crate::{BINARY, log, said};
use support::kafka::KafkaBroker;
use support::redis::RedisServer;

/// The service waits this long before it says a thing again, by a clock that the log's own
/// timestamps follow within milliseconds.
const PAUSE_MS: i128 = 9_900;

/// Fields that say which of many things a line is about.
const PLACES: [&str; 4] = ["dependency", "partition", "shard", "topic"];

fn at_ms(line: &Value) -> i128 {
    let at = OffsetDateTime::parse(line["timestamp"].as_str().unwrap(), &Rfc3339).unwrap();
    at.unix_timestamp_nanos() / 1_000_000
}

/// No line stands twice in any ten seconds.
pub(crate) fn assert_none_repeats(lines: &[Value]) {
    let mut last: HashMap<String, i128> = HashMap::new();
    for line in lines {
        let places: Vec<_> = PLACES.iter().map(|place| line[place].to_string()).collect();
        let kind = format!("{} {}", line["message"], places.join(" "));
        let at = at_ms(line);
        if let Some(before) = last.insert(kind, at) {
            assert!(at - before >= PAUSE_MS, "again after {} ms: {line}", at - before);
        }
    }
}

fn start(kafka: &str, redis: &str) -> Service {
    let pairs = [("KAFKA_BROKERS", kafka), ("REDIS_ADDR", redis)];
    let variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Service::start(Path::new(BINARY), &variables)
}

fn repeated(service: &Service, text: &str) -> bool {
    said(service, text).iter().any(|line| line["repeated"].as_u64().is_some_and(|n| n > 0))
}

#[test]
fn a_start_says_three_things_and_a_broker_that_is_away_is_not_said_too_often() {
    let mut kafka = KafkaBroker::start();
    let redis = RedisServer::start();
    let first = start(&kafka.address(), &redis.addr());
    first.ready();
    assert_eq!(said(&first, "topic created: it was missing").len(), 4);
    first.terminate();
    assert_eq!(first.exit_code(PATIENCE), 0);

    let service = start(&kafka.address(), &redis.addr());
    service.ready();
    let started =
        ["aggregator-service starts", "reads and writes", "ready: caught up with the log"];
    // A host that is short of time may bring a warning between them.
    let said_of_the_start = || -> Vec<Value> {
        log(&service).into_iter().filter(|line| line["level"] == "INFO").collect()
    };
    service.until("the last line", || said_of_the_start().len() >= started.len());
    let lines = said_of_the_start();
    let texts: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(texts, started);
    let places =
        [&lines[1]["brokers"], &lines[1]["from"], &lines[1]["to"], &lines[1]["checkpoint"]];
    let expected = [kafka.address(), "trade-info".into(), "aggregate-info".into(), redis.addr()];
    assert_eq!(places.map(|place| place.as_str().unwrap().to_owned()), expected);
    assert_eq!(lines[1]["http"], service.port);

    kafka.kill9();
    let waits = "reading waits for the brokers";
    service.until("the second line", || repeated(&service, waits));
    let line = &said(&service, waits)[0];
    for field in ["cause", "action"] {
        assert!(line[field].is_string(), "{field} is not in {line}");
    }
    kafka.restart();
    service.until("it to read again", || !said(&service, "reading again").is_empty());
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0);
    assert_none_repeats(&log(&service));
}

#[test]
fn a_start_without_its_dependencies_says_so_for_each_and_not_too_often() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let service = start(&address, &address);
    let waits = "the start waits for what it needs, and asks again";
    service.until("a second line of both", || {
        ["kafka", "checkpoint"].iter().all(|dependency| {
            let lines = said(&service, waits);
            lines.iter().filter(|line| line["dependency"] == **dependency).count() >= 2
        })
    });
    assert!(repeated(&service, waits));
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0);
    assert_none_repeats(&log(&service));
}

/// `script` (bsdutils, essential in Debian) gives it a terminal. A port that is taken ends it after
/// its first line.
#[test]
fn text_on_a_terminal_is_coloured_and_under_no_color_it_is_not() {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (no_color, coloured) in [("", true), ("1", false)] {
        let mut command = Command::new("script");
        command.args(["-qec", BINARY, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::piped());
        command.env("METRICS_PORT", &port).env("NO_COLOR", no_color).env("TERM", "xterm");
        let mut child = command.spawn().unwrap();
        let mut shown = String::new();
        child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{shown}");
        assert!(shown.contains("aggregator-service starts"), "{shown}");
        assert_eq!(shown.contains('\x1b'), coloured, "{shown:?}");
    }
}
