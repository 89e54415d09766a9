//! One run of the service in a world.

use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::emission::Emission;
use aggregator_service::domain::position::StartFrom;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::local::{LocalView, sole};
use aggregator_service::metrics::Metrics;
use aggregator_service::pipeline::names::SharedNames;
use aggregator_service::pipeline::outbox::Batching;
use aggregator_service::pipeline::{Ended, Pipeline, Settings, Shared};
use aggregator_service::ports::Clock;
use aggregator_service::ports::group::Seat;
use aggregator_service::status::{Phase, Status};
use aggregator_service::wire::envelope::Envelope;
use aggregator_service::wire::extended::Chosen;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::ports::{SimLog, SimProducer};
use crate::store::SimCheckpoint;
use crate::world::{BATCH, SPANS, TICK, World};
use support::oracle::Span;

/// How long a stop may take: twice its deadline.
const STOP_TENTHS: u32 = 600;

pub(crate) struct Process {
    pub(crate) number: usize,
    pub(crate) gate: Arc<Gate>,
    pub(crate) budget: Arc<Budget>,
    status: Arc<Status>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: JoinHandle<Option<Ended>>,
}

impl Process {
    /// The only one of its group.
    pub(crate) fn start(world: &Arc<World>, seed: u64) -> Self {
        Self::seated(world, seed, sole(world.shards).0)
    }

    pub(crate) fn seated(world: &Arc<World>, seed: u64, seat: Seat) -> Self {
        let number = world.ledger().open();
        let seed = seed.wrapping_add(u64::try_from(number).unwrap());
        let gate = Arc::new(Gate::new(Arc::clone(world), number, seed));
        let status = Arc::new(Status::new(world.now()));
        let metrics = Arc::new(Metrics::new().unwrap());
        let budget = Budget::new(world.max_tokens, 1_000_000);
        let budget = if world.extended { budget.with_wallets(1_000_000) } else { budget };
        let budget = Arc::new(budget);
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
            budget: Arc::clone(&budget),
            names: Arc::new(SharedNames::new(0)),
            orders: Arc::default(),
            queries: Arc::default(),
            seat,
            shared,
            settings: settings(world),
        };
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let world = Arc::clone(world);
        let task = tokio::spawn(async move {
            let ended = pipeline.run(stopping).await.ok();
            world.deaths.notify_one();
            ended
        });
        Self { number, gate, budget, status, metrics, stop, task }
    }

    /// Whether it calls itself ready, or all reasons why not.
    pub(crate) fn ready(&self, world: &World) -> Result<(), Vec<String>> {
        self.status.ready(world.now())
    }

    pub(crate) fn has_caught_up(&self) -> bool {
        self.status.phase() == Phase::Running
    }

    /// Shards that it publishes.
    pub(crate) fn shards(&self) -> i64 {
        self.metrics.shards.with_label_values(&["open"]).get()
    }

    /// Ticks of its workers so far.
    pub(crate) fn ticks(&self) -> u64 {
        self.metrics.ticks.get()
    }

    /// Offsets of a partition that it says are lost.
    pub(crate) fn offsets_lost(&self, partition: i32) -> i64 {
        let lost = self.metrics.offset_lost.with_label_values(&[&partition.to_string()]);
        i64::try_from(lost.get()).unwrap()
    }

    /// Nothing that it does has an effect any more.
    pub(crate) fn kill(&self) {
        self.gate.kill();
        self.task.abort();
    }

    /// It has ended by itself.
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// How it ended, if it does within a while; killed otherwise.
    pub(crate) async fn end(&mut self) -> Option<Ended> {
        let limit = Duration::from_secs(20);
        let ended = tokio::time::timeout(limit, &mut self.task).await;
        self.kill();
        ended.ok().map(|ended| ended.unwrap().expect("no newer format is there"))
    }

    /// Asks it to stop, and waits. `None` where it was killed on the way.
    pub(crate) async fn stop(&mut self) -> Option<Ended> {
        self.stop.cancel();
        for _ in 0..STOP_TENTHS {
            let tenth = Duration::from_millis(100);
            if let Ok(ended) = tokio::time::timeout(tenth, &mut self.task).await {
                self.gate.kill();
                return Some(ended.unwrap().expect("no newer format is there"));
            }
            if self.gate.is_dead() {
                self.kill();
                return None;
            }
        }
        panic!("a stop ends in time");
    }
}

fn settings(world: &World) -> Settings {
    let window = |(name, seconds): Span| Window {
        name: name.to_owned(),
        seconds: u32::try_from(seconds).unwrap(),
    };
    Settings {
        topic: "trade-info".to_owned(),
        windows: Windows::new(SPANS.map(window).to_vec()).unwrap(),
        fields: if world.extended { Chosen::ALL } else { Chosen::STANDARD },
        emission: Emission::all(Duration::from_secs(TICK.unsigned_abs())),
        checkpoint_interval: Duration::from_millis(250),
        max_future_skew: world.max_future_skew,
        start_from: StartFrom::Window,
        batching: Batching { size: BATCH, timeout: Duration::from_millis(100) },
        envelope: Envelope::default(),
        dead_letters: true,
        workers: 2,
        shutdown_timeout: Duration::from_secs(30),
    }
}
