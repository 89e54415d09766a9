//! The world that processes live in: a market that trades, a log, a store, and what was published.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::position::{Offset, Partition, StartFrom};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::SHARDS;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::local::{LocalLog, LocalStore, LocalView};
use aggregator_service::metrics::Metrics;
use aggregator_service::pipeline::names::SharedNames;
use aggregator_service::pipeline::outbox::Batching;
use aggregator_service::pipeline::{Ended, Pipeline, Settings, Shared};
use aggregator_service::ports::{Clock, Message, PartitionRange, Record, Target, TradeLog};
use aggregator_service::status::{Phase, Status};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::oracle::{Span, Told};
use crate::ports::{Gate, SimCheckpoint, SimLog, SimProducer};

pub(crate) const SPANS: [Span; 3] = [("2s", 2), ("10s", 10), ("5s", 5)];
pub(crate) const LONGEST: i64 = 10;
pub(crate) const TICK: i64 = 2;
const BEGIN: WallMs = WallMs(1_700_000_000_000);
const PARTITIONS: i32 = 3;

/// A message with the process that sent it.
pub(crate) struct Published {
    pub(crate) process: usize,
    pub(crate) target: Target,
    pub(crate) message: Message,
}

pub(crate) struct World {
    pub(crate) log: LocalLog,
    pub(crate) store: Arc<LocalStore>,
    pub(crate) published: Mutex<Vec<Published>>,
    pub(crate) told: Mutex<Vec<Told>>,
    pub(crate) bad: Mutex<BTreeSet<(i32, i64, Option<u32>)>>,
    /// Records that are no array.
    singles: Mutex<BTreeSet<(i32, i64)>>,
    /// For each process where the log ended when it started.
    pub(crate) ends: Mutex<Vec<Vec<PartitionRange>>>,
    /// One fault in so many calls; 0: none any more.
    pub(crate) fault_in: AtomicU64,
    /// Dead letters take seconds in this world.
    pub(crate) slow_letters: bool,
    /// Until then no broker takes a message, in milliseconds of the clock.
    pub(crate) brokers_away_until: AtomicI64,
    /// The store has lost something that it had acknowledged.
    pub(crate) store_lost: AtomicBool,
    /// Tokens that a process may hold.
    pub(crate) max_tokens: usize,
    begin: tokio::time::Instant,
}

impl Clock for World {
    fn now(&self) -> WallMs {
        BEGIN.plus(self.begin.elapsed())
    }
}

impl World {
    pub(crate) fn new(rng: &mut StdRng) -> Self {
        Self {
            log: LocalLog::new(3, usize::MAX),
            store: Arc::new(LocalStore::remembering()),
            published: Mutex::default(),
            told: Mutex::default(),
            bad: Mutex::default(),
            singles: Mutex::default(),
            ends: Mutex::default(),
            fault_in: AtomicU64::new(rng.random_range(4..60)),
            slow_letters: rng.random_ratio(1, 4),
            brokers_away_until: AtomicI64::new(0),
            store_lost: AtomicBool::new(false),
            max_tokens: 1_000,
            begin: tokio::time::Instant::now(),
        }
    }

    /// The store comes back empty, or as it was a write ago.
    pub(crate) fn lose(&self, everything: bool) {
        self.store_lost.store(true, SeqCst);
        if everything { self.store.clear() } else { self.store.lose_last_writes() }
    }

    /// No trade may count in this world: each is as bad as the others.
    pub(crate) fn call_all_bad(&self) {
        let told = self.told.lock().unwrap();
        let singles = self.singles.lock().unwrap();
        self.bad.lock().unwrap().extend(told.iter().map(|told| {
            let (partition, offset, index) = told.position;
            (partition, offset, (!singles.contains(&(partition, offset))).then_some(index))
        }));
    }

    /// For so long no broker takes a message.
    pub(crate) fn lose_brokers(&self, during: Duration) {
        self.brokers_away_until.store(self.now().plus(during).0, SeqCst);
    }

    /// From here on nothing fails any more.
    pub(crate) fn heal(&self) {
        self.fault_in.store(0, SeqCst);
        self.brokers_away_until.store(0, SeqCst);
    }

    /// Appends records at random moments.
    pub(crate) async fn trade(self: Arc<Self>, during: Duration, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let until = self.now().plus(during);
        while self.now() < until {
            self.append(&mut rng);
            let quiet = if rng.random_ratio(1, 40) { 3_000 } else { 60 };
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..quiet))).await;
        }
    }

    fn append(&self, rng: &mut StdRng) {
        let partition = rng.random_range(0..PARTITIONS);
        let count = if rng.random_bool(0.5) { 1 } else { rng.random_range(0..6) };
        let mut elements = Vec::new();
        let mut trades = Vec::new();
        let mut bad = Vec::new();
        for index in 0..count {
            if rng.random_ratio(1, 30) {
                bad.push(index);
                elements.push(r#"{"Token":""}"#.to_owned());
            } else {
                let told = self.told(rng, partition, index);
                elements.push(told.json().to_string());
                trades.push(told);
            }
        }
        let single = count == 1 && rng.random_bool(0.5);
        let value = if single { elements.remove(0) } else { format!("[{}]", elements.join(",")) };
        let record =
            Record { timestamp: Some(self.now()), value: Some(value.into()), ..Record::default() };
        let Offset(offset) = self.log.append(Partition(partition), record);
        trades.iter_mut().for_each(|told| told.position.1 = offset);
        self.told.lock().unwrap().extend(trades);
        if single {
            self.singles.lock().unwrap().insert((partition, offset));
        }
        let index = |index| if single { None } else { Some(index) };
        let bad = bad.into_iter().map(|at| (partition, offset, index(at)));
        self.bad.lock().unwrap().extend(bad);
    }

    fn told(&self, rng: &mut StdRng, partition: i32, index: u32) -> Told {
        let WallMs(now) = self.now();
        let at_ms = now - rng.random_range(0..3_000) + rng.random_range(0..200);
        // Some trade all the time, some for a few seconds only.
        let token = match rng.random_range(0..4) {
            0 => format!("brief-{}", now / 4_000),
            _ => format!("token-{}", rng.random_range(0..12_u8).min(rng.random_range(0..12))),
        };
        Told {
            token,
            buy: rng.random(),
            native: format!("{}.{}", rng.random_range(0..100), rng.random_range(0..1_000)),
            amount: format!("{}e-{}", rng.random_range(0..10_000), rng.random_range(0..18)),
            price: format!("0.000{}", rng.random_range(1..1_000_000)),
            at_ns: i128::from(at_ms) * 1_000_000,
            position: (partition, 0, index),
        }
    }
}

/// One run of the service.
pub(crate) struct Process {
    gate: Arc<Gate>,
    status: Arc<Status>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: JoinHandle<Option<Ended>>,
    ended: Option<Ended>,
}

impl Process {
    pub(crate) fn start(world: &Arc<World>, seed: u64) -> Self {
        let number = {
            let mut ends = world.ends.lock().unwrap();
            ends.push(Vec::new());
            ends.len() - 1
        };
        let first = number == 0;
        if !first && world.store.shards() < usize::from(SHARDS) {
            // A process was killed before it could write: what it has published, nobody knows.
            world.store_lost.store(true, SeqCst);
        }
        let gate = Arc::new(Gate::new(Arc::clone(world), number, seed));
        let status = Arc::new(Status::new(world.now()));
        let metrics = Arc::new(Metrics::new().unwrap());
        let shared = Arc::new(Shared {
            clock: world.clone(),
            metrics: Arc::clone(&metrics),
            status: Arc::clone(&status),
        });
        let pipeline = Pipeline {
            log: Arc::new(SimLog(Arc::clone(&gate))),
            producer: Arc::new(SimProducer(Arc::clone(&gate))),
            checkpoint: Arc::new(SimCheckpoint::new(Arc::clone(&gate))),
            view: Arc::new(LocalView::default()),
            budget: Arc::new(Budget::new(world.max_tokens, 1_000_000)),
            names: Arc::new(SharedNames::new(0)),
            orders: Arc::default(),
            shared,
            settings: settings(),
        };
        let stop = CancellationToken::new();
        let world = Arc::clone(world);
        let stopping = stop.clone();
        let task = tokio::spawn(async move {
            let ranges = world.log.partitions().await.unwrap();
            world.ends.lock().unwrap()[number] = ranges;
            pipeline.run(stopping).await.ok()
        });
        Self { gate, status, metrics, stop, task, ended: None }
    }

    /// Whether it calls itself ready, or all reasons why not.
    pub(crate) fn ready(&self, world: &World) -> Result<(), Vec<String>> {
        self.status.ready(world.now())
    }

    /// Ticks of its workers so far.
    pub(crate) fn ticks(&self) -> u64 {
        self.metrics.ticks.get()
    }

    /// From now on nothing that it does has an effect.
    pub(crate) fn kill(&self) {
        self.gate.dead.store(true, SeqCst);
    }

    pub(crate) fn freeze(&self) {
        self.gate.frozen.store(true, SeqCst);
    }

    pub(crate) fn thaw(&self) {
        self.gate.frozen.store(false, SeqCst);
        self.gate.thawed.notify_waiters();
    }

    /// A successor has claimed its shards: it must notice, but where the claim was lost.
    pub(crate) async fn ends_fenced_or_dies(&mut self) {
        let limit = Duration::from_secs(20);
        match tokio::time::timeout(limit, &mut self.task).await {
            Ok(ended) => assert_eq!(ended.unwrap(), Some(Ended::Fenced)),
            Err(_) => self.kill(),
        }
    }

    /// Starts it anew if it has ended, as a supervisor does. It may have been fenced by its
    /// predecessor, when the store had lost its claim.
    pub(crate) fn supervise(&mut self, world: &Arc<World>, seed: u64) {
        if self.task.is_finished() {
            self.kill();
            *self = Self::start(world, seed);
        }
    }

    pub(crate) async fn caught_up(&mut self, world: &Arc<World>, rng: &mut StdRng) {
        let mut waits = 0;
        while self.status.phase() != Phase::Running {
            waits += 1;
            assert!(waits < 1_200, "not caught up after two minutes: {:?}", self.status);
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.supervise(world, rng.random());
        }
    }

    /// Asks it to stop, and waits.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        let limit = Duration::from_secs(60);
        let ended = tokio::time::timeout(limit, &mut self.task).await;
        self.ended = ended.expect("a stop ends in time").unwrap();
        assert!(matches!(self.ended, Some(Ended::Stopped | Ended::Fenced)), "{:?}", self.ended);
        self.kill();
    }

    pub(crate) fn was_fenced(&self) -> bool {
        self.ended == Some(Ended::Fenced)
    }
}

fn settings() -> Settings {
    let window = |(name, seconds): Span| Window {
        name: name.to_owned(),
        seconds: u32::try_from(seconds).unwrap(),
    };
    Settings {
        topic: "trade-info".to_owned(),
        windows: Windows::new(SPANS.map(window).to_vec()).unwrap(),
        publish_interval: Duration::from_secs(TICK.unsigned_abs()),
        checkpoint_interval: Duration::from_millis(250),
        max_future_skew: Duration::from_secs(300),
        start_from: StartFrom::Window,
        batching: Batching { size: 4, timeout: Duration::from_millis(100) },
        ttl: None,
        dead_letters: true,
        workers: 2,
        shutdown_timeout: Duration::from_secs(30),
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("status", &self.status).finish_non_exhaustive()
    }
}
