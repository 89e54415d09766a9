//! Orders to publish between ticks, over ports in process and on virtual time: what they publish,
//! and that the ticks around them stay as they are. And ticks that have to wait for the group.
#![cfg(test)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::position::{Partition, StartFrom};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::SHARDS;
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
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// 2025-01-08T10:30:00Z, a multiple of every interval here.
const START: i64 = 1_736_332_200_000;

/// Virtual time, and how far the clock is set forward of it.
struct VirtualClock(Instant, AtomicI64);

impl Clock for VirtualClock {
    fn now(&self) -> WallMs {
        WallMs(START + self.1.load(SeqCst)).plus(self.0.elapsed())
    }
}

/// Brokers that may keep everybody waiting for their acknowledgement.
struct Brokers {
    taken: LocalProducer,
    silent: AtomicBool,
}

impl Producer for Brokers {
    fn partition_count(&self, target: Target) -> u32 {
        self.taken.partition_count(target)
    }

    async fn produce(
        &self,
        target: Target,
        partition: Partition,
        messages: Arc<[Message]>,
    ) -> Result<(), ProduceError> {
        while self.silent.load(SeqCst) {
            sleep(Duration::from_millis(10)).await;
        }
        self.taken.produce(target, partition, messages).await
    }
}

struct World {
    began: Instant,
    log: Arc<LocalLog>,
    producer: Arc<Brokers>,
    orders: Arc<Orders>,
    clock: Arc<VirtualClock>,
    status: Arc<Status>,
    stop: CancellationToken,
    group: Served,
}

impl World {
    /// A pipeline that has caught up, and whose first tick comes after `interval`.
    async fn start(interval: u64) -> Self {
        let began = Instant::now();
        let clock = Arc::new(VirtualClock(began, AtomicI64::new(0)));
        let status = Arc::new(Status::new(clock.now()));
        let (seat, group) = sole(SHARDS);
        let world = Self {
            group,
            began,
            log: Arc::new(LocalLog::new(1, 1_000)),
            producer: Arc::new(Brokers {
                taken: LocalProducer::new(2),
                silent: AtomicBool::new(false),
            }),
            orders: Arc::default(),
            clock: Arc::clone(&clock),
            status: Arc::clone(&status),
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
            names: Arc::new(SharedNames::new(0)),
            orders: Arc::clone(&world.orders),
            queries: Arc::default(),
            seat,
            shared: Arc::new(Shared { clock, metrics: Arc::new(Metrics::new().unwrap()), status }),
            settings: Settings {
                topic: "trade-info".to_owned(),
                windows: Windows::new([("10s", 10), ("20s", 20)].map(window).to_vec()).unwrap(),
                publish_interval: Duration::from_secs(interval),
                checkpoint_interval: Duration::from_millis(250),
                max_future_skew: Duration::from_secs(300),
                start_from: StartFrom::Window,
                batching: Batching { size: 4, timeout: Duration::from_millis(100) },
                registered: None,
                ttl: None,
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
    async fn at(&self, ms: u64) {
        sleep_until(self.began + Duration::from_millis(ms)).await;
    }

    /// A trade of now.
    fn trade(&self, token: &str, price: &str) {
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

    async fn order(&self, tokens: &[&str]) -> Result<Published, NotPublished> {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        self.orders.place(Wanted::Tokens(tokens)).await
    }

    /// What was published since the last call, by token.
    fn said(&self) -> Vec<(String, String)> {
        let messages =
            self.producer.taken.take().into_iter().flat_map(|sent| sent.messages.to_vec());
        let mut said: Vec<_> = messages
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

fn published(published: usize, unknown: &[&str]) -> Result<Published, NotPublished> {
    let unknown = unknown.iter().map(|token| (*token).to_owned()).collect();
    Ok(Published { published, unknown, ..Published::default() })
}

/// The trades that every test here begins with: one each of `a` and `b`, then one more of `a`.
async fn trades(world: &World) {
    world.trade("a", "1");
    world.trade("b", "2");
    world.at(3_000).await;
    world.trade("a", "3");
}

#[tokio::test(start_paused = true)]
async fn an_order_has_the_bytes_of_a_tick_at_that_moment() {
    let ticking = World::start(5).await;
    trades(&ticking).await;
    ticking.at(5_500).await;
    let tick = ticking.said();
    assert_eq!(tick.len(), 2);

    let asked = World::start(30).await;
    trades(&asked).await;
    asked.at(5_000).await;
    assert_eq!(asked.order(&["a", "b", "nobody"]).await, published(2, &["nobody"]));
    assert_eq!(asked.said(), tick);
    assert_eq!(asked.orders.place(Wanted::All).await, published(2, &[]));
    assert_eq!(asked.said(), tick);
    assert_eq!(asked.order(&["b"]).await, published(1, &[]));
    assert_eq!(asked.said(), tick[1..]);
}

#[tokio::test(start_paused = true)]
async fn ticks_are_the_same_with_and_without_orders_and_close_what_fell_silent() {
    let mut said = Vec::new();
    for orders in [false, true] {
        let world = World::start(10).await;
        trades(&world).await;
        let mut ticks = Vec::new();
        for second in 4..60 {
            world.at(second * 1_000).await;
            if second % 10 == 0 {
                world.at(second * 1_000 + 400).await;
                ticks.push(world.said());
            } else if orders {
                world.orders.place(Wanted::All).await.unwrap();
                assert!(world.said().len() <= 2);
            }
        }
        said.push(ticks);
    }
    let counts: Vec<_> = said[0].iter().map(Vec::len).collect();
    assert_eq!(counts, [2, 2, 1, 0, 0], "both, one and a closing one, a closing one");
    assert_eq!(said[0], said[1]);
}

#[tokio::test(start_paused = true)]
async fn after_a_clock_that_was_set_back_orders_are_taken_again() {
    let world = World::start(30).await;
    world.clock.1.store(3_600_000, SeqCst);
    world.at(2_000).await;
    world.clock.1.store(0, SeqCst);
    world.at(4_000).await;
    trades(&world).await;
    world.at(6_000).await;
    assert_eq!(world.order(&["a", "b"]).await, published(2, &[]));
}

#[tokio::test(start_paused = true)]
async fn a_tick_waits_for_the_lease_unless_others_may_have_published_it_meanwhile() {
    let (punctual, late, lost) = tokio::join!(World::start(10), World::start(10), World::start(10));
    for world in [&punctual, &late, &lost] {
        trades(world).await;
    }
    for world in [&late, &lost] {
        world.at(9_900).await;
        world.group.lease.send_replace(None);
    }
    late.at(12_900).await;
    assert_eq!((punctual.said().len(), late.said(), lost.said()), (2, vec![], vec![]));
    late.trade("a", "9");
    lost.group.assignment.send_modify(|told| {
        let told = Arc::make_mut(told.as_mut().unwrap());
        (told.generation, told.membership) = (2, 2);
    });
    for world in [&late, &lost] {
        world.group.lease.send_replace(Some(Instant::now() + Duration::from_secs(60)));
    }
    late.at(13_500).await;
    let said = late.said();
    assert_eq!(said.len(), 2, "what was due at 10 s, of what was counted by then: {said:?}");
    assert!(said.iter().all(|(_, text)| text.contains("10:30:10Z") && !text.contains("\"9")));
    assert_eq!(lost.said(), [], "others may have published it");
    for world in [&late, &lost] {
        world.at(20_500).await;
        assert_eq!(world.said().len(), 2, "the next one");
    }
}

#[tokio::test(start_paused = true)]
async fn one_order_at_a_time_and_none_after_the_stop() {
    let world = World::start(30).await;
    trades(&world).await;
    world.at(5_000).await;
    let both = tokio::join!(world.order(&["a"]), world.order(&["b"]));
    assert_eq!(both, (published(1, &[]), Err(NotPublished("another order is under way"))));
    world.stop.cancel();
    world.at(9_000).await;
    assert_eq!(world.order(&["a"]).await, Err(NotPublished("stopping")));
    let left: BTreeSet<_> = world.said().into_iter().map(|(token, _)| token).collect();
    assert_eq!(left, BTreeSet::from(["a".to_owned()]), "{:?}", world.status);
}

#[tokio::test(start_paused = true)]
async fn brokers_that_do_not_acknowledge_are_not_waited_for_for_ever_and_the_newest_comes_last() {
    let world = World::start(300).await;
    trades(&world).await;
    world.at(5_000).await;
    world.producer.silent.store(true, SeqCst);
    let late = Err(NotPublished("the brokers have not acknowledged in time"));
    assert_eq!(world.order(&["a"]).await, late);
    world.trade("a", "5");
    world.at(14_000).await;
    assert_eq!(world.order(&["a", "b"]).await, late);
    assert_eq!(world.said(), []);
    world.producer.silent.store(false, SeqCst);
    world.at(23_000).await;
    // What waited is sent, what is newer after it.
    let close = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        value["aggregate_data"][1]["close_price"].as_str().unwrap().to_owned()
    };
    let messages = world.producer.taken.take().into_iter().flat_map(|sent| sent.messages.to_vec());
    let texts = messages.map(|one| String::from_utf8(one.value.unwrap().to_vec()).unwrap());
    let of_a = texts.filter(|text| text.contains(r#""token":"a""#));
    assert_eq!(of_a.map(|text| close(&text)).collect::<Vec<_>>(), ["3.000000", "5.000000"]);
    assert_eq!(world.order(&["a"]).await, published(1, &[]));
}
