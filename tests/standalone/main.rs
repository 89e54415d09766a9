//! What is released, as its users get it: the static binary, the image, the systemd unit, the files
//! for compose and Kubernetes. The first test here that needs the binary builds it.
#![cfg(test)]

mod binary;
mod image;
mod manifests;
mod notify;
mod systemd;
mod unit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use support::kafka::KafkaBroker;

/// What cargo has built for the tests: good for everything but being the release.
const BINARY: &str = env!("CARGO_BIN_EXE_aggregator-service");

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).expect(path)
}

/// The release's folder, built by its own script; where it is there that takes seconds.
fn dist() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| drop(output(&mut Command::new(repository().join("deploy/release")))));
    repository().join("target/dist")
}

/// What a command that must succeed says.
fn output(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {}\n{said}{complaint}", done.status);
    said
}

/// Polls until `done`, within two minutes: far above what anything here takes on a busy machine.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("waited for {what} in vain");
}

/// Whether this is root; says what is left out where it is not.
fn root_for(what: &str) -> bool {
    let root = output(Command::new("id").arg("-u")).trim() == "0";
    if !root {
        eprintln!("SKIPPED, not tested: {what}; it takes root");
    }
    root
}

/// Variables of a service on the shared broker, with topics of its own.
fn variables(name: &str, redis: &str) -> Vec<(String, String)> {
    let mut all = vec![
        ("KAFKA_BROKERS".to_owned(), KafkaBroker::shared().address()),
        ("REDIS_ADDR".to_owned(), redis.to_owned()),
    ];
    for variable in ["KAFKA_TOPIC", "AGGREGATE_TOPIC", "DLQ_TOPIC", "TOKEN_INFO_TOPIC"] {
        all.push((variable.to_owned(), format!("{name}-{}", variable.to_lowercase())));
    }
    all
}

/// The line of `/proc/<pid>/status` that begins with `name:`, without it.
fn process_status(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.expect(name).split_whitespace().collect::<Vec<_>>().join(" ")
}
