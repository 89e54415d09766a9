//! What a scenario plays on: a broker, a Redis and topics of its own, and the notes that the judge
//! needs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::judge::{self, Said, Verdict};
use crate::model::Model;
use crate::notes::Notes;
use crate::service::Service;
use crate::topic::{Stored, Topic};
use crate::workload::{self, Pace, Planned};
use support::kafka::{KafkaBroker, console_produce};
use support::oracle::Span;
use support::redis::RedisServer;

/// Seconds between ticks.
pub(crate) const INTERVAL: i64 = 2;
/// Between two looks at how much is produced: far less than producing a batch takes.
const LOOK: Duration = Duration::from_millis(1);

/// A scenario's world.
pub(crate) struct Stage {
    pub(crate) kafka: KafkaBroker,
    pub(crate) redis: RedisServer,
    pub(crate) trades: Arc<Topic>,
    pub(crate) notes: Notes,
    pub(crate) letters: Topic,
    pub(crate) rng: StdRng,
    /// `CHECKPOINT_INTERVAL`.
    pub(crate) checkpoint_interval: &'static str,
    /// Further variables.
    pub(crate) further: Vec<(&'static str, &'static str)>,
    spans: Vec<Span>,
}

impl Stage {
    /// The stage of the scenario `name`, whose windows are `spans`.
    pub(crate) fn set(name: &str, spans: &[Span], seed: u64) -> Self {
        let kafka = KafkaBroker::start_for_load(&[("message.max.bytes", "33554432")]);
        println!("{name}: seed {seed}");
        let topic = |kind: &str| Topic::open(&kafka, &format!("{name}-{kind}"));
        Self {
            redis: RedisServer::start(),
            trades: Arc::new(topic("trades")),
            notes: Notes::new(topic("aggregates"), INTERVAL),
            letters: topic("letters"),
            kafka,
            rng: StdRng::seed_from_u64(seed),
            checkpoint_interval: "250ms",
            further: Vec::new(),
            spans: spans.to_vec(),
        }
    }

    /// Starts the service; what is published from now on is its own.
    pub(crate) fn service(&mut self) -> Service {
        self.notes.life(&self.trades);
        self.beside()
    }

    /// Starts the service beside one that runs.
    pub(crate) fn beside(&self) -> Service {
        let names: Vec<_> = self.spans.iter().map(|(name, _)| *name).collect();
        let variables = [
            ("KAFKA_BROKERS", self.kafka.address()),
            ("REDIS_ADDR", self.redis.addr()),
            ("KAFKA_TOPIC", self.trades.name.clone()),
            ("AGGREGATE_TOPIC", self.notes.aggregates.name.clone()),
            ("DLQ_TOPIC", self.letters.name.clone()),
            ("TIME_WINDOWS", names.join(",")),
            ("AGGREGATE_PUBLISH_INTERVAL", format!("{INTERVAL}s")),
            ("SHUTDOWN_TIMEOUT", "60s".to_owned()),
            ("CHECKPOINT_INTERVAL", self.checkpoint_interval.to_owned()),
        ];
        let program = Path::new(env!("CARGO_BIN_EXE_aggregator-service"));
        let further = self.further.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let variables = variables.into_iter().chain(further);
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        Service::start(program, &variables.collect::<Vec<_>>())
    }

    /// Notes what is going to be produced.
    pub(crate) fn plan(&mut self, records: &[Planned]) {
        self.notes.planned.extend_from_slice(records);
    }

    /// Produces records by `rskafka`.
    pub(crate) fn load(&mut self, records: &[Planned]) {
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        workload::load(&self.trades, &mut rng, records, Pace::FAST, &AtomicUsize::new(0));
    }

    /// Produces records; at a random moment of it `meanwhile` begins.
    pub(crate) fn load_while<T>(
        &mut self,
        records: &[Planned],
        pace: Pace,
        meanwhile: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        let trades = Arc::clone(&self.trades);
        let moment = self.rng.random_range(0..records.len());
        let produced = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| workload::load(&trades, &mut rng, records, pace, &produced));
            while produced.load(SeqCst) < moment {
                std::thread::sleep(LOOK);
            }
            meanwhile(self)
        })
    }

    /// Produces records by Java's console producer: those that are one line of text.
    pub(crate) fn load_foreign(&mut self, records: &[Planned]) {
        let line = |record: &Planned| {
            let text = String::from_utf8(record.value.clone()?).ok()?;
            (record.key.is_none() && !text.contains(['\r', '\n'])).then_some(text)
        };
        let (foreign, ours): (Vec<_>, Vec<_>) =
            records.iter().cloned().partition(|record| line(record).is_some());
        let lines: Vec<_> = foreign.iter().filter_map(line).collect();
        let properties = ["compression.type=lz4"];
        console_produce(&self.kafka, &self.trades.name, &properties, &[], &lines.join("\n"));
        self.load(&ours);
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

    /// Stops the service in order.
    pub(crate) fn stop(&mut self, service: Service) {
        service.terminate();
        assert_eq!(service.exit_code(crate::service::PATIENCE), 0, "stopped as asked");
        assert!(!service.log().contains("stopped at the deadline"), "in order: {}", service.log());
    }

    /// What the log and the dead-letter topic hold.
    pub(crate) fn logs(&self) -> [Vec<Stored>; 2] {
        [&*self.trades, &self.letters].map(Topic::all)
    }

    /// The log, understood.
    pub(crate) fn model<'a>(&'a self, log: &'a [Stored]) -> Model<'a> {
        Model::new(&self.spans, log, &self.notes.planned)
    }

    /// Judges all that was published; `quiet` is the first tick's second by which everything was
    /// counted. Every life must have had a whole tick since.
    pub(crate) fn judge(&mut self, quiet: i64, crashed: bool) -> Verdict {
        let [log, letters] = self.logs();
        let (said, lives, planned) = self.notes.heard_of();
        let model = Model::new(&self.spans, &log, planned);
        judge::dead_letters(&model, &self.trades.name, &letters, crashed);
        let verdict = judge::messages(&model, said, lives, quiet);
        let doubled = judge::doubled(said);
        assert!(crashed || doubled == 0, "{doubled} messages came twice");
        println!(
            "{}: {} records, {} trades and {} dead letters as they should be, {doubled} messages \
             came twice, {verdict:?}",
            self.trades.name,
            model.records,
            model.counted(),
            model.rejected.len(),
        );
        verdict
    }

    /// The codecs of an output partition's batches, as the broker keeps them.
    pub(crate) fn codecs(&self, partition: i32) -> BTreeSet<u8> {
        let segment = self.kafka.segment(&self.notes.aggregates.name, partition);
        let (mut rest, mut codecs) = (&segment[..], BTreeSet::new());
        while let Some(length) = rest.get(8..12) {
            codecs.insert(rest[22] & 7);
            let length = u32::from_be_bytes(length.try_into().unwrap());
            rest = &rest[12 + usize::try_from(length).unwrap()..];
        }
        codecs
    }
}
