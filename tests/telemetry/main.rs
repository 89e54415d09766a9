//! What the service says of itself without being asked: log lines, their level while it runs, and
//! the export to an OpenTelemetry receiver. Our program is a child process, as in production.
#![cfg(test)]

use support::harness::{service, topic};

mod level;
mod lines;
mod otlp;
mod receiver;
mod troubles;

use std::path::Path;

use serde_json::Value;
use service::Service;

const BINARY: &str = env!("CARGO_BIN_EXE_aggregator-service");

/// A demo with these variables; with a port of its own.
fn demo(variables: &[(&str, &str)]) -> Service {
    let pair = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let variables: Vec<_> = variables.iter().map(pair).collect();
    Service::start_command(Path::new(BINARY), &["demo"], &variables)
}

/// What was logged, line by line: each is one JSON object.
fn log(service: &Service) -> Vec<Value> {
    let log = service.log();
    // The last one may be half written.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The lines with this text.
fn said(service: &Service, text: &str) -> Vec<Value> {
    log(service).into_iter().filter(|line| line["message"] == text).collect()
}
