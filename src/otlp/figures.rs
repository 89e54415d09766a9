//! The registry's figures as OTLP: counters as cumulative sums, gauges, histograms with their own
//! bounds. Names are those of `/metrics`. Pure.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus::proto::{self, MetricFamily, MetricType};

/// All figures in one request; `began` is when counters were zero.
pub(super) fn request(
    families: &[MetricFamily],
    resource: &Resource,
    began: Duration,
    now: Duration,
) -> ExportMetricsServiceRequest {
    let times = Times { began: nanos(began), now: nanos(now) };
    let metrics = families.iter().filter_map(|family| metric(family, times)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(super::scope()),
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

#[derive(Clone, Copy)]
struct Times {
    began: u64,
    now: u64,
}

/// `None` for kinds that the registry has none of.
fn metric(family: &MetricFamily, times: Times) -> Option<Metric> {
    let cumulative = AggregationTemporality::Cumulative.into();
    let numbers = |value: fn(&proto::Metric) -> f64| {
        family.get_metric().iter().map(|one| number(one, value(one), times)).collect()
    };
    let data = match family.get_field_type() {
        MetricType::COUNTER => Data::Sum(Sum {
            data_points: numbers(|one| one.get_counter().get_value()),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricType::GAUGE => {
            Data::Gauge(Gauge { data_points: numbers(|one| one.get_gauge().get_value()) })
        }
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: family.get_metric().iter().map(|one| histogram(one, times)).collect(),
            aggregation_temporality: cumulative,
        }),
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    Some(Metric {
        name: family.name().to_owned(),
        description: family.help().to_owned(),
        unit: unit(family.name()).to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

fn number(metric: &proto::Metric, value: f64, times: Times) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(metric),
        start_time_unix_nano: times.began,
        time_unix_nano: times.now,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Prometheus counts what is at or below a bound, OTLP what is between two of them; the last
/// bucket is what is above all.
fn histogram(metric: &proto::Metric, times: Times) -> HistogramDataPoint {
    let histogram = metric.get_histogram();
    let finite = || histogram.get_bucket().iter().filter(|one| one.upper_bound().is_finite());
    let count = histogram.get_sample_count();
    let mut below = 0;
    let bucket_counts = finite()
        .map(proto::Bucket::cumulative_count)
        .chain([count])
        .map(|up_to| up_to.saturating_sub(std::mem::replace(&mut below, up_to)))
        .collect();
    HistogramDataPoint {
        attributes: attributes(metric),
        start_time_unix_nano: times.began,
        time_unix_nano: times.now,
        count,
        sum: Some(histogram.get_sample_sum()),
        bucket_counts,
        explicit_bounds: finite().map(proto::Bucket::upper_bound).collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(metric: &proto::Metric) -> Vec<KeyValue> {
    metric.get_label().iter().map(|label| super::text(label.name(), label.value())).collect()
}

/// In UCUM, from the end of the name.
fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    if name.ends_with("_seconds") {
        "s"
    } else if name.ends_with("_bytes") {
        "By"
    } else {
        ""
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn exported(metrics: &Metrics, name: &str) -> Metric {
        let (began, now) = (Duration::from_secs(1), Duration::from_secs(2));
        let request = request(&metrics.gather(), &Resource::default(), began, now);
        let all = &request.resource_metrics[0].scope_metrics[0].metrics;
        all.iter().find(|one| one.name == name).unwrap().clone()
    }

    #[test]
    fn a_histogram_counts_between_its_bounds_and_the_rest_above_them() {
        let metrics = Metrics::new().unwrap();
        for seconds in [0.000_1, 0.7, 0.7, 1e9] {
            metrics.flush_seconds.observe(seconds);
        }
        let metric = exported(&metrics, "aggregator_flush_seconds");
        assert_eq!(metric.unit, "s");
        let Some(Data::Histogram(histogram)) = metric.data else { panic!("a histogram") };
        let [point] = histogram.data_points.as_slice() else { panic!("one point") };
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (4, 4));
        assert_eq!((point.bucket_counts[0], *point.bucket_counts.last().unwrap()), (1, 1));
        assert_eq!(point.bucket_counts.iter().filter(|count| **count == 2).count(), 1);
        assert!(point.explicit_bounds.is_sorted() && point.explicit_bounds[0] > 0.0);
        assert_eq!(
            (point.start_time_unix_nano, point.time_unix_nano),
            (1_000_000_000, 2_000_000_000)
        );
    }

    #[test]
    fn counters_grow_from_the_start_and_gauges_stand() {
        let metrics = Metrics::new().unwrap();
        metrics.reject(crate::domain::reject::Reason::Future);
        metrics.tokens.set(7);
        let Some(Data::Sum(sum)) = exported(&metrics, "aggregator_rejected_total").data else {
            panic!("a sum")
        };
        assert!(sum.is_monotonic);
        let future = vec![super::super::text("reason", "future")];
        let point = sum.data_points.iter().find(|point| point.attributes == future).unwrap();
        assert_eq!(point.value, Some(Value::AsDouble(1.0)));
        let Some(Data::Gauge(gauge)) = exported(&metrics, "aggregator_tokens").data else {
            panic!("a gauge")
        };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(7.0)));
    }
}
