//! The figures as Prometheus text and, the same ones, as JSON.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType};
use serde_json::{Map, Value, json};

use super::{Failure, HttpState, Shared};
use crate::gauges;

pub(super) fn routes() -> Router<Arc<HttpState>> {
    Router::new().route("/metrics", get(text)).route("/metrics/json", get(json_text))
}

async fn text(state: Shared) -> Response {
    gauges::refresh(&state.metrics, &state.status, state.now());
    match state.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// `{"name": {"help": …, "type": …, "values": [{"labels": {…}, "value": …}]}}`.
async fn json_text(state: Shared) -> Response {
    gauges::refresh(&state.metrics, &state.status, state.now());
    let families = state.metrics.gather();
    let all: Map<_, _> = families.iter().map(|one| (one.name().to_owned(), family(one))).collect();
    Json(all).into_response()
}

fn family(family: &MetricFamily) -> Value {
    let kind = family.get_field_type();
    let values: Vec<_> = family.get_metric().iter().map(|metric| sample(kind, metric)).collect();
    json!({
        "help": family.help(),
        "type": format!("{kind:?}").to_lowercase(),
        "values": values,
    })
}

fn sample(kind: MetricType, metric: &Metric) -> Value {
    let labels: Map<_, _> = metric
        .get_label()
        .iter()
        .map(|label| (label.name().to_owned(), Value::from(label.value())))
        .collect();
    let value = match kind {
        MetricType::COUNTER => Value::from(metric.get_counter().get_value()),
        MetricType::GAUGE => Value::from(metric.get_gauge().get_value()),
        MetricType::HISTOGRAM => histogram(metric.get_histogram()),
        MetricType::SUMMARY | MetricType::UNTYPED => Value::Null,
    };
    json!({ "labels": labels, "value": value })
}

fn histogram(histogram: &Histogram) -> Value {
    let buckets: Map<_, _> = histogram
        .get_bucket()
        .iter()
        .map(|bucket| (bucket.upper_bound().to_string(), bucket.cumulative_count().into()))
        .collect();
    json!({
        "count": histogram.get_sample_count(),
        "sum": histogram.get_sample_sum(),
        "buckets": buckets,
    })
}
