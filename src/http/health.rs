//! Health: `live` for whoever restarts, `ready` for whoever routes, `/health` for whoever reads.
//! Liveness never depends on Kafka or Redis: a restart would not bring them back.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::{HttpState, SERVICE, Shared, rfc3339};
use crate::domain::time::WallMs;
use crate::status::Says;

pub(super) fn routes() -> Router<Arc<HttpState>> {
    Router::new()
        .route("/health", get(health))
        .route("/health/live", get(live))
        .route("/livez", get(live))
        .route("/health/ready", get(ready))
        .route("/readyz", get(ready))
}

/// Healthy is: alive, and no component fails. A long catch-up is healthy, and not ready.
async fn health(state: Shared) -> Response {
    let now = state.now();
    let healthy = state.status.failures(now).is_empty();
    let started = state.status.started();
    let body = json!({
        "status": if healthy { "healthy" } else { "unhealthy" },
        "timestamp": rfc3339(Some(now)),
        "service": SERVICE,
        "started": rfc3339(Some(started)),
        "uptime_seconds": now.since(started).as_secs(),
        "ready": state.status.ready(now).is_ok(),
        "metrics_summary": summary(&state, now),
        "components": components(&state, now),
    });
    (code(healthy), Json(body)).into_response()
}

async fn live(state: Shared) -> Response {
    if state.status.live(state.now()) {
        return Json(json!({ "status": "alive" })).into_response();
    }
    let body = json!({ "error": "the pipeline makes no progress" });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn ready(state: Shared) -> Response {
    match state.status.ready(state.now()) {
        Ok(()) => Json(json!({ "status": "ready" })).into_response(),
        Err(reasons) => {
            let body = json!({ "error": "not ready", "reasons": reasons });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

fn summary(state: &HttpState, now: WallMs) -> Value {
    let metrics = &state.metrics;
    let lags = state.status.lags(now);
    let lags = || lags.iter().filter_map(|(_, lag)| *lag);
    json!({
        "trades_consumed": metrics.trades_consumed.get(),
        "trades_counted": metrics.trades_counted.get(),
        "trades_late": metrics.trades_late.get(),
        "rejected": metrics.rejected_in_all(),
        "messages_published": metrics.messages_published.get(),
        "publish_errors": metrics.publish_errors.get(),
        "dead_letters": metrics.dead_letters.get(),
        "tokens": metrics.tokens.get(),
        "panes": metrics.panes.get(),
        "lag_records": lags().map(|lag| lag.records).sum::<i64>(),
        "lag_seconds": lags().filter_map(|lag| lag.age).max().map(|age| age.as_secs_f64()),
        "checkpoint_age_seconds": state.status.checkpoint_age(now).map(|age| age.as_secs_f64()),
        "last_publish": rfc3339(state.status.last_publish()),
        "last_flush": rfc3339(state.status.last_flush()),
    })
}

/// Every component with a reason; the pipeline's is its phase.
fn components(state: &HttpState, now: WallMs) -> Map<String, Value> {
    let alive = state.status.live(now);
    let pipeline = if alive { state.status.phase().name() } else { "no progress" };
    let mut all = Map::new();
    all.insert("pipeline".to_owned(), component(alive, pipeline));
    for (name, says) in &state.status.components(now) {
        all.insert((*name).to_owned(), component(says.is_ok(), reason(says)));
    }
    all
}

fn component(healthy: bool, reason: &str) -> Value {
    json!({ "status": if healthy { "healthy" } else { "unhealthy" }, "reason": reason })
}

fn reason(says: &Says) -> &str {
    says.as_ref().err().map_or("ok", String::as_str)
}

const fn code(healthy: bool) -> StatusCode {
    if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
