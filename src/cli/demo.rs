//! `demo`: the pipeline of `run` over ports in process, fed by a simulated market, its messages
//! shown as a table, or as plain lines where stdout is no terminal. Needs nothing, leaves nothing.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args::DemoArgs;
use crate::app::{self, Exit, Export};
use crate::config::{Config, LogLevel, Origin, Shown};
use crate::demo::board::Board;
use crate::demo::market::{BLOCK, Market, PARTITIONS};
use crate::demo::screen::Screen;
use crate::demo::table::{self, Head};
use crate::domain::name::TokenName;
use crate::domain::position::Partition;
use crate::domain::time::WallMs;
use crate::local::{LocalCheckpoint, LocalLog, LocalProducer, LocalStore, LocalView, sole};
use crate::pipeline::names::SharedNames;
use crate::pipeline::orders::Orders;
use crate::pipeline::queries::Queries;
use crate::pipeline::{Ended, Pipeline, Shared, StartError};
use crate::ports::group::Seat;
use crate::ports::{Record, Target};
use crate::status::Phase;
use crate::telemetry::{Level, Telemetry};

/// The configuration as a demo has it: what nobody has set is set so that there is something to
/// see (a tick each second) and nothing that disturbs it (no INFO lines).
#[must_use]
pub fn adapted(config: &Config) -> Config {
    let mut adapted = config.clone();
    if shown_as(&mut adapted, "AGGREGATE_PUBLISH_INTERVAL", "1s") {
        adapted.publish_interval = Duration::from_secs(1);
        adapted.aggregate_changed_interval = None; // nothing is finer
    }
    if shown_as(&mut adapted, "LOG_LEVEL", "WARN") {
        adapted.log_level = LogLevel::Warn;
    }
    // A checkpoint that nobody will ever load.
    if shown_as(&mut adapted, "CHECKPOINT_INTERVAL", "1s") {
        adapted.checkpoint_interval = Duration::from_secs(1);
    }
    adapted
}

/// Shows the demo's own default, unless somebody has set the setting.
fn shown_as(config: &mut Config, name: &str, value: &str) -> bool {
    let unset = |one: &&mut Shown| one.name == name && one.origin == Origin::Default;
    let found = config.shown.iter_mut().find(unset);
    found.map(|shown| value.clone_into(&mut shown.value)).is_some()
}

/// Runs the demo until `stop`, or for as long as `args` says; `config` is an [`adapted`] one.
///
/// # Errors
/// Stdout cannot be written; the pipeline failed.
pub async fn run(
    config: &Config,
    args: &DemoArgs,
    telemetry: Telemetry,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    let shared = app::shared(config)?;
    let export = Export::start(config, &shared, telemetry.spans, &stop)?;
    let shown = serve_and_show(config, args, &shared, &telemetry.level, stop).await;
    export.finish().await;
    shown.map(|()| Exit::Stopped)
}

async fn serve_and_show(
    config: &Config,
    args: &DemoArgs,
    shared: &Arc<Shared>,
    level: &Arc<Level>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    let started = shared.clock.now();
    let budget = Arc::new(app::budget(config));
    let ended = CancellationToken::new();
    let _end_helpers = ended.clone().drop_guard();
    let orders = Arc::<Orders>::default();
    let queries = Arc::<Queries>::default();
    let (seat, _group) = sole(config.shards);
    let page = serve(config, shared, (&orders, &queries), &seat, level, ended.clone()).await;
    let gauged = app::gauge(Arc::clone(shared), Arc::clone(&budget), seat.clone(), ended.clone());
    tokio::spawn(gauged);
    tokio::spawn(stop_after(args.seconds, stop.clone(), ended));
    let producer = Arc::new(LocalProducer::new(PARTITIONS.unsigned_abs()));
    let longest = Duration::from_secs(u64::from(config.windows.longest()));
    let market = Market::new(seed, args.tokens, started, longest);
    let names = Arc::new(names(&market, args.tokens));
    let pipeline = Pipeline {
        log: log(market, shared, &stop),
        producer: Arc::clone(&producer),
        checkpoint: Arc::new(LocalCheckpoint::new(Arc::<LocalStore>::default(), 1)),
        view: Arc::<LocalView>::default(),
        budget,
        names,
        orders,
        queries,
        seat,
        shared: Arc::clone(shared),
        settings: app::settings(config),
    };
    let stopping = stop.clone();
    let running = tokio::spawn(async move { pipeline.run(stopping).await });
    let note = format!("seed {seed}, {page}, Ctrl-C ends");
    let shown = show(&note, &producer, shared, &running).await;
    stop.cancel();
    let ended = running.await.context("the pipeline failed")??;
    let closing = || closing_line(shared, started, seed);
    match shown.and_then(|()| closing()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        shown => shown.context("stdout cannot be written")?,
    }
    anyhow::ensure!(ended == Ended::Stopped, "the pipeline failed");
    Ok(())
}

/// Ends the demo after so many seconds, where it is told to.
async fn stop_after(seconds: Option<u64>, stop: CancellationToken, ended: CancellationToken) {
    let Some(seconds) = seconds else { return };
    tokio::select! {
        () = ended.cancelled() => {}
        () = tokio::time::sleep(Duration::from_secs(seconds)) => stop.cancel(),
    }
}

/// Serves HTTP where it can; says in a few words where, or why not.
async fn serve(
    config: &Config,
    shared: &Arc<Shared>,
    asked: (&Arc<Orders>, &Arc<Queries>),
    seat: &Seat,
    level: &Arc<Level>,
    stop: CancellationToken,
) -> String {
    if !config.metrics_enabled {
        return "no HTTP: METRICS_ENABLED is false".to_owned();
    }
    match app::serve(config, shared, asked, seat, level, stop).await {
        Ok(address) => format!("http://localhost:{}/", address.port()),
        Err(error) => format!("no HTTP: {error:#}"),
    }
}

/// What token-info would say of the market's tokens.
fn names(market: &Market, tokens: u32) -> SharedNames {
    let names = SharedNames::new(usize::try_from(tokens).unwrap_or(usize::MAX));
    for (token, symbol, name) in market.names() {
        names.learn(token, TokenName { symbol, name, ..TokenName::default() });
    }
    names
}

/// The log of a market that has traded for a while already and goes on until `stop`.
fn log(mut market: Market, shared: &Arc<Shared>, stop: &CancellationToken) -> Arc<LocalLog> {
    let partitions = usize::try_from(PARTITIONS).unwrap_or(1);
    let log = Arc::new(LocalLog::new(partitions, market.kept_records()));
    append(&log, market.until(shared.clock.now()));
    tokio::spawn(trade(market, Arc::clone(&log), Arc::clone(shared), stop.clone()));
    log
}

async fn trade(
    mut market: Market,
    log: Arc<LocalLog>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(BLOCK) => append(&log, market.until(shared.clock.now())),
        }
    }
}

fn append(log: &LocalLog, records: Vec<(Partition, Record)>) {
    for (partition, record) in records {
        log.append(partition, record);
    }
}

/// Shows what is published until the pipeline has ended.
async fn show(
    note: &str,
    producer: &LocalProducer,
    shared: &Shared,
    running: &JoinHandle<Result<Ended, StartError>>,
) -> io::Result<()> {
    let mut watch = Watch::start(note)?;
    while !running.is_finished() {
        tokio::time::sleep(LOOK).await;
        watch.look(producer, shared)?;
    }
    watch.look(producer, shared)
}

/// Whoever watches: a table in place, or plain lines.
#[derive(Debug)]
struct Watch {
    board: Board,
    note: String,
    screen: Option<Screen>,
    /// Trades counted, as seen of late.
    seen: VecDeque<(WallMs, u64)>,
    /// The last tick that went out in plain lines.
    told: String,
}

impl Watch {
    fn start(note: &str) -> io::Result<Self> {
        let screen = Screen::take()?;
        if screen.is_none() {
            writeln!(io::stdout(), "{note}")?;
        }
        Ok(Self {
            board: Board::default(),
            note: note.to_owned(),
            screen,
            seen: VecDeque::new(),
            told: String::new(),
        })
    }

    fn look(&mut self, producer: &LocalProducer, shared: &Shared) -> io::Result<()> {
        let sent = producer.take();
        let aggregates = sent.iter().filter(|sent| sent.target == Target::Aggregates);
        let mut quiet = true;
        for value in
            aggregates.flat_map(|sent| sent.messages.iter()).filter_map(|m| m.value.as_ref())
        {
            self.board.take(value).map_err(io::Error::from)?;
            quiet = false;
        }
        let head = self.head(shared);
        if let Some(screen) = &self.screen {
            let (height, width) = screen.size();
            return screen.draw(&table::table(&self.board, &head, &self.note, height, width));
        }
        // A tick has come in whole when nothing more comes.
        if quiet && self.board.tick() != self.told {
            self.board.tick().clone_into(&mut self.told);
            let mut lines = table::plain(&self.board, &head).join("\n");
            lines.push('\n');
            return io::stdout().write_all(lines.as_bytes());
        }
        Ok(())
    }

    fn head(&mut self, shared: &Shared) -> Head {
        let (now, metrics) = (shared.clock.now(), &shared.metrics);
        let trades = metrics.trades_counted.get();
        if shared.status.phase() != Phase::CatchingUp {
            self.seen.push_back((now, trades));
        }
        while self.seen.front().is_some_and(|(at, _)| now.since(*at) > RATE_OVER) {
            self.seen.pop_front();
        }
        let (from, before) = self.seen.front().copied().unwrap_or((now, trades));
        let took_ms = u64::try_from(now.since(from).as_millis()).unwrap_or(u64::MAX);
        Head {
            trades_per_second: (trades - before) * 1_000 / took_ms.max(1),
            messages: metrics.messages_published.get(),
            rejected: metrics.rejected_in_all(),
            late: metrics.trades_late.get(),
        }
    }
}

fn closing_line(shared: &Shared, started: WallMs, seed: u64) -> io::Result<()> {
    let metrics = &shared.metrics;
    let (records, read) = (metrics.records_consumed.get(), metrics.trades_consumed.get());
    let (counted, late) = (metrics.trades_counted.get(), metrics.trades_late.get());
    let (rejected, messages) = (metrics.rejected_in_all(), metrics.messages_published.get());
    let seconds = shared.clock.now().since(started).as_secs();
    writeln!(
        io::stdout(),
        "demo ended after {seconds} s: {records} records with {read} elements, {counted} trades \
         counted, {late} late, {rejected} rejected, {messages} messages, seed {seed}"
    )
}

/// Between two looks at what was published: four frames a second.
const LOOK: Duration = Duration::from_millis(250);

/// The rate shown is that of so long.
const RATE_OVER: Duration = Duration::from_secs(3);
