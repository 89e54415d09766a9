//! What the instances play on: one broker, one Redis, the steady load, the auditor; and the
//! director of one act after the other. An act is over when the shares are even and every token had
//! the time for more messages; then it is judged for how long messages were missing.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use crate::auditor::{Auditor, Tally};
use crate::foreign::Foreign;
use crate::parts::members::is_even;
use crate::service::Service;
use crate::topic::{Topic, now};
use crate::world::{Seen, Settings, Shared, World};
use crate::{GROUP, SESSION_S, load};
use support::kafka::{KafkaBroker, consumer_groups};
use support::redis::RedisServer;

/// An act takes no longer, on a machine that is shared.
const ACT_WITHIN: Duration = Duration::from_secs(60);

/// After each act: for every token to have a message, and for some ticks that are compared with
/// what is expected in them.
const MORE_TICKS: i64 = 4;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The servers, and the instances that run, by name.
pub(crate) struct Stage<'a> {
    world: World<'a>,
    running: BTreeMap<&'static str, Service>,
}

/// Plays `acts` under the load; answers what the auditor found when all is counted and all
/// instances have stopped.
pub(crate) fn under_load(
    settings: &Settings,
    kafka: &mut KafkaBroker,
    acts: impl FnOnce(&mut Stage<'_>),
) -> Tally {
    let shared = Shared::default();
    shared.loading.store(true, SeqCst);
    let open = |kind: &str| Topic::open(kafka, &format!("{}-{kind}", settings.name));
    let [to, log, aggregates, letters, trades] =
        ["trades", "trades", "aggregates", "letters", "trades"].map(open);
    let redis = RedisServer::start();
    let world = World { settings, shared: &shared, kafka, redis, trades, seen: Seen::default() };
    let foreign = Foreign::start(world.kafka, &to.name);
    let mut stage = Stage { world, running: BTreeMap::new() };
    std::thread::scope(|scope| {
        let auditor = Auditor::new(settings, &shared);
        let auditor = scope.spawn(move || auditor.run([&log, &aggregates, &letters]));
        let loader = scope.spawn(|| load::run(settings, &to, &shared));
        let over = Over(&shared);
        acts(&mut stage);
        shared.loading.store(false, SeqCst);
        loader.join().expect("the load");
        // What was read last is in the tally one look later.
        let end = now().timestamp() + settings.interval;
        until("everything to be counted", || {
            let tally = shared.tally.lock().unwrap().clone();
            tally.newest_end > end && tally.trades == tally.counted || tally.findings() > 0
        });
        stage.end();
        foreign.was_undisturbed(&stage.world.trades);
        drop(over);
        auditor.join().expect("the auditor")
    })
}

/// Ends the other threads, also where this one panics.
struct Over<'a>(&'a Shared);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.loading.store(false, SeqCst);
        self.0.over.store(true, SeqCst);
    }
}

impl Stage<'_> {
    /// Plays one act, which may cost any token `allowed` seconds of its messages.
    pub(crate) fn act(&mut self, what: &'static str, allowed: i64, act: impl FnOnce(&mut Self)) {
        let shared = self.world.shared;
        let (begun, from) = (Instant::now(), now().timestamp());
        shared.begins(what);
        act(self);
        until("even shares", || is_even(self.running.values()));
        let even = begun.elapsed();
        shared.is_over(even);
        let settled = now().timestamp() + MORE_TICKS * self.world.settings.interval;
        until("more ticks", || {
            let tally = shared.tally.lock().unwrap();
            assert_eq!(tally.findings(), 0, "{what}: {:?}", *tally);
            tally.newest_end > settled
        });
        let gaps = shared.gaps.lock().unwrap();
        let longest = gaps.range(from..).map(|(end, gap)| (gap, end)).max();
        println!("{what}: even after {even:.1?}; missing (s, token, end): {longest:?}");
        if let Some(((missing, token), end)) = longest {
            assert!(
                *missing <= allowed,
                "{what}: {token} has no message in the {missing} s before {end}, {allowed} are \
                 allowed\n{}",
                self.logs()
            );
        }
    }

    /// Starts an instance, named so in the group.
    pub(crate) fn start(&mut self, name: &'static str) {
        let session = format!("{SESSION_S}s");
        let standbys = (self.world.settings.seed % 2).to_string();
        let service = self.world.start_with(&[
            ("KAFKA_CONSUMER_GROUP", GROUP),
            ("KAFKA_GROUP_INSTANCE_ID", name),
            ("KAFKA_SESSION_TIMEOUT", &session),
            // In every other run each shard is followed.
            ("STANDBY_REPLICAS", &standbys),
        ]);
        assert!(self.running.insert(name, service).is_none(), "{name} runs");
    }

    /// Kills an instance as a crash does.
    pub(crate) fn kill(&mut self, name: &'static str) {
        let service = self.running.remove(name).expect("an instance that runs");
        let pid = service.pid.clone();
        service.kill9();
        self.world.shared.halts();
        self.world.ended(&pid);
    }

    /// Stops an instance in order.
    pub(crate) fn stop(&mut self, name: &'static str) {
        let service = self.running.remove(name).expect("an instance that runs");
        self.world.stop(service);
        assert_eq!(self.world.seen.broken_stops, 0, "{name} stops in order");
    }

    /// While `meanwhile` lasts an instance stands still.
    pub(crate) fn halted(&mut self, name: &'static str, meanwhile: impl FnOnce(&mut Self)) {
        let service = self.running.remove(name).expect("an instance that runs");
        service.halted(|| {
            self.world.shared.halts();
            meanwhile(self);
        });
        self.running.insert(name, service);
    }

    /// How many shards those that run have taken in so far.
    pub(crate) fn taken(&self) -> f64 {
        self.running.values().map(|service| service.figure("shards_taken_total")).sum()
    }

    /// What Kafka's own tool says of the group, line by line, its words; without the head line.
    pub(crate) fn describe(&self, more: &[&str]) -> Vec<Vec<String>> {
        let arguments = [&["--describe", "--group", GROUP], more].concat();
        let said = consumer_groups(self.world.kafka, &arguments);
        let lines = said.lines().filter(|line| line.starts_with(GROUP));
        lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// Trades a second.
    pub(crate) fn rate(&self) -> usize {
        self.world.settings.rate
    }

    pub(crate) fn kafka(&self) -> &KafkaBroker {
        self.world.kafka
    }

    /// The input's name.
    pub(crate) fn topic(&self) -> String {
        self.world.trades.name.clone()
    }

    fn end(&mut self) {
        while let Some((name, _)) = self.running.first_key_value() {
            self.stop(name);
        }
    }

    /// What those that run have logged.
    fn logs(&self) -> String {
        let log = |(name, service): (&&str, &Service)| format!("{name}:\n{}", service.log());
        self.running.iter().map(log).collect()
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < ACT_WITHIN, "waited for {what} in vain");
        std::thread::sleep(LOOK);
    }
}
