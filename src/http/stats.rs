//! `/stats`: the producer's statistics in the Go service's shape. Durations are whole nanoseconds,
//! as Go writes a `time.Duration`; a time that never was is Go's zero time.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::{HttpState, Shared, rfc3339};
use crate::metrics::mean;
use crate::status::Phase;

pub(super) fn routes() -> Router<Arc<HttpState>> {
    Router::new().route("/stats", get(stats))
}

/// The whole answer.
#[derive(Serialize)]
struct Stats<'a> {
    is_running: bool,
    brokers: &'a [String],
    topic: &'a str,
    messages_sent: u64,
    /// Batches that were not acknowledged; their messages were sent again.
    messages_error: u64,
    bytes_sent: u64,
    last_sent_time: String,
    /// Mean time from sending a batch to its acknowledgement, in nanoseconds.
    average_latency: u64,
    writer_stats: WriterStats,
}

/// The same, in the words of Go's Kafka writer.
#[derive(Serialize)]
struct WriterStats {
    writes: u64,
    messages: u64,
    bytes: u64,
    errors: u64,
    /// Mean time from a tick to its last acknowledgement, in nanoseconds.
    batch_time: u64,
    /// As `average_latency`.
    write_time: u64,
}

async fn stats(state: Shared) -> Response {
    let metrics = &state.metrics;
    let write_time = nanos(mean(&metrics.publish_batch_seconds));
    let writer_stats = WriterStats {
        writes: metrics.publish_batches.get(),
        messages: metrics.messages_published.get(),
        bytes: metrics.published_bytes.get(),
        errors: metrics.publish_errors.get(),
        batch_time: nanos(mean(&metrics.publish_tick_seconds)),
        write_time,
    };
    Json(Stats {
        is_running: state.status.phase() != Phase::Stopping,
        brokers: &state.facts.brokers,
        topic: &state.facts.topic,
        messages_sent: writer_stats.messages,
        messages_error: writer_stats.errors,
        bytes_sent: writer_stats.bytes,
        last_sent_time: rfc3339(state.status.last_publish()),
        average_latency: write_time,
        writer_stats,
    })
    .into_response()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
