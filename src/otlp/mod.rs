//! OpenTelemetry: the figures of `/metrics` and the pipeline's spans go to a receiver by OTLP over
//! HTTP, in protobuf. One task, beside the pipeline and never in its way: what does not get through
//! waits within a bound, then it is dropped and counted. One truth: figures are those of the
//! registry, under the same names.

mod figures;
mod post;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use post::post;

use crate::endpoint::Endpoint;
use crate::metrics::Metrics;
use crate::telemetry::Spans;

/// Between two exports of the figures: as often as they are scraped by default.
const FIGURES_EVERY: Duration = Duration::from_secs(15);

/// Between two exports of spans: their queue holds more than comes in that time.
const SPANS_EVERY: Duration = Duration::from_secs(2);

/// Spans in one request, and those that wait for another attempt; some 1 MB on the wire.
const BATCH: usize = 4_096;

/// What is exported, and where to.
#[derive(Debug)]
pub struct Exporter {
    /// The receiver.
    pub endpoint: Endpoint,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// The spans that have ended.
    pub spans: Spans,
    /// Who we are.
    pub resource: Resource,
    /// When this process began, since the epoch: counters count from then on.
    pub began: Duration,
    /// The present, since the epoch.
    pub now: fn() -> Duration,
}

/// What every export says of its sender; `instance` is another one for each start.
#[must_use]
pub fn resource(service: &str, instance: &str) -> Resource {
    let version = env!("CARGO_PKG_VERSION");
    let facts = [
        ("service.name", service),
        ("service.version", version),
        ("service.instance.id", instance),
    ];
    Resource {
        attributes: facts.into_iter().map(|(name, value)| text(name, value)).collect(),
        ..Resource::default()
    }
}

impl Exporter {
    /// Exports until `ended`, then a last time. Whoever stops it before loses the rest.
    pub async fn run(mut self, ended: CancellationToken) {
        let mut figures = interval(FIGURES_EVERY);
        let mut spans = interval(SPANS_EVERY);
        figures.set_missed_tick_behavior(MissedTickBehavior::Delay);
        spans.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state = State::default();
        loop {
            let of_figures = tokio::select! {
                biased;
                () = ended.cancelled() => break,
                _ = figures.tick() => true,
                _ = spans.tick() => false,
            };
            if of_figures {
                self.export_figures(&mut state).await;
            } else {
                self.export_spans(&mut state).await;
            }
        }
        self.export_spans(&mut state).await;
        while state.waiting.is_empty() && !self.spans.queue.is_empty() {
            self.export_spans(&mut state).await;
        }
        self.count_dropped(state.waiting.len());
        self.export_figures(&mut state).await;
    }

    async fn export_figures(&self, state: &mut State) {
        let families = self.metrics.gather();
        let body = figures::request(&families, &self.resource, self.began, (self.now)());
        let answer = post(&self.endpoint, "v1/metrics", body.encode_to_vec()).await;
        let answer = answer.and_then(|body| Ok(ExportMetricsServiceResponse::decode(body)?));
        let refused = answer.map(|answer| answer.partial_success.map(|some| some.error_message));
        // Figures that did not get through are in the next ones.
        match refused {
            Ok(Some(cause)) if !cause.is_empty() => state.failed("metrics", &cause),
            Ok(_) => state.succeeded("metrics"),
            Err(cause) => state.failed("metrics", &cause),
        }
    }

    async fn export_spans(&mut self, state: &mut State) {
        while state.waiting.len() < BATCH
            && let Ok(span) = self.spans.queue.try_recv()
        {
            state.waiting.push(span);
        }
        self.count_dropped(0);
        if state.waiting.is_empty() {
            return;
        }
        let body = request(&state.waiting, &self.resource).encode_to_vec();
        let answer = post(&self.endpoint, "v1/traces", body).await;
        let answer = answer.and_then(|body| Ok(ExportTraceServiceResponse::decode(body)?));
        match answer.map(|answer| answer.partial_success.unwrap_or_default()) {
            Ok(refused) => {
                state.waiting.clear();
                let count = usize::try_from(refused.rejected_spans).unwrap_or_default();
                self.count_dropped(count);
                if refused.error_message.is_empty() && count == 0 {
                    state.succeeded("spans");
                } else {
                    state.failed("spans", &refused.error_message);
                }
            }
            Err(cause) => {
                if !cause.is_worth_a_retry() {
                    self.count_dropped(std::mem::take(&mut state.waiting).len());
                }
                state.failed("spans", &cause);
            }
        }
    }

    /// Those that found no room, and `more`.
    fn count_dropped(&self, more: usize) {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.metrics.otel_dropped.inc_by(self.spans.take_dropped().saturating_add(more));
    }
}

/// Between two exports.
#[derive(Debug, Default)]
struct State {
    /// Spans that wait for another attempt.
    waiting: Vec<Span>,
    /// What did not get through the last time.
    failing: Vec<&'static str>,
}

impl State {
    fn failed(&mut self, what: &'static str, cause: &dyn std::fmt::Display) {
        warn!(
            what,
            %cause,
            action = "check OTEL_EXPORTER_OTLP_ENDPOINT and its receiver",
            "OpenTelemetry is not exported: the service goes on without it"
        );
        if !self.failing.contains(&what) {
            self.failing.push(what);
        }
    }

    fn succeeded(&mut self, what: &'static str) {
        if self.failing.contains(&what) {
            self.failing.retain(|failing| *failing != what);
            info!(what, "OpenTelemetry is exported again");
        }
    }
}

fn request(spans: &[Span], resource: &Resource) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans: spans.to_vec(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn text(name: &str, value: &str) -> KeyValue {
    let value = Some(Value::StringValue(value.to_owned()));
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}
