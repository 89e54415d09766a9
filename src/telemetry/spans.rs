//! Spans of the pipeline, ready for the export: one for each batch, flush and tick, never one a
//! trade. They wait in a bounded queue; what finds no room is counted and gone. Without an export
//! this layer does not exist, and no span is ever made.
//!
//! Two fields have a meaning: a `cause` makes a span a failed one, and one that is marked `in_vain`
//! is left out: it waited for something that did not come.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Clocks;

/// Spans that wait at most: two seconds of a backlog that is read at full speed; some 2 MB.
const QUEUE: usize = 4_096;

/// The spans that have ended, for whoever exports them.
#[derive(Debug)]
pub struct Spans {
    /// In the order in which they ended.
    pub queue: mpsc::Receiver<Span>,
    dropped: Arc<AtomicU64>,
}

impl Spans {
    /// How many found no room since the last call.
    #[must_use]
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Relaxed)
    }
}

/// The layer that makes them, for our own spans alone; and where they come out.
pub(super) fn layer<S>(clocks: Clocks) -> (impl Layer<S>, Spans)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let (sender, queue) = mpsc::channel(QUEUE);
    let dropped = Arc::<AtomicU64>::default();
    let layer = SpanLayer { queue: sender, dropped: Arc::clone(&dropped), clocks };
    let ours = FilterFn::new(is_ours as fn(&Metadata<'_>) -> bool);
    let ours = ours.with_max_level_hint(LevelFilter::INFO);
    (layer.with_filter(ours), Spans { queue, dropped })
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
}

struct SpanLayer {
    queue: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
    clocks: Clocks,
}

/// A span that has not ended, and the uptime at which it began.
struct Open {
    span: Span,
    began: Duration,
    in_vain: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(entry) = context.span(id) else { return };
        let (trace_id, parent_span_id) = entry
            .parent()
            .and_then(|parent| {
                let extensions = parent.extensions();
                let parent = &extensions.get::<Open>()?.span;
                Some((parent.trace_id.clone(), parent.span_id.clone()))
            })
            .unwrap_or_else(|| (rand::random::<[u8; 16]>().to_vec(), Vec::new()));
        let span = Span {
            trace_id,
            span_id: rand::random::<[u8; 8]>().to_vec(),
            parent_span_id,
            flags: SAMPLED,
            name: attributes.metadata().name().to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: nanos((self.clocks.wall)()),
            ..Span::default()
        };
        let mut open = Open { span, began: (self.clocks.uptime)(), in_vain: false };
        attributes.record(&mut open);
        entry.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(entry) = context.span(id) else { return };
        if let Some(open) = entry.extensions_mut().get_mut::<Open>() {
            values.record(open);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let open = context.span(&id).and_then(|entry| entry.extensions_mut().remove::<Open>());
        let Some(Open { mut span, began, in_vain: false }) = open else { return };
        // By the clock that never goes back: no span ends before it began.
        let took = nanos((self.clocks.uptime)().saturating_sub(began));
        span.end_time_unix_nano = span.start_time_unix_nano.saturating_add(took);
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Open {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), &value) {
            ("in_vain", Value::BoolValue(true)) => self.in_vain = true,
            ("cause", Value::StringValue(cause)) => {
                let status = Status { message: cause.clone(), code: StatusCode::Error.into() };
                self.span.status = Some(status);
            }
            _ => {}
        }
        self.span.attributes.push(KeyValue {
            key: field.name().to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        });
    }
}

impl Visit for Open {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::IntValue(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::BoolValue(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::StringValue(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::StringValue(format!("{value:?}")));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// W3C trace flags: this trace is kept.
const SAMPLED: u32 = 1;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tracing::field::Empty;
    use tracing::info_span;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::*;

    thread_local! {
        static SECOND: Cell<u64> = const { Cell::new(0) };
    }

    const CLOCKS: Clocks = Clocks {
        uptime: || Duration::from_secs(SECOND.get()),
        // It is set back by a minute at the second 5.
        wall: || Duration::from_secs(1_000 + SECOND.get() - if SECOND.get() < 5 { 0 } else { 60 }),
    };

    /// The spans that end, and how many found no room.
    fn ended(work: impl FnOnce()) -> (Vec<Span>, u64) {
        let (layer, mut spans) = layer(CLOCKS);
        SECOND.set(0);
        tracing::subscriber::with_default(registry().with(layer), work);
        let mut all = Vec::new();
        while let Ok(span) = spans.queue.try_recv() {
            all.push(span);
        }
        (all, spans.take_dropped())
    }

    #[test]
    fn a_child_is_of_its_parents_trace_and_a_clock_that_is_set_back_shortens_nothing() {
        let (spans, dropped) = ended(|| {
            let parent = info_span!(parent: None, "batch", from = 7, cause = Empty);
            SECOND.set(2);
            let child = info_span!(parent: &parent, "fetch", what = "all");
            SECOND.set(6);
            drop(child);
            parent.record("cause", "broker away");
        });
        let [child, parent] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((child.name.as_str(), parent.name.as_str(), dropped), ("fetch", "batch", 0));
        assert_eq!(child.trace_id, parent.trace_id);
        assert_eq!((&child.parent_span_id, parent.parent_span_id.len()), (&parent.span_id, 0));
        let times = |span: &Span| (span.start_time_unix_nano, span.end_time_unix_nano);
        assert_eq!(times(child), (1_002_000_000_000, 1_006_000_000_000));
        assert_eq!(times(parent), (1_000_000_000_000, 1_006_000_000_000));
        let status = parent.status.as_ref().unwrap();
        assert_eq!((status.message.as_str(), status.code()), ("broker away", StatusCode::Error));
        assert_eq!(child.status, None);
        let value = parent.attributes[0].value.clone().unwrap().value;
        assert_eq!((parent.attributes[0].key.as_str(), value), ("from", Some(Value::IntValue(7))));
    }

    #[test]
    fn what_waited_in_vain_is_left_out_and_what_finds_no_room_is_counted() {
        let (spans, dropped) = ended(|| {
            drop(info_span!(parent: None, "fetch", in_vain = true));
            for _ in 0..QUEUE + 3 {
                drop(info_span!(parent: None, "flush"));
            }
        });
        assert_eq!((spans.len(), dropped), (QUEUE, 3));
        assert!(spans.iter().all(|span| span.name == "flush"));
    }
}
