//! What a scenario plays on: the one broker of this test binary, a Redis of the scenario's own,
//! topics, and the notes that the judge needs. A scenario is a row of bouts: trades come in, the
//! fault happens, everything is judged, the service is killed, its successor is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::judge;
use crate::model::Model;
use crate::notes::Notes;
use crate::program;
use crate::service::Service;
use crate::topic::{Cursor, Topic, now};
use crate::workload::{self, Order, Pace, Planned};
use support::kafka::KafkaBroker;
use support::oracle::Span;

/// Windows of every kind of content: all new, sliding, still filling.
const SPANS: [Span; 3] = [("10s", 10), ("1min", 60), ("1hour", 3_600)];
const TOKENS: usize = 200;
/// Trades that are made at a time: some seconds of the load.
const SLICE: usize = 3_000;
/// Some 1,300 trades a second: always some under way, and the machine is not what is tested.
const PACE: Pace = Pace { batch: 3, pause: Duration::from_millis(45) };
/// The fault begins when so many batches were produced, or a few more.
const BEFORE: usize = 10;
/// So many come after it.
const AFTER: usize = 10;
/// Between two looks at how much is produced: far less than producing a batch takes.
const LOOK: Duration = Duration::from_millis(1);

/// A scenario's world.
pub(crate) struct Stage {
    /// `REDIS_ADDR`.
    pub(crate) redis: String,
    /// `SHARDS`.
    pub(crate) shards: &'static str,
    trades: Topic,
    pub(crate) notes: Notes,
    letters: Topic,
    rng: StdRng,
    judged: usize,
}

impl Stage {
    /// The stage of the scenario `name`; `redis` as the service is told it.
    pub(crate) fn set(name: &str, redis: String) -> Self {
        let seed = crate::seed();
        println!("{name}: seed {seed}");
        let broker = KafkaBroker::shared();
        let topic = |kind: &str| Topic::open(broker, &format!("{name}-{kind}"));
        Self {
            redis,
            shards: "64",
            trades: topic("trades"),
            notes: Notes::new(topic("aggregates"), 1),
            letters: topic("letters"),
            rng: StdRng::seed_from_u64(seed),
            judged: 0,
        }
    }

    /// Starts the service; what is published from now on is its own.
    pub(crate) fn start(&mut self) -> Service {
        self.notes.life(&self.trades);
        let names: Vec<_> = SPANS.iter().map(|(name, _)| *name).collect();
        let variables = [
            ("KAFKA_BROKERS", KafkaBroker::shared().address()),
            ("REDIS_ADDR", self.redis.clone()),
            ("SHARDS", self.shards.to_owned()),
            ("KAFKA_TOPIC", self.trades.name.clone()),
            // All tests share a broker: a crash in one must not keep another's group waiting.
            ("KAFKA_CONSUMER_GROUP", self.trades.name.clone()),
            ("AGGREGATE_TOPIC", self.notes.aggregates.name.clone()),
            ("DLQ_TOPIC", self.letters.name.clone()),
            ("TIME_WINDOWS", names.join(",")),
            ("AGGREGATE_PUBLISH_INTERVAL", format!("{}s", self.notes.interval)),
        ];
        Service::start(program(), &variables.map(|(name, value)| (name.to_owned(), value)))
    }

    /// Starts the service and waits until it is ready.
    pub(crate) fn ready(&mut self) -> Service {
        let service = self.start();
        service.ready();
        service
    }

    /// Lets trades come in, from a while before `meanwhile` to a while after it.
    pub(crate) fn under_load<T>(&mut self, meanwhile: impl FnOnce() -> T) -> T {
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        let begin = BEFORE + rng.random_range(0..BEFORE);
        let (produced, last) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let (answer, records) = std::thread::scope(|scope| {
            let (trades, produced, last) = (&self.trades, &produced, &last);
            let loading = scope.spawn(move || load(trades, &mut rng, produced, last));
            let end = End { last, produced };
            while produced.load(SeqCst) < begin * PACE.batch && !loading.is_finished() {
                std::thread::sleep(LOOK);
            }
            let answer = meanwhile();
            drop(end);
            (answer, loading.join().unwrap())
        });
        self.notes.planned.extend(records);
        answer
    }

    /// Waits until everything is counted and a whole tick says so, then judges all that was
    /// published since it was judged last; answers how many ticks were compared in every field.
    pub(crate) fn exact(&mut self, service: &Service) -> usize {
        let quiet = self.notes.quiet(service, &self.trades);
        // A life's first and last tick may be of one worker alone.
        let life = self.notes.lives.last().unwrap().clone();
        service.until("whole ticks", || {
            let of_life = self.notes.said().iter().filter(|one| one.at_ms >= life.since_ms);
            let ends: BTreeSet<_> = of_life.map(|one| one.end).collect();
            ends.iter().filter(|end| **end >= quiet).count() >= 3
        });
        let [log, letters] =
            [&self.trades, &self.letters].map(|topic| topic.read(&mut Cursor::default()));
        let (said, lives, planned) = self.notes.heard_of();
        let model = Model::new(&SPANS, &log, planned);
        judge::dead_letters(&model, &self.trades.name, &letters, true);
        let verdict = judge::messages(&model, &said[self.judged..], lives, quiet);
        println!("{}: {} trades, {verdict:?}", self.trades.name, model.counted());
        assert!(verdict.whole_ticks >= 1, "{verdict:?}");
        self.judged = said.len();
        verdict.whole_ticks
    }

    /// Kills the service and starts it again: what was counted is in its checkpoint, and it goes
    /// on exactly from there.
    pub(crate) fn crash(&mut self, service: Service) -> Service {
        service.until("the checkpoint to be in step", || {
            service.figure("checkpoint_age_seconds") < IN_STEP_SECONDS
        });
        service.kill9();
        let service = self.ready();
        assert!(service.figure("trades_counted_total") < 1.0, "all was in the checkpoint");
        self.exact(&service);
        service
    }

    /// As it should be after each fault: exact, and exact from its checkpoint after a kill.
    pub(crate) fn holds(&mut self, service: Service) -> Service {
        service.until("it to be ready again", || service.get("/readyz").unwrap().0 == 200);
        self.exact(&service);
        self.crash(service)
    }

    /// No tick of the life that is on was missed, and none left out a token of the one before.
    pub(crate) fn no_tick_missing(&mut self) -> usize {
        let interval = self.notes.interval;
        let (said, lives, _) = self.notes.heard_of();
        let life = lives.last().unwrap();
        let mut ticks: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
        for one in said.iter().filter(|one| one.at_ms >= life.since_ms) {
            ticks.entry(one.end).or_default().insert(&one.token);
        }
        // The last may not be whole yet.
        ticks.pop_last();
        let ticks: Vec<_> = ticks.into_iter().collect();
        for pair in ticks.windows(2) {
            let [(before, had), (end, has)] = pair else { continue };
            assert_eq!(end - before, interval, "no tick between {before} and {end}");
            let missing: Vec<_> = had.difference(has).collect();
            assert!(missing.is_empty(), "no message at {end} of {missing:?}");
        }
        ticks.len()
    }
}

/// Produces until `produced` is `last`; answers what was produced.
fn load(
    topic: &Topic,
    rng: &mut StdRng,
    produced: &AtomicUsize,
    last: &AtomicUsize,
) -> Vec<Planned> {
    let mut records = Vec::new();
    loop {
        let now = now().timestamp();
        let (seed, from, to) = (rng.random(), now - 30, now + 3);
        let order = Order { seed, trades: SLICE, tokens: TOKENS, from, to, disorder_ms: 5_000 };
        let slice = workload::records(&order);
        for batch in slice.chunks(PACE.batch) {
            if produced.load(SeqCst) >= last.load(SeqCst) {
                return records;
            }
            workload::load(topic, rng, batch, PACE, produced);
            records.extend_from_slice(batch);
        }
    }
}

/// Ends the load a while after it is dropped: also where the fault was not as expected.
struct End<'a> {
    last: &'a AtomicUsize,
    produced: &'a AtomicUsize,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.last.store(self.produced.load(SeqCst) + AFTER * PACE.batch, SeqCst);
    }
}

/// Some flushes fit into it; what is older was not written.
const IN_STEP_SECONDS: f64 = 1.0;
