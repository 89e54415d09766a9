//! What a drill plays on: a broker, a Redis, a flood, the service as a child process; and the judge
//! of its end: every token's figures are those of all that went out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use crate::flood::Flood;
use crate::judge;
use crate::service::{PATIENCE, Service};
use crate::topic::{Cursor, PARTITIONS, Topic, now};
use support::kafka::KafkaBroker;
use support::oracle::{self, Span};
use support::redis::RedisServer;

/// How large a drill is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Trades a second.
    pub(crate) rate: usize,
    pub(crate) tokens: usize,
    /// How long the load lasts before anything happens.
    pub(crate) warm: Duration,
    /// How long something is away.
    pub(crate) away: Duration,
}

/// One drill's world.
pub(crate) struct Drill {
    name: &'static str,
    program: PathBuf,
    pub(crate) size: Size,
    pub(crate) kafka: KafkaBroker,
    pub(crate) redis: RedisServer,
    pub(crate) flood: Arc<Flood>,
    pub(crate) aggregates: Topic,
    pub(crate) more: Vec<(&'static str, String)>,
    wrong: Vec<String>,
}

/// The windows of a drill.
pub(crate) const SPANS: [Span; 3] = [("1min", 60), ("5min", 300), ("15min", 900)];

/// Seconds between ticks.
pub(crate) const INTERVAL: i64 = 5;

/// Between two looks: far less than what is measured.
const LOOK: Duration = Duration::from_millis(20);

impl Drill {
    pub(crate) fn set(name: &'static str, program: PathBuf, size: Size) -> Self {
        let kafka = KafkaBroker::start_for_load(&[]);
        let aggregates = Topic::open(&kafka, &format!("{name}-aggregates"));
        let (redis, flood) = (RedisServer::start(), Arc::new(Flood::new(size.tokens)));
        let (more, wrong) = (Vec::new(), Vec::new());
        println!("\n{name}: {size:?}");
        Self { name, program, size, kafka, redis, flood, aggregates, more, wrong }
    }

    /// Starts the service.
    pub(crate) fn start(&self) -> Service {
        self.start_with(&[])
    }

    /// As [`start`](Self::start), with further variables.
    pub(crate) fn start_with(&self, further: &[(&'static str, String)]) -> Service {
        let topic = |kind: &str| format!("{}-{kind}", self.name);
        let names = SPANS.map(|(name, _)| name).join(",");
        let mut variables = vec![
            ("KAFKA_BROKERS", self.kafka.address()),
            ("REDIS_ADDR", self.redis.addr()),
            ("KAFKA_TOPIC", topic("trades")),
            ("AGGREGATE_TOPIC", topic("aggregates")),
            ("DLQ_TOPIC", topic("letters")),
            ("TIME_WINDOWS", names),
            ("AGGREGATE_PUBLISH_INTERVAL", format!("{INTERVAL}s")),
        ];
        variables.extend(self.more.iter().chain(further).cloned());
        let variables: Vec<_> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Service::start(&self.program, &variables)
    }

    /// Starts it, and says how long it took until it was ready.
    pub(crate) fn start_and_time(&self) -> (Service, Duration) {
        let begun = Instant::now();
        let service = self.start();
        service.ready();
        (service, begun.elapsed())
    }

    /// As [`shared`](Self::shared) of one process, which has read everything itself.
    pub(crate) fn flooded(&mut self, meanwhile: impl FnOnce(&mut Self, Service) -> Service) {
        let service = self.shared(meanwhile);
        self.sums(&service);
        self.stop(&service);
    }

    /// Stops it in order.
    pub(crate) fn stop(&mut self, service: &Service) {
        service.terminate();
        let code = service.exit_code(PATIENCE);
        self.check(code == 0, || format!("ended with {code}"));
    }

    /// The service under the flood, first for the warm-up, then for as long as `meanwhile` takes;
    /// afterwards what it publishes must be what went out.
    pub(crate) fn shared(
        &mut self,
        meanwhile: impl FnOnce(&mut Self, Service) -> Service,
    ) -> Service {
        let of = usize::try_from(PARTITIONS).unwrap();
        let name = format!("{}-trades", self.name);
        let topics: Vec<_> = (0..of).map(|_| Topic::open(&self.kafka, &name)).collect();
        let flood = Arc::clone(&self.flood);
        let rate = self.size.rate;
        let (service, took) = self.start_and_time();
        println!("first start: ready after {took:.1?}");
        let service = std::thread::scope(|scope| {
            let pouring: Vec<_> = topics
                .iter()
                .enumerate()
                .map(|(at, topic)| {
                    let flood = &flood;
                    scope.spawn(move || flood.pour(topic, at, of, rate))
                })
                .collect();
            let _off = Off(&flood);
            std::thread::sleep(self.size.warm);
            let begun = (Instant::now(), flood.trades.load(SeqCst));
            let service = meanwhile(self, service);
            let poured = flood.trades.load(SeqCst) - begun.1;
            let rate = poured / begun.0.elapsed().as_secs().max(1);
            println!("{poured} trades meanwhile, {rate} a second");
            drop(_off);
            pouring.into_iter().for_each(|pouring| pouring.join().unwrap());
            service
        });
        let ends: i64 = topics[0].ends().iter().sum();
        let records = self.flood.records();
        self.check(ends.unsigned_abs() == records, || {
            format!("{ends} records in the log, {records} were acknowledged: cannot be judged")
        });
        self.judge(&service);
        service
    }

    /// Whatever was read is accounted for.
    fn sums(&mut self, service: &Service) {
        let kinds = ["trades_counted_total", "trades_duplicate_total", "trades_late_total"];
        let [counted, again, late] = kinds.map(|name| service.figure(name));
        let [rejected, read] =
            ["rejected_total", "trades_consumed_total"].map(|of| service.figure(of));
        let all = counted + again + late + rejected;
        println!(
            "{read} trades read: {counted} counted, {again} counted before, {late} late, \
             {rejected} rejected"
        );
        self.check((all - read).abs() < 0.5, || format!("{read} read, {all} accounted for"));
    }

    /// Waits for a whole tick of all that went out, and compares it in every field.
    fn judge(&mut self, service: &Service) {
        let mut cursor = Cursor(self.aggregates.ends());
        let mut ticks: BTreeMap<i64, BTreeMap<String, serde_json::Value>> = BTreeMap::new();
        let (mut whole, mut caught_up_s) = (None, i64::MAX);
        service.until("a whole tick", || {
            for stored in self.aggregates.read(&mut cursor) {
                let said = judge::said(&stored, INTERVAL);
                ticks.entry(said.end).or_default().insert(said.token, said.data);
            }
            if caught_up_s == i64::MAX && service.figure("lag_records") < 1.0 {
                caught_up_s = now().timestamp();
            }
            // The one before the last is whole; read to the end before, it shows everything.
            let shows_all = |end: &i64| *end > caught_up_s.saturating_add(INTERVAL);
            whole = ticks.keys().rev().nth(1).copied().filter(shows_all);
            whole.is_some()
        });
        let end = whole.unwrap();
        let expected = self.flood.expected(&SPANS, end);
        let found = &ticks[&end];
        let same = |(token, data): &(&String, &serde_json::Value)| {
            expected.get(*token).is_some_and(|expected| oracle::same(data, expected))
        };
        let wrong: Vec<_> = found.iter().filter(|one| !same(one)).take(2).collect();
        let (exact, all) = (found.iter().filter(same).count(), expected.len());
        println!("at the end {exact} of {all} tokens' figures exact in every field");
        // Where tokens are refused, the others must be right all the same.
        let refused = self.more.iter().any(|(name, _)| *name == "MAX_TOKENS");
        let first = wrong.first().map(|(token, data)| (data, expected.get(*token)));
        let note = format!("{exact} of {} messages exact; {first:?}", found.len());
        self.check(exact == found.len() && (refused || exact == all), || note);
    }

    /// The ticks of which there were messages since `cursor`, with how many tokens each.
    pub(crate) fn ticks(&self, cursor: &mut Cursor) -> BTreeMap<i64, BTreeSet<String>> {
        let mut ticks: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
        for stored in self.aggregates.read(cursor) {
            let said = judge::said(&stored, INTERVAL);
            ticks.entry(said.end).or_default().insert(said.token);
        }
        ticks
    }

    /// A target, met or not.
    pub(crate) fn check(&mut self, met: bool, what: impl FnOnce() -> String) {
        if !met {
            let what = what();
            println!("NOT MET: {what}");
            self.wrong.push(what);
        }
    }

    /// Ends the drill; whether all was met.
    pub(crate) fn met(self) -> bool {
        self.wrong.is_empty()
    }
}

/// Time until `done`, looked at often.
pub(crate) fn time_until(
    service: &Service,
    what: &str,
    mut done: impl FnMut() -> bool,
) -> Duration {
    let begun = Instant::now();
    service.until(what, || {
        std::thread::sleep(LOOK);
        done()
    });
    begun.elapsed()
}

/// Turns the flood off, also where something panics.
struct Off<'a>(&'a Flood);

impl Drop for Off<'_> {
    fn drop(&mut self) {
        self.0.on.store(false, SeqCst);
    }
}
