//! The service between a real Kafka and a real Redis, under a load that never ends and holds
//! everything: trades, bad ones, late ones.

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::service::Service;
use crate::topic::{Topic, now};
use crate::workload::{self, Order, Pace};
use support::kafka::KafkaBroker;
use support::redis::RedisServer;

/// What the service needs, and its input.
pub(crate) struct Stage {
    kafka: KafkaBroker,
    redis: RedisServer,
    trades: Topic,
}

impl Stage {
    /// Starts the servers.
    pub(crate) fn set() -> Self {
        let kafka = KafkaBroker::start();
        let trades = Topic::open(&kafka, "trade-info");
        Self { redis: RedisServer::start(), trades, kafka }
    }

    /// Starts the service.
    pub(crate) fn service(&self) -> Service {
        let variables = [
            ("KAFKA_BROKERS", self.kafka.address()),
            ("REDIS_ADDR", self.redis.addr()),
            ("TIME_WINDOWS", "10s,1min".to_owned()),
            ("AGGREGATE_PUBLISH_INTERVAL", "1s".to_owned()),
        ];
        let program = Path::new(env!("CARGO_BIN_EXE_aggregator-service"));
        let service =
            Service::start(program, &variables.map(|(name, value)| (name.to_owned(), value)));
        service.ready();
        service
    }

    /// Produces as long as `meanwhile` lasts.
    pub(crate) fn under_load(&self, meanwhile: impl FnOnce()) {
        std::thread::scope(|scope| {
            let (lasts, over) = channel::<()>();
            scope.spawn(move || self.load(&over));
            meanwhile();
            drop(lasts);
        });
    }

    /// Produces until the other end of `over` is gone.
    fn load(&self, over: &Receiver<()>) {
        let mut rng = StdRng::seed_from_u64(7);
        while over.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            let now = now().timestamp();
            for (trades, to) in [(300, now), (100, now - LATE_SECONDS)] {
                let seed = rng.random();
                let order = Order { seed, trades, tokens: 50, from: to - 2, to, disorder_ms: 500 };
                let records = workload::records(&order);
                workload::load(&self.trades, &mut rng, &records, Pace::FAST, &AtomicUsize::new(0));
            }
        }
    }
}

/// Between two rounds: several in each scrape.
const PAUSE: Duration = Duration::from_millis(200);
/// Far beyond the longest window.
const LATE_SECONDS: i64 = 7_200;
