//! Who may speak: ours at a level that can be changed while the service runs, everybody else from
//! WARN up.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{FilterExt, FilterFn, Targets};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::reload::Handle;

use crate::config::LogLevel;

/// The level in force, to be changed by whoever may.
pub struct Level {
    now: Mutex<LogLevel>,
    filter: Handle<Targets, Registry>,
}

impl Level {
    pub(super) const fn new(level: LogLevel, filter: Handle<Targets, Registry>) -> Self {
        Self { now: Mutex::new(level), filter }
    }

    /// Changes the level; answers the one before.
    ///
    /// # Errors
    /// Logging is gone: never while the process runs.
    pub fn set(&self, level: LogLevel) -> Result<LogLevel, tracing_subscriber::reload::Error> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        self.filter.reload(targets(level))?;
        Ok(std::mem::replace(&mut *now, level))
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Ours at `level`, everybody else's from WARN up: their INFO lines are per request. Nothing of
/// rskafka, which warns at every attempt to connect: who waits for the brokers says so.
pub(super) fn targets(level: LogLevel) -> Targets {
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

/// Lines alone: spans are not written, and where nobody else wants them they are never made.
pub(super) fn of_lines(filter: impl Filter<Registry> + 'static) -> impl Filter<Registry> {
    let lines = FilterFn::new(|metadata| metadata.is_event());
    filter.and(lines.with_max_level_hint(LevelFilter::TRACE))
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

    #[test]
    fn lines_alone_want_no_span_so_that_without_an_export_none_is_made() {
        let filter = of_lines(targets(LogLevel::Debug));
        let wants = |metadata| !filter.callsite_enabled(metadata).is_never();
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            let span = tracing::info_span!("batch");
            assert!(!wants(span.metadata().unwrap()));
        });
        assert!(targets(LogLevel::Debug).would_enable(module_path!(), &Level::INFO));
    }
}
