//! Access on real servers: TLS and logins of Kafka and Redis, right ones and wrong ones, what is
//! never shown, and orders to publish. Our program is a child process, as in production.
#![cfg(test)]

use support::harness::{service, topic};

mod kafka;
mod publish;
mod redis;
mod secrets;

use std::path::Path;
use std::sync::OnceLock;

use service::{PATIENCE, Service};
use support::kafka::secure::SecureKafka;

type Variables<'a> = [(&'a str, &'a str)];

/// The one broker of these tests.
fn secure() -> &'static SecureKafka {
    static SECURE: OnceLock<SecureKafka> = OnceLock::new();
    SECURE.get_or_init(SecureKafka::start)
}

/// Our program with these variables; with topics and a port of its own.
fn start(name: &str, variables: &[&Variables<'_>]) -> Service {
    let topics = [
        ("KAFKA_TOPIC", "trades"),
        ("AGGREGATE_TOPIC", "aggregates"),
        ("DLQ_TOPIC", "letters"),
        ("TOKEN_INFO_TOPIC", "info"),
    ];
    let topics = topics.map(|(variable, kind)| (variable.to_owned(), format!("{name}-{kind}")));
    let given = variables.iter().copied().flatten();
    let given = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let all: Vec<_> = topics.into_iter().chain(given).collect();
    Service::start(Path::new(env!("CARGO_BIN_EXE_aggregator-service")), &all)
}

/// The start ends by itself, with this exit code and one line that says all of `words`; its log.
fn ends(variables: &[&Variables<'_>], code: i32, words: &[&str]) -> String {
    let service = start("ends", variables);
    let found = service.exit_code(PATIENCE);
    let log = service.log();
    let complaints: Vec<_> = log.lines().filter(|line| !line.starts_with('{')).collect();
    let [complaint] = complaints[..] else { panic!("not one line: {log}") };
    assert_eq!(found, code, "{complaint}");
    println!("{complaint}");
    for word in ["aggregator-service: "].iter().chain(words) {
        assert!(complaint.contains(word), "{word:?} is not in {complaint:?}");
    }
    log
}

/// Posts JSON, with a bearer token where there is one: status and body.
fn post(service: &Service, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build();
    let url = format!("http://127.0.0.1:{}{path}", service.port);
    let mut request =
        ureq::Agent::new_with_config(config).post(url).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut answer = request.send(body).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}
