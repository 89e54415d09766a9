//! Logging, tracing and the export as the program has them: started from the configuration, the
//! level changed by whoever may, the last export within the time that a stop may take.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::CLOCKS;
use crate::config::{Config, ConfigArgs, ConfigError, LogLevel};
use crate::endpoint::Endpoint;
use crate::http::{LevelSet, SERVICE, SetLevel};
use crate::otlp::{self, Exporter};
use crate::pipeline::Shared;
use crate::telemetry::{self, Level, Spans, Telemetry};
use crate::tls::{self, Files};

/// What a command makes of a configuration.
pub type Adapt = fn(&Config) -> Config;

/// Starts logging, and tracing where it is exported; `config` is an adapted one. At each SIGHUP the
/// layers that `args` names are read anew, adapted, and the log level is applied: a wrong
/// configuration changes nothing.
///
/// # Errors
/// Logging was started before; the signal cannot be listened to.
pub fn start_telemetry(
    config: &Config,
    args: &ConfigArgs,
    adapt: Adapt,
) -> anyhow::Result<Telemetry> {
    let traced = config.otel_endpoint.is_some();
    let telemetry = telemetry::init(config.log_level, config.log_format, traced, CLOCKS)?;
    reload_on_hangup(args, adapt, &telemetry.level)?;
    Ok(telemetry)
}

fn reload_on_hangup(args: &ConfigArgs, adapt: Adapt, level: &Arc<Level>) -> anyhow::Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("SIGHUP")?;
    let (args, level) = (args.clone(), Arc::clone(level));
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let config = Config::from_process(&args).map(|config| adapt(&config));
            let changed = config.map_err(|cause| cause.to_string());
            if let Err(cause) = changed.and_then(|config| change(&level, config.log_level)) {
                error!(
                    cause,
                    action = "correct the configuration and send SIGHUP again",
                    "SIGHUP changes nothing: the configuration is wrong"
                );
            }
        }
    });
    Ok(())
}

/// Changes the level by its name.
pub(super) fn set_level(level: &Arc<Level>) -> SetLevel {
    let level = Arc::clone(level);
    Arc::new(move |name| change(&level, name.parse()?))
}

fn change(level: &Level, to: LogLevel) -> Result<LevelSet, String> {
    let before = level.set(to).map_err(|cause| cause.to_string())?;
    let (level, before) = (to.name(), before.name());
    // `level` is what each line has already.
    info!(now = level, before, "log level set");
    Ok(LevelSet { level, before })
}

/// The export beside the pipeline.
#[derive(Debug)]
pub struct Export {
    running: Option<JoinHandle<()>>,
    ended: CancellationToken,
    /// Knows when the stop was asked for.
    stopped: JoinHandle<Instant>,
    stop: CancellationToken,
    limit: Duration,
}

impl Export {
    /// Starts it, where there is somewhere to export to.
    ///
    /// # Errors
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` cannot be used.
    pub fn start(
        config: &Config,
        shared: &Shared,
        spans: Option<Spans>,
        stop: &CancellationToken,
    ) -> Result<Self, ConfigError> {
        let ended = CancellationToken::new();
        let endpoint = endpoint(config)
            .map_err(|cause| ConfigError(vec![format!("OTEL_EXPORTER_OTLP_ENDPOINT: {cause}")]))?;
        let running = endpoint.zip(spans).map(|(endpoint, spans)| {
            let began = u64::try_from(shared.status.started().0).unwrap_or(0);
            let exporter = Exporter {
                endpoint,
                metrics: Arc::clone(&shared.metrics),
                spans,
                resource: otlp::resource(SERVICE, &format!("{:032x}", rand::random::<u128>())),
                began: Duration::from_millis(began),
                now: CLOCKS.wall,
            };
            tokio::spawn(exporter.run(ended.clone()))
        });
        let stopping = stop.clone();
        let stopped = tokio::spawn(async move {
            stopping.cancelled().await;
            Instant::now()
        });
        Ok(Self { running, ended, stopped, stop: stop.clone(), limit: config.shutdown_timeout })
    }

    /// The pipeline has ended: exports a last time, briefly, in what is left of the stop's time.
    pub async fn finish(mut self) {
        self.ended.cancel();
        let stopped = if self.stop.is_cancelled() { (&mut self.stopped).await.ok() } else { None };
        self.stopped.abort();
        let now = Instant::now();
        let deadline = stopped.unwrap_or(now) + self.limit;
        let deadline = deadline.min(now + LAST_EXPORT);
        if let Some(running) = &mut self.running
            && timeout_at(deadline, &mut *running).await.is_err()
        {
            running.abort();
            warn!(
                action = "look at the receiver of OTEL_EXPORTER_OTLP_ENDPOINT",
                "the last figures and spans are not exported: the stop does not wait for them"
            );
        }
    }
}

fn endpoint(config: &Config) -> Result<Option<Endpoint>, String> {
    let Some(url) = config.otel_endpoint.clone() else { return Ok(None) };
    let files = Files { variable: "OTEL_EXPORTER_OTLP", ca: None, cert: None, key: None };
    let tls = match url.scheme() {
        "https" => Some(tls::client(&files).map_err(|problems| problems.join(", "))?.0),
        _ => None,
    };
    Endpoint::new(url, config.otel_headers.clone(), tls).map(Some)
}

/// What a receiver that works needs many times over; one that hangs holds nothing up for longer.
const LAST_EXPORT: Duration = Duration::from_secs(3);
