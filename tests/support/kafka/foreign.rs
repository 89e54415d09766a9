//! Java's own clients: producers and consumers that are not ours.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::jars::java;
use super::{BRIEF_JVM, KafkaBroker};
use crate::install;

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

/// What Kafka's own tool for groups says, with these arguments.
pub fn consumer_groups(broker: &KafkaBroker, arguments: &[&str]) -> String {
    let mut command = java(&BRIEF_JVM);
    command
        .arg("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand")
        .args(["--bootstrap-server", &broker.address()])
        .args(arguments);
    run(command, "")
}

/// Runs `tests/support/kafka/Foreign.java`; what it can do is said there.
pub fn foreign(broker: &KafkaBroker, arguments: &[&str]) -> String {
    let mut command = foreign_command(&broker.address());
    command.args(arguments);
    run(command, "")
}

fn foreign_command(brokers: &str) -> Command {
    ensure_compiler();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/Foreign.java");
    let mut command = java(&BRIEF_JVM);
    command.arg(source).arg(brokers);
    command
}

/// Makes sure that `java` runs a file of source.
pub fn ensure_compiler() {
    install::ensure("javac", &["openjdk-17-jdk-headless"]);
}

/// A `Foreign.java` that takes one order after the other; it ends with its input.
#[derive(Debug)]
pub struct Session {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Session {
    /// A session with a cluster: `host:port,…`.
    pub fn start(brokers: &str) -> Self {
        let mut command = foreign_command(brokers);
        command.arg("session").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("java");
        let orders = process.stdin.take().expect("stdin");
        let answers = BufReader::new(process.stdout.take().expect("stdout")).lines();
        Self { process, orders, answers }
    }

    /// Gives one order; answers what it says before `ok`.
    pub fn order(&mut self, words: &[&str]) -> Vec<String> {
        assert!(!words.iter().any(|word| word.contains(['\t', '\n', '\r'])), "one line: {words:?}");
        writeln!(self.orders, "{}", words.join("\t")).expect("order");
        let mut said = Vec::new();
        loop {
            let line = self.answers.next().expect("an answer").expect("text");
            match line.as_str() {
                "ok" => return said,
                error if error.starts_with("error ") => panic!("{words:?}: {error}"),
                _ => said.push(line),
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
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
