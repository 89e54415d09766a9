//! A scenario's world: a Redis and topics of its own, the load, and the notes that the judge needs.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use aggregator_service::kafka::KafkaConfig;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rskafka::client::partition::Compression;
use rskafka::record::Record;
use serde_json::Value;

use crate::judge::{self, Said, Verdict};
use crate::model::Model;
use crate::notes::Notes;
use crate::service::{PATIENCE, Service};
use crate::topic::{Stored, Topic, now};
use crate::workload::{self, Order, Pace, Planned};
use support::oracle::Span;
use support::redis::RedisServer;

/// Seconds between ticks.
pub(crate) const INTERVAL: i64 = 2;

/// Windows of every kind of content: all new, sliding, still filling.
const SPANS: [Span; 3] = [("10s", 10), ("1min", 60), ("1hour", 3_600)];

const TRADES: usize = 12_000;
const TOKENS: usize = 150;

/// A scenario's world.
pub(crate) struct Stage {
    pub(crate) config: KafkaConfig,
    /// `KAFKA_BROKERS`.
    pub(crate) brokers: String,
    redis: RedisServer,
    pub(crate) trades: Arc<Topic>,
    letters: Topic,
    rng: StdRng,
    pub(crate) notes: Notes,
}

/// What the judge found.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// Messages that came more than once.
    pub(crate) doubled: usize,
}

impl Stage {
    /// The stage of the scenario `name`, in a cluster that tests and service reach so.
    pub(crate) fn set(name: &str, config: KafkaConfig) -> Self {
        let seed = std::env::var("BROKERS_SEED");
        let seed = seed.map_or_else(|_| rand::random::<u32>().into(), |seed| seed.parse().unwrap());
        println!("{name}: seed {seed}");
        let topic = |kind: &str| Topic::reach(&config, &format!("{name}-{kind}"));
        Self {
            brokers: config.brokers.join(","),
            redis: RedisServer::start(),
            trades: Arc::new(topic("trades")),
            notes: Notes::new(topic("aggregates"), INTERVAL),
            letters: topic("letters"),
            config,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Starts the service; what is published from now on is its own.
    pub(crate) fn service(&mut self) -> Service {
        self.notes.life(&self.trades);
        let variables = [
            ("KAFKA_BROKERS", self.brokers.clone()),
            ("REDIS_ADDR", self.redis.addr()),
            ("KAFKA_TOPIC", self.trades.name.clone()),
            ("AGGREGATE_TOPIC", self.notes.aggregates.name.clone()),
            ("DLQ_TOPIC", self.letters.name.clone()),
            ("TOKEN_INFO_TOPIC", String::new()),
            ("TIME_WINDOWS", SPANS.map(|(name, _)| name).join(",")),
            ("AGGREGATE_PUBLISH_INTERVAL", format!("{INTERVAL}s")),
            ("SHUTDOWN_TIMEOUT", "60s".to_owned()),
        ];
        let program = Path::new(env!("CARGO_BIN_EXE_aggregator-service"));
        Service::start(program, &variables.map(|(name, value)| (name.to_owned(), value)))
    }

    /// Waits until retention has removed all below `firsts`.
    pub(crate) fn until_removed(&self, firsts: &[i64]) {
        for _ in 0..LOOKS {
            if self.trades.firsts() == firsts {
                return;
            }
            std::thread::sleep(LONG_LOOK);
        }
        panic!("retention left {:?}, not {firsts:?}", self.trades.firsts());
    }

    /// A load whose trades lie from 14 minutes ago to 100 seconds ahead.
    pub(crate) fn plan(&mut self) -> Vec<Planned> {
        let now = now().timestamp();
        self.plan_between(now - 840, now + 100)
    }

    /// A load whose trades lie between two seconds.
    pub(crate) fn plan_between(&mut self, from: i64, to: i64) -> Vec<Planned> {
        let seed = self.rng.random();
        let (trades, tokens, disorder_ms) = (TRADES, TOKENS, 10_000);
        let records = workload::records(&Order { seed, trades, tokens, from, to, disorder_ms });
        self.notes.planned.extend_from_slice(&records);
        records
    }

    /// Produces records as fast as it goes.
    pub(crate) fn load(&mut self, records: &[Planned]) {
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        workload::load(&self.trades, &mut rng, records, Pace::FAST, &AtomicUsize::new(0));
    }

    /// Produces records to all partitions in turn, so that none is without.
    pub(crate) fn load_evenly(&self, records: &[Planned], record: impl Fn(&Planned) -> Record) {
        for (turn, batch) in records.chunks(EVEN_BATCH).enumerate() {
            let batch = batch.iter().map(&record).collect();
            self.trades.produce(turn % self.trades.count(), batch, Compression::Lz4);
        }
    }

    /// Produces records at a steady pace while `meanwhile` lasts, and the rest of them then.
    pub(crate) fn load_while<T>(
        &mut self,
        records: &[Planned],
        meanwhile: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        let trades = Arc::clone(&self.trades);
        let produced = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| workload::load(&trades, &mut rng, records, STEADY, &produced));
            while produced.load(SeqCst) == 0 {
                std::thread::sleep(LOOK);
            }
            meanwhile(self)
        })
    }

    /// As [`Notes::quiet`].
    pub(crate) fn quiet(&mut self, service: &Service) -> i64 {
        self.notes.quiet(service, &self.trades)
    }

    /// As [`Notes::ticks`].
    pub(crate) fn ticks(&mut self, service: &Service, count: usize) {
        self.notes.ticks(service, count);
    }

    /// As [`Notes::said`].
    pub(crate) fn said(&mut self) -> &[Said] {
        self.notes.said()
    }

    /// Judges all that was published, against the log as it stands; `quiet` is the first tick's
    /// second by which everything was counted.
    pub(crate) fn judge(&mut self, quiet: i64, letters_may_double: bool) -> Judged {
        let log = self.trades.all();
        self.judge_by(&log, quiet, letters_may_double)
    }

    /// As [`judge`](Self::judge), against what the service could read.
    pub(crate) fn judge_by(&mut self, log: &[Stored], quiet: i64, may_double: bool) -> Judged {
        let (said, lives, planned) = self.notes.heard_of();
        let values: HashSet<_> = log.iter().filter_map(|one| one.record.value.as_ref()).collect();
        let stands = |plan: &&Planned| plan.value.as_ref().is_some_and(|it| values.contains(it));
        let planned: Vec<_> = planned.iter().filter(stands).cloned().collect();
        let model = Model::new(&SPANS, log, &planned);
        judge::dead_letters(&model, &self.trades.name, &self.letters.all(), may_double);
        let judged = Judged {
            verdict: judge::messages(&model, said, lives, quiet),
            doubled: judge::doubled(said),
        };
        assert!(judged.verdict.whole_ticks >= 1, "{judged:?}");
        let (trades, letters) = (model.counted(), model.rejected.len());
        println!("{}: {trades} trades, {letters} dead letters, {judged:?}", self.trades.name);
        judged
    }
}

/// Stops the service in order.
pub(crate) fn stop(service: Service) {
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0, "stopped as asked");
    assert!(!service.log().contains("stopped at the deadline"), "in order: {}", service.log());
}

/// The lines that a service logged with this level and text.
pub(crate) fn logged(service: &Service, level: &str, text: &str) -> Vec<Value> {
    let log = service.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["level"] == level && line["message"] == text).collect()
}

/// A hundredth of a load and less.
const EVEN_BATCH: usize = 5;
/// Some 50 records a second: a load of [`TRADES`] lasts some 10 s.
const STEADY: Pace = Pace { batch: 5, pause: Duration::from_millis(100) };
/// Between two looks at where the log begins: a minute of them.
const LONG_LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 600;
/// Between two looks at how much is produced.
const LOOK: Duration = Duration::from_millis(1);
