//! Logging and tracing: where lines go, how they look, who may speak, and which spans are kept for
//! the export. Lines go to stderr, so that `replay` has stdout for itself. After the start only the
//! level changes. Reads no clock: it is given two.

mod level;
mod lines;
mod spans;
mod throttle;

use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use tracing::error;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, registry, reload};

pub use level::Level;
pub use spans::Spans;

use crate::config::{LogFormat, LogLevel};
use lines::Throttled;

/// What is left to do after the start.
#[derive(Debug)]
pub struct Telemetry {
    /// Says who may speak.
    pub level: Arc<Level>,
    /// What the pipeline did, for the export; `None` where nothing is exported.
    pub spans: Option<Spans>,
}

/// Where the present comes from.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Never goes back.
    pub uptime: fn() -> Duration,
    /// Since the epoch.
    pub wall: fn() -> Duration,
}

/// Starts logging for the whole process, and tracing where `traced`. Colours only on a terminal,
/// and there not with `NO_COLOR`.
///
/// # Errors
/// Logging was started before.
pub fn init(
    level: LogLevel,
    format: LogFormat,
    traced: bool,
    clocks: Clocks,
) -> Result<Telemetry, TryInitError> {
    std::panic::set_hook(Box::new(log_panic));
    let terminal = std::io::stderr().is_terminal();
    let text = match format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let throttled = Throttled::new(clocks.uptime);
    let lines = match (text, terminal) {
        (true, true) => lines.map_event_format(|text| throttled.over(text)).boxed(),
        (true, false) => {
            lines.with_ansi(false).map_event_format(|text| throttled.over(text)).boxed()
        }
        (false, _) => {
            let lines = lines.json().flatten_event(true).with_span_list(false);
            lines.map_event_format(|json| throttled.over(json)).boxed()
        }
    };
    let (filter, handle) = reload::Layer::new(level::targets(level));
    let lines = lines.with_filter(level::of_lines(filter));
    let level = Arc::new(Level::new(level, handle));
    if !traced {
        registry().with(lines).try_init()?;
        return Ok(Telemetry { level, spans: None });
    }
    let (layer, spans) = spans::layer(clocks);
    registry().with(lines).with(layer).try_init()?;
    Ok(Telemetry { level, spans: Some(spans) })
}

/// A panic is a line like any other; who waits for its task says what follows from it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    error!(
        cause = panic.payload_as_str(),
        place = panic.location().map(ToString::to_string),
        action = "report this line and those before it",
        "a task failed, against every invariant"
    );
}
