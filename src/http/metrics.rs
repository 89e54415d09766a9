//! The figures as Prometheus text and, the same ones, as JSON.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus::proto::{self, Metric, MetricFamily, MetricType};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Failure, Shared, routed};
use crate::gauges;

routed!(metrics, metrics_json);

/// A metric with all its label values.
#[derive(Serialize, ToSchema)]
struct Family {
    /// What it counts or measures.
    help: String,
    /// `counter`, `gauge` or `histogram`.
    #[serde(rename = "type")]
    kind: String,
    values: Vec<Sample>,
}

#[derive(Serialize, ToSchema)]
struct Sample {
    /// By name.
    labels: BTreeMap<String, String>,
    value: Figure,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Figure {
    /// Of a counter or a gauge.
    Number(f64),
    Histogram(Histogram),
}

#[derive(Serialize, ToSchema)]
struct Histogram {
    count: u64,
    sum: f64,
    /// How many were at most so much, by the bound as text.
    buckets: BTreeMap<String, u64>,
}

/// All figures, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "figures",
    responses((status = OK, description = "All figures", body = String,
        content_type = "text/plain; version=0.0.4"))
)]
async fn metrics(state: Shared) -> Response {
    gauges::refresh(&state.metrics, &state.status, state.now());
    match state.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The same figures by name, as JSON.
#[utoipa::path(
    get,
    path = "/metrics/json",
    tag = "figures",
    responses((status = OK, description = "All figures", body = BTreeMap<String, Family>))
)]
async fn metrics_json(state: Shared) -> Json<BTreeMap<String, Family>> {
    gauges::refresh(&state.metrics, &state.status, state.now());
    let families = state.metrics.gather();
    Json(families.iter().map(|one| (one.name().to_owned(), family(one))).collect())
}

fn family(family: &MetricFamily) -> Family {
    let kind = family.get_field_type();
    let values = family.get_metric().iter().filter_map(|metric| sample(kind, metric)).collect();
    Family { help: family.help().to_owned(), kind: format!("{kind:?}").to_lowercase(), values }
}

/// Summaries and untyped metrics do not occur here.
fn sample(kind: MetricType, metric: &Metric) -> Option<Sample> {
    let labels = metric.get_label().iter();
    let labels = labels.map(|label| (label.name().to_owned(), label.value().to_owned())).collect();
    let value = match kind {
        MetricType::COUNTER => Figure::Number(metric.get_counter().get_value()),
        MetricType::GAUGE => Figure::Number(metric.get_gauge().get_value()),
        MetricType::HISTOGRAM => Figure::Histogram(histogram(metric.get_histogram())),
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    Some(Sample { labels, value })
}

fn histogram(histogram: &proto::Histogram) -> Histogram {
    let buckets = histogram.get_bucket().iter();
    let buckets =
        buckets.map(|bucket| (bucket.upper_bound().to_string(), bucket.cumulative_count()));
    Histogram {
        count: histogram.get_sample_count(),
        sum: histogram.get_sample_sum(),
        buckets: buckets.collect(),
    }
}
