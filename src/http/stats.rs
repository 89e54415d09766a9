//! `/stats`: the producer's statistics in the Go service's shape. Durations are whole nanoseconds,
//! as Go writes a `time.Duration`; a time that never was is Go's zero time.

use std::time::Duration;

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Shared, rfc3339, routed};
use crate::metrics::mean;
use crate::status::Phase;

routed!(stats);

/// The producer's statistics.
#[derive(Serialize, ToSchema)]
struct Stats {
    /// False once it was asked to stop.
    is_running: bool,
    /// `KAFKA_BROKERS`.
    brokers: Vec<String>,
    /// `AGGREGATE_TOPIC`.
    topic: String,
    messages_sent: u64,
    /// Batches that were not acknowledged; their messages were sent again.
    messages_error: u64,
    bytes_sent: u64,
    /// The year 1 where none was sent yet.
    #[schema(format = DateTime)]
    last_sent_time: String,
    /// Mean time from sending a batch to its acknowledgement, in nanoseconds.
    average_latency: u64,
    writer_stats: WriterStats,
}

/// The same, in the words of Go's Kafka writer.
#[derive(Serialize, ToSchema)]
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

/// What was sent to the brokers so far, in the Go service's shape.
#[utoipa::path(
    get,
    path = "/stats",
    tag = "figures",
    responses((status = OK, description = "The producer's statistics", body = Stats))
)]
async fn stats(state: Shared) -> Json<Stats> {
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
        brokers: state.facts.brokers.clone(),
        topic: state.facts.topic.clone(),
        messages_sent: writer_stats.messages,
        messages_error: writer_stats.errors,
        bytes_sent: writer_stats.bytes,
        last_sent_time: rfc3339(state.status.last_publish()),
        average_latency: write_time,
        writer_stats,
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
