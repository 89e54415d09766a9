//! HTTP from the outside, over real sockets: shapes, codes, and that no client can hold the server.
#![cfg(test)]

mod promtool;
mod publish;
mod server;
mod slow;

use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::reject::Reason;
use aggregator_service::domain::time::WallMs;
use aggregator_service::http::Limits;
use aggregator_service::status::{Component, FETCHING_FAILS_AFTER, Phase, STUCK_AFTER};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use server::{START, Server};

#[tokio::test]
async fn liveness_and_readiness_are_different_questions() {
    let server = Server::start(Limits::default()).await;
    for path in ["/livez", "/health/live"] {
        assert_eq!(server.json(path).await, (200, json!({"status": "alive"})));
    }
    for path in ["/readyz", "/health/ready"] {
        let starting = json!({"error": "not ready", "reasons": ["starting"]});
        assert_eq!(server.json(path).await, (503, starting));
    }
    server.status.enter(Phase::Running);
    assert_eq!(server.json("/readyz").await, (200, json!({"status": "ready"})));
    let away = || "away".to_owned();
    server.status.fails(Component::Kafka, 0, server.now(), away());
    assert_eq!(server.json("/readyz").await.0, 200, "one failure is none");
    server.pass(FETCHING_FAILS_AFTER);
    let reasons = json!({"error": "not ready", "reasons": ["kafka: nothing read for 5 s: away"]});
    assert_eq!(server.json("/readyz").await, (503, reasons));
    assert_eq!(server.json("/livez").await.0, 200);
    server.pass(STUCK_AFTER);
    assert_eq!(server.json("/livez").await.0, 503);
}

#[tokio::test]
async fn health_has_the_contracts_shape_and_a_reason_for_each_component() {
    let server = Server::start(Limits::default()).await;
    server.status.enter(Phase::CatchingUp);
    server.status.works(Component::Kafka, 0);
    server.status.ends(Partition(0), Offset(9), server.now());
    server.status.flushed(0, server.now());
    server.pass(Duration::from_millis(5_250));
    let (status, body) = server.json("/health").await;
    assert_eq!(status, 200);
    assert_eq!(body["status"], "healthy");
    assert_eq!(body["timestamp"], "2025-01-08T10:30:05.25Z");
    assert_eq!(body["service"], "aggregator-service");
    assert_eq!(body["started"], "2025-01-08T10:30:00Z");
    assert_eq!(body["uptime_seconds"], 5);
    assert_eq!(body["ready"], false);
    let summary = &body["metrics_summary"];
    assert_eq!([&summary["lag_records"], &summary["trades_consumed"]], [&json!(9), &json!(0)]);
    assert_eq!(summary["lag_seconds"], json!(null), "unknown: nothing was read yet");
    assert_eq!(summary["checkpoint_age_seconds"], 5.25);
    assert_eq!(summary["last_publish"], "0001-01-01T00:00:00Z");
    let components = json!({
        "kafka": {"status": "healthy", "reason": "ok"},
        "pipeline": {"status": "healthy", "reason": "catching up"},
    });
    assert_eq!(body["components"], components);
    server.status.fails(Component::Kafka, 0, server.now(), "no broker answers".to_owned());
    let (status, body) = server.json("/health").await;
    assert_eq!((status, &body["status"]), (503, &json!("unhealthy")));
    assert_eq!(body["components"]["kafka"]["reason"], "no broker answers");
}

#[tokio::test]
async fn figures_come_as_text_and_as_the_same_json() {
    let server = Server::start(Limits::default()).await;
    server.metrics.reject(Reason::Future);
    server.metrics.publish_batch_seconds.observe(0.003);
    let (status, head, text) = server.ask("GET /metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(text.contains("\naggregator_rejected_total{reason=\"future\"} 1\n"), "{text}");
    let (_, body) = server.json("/metrics/json").await;
    let rejected = &body["aggregator_rejected_total"];
    assert_eq!(rejected["type"], "counter");
    let future = json!({"labels": {"reason": "future"}, "value": 1.0});
    assert!(rejected["values"].as_array().unwrap().contains(&future));
    assert_eq!(body["aggregator_publish_batch_seconds"]["values"][0]["value"]["count"], 1);
}

#[tokio::test]
async fn stats_have_the_go_services_shape() {
    let server = Server::start(Limits::default()).await;
    let (_, before) = server.json("/stats").await;
    assert_eq!(before["last_sent_time"], "0001-01-01T00:00:00Z");
    server.metrics.messages_published.inc_by(50);
    server.metrics.published_bytes.inc_by(1_000);
    server.metrics.publish_batches.inc();
    server.metrics.publish_errors.inc();
    server.metrics.publish_batch_seconds.observe(0.25);
    server.metrics.publish_tick_seconds.observe(0.5);
    server.status.published(WallMs(START));
    let expected = json!({
        "is_running": true, "brokers": ["b:9092"], "topic": "aggregate-info",
        "messages_sent": 50, "messages_error": 1, "bytes_sent": 1_000,
        "last_sent_time": "2025-01-08T10:30:00Z", "average_latency": 250_000_000,
        "writer_stats": {
            "writes": 1, "messages": 50, "bytes": 1_000, "errors": 1,
            "batch_time": 500_000_000, "write_time": 250_000_000,
        },
    });
    assert_eq!(server.json("/stats").await, (200, expected));
    server.status.enter(Phase::Stopping);
    assert_eq!(server.json("/stats").await.1["is_running"], false);
}

#[tokio::test]
async fn errors_are_json_too() {
    let server = Server::start(Limits::default()).await;
    assert_eq!(server.json("/nowhere").await, (404, json!({"error": "no such path"})));
    for path in ["/stats", "/livez", "/metrics", "/version"] {
        let (status, head, body) = server.ask(&format!("DELETE {path}")).await;
        assert_eq!((status, body.as_str()), (405, r#"{"error":"no such method here"}"#), "{head}");
    }
    assert_eq!(server.json("/version").await.1["service"], "aggregator-service");
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let server = Server::start(Limits { header_bytes: 1_024, ..Limits::default() }).await;
    let (status, ..) = server.ask(&format!("GET /livez?{}", "x".repeat(2_048))).await;
    assert!((400..500).contains(&status), "{status}");
}

#[tokio::test]
async fn the_stop_ends_idle_connections_and_the_server() {
    let server = Server::start(Limits::default()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    server.stop.cancel();
    server.task.await.unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn every_answer_says_that_nothing_may_guess_frame_or_keep_it() {
    let server = Server::start(Limits::default()).await;
    for request in
        ["GET /", "GET /livez", "GET /readyz", "GET /nowhere", "DELETE /stats", "GET /publish"]
    {
        let (_, head, _) = server.ask(request).await;
        for guard in [
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "frame-ancestors 'none'",
        ] {
            assert!(head.contains(guard), "{request}: {guard} is not in {head}");
        }
    }
}
