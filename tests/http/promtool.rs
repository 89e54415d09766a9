//! What Prometheus' own tool says of our figures.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::http::Limits;
use aggregator_service::status::Phase;
use serde_json::Value;

use crate::server::Server;
use support::install::ensure;

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_any_figure() {
    ensure("promtool", &["prometheus"]);
    let server = filled().await;
    let (_, _, text) = server.ask("GET /metrics").await;
    assert_eq!(promtool(&text), (true, String::new()), "{text}");
    let bad = text.replace("aggregator_ticks_total", "aggregator_ticks");
    let (clean, said) = promtool(&bad);
    assert!(!clean && said.contains("aggregator_ticks"), "it looks at what it is given: {said}");
}

#[tokio::test]
async fn the_json_has_every_figure_of_the_text_as_of_the_moment_of_the_look() {
    let server = filled().await;
    let (_, body) = server.json("/metrics/json").await;
    let (_, _, text) = server.ask("GET /metrics").await;
    let families: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(families.len() > 45, "{families:?}");
    for family in &families {
        let (name, kind) = family.split_once(' ').unwrap();
        assert_eq!(body[name]["type"], kind, "{name}");
    }
    assert_eq!(body.as_object().unwrap().len(), families.len());
    let value = |name: &str| body[name]["values"][0]["value"].as_f64();
    assert_eq!(value("aggregator_lag_records"), Some(7.0));
    assert_eq!(value("aggregator_lag_seconds"), Some(2.5));
    assert_eq!(value("aggregator_checkpoint_age_seconds"), Some(2.5));
    assert_eq!(value("aggregator_ready"), Some(1.0));
    let Value::Number(memory) =
        &body["aggregator_process_resident_memory_bytes"]["values"][0]["value"]
    else {
        panic!("no memory in {body}");
    };
    assert!(memory.as_f64() > Some(1e6), "{memory}");
}

/// A server that runs and has something to say of everything.
async fn filled() -> Server {
    let server = Server::start(Limits::default()).await;
    server.status.enter(Phase::Running);
    server.status.flushed(0, server.now());
    server.status.ends(Partition(0), Offset(9), server.now());
    server.status.reads(Partition(0), Offset(2), Some(server.now()));
    server.metrics.lose_offsets(Partition(0), 1);
    server.metrics.new_log(Partition(0));
    server.metrics.flush_size_bytes.observe(3_000.0);
    server.metrics.count_latency_seconds.observe(0.2);
    server.pass(Duration::from_millis(2_500));
    server
}

/// Whether `promtool check metrics` is content, and what it says.
fn promtool(text: &str) -> (bool, String) {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = tool.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}
