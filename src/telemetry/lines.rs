//! Lines as text or JSON, thinned: of one kind at most one in ten seconds is written, and it says
//! in `repeated` how many were left out before it. Lines of different [`PLACES`] are of different
//! kinds, so that what happens to one partition does not hide what happens to another.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::throttle::Throttle;

/// Fields that say which of many things a line is about.
const PLACES: [&str; 4] = ["dependency", "partition", "shard", "topic"];

/// A format, and what was said of late.
pub(super) struct Throttled<F> {
    format: F,
    throttle: Mutex<Throttle<(Identifier, String)>>,
    uptime: fn() -> Duration,
}

impl Throttled<()> {
    pub(super) fn new(uptime: fn() -> Duration) -> Self {
        Self { format: (), throttle: Mutex::new(Throttle::new()), uptime }
    }

    pub(super) fn over<F, T>(self, format: Format<F, T>) -> Throttled<Format<F, T>> {
        Throttled { format, throttle: self.throttle, uptime: self.uptime }
    }
}

impl<F> Throttled<F> {
    fn admit(&self, event: &Event<'_>) -> Option<u64> {
        let mut place = Place(String::new());
        event.record(&mut place);
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.admit((event.metadata().callsite(), place.0), (self.uptime)())
    }
}

impl<S, N, F, T> FormatEvent<S, N> for Throttled<Format<F, T>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    Format<F, T>: FormatEvent<S, N> + Clone,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.admit(event) {
            None => Ok(()),
            Some(0) => self.format.format_event(context, writer, event),
            Some(repeated) => {
                let format = self.format.clone().with_ansi(writer.has_ansi_escapes());
                let mut line = String::new();
                format.format_event(context, Writer::new(&mut line), event)?;
                writer.write_str(&with_repeated(&line, repeated))
            }
        }
    }
}

/// One more field at the end of a line of text, or of a JSON object.
fn with_repeated(line: &str, repeated: u64) -> String {
    let line = line.trim_end();
    match line.strip_suffix('}').filter(|_| line.starts_with('{')) {
        Some(object) => format!("{object},\"repeated\":{repeated}}}\n"),
        None => format!("{line} repeated={repeated}\n"),
    }
}

/// The thing that a line is about.
struct Place(String);

impl Visit for Place {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if PLACES.contains(&field.name()) {
            self.0.push_str(&format!("{value:?};"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use tracing::error;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, fmt, registry};

    use super::*;

    static SECONDS: AtomicU64 = AtomicU64::new(0);

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn lost(second: u64, partition: i32) {
        SECONDS.store(second, SeqCst);
        error!(partition, "records lost");
    }

    #[test]
    fn partitions_are_told_apart_and_repetitions_are_told_in_either_format() {
        let text = Written::default();
        let json = Written::default();
        let throttled = || Throttled::new(|| Duration::from_secs(SECONDS.load(SeqCst)));
        let texts = fmt::layer().with_ansi(false).without_time().with_target(false);
        let texts = texts.with_writer(text.clone());
        let jsons = fmt::layer().without_time().json().flatten_event(true).with_target(false);
        let jsons = jsons.with_writer(json.clone());
        let both = registry()
            .with(texts.map_event_format(|format| throttled().over(format)).boxed())
            .with(jsons.map_event_format(|format| throttled().over(format)).boxed());
        tracing::subscriber::with_default(both, || {
            for (second, partition) in [(0, 1), (1, 2), (2, 1), (3, 1), (10, 1), (11, 2)] {
                lost(second, partition);
            }
        });
        let said = |written: Written| String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines = ["partition=1", "partition=2", "partition=1 repeated=2", "partition=2"];
        let expected: String =
            lines.iter().map(|fields| format!("ERROR records lost {fields}\n")).collect();
        assert_eq!(said(text), expected);
        let lines = ["1", "2", "1,\"repeated\":2", "2"];
        let expected: String = lines
            .iter()
            .map(|rest| {
                format!(
                    "{{\"level\":\"ERROR\",\"message\":\"records lost\",\"partition\":{rest}}}\n"
                )
            })
            .collect();
        assert_eq!(said(json), expected);
    }
}
