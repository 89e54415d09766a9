//! Health: `live` for whoever restarts, `ready` for whoever routes, `/health` for whoever reads.
//! Liveness never depends on Kafka or Redis: a restart would not bring them back.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ErrorBody, Failure, HttpState, SERVICE, Shared, rfc3339, routed};
use crate::domain::time::WallMs;
use crate::status::Says;

routed!(health, health_live, livez, health_ready, readyz);

/// How the service is doing.
#[derive(Serialize, ToSchema)]
struct Health {
    status: Condition,
    #[schema(format = DateTime)]
    timestamp: String,
    service: &'static str,
    #[schema(format = DateTime)]
    started: String,
    uptime_seconds: u64,
    /// What `/readyz` says.
    ready: bool,
    metrics_summary: Summary,
    /// By name; the pipeline's reason is its phase.
    components: BTreeMap<&'static str, Component>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Condition {
    Healthy,
    Unhealthy,
}

#[derive(Serialize, ToSchema)]
struct Component {
    status: Condition,
    /// `ok`, or what is wrong.
    reason: String,
}

/// What was done so far.
#[derive(Serialize, ToSchema)]
struct Summary {
    trades_consumed: u64,
    trades_counted: u64,
    trades_late: u64,
    rejected: u64,
    messages_published: u64,
    publish_errors: u64,
    dead_letters: u64,
    tokens: i64,
    panes: i64,
    /// Records that are not read yet, in all partitions.
    lag_records: i64,
    /// Age of the newest record that was read, where there are unread ones; of the worst partition.
    lag_seconds: Option<f64>,
    checkpoint_age_seconds: Option<f64>,
    /// The year 1 where there was none yet.
    #[schema(format = DateTime)]
    last_publish: String,
    #[schema(format = DateTime)]
    last_flush: String,
}

/// A yes.
#[derive(Serialize, ToSchema)]
struct Yes {
    #[schema(examples("alive", "ready"))]
    status: &'static str,
}

/// A no, with all reasons.
#[derive(Serialize, ToSchema)]
struct NotReady {
    #[schema(examples("not ready"))]
    error: &'static str,
    #[schema(examples(json!(["catching up"])))]
    reasons: Vec<String>,
}

/// Healthy is: alive, and no component fails. A long catch-up is healthy, and not ready.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses(
        (status = OK, description = "Healthy", body = Health),
        (status = SERVICE_UNAVAILABLE, description = "Some component fails", body = Health),
    )
)]
async fn health(state: Shared) -> Response {
    let now = state.now();
    let healthy = state.status.failures(now).is_empty();
    let started = state.status.started();
    let body = Health {
        status: condition(healthy),
        timestamp: rfc3339(Some(now)),
        service: SERVICE,
        started: rfc3339(Some(started)),
        uptime_seconds: now.since(started).as_secs(),
        ready: state.status.ready(now).is_ok(),
        metrics_summary: summary(&state, now),
        components: components(&state, now),
    };
    let code = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(body)).into_response()
}

/// Alive is: the pipeline makes progress, or waits for a dependency.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "health",
    responses(
        (status = OK, description = "Alive", body = Yes),
        (status = SERVICE_UNAVAILABLE, description = "Stuck: a restart helps", body = ErrorBody),
    )
)]
async fn health_live(state: Shared) -> Response {
    if state.status.live(state.now()) {
        return Json(Yes { status: "alive" }).into_response();
    }
    let says = "the pipeline makes no progress".to_owned();
    Failure(StatusCode::SERVICE_UNAVAILABLE, says).into_response()
}

/// As `/health/live`.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "health",
    responses(
        (status = OK, description = "Alive", body = Yes),
        (status = SERVICE_UNAVAILABLE, description = "Stuck: a restart helps", body = ErrorBody),
    )
)]
async fn livez(state: Shared) -> Response {
    health_live(state).await
}

/// Ready is: caught up after the start, fetching, publishing, checkpointing, not stopping.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    responses(
        (status = OK, description = "Ready", body = Yes),
        (status = SERVICE_UNAVAILABLE, description = "Not ready", body = NotReady),
    )
)]
async fn health_ready(state: Shared) -> Response {
    match state.status.ready(state.now()) {
        Ok(()) => Json(Yes { status: "ready" }).into_response(),
        Err(reasons) => {
            let body = NotReady { error: "not ready", reasons };
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// As `/health/ready`.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = OK, description = "Ready", body = Yes),
        (status = SERVICE_UNAVAILABLE, description = "Not ready", body = NotReady),
    )
)]
async fn readyz(state: Shared) -> Response {
    health_ready(state).await
}

fn summary(state: &HttpState, now: WallMs) -> Summary {
    let metrics = &state.metrics;
    let lags = state.status.lags(now);
    let lags = || lags.iter().filter_map(|(_, lag)| *lag);
    Summary {
        trades_consumed: metrics.trades_consumed.get(),
        trades_counted: metrics.trades_counted.get(),
        trades_late: metrics.trades_late.get(),
        rejected: metrics.rejected_in_all(),
        messages_published: metrics.messages_published.get(),
        publish_errors: metrics.publish_errors.get(),
        dead_letters: metrics.dead_letters.get(),
        tokens: metrics.tokens.get(),
        panes: metrics.panes.get(),
        lag_records: lags().map(|lag| lag.records).sum(),
        lag_seconds: lags().filter_map(|lag| lag.age).max().map(|age| age.as_secs_f64()),
        checkpoint_age_seconds: state.status.checkpoint_age(now).map(|age| age.as_secs_f64()),
        last_publish: rfc3339(state.status.last_publish()),
        last_flush: rfc3339(state.status.last_flush()),
    }
}

/// Every component with a reason; the pipeline's is its phase.
fn components(state: &HttpState, now: WallMs) -> BTreeMap<&'static str, Component> {
    let alive = state.status.live(now);
    let pipeline = if alive { state.status.phase().name() } else { "no progress" };
    let mut all: BTreeMap<_, _> = state
        .status
        .components(now)
        .into_iter()
        .map(|(name, says)| (name, component(says)))
        .collect();
    let reason = pipeline.to_owned();
    all.insert("pipeline", Component { status: condition(alive), reason });
    all
}

fn component(says: Says) -> Component {
    let status = condition(says.is_ok());
    Component { status, reason: says.err().unwrap_or_else(|| "ok".to_owned()) }
}

const fn condition(healthy: bool) -> Condition {
    if healthy { Condition::Healthy } else { Condition::Unhealthy }
}
