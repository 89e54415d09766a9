//! What a receiver gets is what the service knows: figures as in `/metrics`, spans that add up.

use std::collections::{BTreeMap, HashMap, HashSet};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality::Cumulative;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint};
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::demo;
use crate::receiver::{Mood, Receiver, attributes, metrics};
use crate::service::{PATIENCE, Service};
use crate::topic;

/// A figure with its labels as Prometheus writes it, and its value.
type Figures = BTreeMap<String, f64>;

/// The clock that exports and we share.
fn now() -> u64 {
    u64::try_from(topic::now().timestamp_nanos_opt().unwrap()).unwrap()
}

fn scraped(service: &Service) -> Figures {
    let (_, text) = service.get("/metrics").unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(pair).collect()
}

/// An export in the same words.
pub(crate) fn exported(export: &ExportMetricsServiceRequest) -> Figures {
    let mut figures = Figures::new();
    for metric in metrics(export) {
        let name = &metric.name;
        match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality == Cumulative as i32);
                sum.data_points.iter().for_each(|point| add_number(&mut figures, name, point));
            }
            Data::Gauge(gauge) => {
                gauge.data_points.iter().for_each(|point| add_number(&mut figures, name, point));
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, Cumulative as i32);
                let points = histogram.data_points.iter();
                points.for_each(|point| add_histogram(&mut figures, name, point));
            }
            Data::ExponentialHistogram(_) | Data::Summary(_) => panic!("not of ours: {metric:?}"),
        }
    }
    figures
}

fn add_number(figures: &mut Figures, name: &str, point: &NumberDataPoint) {
    let labels: Vec<_> = attributes(&point.attributes)
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    let labels =
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let Some(Value::AsDouble(value)) = point.value else { panic!("{point:?}") };
    figures.insert(format!("{name}{labels}"), value);
}

fn add_histogram(figures: &mut Figures, name: &str, point: &HistogramDataPoint) {
    assert!(point.attributes.is_empty(), "no histogram has labels");
    figures.insert(format!("{name}_sum"), point.sum.unwrap());
    figures.insert(format!("{name}_count"), f64_of(point.count));
    let bounds = point.explicit_bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    let mut below = 0;
    for (bound, count) in bounds.zip(&point.bucket_counts) {
        below += count;
        figures.insert(format!("{name}_bucket{{le=\"{bound}\"}}"), f64_of(below));
    }
}

/// Counts are small here.
fn f64_of(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// Whole numbers.
fn assert_same(left: f64, right: f64) {
    assert!(left.total_cmp(&right).is_eq(), "{left} is not {right}");
}

fn time_of(export: &ExportMetricsServiceRequest) -> u64 {
    let gauges = metrics(export).iter().find_map(|metric| match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.first(),
        _ => None,
    });
    gauges.unwrap().time_unix_nano
}

#[test]
fn what_arrives_is_what_the_service_knows_and_the_last_of_it_at_the_stop() {
    let receiver = Receiver::start(Mood::Status(200), None);
    let endpoint = format!("http://127.0.0.1:{}/base/", receiver.port);
    let headers = "authorization=Bearer%20hush, x-scope = a";
    let service = demo(&[
        ("LOG_LEVEL", "INFO"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", headers),
    ]);
    service.ready();
    // What is scraped before and after an export has the export's figures between.
    let before = scraped(&service);
    let since = now() + GAP;
    let mut export = None;
    service.until("an export", || {
        let exports = receiver.figures("/base/v1/metrics");
        export = exports.into_iter().find(|export| time_of(export) > since);
        export.is_some()
    });
    let (figures, after) = (exported(&export.unwrap()), scraped(&service));
    assert!(figures.len() > 50, "{figures:?}");
    assert!(figures.keys().eq(after.keys()), "{figures:?}\n{after:?}");
    let counts = |name: &str| {
        ["_total", "_count", "_sum", "_bucket"]
            .iter()
            .any(|end| name.split('{').next().unwrap().ends_with(end))
    };
    for (name, value) in figures.iter().filter(|(name, _)| counts(name)) {
        assert!(before[name] <= *value && *value <= after[name], "{name}: {value}");
    }
    assert!(figures["aggregator_trades_counted_total"] > 0.0);
    assert_same(figures["aggregator_build_info{version=\"1.0.0\"}"], 1.0);

    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0);
    for path in ["/base/v1/metrics", "/base/v1/traces"] {
        let request = receiver.kept(path).pop().unwrap();
        assert_eq!(request.headers["authorization"], "Bearer hush");
        assert_eq!(request.headers["x-scope"], "a");
        assert_eq!(request.headers["content-type"], "application/x-protobuf");
    }
    let last = receiver.figures("/base/v1/metrics").pop().unwrap();
    let resource = last.resource_metrics[0].resource.as_ref().unwrap();
    let resource = attributes(&resource.attributes);
    assert_eq!(resource["service.name"], "aggregator-service");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["service.instance.id"].len(), 32);
    assert_they_add_up(&receiver.spans("/base/v1/traces"), &exported(&last));
    assert!(!service.log().contains("hush"), "a secret is in the log");
}

/// Every trade that was counted was counted in a span, and so with messages; parents enclose their
/// children.
pub(crate) fn assert_they_add_up(spans: &[Span], figures: &Figures) {
    assert_same(figures["aggregator_otel_dropped_total"], 0.0);
    let sum = |name: &str, field: &str| -> f64 {
        let named = spans.iter().filter(|span| span.name == name);
        named.map(|span| attributes(&span.attributes)[field].parse::<f64>().unwrap()).sum()
    };
    assert_same(sum("absorb", "counted"), figures["aggregator_trades_counted_total"]);
    assert_same(sum("absorb", "late"), figures["aggregator_trades_late_total"]);
    let sent =
        figures["aggregator_messages_published_total"] + figures["aggregator_dead_letters_total"];
    assert_same(sum("produce", "messages"), sent);
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id.clone(), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "every span has an id of its own");
    let mut names = HashSet::new();
    for span in spans {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        let parent = match span.parent_span_id.as_slice() {
            [] => "",
            id => {
                let parent = by_id[id];
                assert_eq!(parent.trace_id, span.trace_id);
                assert!(parent.start_time_unix_nano <= span.start_time_unix_nano + SLEW);
                assert!(span.end_time_unix_nano <= parent.end_time_unix_nano + SLEW);
                &parent.name
            }
        };
        names.insert((span.name.as_str(), parent));
    }
    let expected = [
        ("batch", ""),
        ("fetch", "batch"),
        ("route", "batch"),
        ("absorb", "batch"),
        ("tick", ""),
        ("produce", ""),
        ("flush", ""),
    ];
    assert_eq!(names, HashSet::from(expected));
    let batch = spans.iter().find(|span| span.name == "batch" && span.status.is_none()).unwrap();
    let batch = attributes(&batch.attributes);
    for field in ["topic", "partition", "from", "next", "records"] {
        assert!(batch.contains_key(field), "{field} is not in {batch:?}");
    }
}

/// An export that is so much younger was begun after what came before, on any machine.
const GAP: u64 = 2_000_000_000;

/// Spans begin by the wall clock and last by another one.
const SLEW: u64 = 100_000_000;
