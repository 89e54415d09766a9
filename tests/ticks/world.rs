//! A pipeline over ports in process, on virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::emission::Emission;
use aggregator_service::domain::position::{Partition, StartFrom};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::Shards;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::local::{
    LocalCheckpoint, LocalLog, LocalProducer, LocalStore, LocalView, sole,
};
use aggregator_service::metrics::Metrics;
use aggregator_service::pipeline::names::SharedNames;
use aggregator_service::pipeline::orders::Orders;
use aggregator_service::pipeline::outbox::Batching;
use aggregator_service::pipeline::{Ended, Pipeline, Settings, Shared};
use aggregator_service::ports::group::Served;
use aggregator_service::ports::{
    Clock, Message, NotPublished, ProduceError, Producer, Published, Record, Target, Wanted,
};
use aggregator_service::status::Status;
use aggregator_service::wire::envelope::Envelope;
use aggregator_service::wire::extended::Chosen;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// 2025-01-08T10:30:00Z, a multiple of every interval here.
const START: i64 = 1_736_332_200_000;

/// Virtual time, and how far the clock is set forward of it.
pub(crate) struct VirtualClock(Instant, pub(crate) AtomicI64);

impl Clock for VirtualClock {
    fn now(&self) -> WallMs {
        WallMs(START + self.1.load(SeqCst)).plus(self.0.elapsed())
    }
}

/// Brokers that may keep everybody waiting for their acknowledgement, or refuse.
pub(crate) struct Brokers {
    pub(crate) taken: LocalProducer,
    pub(crate) silent: AtomicBool,
    pub(crate) refuse: AtomicBool,
}

impl Producer for Brokers {
    fn partition_count(&self, target: Target) -> u32 {
        self.taken.partition_count(target)
    }

    async fn produce(
        &self,
        target: Target,
        partition: Partition,
        messages: &[Message],
    ) -> Result<(), ProduceError> {
        while self.silent.load(SeqCst) {
            sleep(Duration::from_millis(10)).await;
        }
        if self.refuse.load(SeqCst) {
            let (topic, cause) = ("aggregate-info".to_owned(), "refused".to_owned());
            return Err(ProduceError::Unavailable { topic, partition, cause });
        }
        self.taken.produce(target, partition, messages).await
    }
}

pub(crate) struct World {
    pub(crate) began: Instant,
    pub(crate) log: Arc<LocalLog>,
    pub(crate) producer: Arc<Brokers>,
    pub(crate) orders: Arc<Orders>,
    pub(crate) names: Arc<SharedNames>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) status: Arc<Status>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) group: Served,
}

impl World {
    /// A pipeline that has caught up, and whose first tick comes after `interval`.
    pub(crate) async fn start(interval: u64) -> Self {
        Self::with(Emission::all(Duration::from_secs(interval)), Envelope::default()).await
    }

    pub(crate) async fn with(emission: Emission, envelope: Envelope) -> Self {
        let began = Instant::now();
        let clock = Arc::new(VirtualClock(began, AtomicI64::new(0)));
        let status = Arc::new(Status::new(clock.now()));
        let (seat, group) = sole(Shards::DEFAULT);
        let world = Self {
            group,
            began,
            log: Arc::new(LocalLog::new(1, 1_000)),
            producer: Arc::new(Brokers {
                taken: LocalProducer::new(2),
                silent: AtomicBool::new(false),
                refuse: AtomicBool::new(false),
            }),
            orders: Arc::default(),
            names: Arc::new(SharedNames::new(100)),
            clock: Arc::clone(&clock),
            status: Arc::clone(&status),
            metrics: Arc::new(Metrics::new().unwrap()),
            stop: CancellationToken::new(),
        };
        assert_eq!(world.order(&["a"]).await, Err(NotPublished("starting")));
        let window = |(name, seconds): (&str, u32)| Window { name: name.to_owned(), seconds };
        let store = Arc::<LocalStore>::default();
        let owned_by = move |owner| Arc::new(LocalCheckpoint::new(Arc::clone(&store), owner));
        let mut pipeline = Pipeline {
            log: Arc::clone(&world.log),
            producer: Arc::clone(&world.producer),
            checkpoint: owned_by(1),
            view: Arc::<LocalView>::default(),
            budget: Arc::new(Budget::new(100, 1_000)),
            names: Arc::clone(&world.names),
            orders: Arc::clone(&world.orders),
            queries: Arc::default(),
            seat,
            shared: Arc::new(Shared { clock, metrics: Arc::clone(&world.metrics), status }),
            settings: Settings {
                topic: "trade-info".to_owned(),
                windows: Windows::new([("10s", 10), ("20s", 20)].map(window).to_vec()).unwrap(),
                fields: Chosen::STANDARD,
                emission,
                checkpoint_interval: Duration::from_millis(250),
                max_future_skew: Duration::from_secs(300),
                start_from: StartFrom::Window,
                batching: Batching { size: 4, timeout: Duration::from_millis(100) },
                envelope,
                dead_letters: false,
                workers: 2,
                shutdown_timeout: Duration::from_secs(30),
            },
        };
        let stop = world.stop.clone();
        tokio::spawn(async move {
            for owner in 2.. {
                if pipeline.run(stop.clone()).await.unwrap() != Ended::ClockSetBack {
                    break;
                }
                pipeline.checkpoint = owned_by(owner);
            }
        });
        world.at(500).await;
        world
    }

    /// Waits until so many milliseconds after the start.
    pub(crate) async fn at(&self, ms: u64) {
        sleep_until(self.began + Duration::from_millis(ms)).await;
    }

    /// A trade of now.
    pub(crate) fn trade(&self, token: &str, price: &str) {
        let now = WallMs(START).plus(self.began.elapsed());
        let at = time::OffsetDateTime::from_unix_timestamp(now.second().0).unwrap();
        let at = at.format(&time::format_description::well_known::Rfc3339).unwrap();
        let value = json!({
            "Token": token, "Wallet": "w", "SellBuy": "buy", "NativeAmount": "1",
            "TokenAmount": "1", "PriceUsd": price, "TransTime": at, "TxHash": "t",
        });
        let value = Some(value.to_string().into());
        let record = Record { timestamp: Some(now), value, ..Record::default() };
        self.log.append(Partition(0), record);
    }

    pub(crate) async fn order(&self, tokens: &[&str]) -> Result<Published, NotPublished> {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        self.orders.place(Wanted::Tokens(tokens)).await
    }

    /// What was published since the last call.
    pub(crate) fn sent(&self) -> impl Iterator<Item = Message> + use<> {
        self.producer.taken.take().into_iter().flat_map(|sent| sent.messages.to_vec())
    }

    /// What was published since the last call, by token.
    pub(crate) fn said(&self) -> Vec<(String, String)> {
        let mut said: Vec<_> = self
            .sent()
            .map(|message| String::from_utf8(message.value.unwrap().to_vec()).unwrap())
            .map(|text| {
                let value: Value = serde_json::from_str(&text).unwrap();
                (value["token"].as_str().unwrap().to_owned(), text)
            })
            .collect();
        said.sort();
        said
    }
}

pub(crate) fn published(published: usize, unknown: &[&str]) -> Result<Published, NotPublished> {
    let unknown = unknown.iter().map(|token| (*token).to_owned()).collect();
    Ok(Published { published, unknown, ..Published::default() })
}

/// The trades that every test here begins with: one each of `a` and `b`, then one more of `a`.
pub(crate) async fn trades(world: &World) {
    world.trade("a", "1");
    world.trade("b", "2");
    world.at(3_000).await;
    world.trade("a", "3");
}
