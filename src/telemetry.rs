//! Logging: where lines go, how they look, who may speak. Lines go to stderr, so that `replay`
//! has stdout for itself. Owns nothing after the start.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, registry};

use crate::config::{LogFormat, LogLevel};

/// Starts logging for the whole process. Colours only on a terminal, and there not with
/// `NO_COLOR`.
///
/// # Errors
/// Logging was started before.
pub fn init(level: LogLevel, format: LogFormat) -> Result<(), TryInitError> {
    let terminal = std::io::stderr().is_terminal();
    let text = match format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match (text, terminal) {
        (true, true) => lines.boxed(),
        (true, false) => lines.with_ansi(false).boxed(),
        (false, _) => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    registry().with(lines.with_filter(targets(level))).try_init()
}

/// Ours at `level`, everybody else's from WARN up: their INFO lines are per request. Nothing of
/// rskafka, which warns at every attempt to connect: who waits for the brokers says so.
fn targets(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Fatal => LevelFilter::ERROR,
    };
    Targets::new()
        .with_default(ours.min(LevelFilter::WARN))
        .with_target("rskafka", LevelFilter::OFF)
        .with_target(env!("CARGO_CRATE_NAME"), ours)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn dependencies_speak_from_warn_up() {
        let targets = targets(LogLevel::Debug);
        assert!(targets.would_enable("aggregator_service::kafka", &Level::DEBUG));
        assert!(!targets.would_enable("rskafka::connection", &Level::INFO));
        assert!(targets.would_enable("fred", &Level::WARN));
    }

    #[test]
    fn fatal_leaves_errors_only() {
        let targets = targets(LogLevel::Fatal);
        assert!(targets.would_enable("aggregator_service", &Level::ERROR));
        assert!(!targets.would_enable("aggregator_service", &Level::WARN));
        assert!(!targets.would_enable("fred", &Level::WARN));
    }
}
