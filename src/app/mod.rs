//! The composition root of `run`: configuration in, the real ports built, the pipeline run over
//! them, an [`Exit`] out. The only place where clocks, signals and sockets are taken from the
//! system.

pub mod access;
mod clock;
mod connect;
mod gauge;
mod membership;
mod names;
mod systemd;
mod telemetry;
pub mod topics;

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use clock::{CLOCKS, SystemClock};
use gauge::count;
pub use gauge::gauge;
use membership::Membership;
use names::NameReader;
use systemd::Teller;
pub use telemetry::{Adapt, Export, start_telemetry};

use crate::config::{Config, ConfigError, Shown};
use crate::domain::budget::Budget;
use crate::http::{self, Everyone, Facts, HttpState, Setting};
use crate::metrics::Metrics;
use crate::pipeline::names::SharedNames;
use crate::pipeline::orders::Orders;
use crate::pipeline::outbox::Batching;
use crate::pipeline::queries::Queries;
use crate::pipeline::{Ended, Pipeline, Settings, Shared};
use crate::ports::group::{Seat, seat};
use crate::ports::{Clock, Producer, TradeLog, View};
use crate::redis::RedisCheckpoint;
use crate::status::{Limits, Status};
use crate::telemetry::{Level, Telemetry};
use crate::wire::aggregate::Form;
use crate::wire::envelope::Envelope;
use crate::wire::registered::Format;

/// How a program ended; its number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Stopped as asked.
    Stopped = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 64,
    /// Another instance took over.
    Fenced = 75,
}

/// Runs the service until `stop`.
///
/// # Errors
/// What keeps it from starting: a port that is taken, a login refused, a topic that may not be
/// created, a checkpoint of a newer version.
pub async fn run(
    config: &Config,
    telemetry: Telemetry,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    introduce(config);
    let shared = shared(config)?;
    let teller = || Teller::start(&shared, &stop, config.shutdown_timeout);
    let systemd = config.supervised.then(teller);
    let export = Export::start(config, &shared, telemetry.spans, &stop)?;
    let exit = serve_and_run(config, &shared, &telemetry.level, stop).await;
    export.finish().await;
    if let Some(systemd) = systemd {
        systemd.finish().await;
    }
    exit
}

async fn serve_and_run(
    config: &Config,
    shared: &Arc<Shared>,
    level: &Arc<Level>,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    let access = access::of(config).await?;
    let orders = Arc::<Orders>::default();
    let queries = Arc::<Queries>::default();
    let budget = Arc::new(budget(config));
    let (seat, served) = seat(config.shards);
    let ended = CancellationToken::new();
    let _end_helpers = ended.clone().drop_guard();
    let http = match config.metrics_enabled {
        true => {
            let stop = ended.clone();
            Some(serve(config, shared, (&orders, &queries), &seat, level, stop).await?.port())
        }
        false => None,
    };
    tell_what_is_read_and_written(config, http, access.authorities.as_deref());
    tokio::spawn(gauge(Arc::clone(shared), Arc::clone(&budget), seat.clone(), ended.clone()));
    let kafka = access.kafka.clone();
    let Some(real) = Box::pin(connect::all(config, access, shared, &stop)).await? else {
        return Ok(Exit::Stopped);
    };
    let membership = Membership::start(config, kafka, http, served, &stop).await;
    let names = Arc::new(SharedNames::new(config.max_tokens));
    if let Some(log) = real.names_log {
        let (store, names) = (real.names_store, Arc::clone(&names));
        tokio::spawn(NameReader { log, store, names, stop: ended }.run());
    }
    let mut settings = settings(config);
    settings.envelope.registered = real.registered;
    let pipeline = Pipeline {
        log: real.log,
        producer: real.producer,
        checkpoint: real.checkpoint,
        view: real.view,
        budget,
        names,
        orders,
        queries,
        seat,
        shared: Arc::clone(shared),
        settings,
    };
    let exit = keep_running(pipeline, stop).await?;
    membership.leave(exit).await
}

/// Runs the pipeline, and once more after each time that the clock was set back.
async fn keep_running<L: TradeLog, P: Producer, V: View>(
    mut pipeline: Pipeline<L, P, RedisCheckpoint, V>,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    loop {
        return Ok(match pipeline.run(stop.clone()).await.context("the service cannot start")? {
            Ended::Stopped => {
                info!("stopped");
                Exit::Stopped
            }
            Ended::Fenced => {
                error!(
                    action = "run one of them, or give each a KAFKA_CONSUMER_GROUP of its own",
                    "another instance with this group has taken over: this one ends"
                );
                Exit::Fenced
            }
            Ended::Failed => {
                error!(
                    action = "start it again, and report the lines before this one",
                    "a worker failed: this process ends, the next reads on from the checkpoint"
                );
                Exit::Failed
            }
            Ended::ClockSetBack => {
                error!(
                    action = "look at this host's time synchronisation",
                    "the clock was set back: the windows are rebuilt from the log"
                );
                let owner = connect::owner(&pipeline.shared);
                pipeline.checkpoint = Arc::new(pipeline.checkpoint.owned_by(owner));
                continue;
            }
        });
    }
}

/// How a program ends that could not do what was asked.
#[must_use]
pub fn exit_of(error: &anyhow::Error) -> Exit {
    if error.is::<ConfigError>() { Exit::Usage } else { Exit::Failed }
}

/// Clock, metrics and status of a process that starts now.
///
/// # Errors
/// Two metrics have one name.
pub fn shared(config: &Config) -> anyhow::Result<Arc<Shared>> {
    let clock = SystemClock;
    let limits = Limits {
        publish_interval: config.publish_interval,
        checkpoint_max_age: config.checkpoint_max_age,
    };
    let status = Arc::new(Status::within(limits, clock.now()));
    let metrics = Arc::new(Metrics::new().context("metrics")?);
    metrics.publish_interval_seconds.set(config.publish_interval.as_secs_f64());
    metrics.tokens_limit.set(count(config.max_tokens));
    metrics.panes_limit.set(count(config.max_panes));
    if config.aggregate_fields.any() {
        metrics.wallets_limit.set(count(config.max_wallets));
    }
    Ok(Arc::new(Shared { clock: Arc::new(clock), metrics, status }))
}

/// What may be held, from the configuration.
#[must_use]
pub fn budget(config: &Config) -> Budget {
    let budget = Budget::new(config.max_tokens, config.max_panes);
    if config.aggregate_fields.any() { budget.with_wallets(config.max_wallets) } else { budget }
}

/// Where events say that they come from: this service, of this input.
fn source(config: &Config) -> String {
    format!("/aggregator-service/{}", config.kafka_topic)
}

/// What the pipeline is told, from the configuration.
#[must_use]
pub fn settings(config: &Config) -> Settings {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Settings {
        topic: config.kafka_topic.clone(),
        windows: config.windows.clone(),
        fields: config.aggregate_fields,
        emission: config.emission(),
        checkpoint_interval: config.checkpoint_interval,
        max_future_skew: config.max_future_skew,
        start_from: config.start_from,
        batching: Batching {
            size: config.aggregate_batch_size,
            timeout: config.aggregate_batch_timeout,
        },
        envelope: Envelope {
            registered: None,
            ttl: config.aggregate_ttl,
            cloud_events: config.aggregate_cloudevents.then(|| source(config).into()),
            tombstones: config.aggregate_tombstones,
        },
        dead_letters: config.dlq_topic.is_some(),
        // More workers than shards would have nothing to do.
        workers: u16::try_from(cores).unwrap_or(u16::MAX).min(config.shards.count()),
        shutdown_timeout: config.shutdown_timeout,
    }
}

/// Serves HTTP on `METRICS_PORT` until `stop`; answers where.
///
/// # Errors
/// The port cannot be listened on.
pub async fn serve(
    config: &Config,
    shared: &Arc<Shared>,
    (orders, queries): (&Arc<Orders>, &Arc<Queries>),
    seat: &Seat,
    level: &Arc<Level>,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let port = config.metrics_port;
    let listener = listen(port).await;
    let listener = listener.with_context(|| format!("METRICS_PORT {port} cannot be used"))?;
    let address = listener.local_addr()?;
    let clock = Arc::clone(&shared.clock);
    let orders = Arc::clone(orders);
    let everyone = Arc::new(Everyone {
        here: Arc::<Queries>::clone(queries),
        seat: seat.clone(),
        windows: config.windows.clone(),
        metrics: Arc::clone(&shared.metrics),
    });
    let state = HttpState {
        status: Arc::clone(&shared.status),
        metrics: Arc::clone(&shared.metrics),
        facts: facts(config),
        clock: Arc::new(move || clock.now()),
        admin_token: config.admin_token.as_ref().map(|token| token.expose().to_owned()),
        publish: Arc::new(move |wanted| {
            let orders = Arc::clone(&orders);
            async move { orders.place(wanted).await }.boxed()
        }),
        market: Arc::<Everyone>::clone(&everyone),
        everyone: Some(everyone),
        form: Form::extended(&config.windows, config.aggregate_fields),
        windows: config.windows.clone(),
        log_level: telemetry::set_level(level),
    };
    tokio::spawn(http::serve(listener, http::router(Arc::new(state)), stop));
    Ok(address)
}

fn facts(config: &Config) -> Facts {
    let setting = |shown: &Shown| Setting {
        name: shown.name,
        value: shown.value.clone(),
        origin: shown.origin.name(),
    };
    Facts {
        brokers: config.kafka_brokers.clone(),
        topic: config.aggregate_topic.clone(),
        settings: config.shown.iter().map(setting).collect(),
    }
}

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// The signals cannot be listened to.
pub fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "stopping");
        stopping.cancel();
    });
    Ok(stop)
}

/// On all addresses, of both families where the host has both.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            TcpListener::bind(("0.0.0.0", port)).await
        }
        bound => bound,
    }
}

fn introduce(config: &Config) {
    info!(version = env!("CARGO_PKG_VERSION"), "aggregator-service starts");
    if !config.ignored.is_empty() {
        warn!(
            ignored = config.ignored.join(","),
            action = "remove them from the environment",
            "variables of the Go service have no meaning here"
        );
    }
}

fn tell_what_is_read_and_written(config: &Config, http: Option<u16>, authorities: Option<&str>) {
    let windows = config.windows.iter().map(|window| window.name.as_str());
    let redis = config.shown.iter().find(|setting| setting.name == "REDIS_ADDR");
    info!(
        brokers = config.kafka_brokers.join(","),
        from = config.kafka_topic,
        to = config.aggregate_topic,
        format = config.aggregate_format.map_or("json", Format::name),
        dead_letters = config.dlq_topic.as_deref().unwrap_or("off"),
        names = config.token_info_topic.as_deref().unwrap_or("off"),
        group = config.kafka_consumer_group,
        windows = windows.collect::<Vec<_>>().join(","),
        every_s = config.publish_interval.as_secs(),
        checkpoint = redis.map(|setting| setting.value.as_str()),
        http,
        authorities,
        otlp = config.otel_endpoint.as_ref().map(url::Url::as_str),
        "reads and writes"
    );
}
