//! A pipeline of two workers over ports in process, what it was told, and HTTP before it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::emission::Emission;
use aggregator_service::domain::name::TokenName;
use aggregator_service::domain::position::{Partition, StartFrom};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::Shards;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::http::{Everyone, Facts, HttpState, Limits, router, serve_within};
use aggregator_service::local::{
    LocalCheckpoint, LocalLog, LocalProducer, LocalStore, LocalView, sole,
};
use aggregator_service::metrics::Metrics;
use aggregator_service::pipeline::names::SharedNames;
use aggregator_service::pipeline::orders::Orders;
use aggregator_service::pipeline::outbox::Batching;
use aggregator_service::pipeline::queries::Queries;
use aggregator_service::pipeline::{Pipeline, Settings, Shared};
use aggregator_service::ports::group::Seat;
use aggregator_service::ports::{Clock, Record, Wanted};
use aggregator_service::status::{Phase, Status};
use aggregator_service::wire::aggregate::Form;
use aggregator_service::wire::envelope::Envelope;
use aggregator_service::wire::extended::Chosen;
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// 2025-01-08T10:30:00Z, a multiple of every interval and step here.
pub(crate) const START: i64 = 1_736_332_200;

/// Far more than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The runtime's time, which tests may stop and set.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> WallMs {
        WallMs(START * 1_000).plus(self.0.elapsed())
    }
}

/// A trade as it was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) token: String,
    pub(crate) second: i64,
    pub(crate) price: u32,
    pub(crate) amount: u32,
    pub(crate) buy: bool,
}

pub(crate) struct World {
    began: Instant,
    log: Arc<LocalLog>,
    store: Arc<LocalStore>,
    owner: u64,
    pub(crate) producer: Arc<LocalProducer>,
    pub(crate) orders: Arc<Orders>,
    queries: Arc<Queries>,
    pub(crate) seat: Seat,
    pub(crate) market: Arc<Everyone>,
    pub(crate) names: Arc<SharedNames>,
    pub(crate) windows: Windows,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: CancellationToken,
    pub(crate) told: Mutex<Vec<Told>>,
}

pub(crate) fn windows(list: &[(&str, u32)]) -> Windows {
    let window = |(name, seconds): &(&str, u32)| Window { name: (*name).into(), seconds: *seconds };
    Windows::new(list.iter().map(window).collect()).unwrap()
}

impl World {
    /// Nothing runs yet; alone.
    pub(crate) fn new(windows: Windows) -> Self {
        let log = Arc::new(LocalLog::new(1, 10_000));
        Self::made(windows, Instant::now(), (log, Arc::default(), 1), sole(Shards::DEFAULT).0)
    }

    /// Another process over the same log, at the same time, in that seat of a group whose members
    /// share `store`.
    pub(crate) fn beside(&self, store: &Arc<LocalStore>, seat: Seat) -> Self {
        static OWNERS: AtomicU64 = AtomicU64::new(2);
        let owner = OWNERS.fetch_add(1, Relaxed);
        let ports = (Arc::clone(&self.log), Arc::clone(store), owner);
        Self::made(self.windows.clone(), self.began, ports, seat)
    }

    fn made(
        windows: Windows,
        began: Instant,
        (log, store, owner): (Arc<LocalLog>, Arc<LocalStore>, u64),
        seat: Seat,
    ) -> Self {
        let clock = TestClock(began);
        let status = Arc::new(Status::new(clock.now()));
        let metrics = Arc::new(Metrics::new().unwrap());
        let queries = Arc::<Queries>::default();
        let market = Arc::new(Everyone {
            here: Arc::<Queries>::clone(&queries),
            seat: seat.clone(),
            windows: windows.clone(),
            metrics: Arc::clone(&metrics),
        });
        Self {
            began,
            log,
            store,
            owner,
            producer: Arc::new(LocalProducer::new(2)),
            orders: Arc::default(),
            queries,
            seat,
            market,
            names: Arc::new(SharedNames::new(1_000)),
            windows,
            shared: Arc::new(Shared { clock: Arc::new(clock), metrics, status }),
            stop: CancellationToken::new(),
            told: Mutex::default(),
        }
    }

    /// A pipeline that has caught up.
    pub(crate) async fn start(windows: Windows, interval: u64) -> Self {
        let world = Self::new(windows);
        world.run(interval);
        until(|| world.shared.status.phase() == Phase::Running).await;
        world
    }

    pub(crate) fn run(&self, interval: u64) {
        let pipeline = Pipeline {
            log: Arc::clone(&self.log),
            producer: Arc::clone(&self.producer),
            checkpoint: Arc::new(LocalCheckpoint::new(Arc::clone(&self.store), self.owner)),
            view: Arc::<LocalView>::default(),
            budget: Arc::new(Budget::new(10_000, 100_000)),
            names: Arc::clone(&self.names),
            orders: Arc::clone(&self.orders),
            queries: Arc::clone(&self.queries),
            seat: self.seat.clone(),
            shared: Arc::clone(&self.shared),
            settings: Settings {
                topic: "trade-info".to_owned(),
                windows: self.windows.clone(),
                fields: Chosen::STANDARD,
                emission: Emission::all(Duration::from_secs(interval)),
                checkpoint_interval: Duration::from_millis(250),
                max_future_skew: Duration::from_secs(300),
                start_from: StartFrom::Window,
                batching: Batching { size: 50, timeout: Duration::from_millis(100) },
                envelope: Envelope::default(),
                dead_letters: false,
                workers: 2,
                shutdown_timeout: Duration::from_secs(30),
            },
        };
        let stop = self.stop.clone();
        tokio::spawn(async move { pipeline.run(stop).await.unwrap() });
    }

    /// Waits until so many milliseconds after the start.
    pub(crate) async fn at(&self, ms: u64) {
        sleep_until(self.began + Duration::from_millis(ms)).await;
    }

    /// The clock's second, from the start.
    pub(crate) fn second(&self) -> i64 {
        self.shared.clock.now().second().0 - START
    }

    /// One trade of now.
    pub(crate) fn trade(&self, token: &str, price: u32, amount: u32) {
        self.tell([Told {
            token: token.to_owned(),
            second: self.second(),
            price,
            amount,
            buy: !(price + amount).is_multiple_of(3),
        }]);
    }

    /// Trades in one record.
    pub(crate) fn tell(&self, trades: impl IntoIterator<Item = Told>) {
        let trades: Vec<_> = trades.into_iter().collect();
        let json = |told: &Told| {
            let at = time::OffsetDateTime::from_unix_timestamp(START + told.second).unwrap();
            let at = at.format(&time::format_description::well_known::Rfc3339).unwrap();
            let side = if told.buy { "buy" } else { "sell" };
            json!({
                "Token": told.token, "Wallet": "w", "SellBuy": side,
                "NativeAmount": told.amount.to_string(), "TokenAmount": told.amount.to_string(),
                "PriceUsd": told.price.to_string(), "TransTime": at, "TxHash": "t",
            })
        };
        let value: Value = trades.iter().map(json).collect();
        let value = Some(value.to_string().into());
        let timestamp = Some(self.shared.clock.now());
        self.log.append(Partition(0), Record { timestamp, value, ..Record::default() });
        self.told.lock().unwrap().extend(trades);
    }

    /// Waits until everything that was told is counted.
    pub(crate) async fn counted(&self) {
        let told = self.told.lock().unwrap().len();
        let metrics = &self.shared.metrics;
        until(|| {
            metrics.trades_counted.get() + metrics.trades_late.get() == u64::try_from(told).unwrap()
        })
        .await;
    }

    pub(crate) fn name(&self, token: &str, symbol: &str, name: &str) {
        let (symbol, name) = (symbol.to_owned(), name.to_owned());
        self.names.learn(token, TokenName { symbol, name, ..TokenName::default() });
    }

    /// The message of every active token, as of now.
    pub(crate) async fn messages(&self) -> Vec<String> {
        drop(self.producer.take());
        self.orders.place(Wanted::All).await.unwrap();
        self.said()
    }

    /// What was published since it was last asked, in the order of the tokens.
    pub(crate) fn said(&self) -> Vec<String> {
        let sent = self.producer.take().into_iter().flat_map(|sent| sent.messages.to_vec());
        let mut said: Vec<_> =
            sent.map(|one| String::from_utf8(one.value.unwrap().to_vec()).unwrap()).collect();
        said.sort();
        said
    }

    /// HTTP before it: where, and the server's task.
    pub(crate) async fn serve(&self, limits: Limits) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (address, self.serve_on(listener, limits))
    }

    /// As [`serve`](Self::serve), on a socket that is open already.
    pub(crate) fn serve_on(&self, listener: TcpListener, limits: Limits) -> JoinHandle<()> {
        let (clock, orders) = (Arc::clone(&self.shared.clock), Arc::clone(&self.orders));
        let state = HttpState {
            status: Arc::clone(&self.shared.status),
            metrics: Arc::clone(&self.shared.metrics),
            facts: Facts::default(),
            clock: Arc::new(move || clock.now()),
            admin_token: None,
            publish: Arc::new(move |wanted| {
                let orders = Arc::clone(&orders);
                async move { orders.place(wanted).await }.boxed()
            }),
            market: Arc::<Everyone>::clone(&self.market),
            everyone: Some(Arc::clone(&self.market)),
            form: Form::new(&self.windows),
            windows: self.windows.clone(),
            log_level: Arc::new(|name| Err(format!("level: {name}"))),
        };
        let served = serve_within(limits, listener, router(Arc::new(state)), self.stop.clone());
        tokio::spawn(served)
    }
}

/// Ends what was started.
impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits until something holds.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it never came to hold");
}
