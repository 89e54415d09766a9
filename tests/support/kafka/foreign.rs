//! Java's own clients: producers and consumers that are not ours.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::jars::java;
use super::{BRIEF_JVM, KafkaBroker};
use crate::support::install;

/// Appends lines by Java's console producer. `properties` are the producer's, `reader` those of
/// the line reader (`parse.key=true`, `parse.headers=true`, `null.marker=…`).
pub fn console_produce(
    broker: &KafkaBroker,
    topic: &str,
    properties: &[&str],
    reader: &[&str],
    lines: &str,
) {
    let mut command = java(&BRIEF_JVM);
    command
        .args(["org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", &broker.address()])
        .args(["--topic", topic])
        .args(properties.iter().flat_map(|property| ["--command-property", property]))
        .args(reader.iter().flat_map(|property| ["--reader-property", property]));
    run(command, lines);
}

/// What Java's console consumer reads from the beginning of `topic`, a line for each of `count`
/// records: `CreateTime:…␉Partition:…␉name:value,…␉key␉value`.
pub fn console_consume(broker: &KafkaBroker, topic: &str, count: usize) -> Vec<String> {
    let mut command = java(&BRIEF_JVM);
    command
        .args(["org.apache.kafka.tools.consumer.ConsoleConsumer", "--from-beginning"])
        .args(["--bootstrap-server", &broker.address(), "--topic", topic])
        .args(["--timeout-ms", "30000", "--max-messages", &count.to_string()]);
    for shown in ["timestamp", "partition", "headers", "key"] {
        command.args(["--formatter-property", &format!("print.{shown}=true")]);
    }
    run(command, "").lines().map(str::to_owned).collect()
}

/// Runs `tests/support/kafka/Foreign.java`; what it can do is said there.
pub fn foreign(broker: &KafkaBroker, arguments: &[&str]) -> String {
    install::ensure("javac", &["openjdk-17-jdk-headless"]);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/kafka/Foreign.java");
    let mut command = java(&BRIEF_JVM);
    command.arg(source).arg(broker.address()).args(arguments);
    run(command, "")
}

fn run(mut command: Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("java");
    let mut stdin = child.stdin.take().expect("stdin");
    let input = input.to_owned();
    let feeding = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let mut errors = child.stderr.take().expect("stderr");
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let done = child.wait_with_output().expect("end");
    feeding.join().expect("thread").expect("input");
    let errors = errors.join().expect("thread").expect("errors");
    assert!(done.status.success(), "{command:?}: {errors}");
    String::from_utf8(done.stdout).expect("text")
}
