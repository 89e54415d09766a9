//! Several instances of one group under full load: what each costs, and for how long a token's
//! messages are missing where one comes, goes, is killed or hangs.
//!
//! A message counts at least what had gone out some seconds before its end, and never more than
//! went out; the last tick is compared in every field.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use aggregator_service::domain::token::Shards;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::drill::{Drill, INTERVAL, SPANS, Size, time_until};
use crate::judge;
use crate::service::Service;
use crate::topic::{Cursor, now};

/// `KAFKA_SESSION_TIMEOUT`, in seconds.
const SESSION: i64 = 6;
/// Missing messages of whoever goes without a word: whole ticks of session time-out and 2 s.
const CRASH: i64 = (SESSION + 2 + INTERVAL - 1) / INTERVAL * INTERVAL;
/// Missing messages where all goes in order: a tick.
const GRACEFUL: i64 = INTERVAL;
/// From noticing that one is away to publishing its shards.
const TAKE_OVER_WITHIN: Duration = Duration::from_secs(3);
/// CPU time of so many members, as a multiple of that of one.
const MOST_CPU: [f64; 3] = [1.0, 1.5, 2.0];
/// For so long CPU time is measured.
const MEASURED: Duration = Duration::from_secs(20);
/// Between two looks at what is published.
const LOOK: Duration = Duration::from_millis(500);
/// Reading may be so far behind, in seconds.
const BEHIND: i64 = 5;
/// A third of 64, and the one that cannot be divided.
const THIRD: f64 = 22.0;

/// The instances that run, and what came out.
struct Group<'a> {
    drill: &'a mut Drill,
    running: BTreeMap<&'static str, Service>,
    heard: Heard,
    cursor: Cursor,
}

/// What was heard of each token.
#[derive(Default)]
struct Heard {
    /// The last message: its end, and a hash of its figures.
    last: HashMap<String, (i64, u64)>,
    /// The most seconds that a token's messages were missing since last asked.
    missing: (i64, String),
    messages: usize,
    wrong: Vec<String>,
}

/// The drill. With a number of `standbys` only what these are about: one of two is killed.
pub(crate) fn members(program: &Path, size: Size, standbys: Option<u64>) -> bool {
    let mut drill = Drill::set("members", program.to_owned(), size);
    drill.more = vec![
        ("KAFKA_CONSUMER_GROUP", "members".to_owned()),
        ("KAFKA_SESSION_TIMEOUT", format!("{SESSION}s")),
    ];
    drill.more.extend(standbys.map(|count| ("STANDBY_REPLICAS", count.to_string())));
    let last = drill.shared(|drill, one| {
        let cursor = Cursor(drill.aggregates.ends());
        let running = BTreeMap::from([("one", one)]);
        let mut group = Group { drill, running, heard: Heard::default(), cursor };
        match standbys {
            None => group.play(),
            Some(_) => group.one_of_two_is_killed(),
        }
        group.running.remove("one").expect("the first")
    });
    drill.stop(&last);
    drill.met()
}

/// Whether these publish all shards among them, with a difference of one at the most.
pub(crate) fn is_even<'a>(running: impl Iterator<Item = &'a Service>) -> bool {
    let shares = running.map(|service| service.figure_if_up("shards{stage=\"open\"}"));
    let Some(shares) = shares.collect::<Option<Vec<f64>>>() else { return false };
    let most = shares.iter().copied().fold(0.0, f64::max);
    let least = shares.iter().copied().fold(f64::MAX, f64::min);
    (shares.iter().sum::<f64>() - f64::from(Shards::DEFAULT.count())).abs() < 0.5
        && most - least < 1.5
}

impl Group<'_> {
    fn play(&mut self) {
        let alone = self.cost(None);
        self.act("the second joins", GRACEFUL, |group| group.start("two"));
        self.cost(Some(alone));
        let taken = self.taken();
        self.act("the third joins", GRACEFUL, |group| group.start("three"));
        let moved = self.taken() - taken;
        self.drill.check(moved <= THIRD, || format!("{moved} shards moved to the third"));
        self.cost(Some(alone));
        self.act("the second is killed", CRASH, |group| {
            group.leaves("two").kill9();
            group.take_over();
        });
        self.act("the second starts again", GRACEFUL, |group| group.start("two"));
        let three = self.leaves("three");
        three.halted(|| self.act("the third hangs", CRASH, Self::take_over));
        self.running.insert("three", three);
        self.act("the third wakes", GRACEFUL, |_| {});
        for name in ["two", "three", "one"] {
            self.act("one is stopped", GRACEFUL, |group| group.stop(name));
            self.act("it starts again", GRACEFUL, |group| group.start(name));
        }
        for name in ["two", "three"] {
            self.act("one is stopped", GRACEFUL, |group| group.stop(name));
        }
        let Heard { messages, wrong, .. } = &self.heard;
        println!("{messages} messages, {} of them wrong: {:?}", wrong.len(), wrong.first());
        let note = format!("{wrong:?}");
        let none = wrong.is_empty();
        self.drill.check(none, || note);
    }

    fn one_of_two_is_killed(&mut self) {
        self.cost(None);
        self.act("the second joins", GRACEFUL, |group| group.start("two"));
        let standbys = f64::from(Shards::DEFAULT.count()) - 0.5;
        if self.drill.more.contains(&("STANDBY_REPLICAS", "1".to_owned())) {
            let took = time_until(self.any(), "standbys", || self.shards("standby") > standbys);
            println!("all are followed {took:.1?} later");
        }
        self.cost(None);
        self.act("the second is killed", CRASH, |group| {
            group.leaves("two").kill9();
            group.take_over();
        });
    }

    /// Something is done; then the shares are even, and each token has the time for two messages.
    fn act(&mut self, what: &str, allowed: i64, act: impl FnOnce(&mut Self)) {
        self.listen();
        self.heard.missing = (0, String::new());
        let begun = Instant::now();
        act(self);
        time_until(self.any(), "even shares", || is_even(self.running.values()));
        let even = begun.elapsed();
        let settled = Instant::now() + Duration::from_secs(2 * INTERVAL.unsigned_abs() + 1);
        while Instant::now() < settled {
            std::thread::sleep(LOOK);
            self.listen();
        }
        let (missing, token) = self.heard.missing.clone();
        println!("{what}: even after {even:.1?}; missing for {missing} s: {token}");
        self.drill.check(missing <= allowed, || {
            format!("{what}: {token} missing for {missing} s, {allowed} are allowed")
        });
    }

    /// From the first shard that a survivor takes in to the last that is published.
    fn take_over(&mut self) {
        let taken = self.taken();
        let noticed = time_until(self.any(), "a take-over", || self.taken() > taken);
        let all = f64::from(Shards::DEFAULT.count()) - 0.5;
        let took = time_until(self.any(), "all shards", || self.shards("open") > all);
        println!("noticed after {noticed:.1?}, then taken over in {took:.2?}");
        self.drill.check(took < TAKE_OVER_WITHIN, || format!("taken over in {took:.2?}"));
    }

    fn start(&mut self, name: &'static str) {
        let service = self.drill.start_with(&[("KAFKA_GROUP_INSTANCE_ID", name.to_owned())]);
        self.running.insert(name, service);
    }

    fn stop(&mut self, name: &'static str) {
        let service = self.leaves(name);
        self.drill.stop(&service);
    }

    fn leaves(&mut self, name: &'static str) -> Service {
        self.running.remove(name).expect("an instance that runs")
    }

    fn any(&self) -> &Service {
        self.running.values().next().expect("an instance that runs")
    }

    fn taken(&self) -> f64 {
        self.running.values().filter_map(|of| of.figure_if_up("shards_taken_total")).sum()
    }

    fn shards(&self, stage: &str) -> f64 {
        let figure = format!("shards{{stage=\"{stage}\"}}");
        self.running.values().filter_map(|of| of.figure_if_up(&figure)).sum()
    }

    /// CPU seconds a second of all that run, and the memory of each; against what one alone costs.
    fn cost(&mut self, alone: Option<f64>) -> f64 {
        let cpu = |group: &Self| group.running.values().map(cpu).sum::<Duration>();
        let (begun, before) = (Instant::now(), cpu(self));
        std::thread::sleep(MEASURED);
        let busy = (cpu(self) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        let memory = self.running.values().map(|of| {
            let [bytes, panes] =
                ["process_resident_memory_bytes", "panes"].map(|name| of.figure(name));
            format!("{:.0} MB, {:.2} M panes", bytes / 1e6, panes / 1e6)
        });
        let memory: Vec<_> = memory.collect();
        let count = self.running.len();
        let times = busy / alone.unwrap_or(busy);
        println!("{count} members: {busy:.2} CPUs, {times:.2} × one; memory {memory:?}");
        let most = MOST_CPU[count - 1];
        self.drill.check(times <= most, || format!("{times:.2} × the CPU time of one"));
        busy
    }

    /// Hears what was published meanwhile.
    fn listen(&mut self) {
        let stored = self.drill.aggregates.read(&mut self.cursor);
        let mut counts: BTreeMap<i64, [BTreeMap<String, u64>; 2]> = BTreeMap::new();
        for one in &stored {
            let said = judge::said(one, INTERVAL);
            let (end, longest) = (said.end, SPANS[SPANS.len() - 1].1);
            let [least, most] = counts.entry(end).or_insert_with(|| {
                [end - BEHIND, end].map(|until| self.drill.flood.counts(end - longest + 1..=until))
            });
            let bounds = least[&said.token]..=most[&said.token];
            self.heard.message(&said, bounds.contains(&said.trades()));
        }
    }
}

impl Heard {
    fn message(&mut self, said: &judge::Said, plausible: bool) {
        self.messages += 1;
        let mut hasher = DefaultHasher::new();
        said.data.to_string().hash(&mut hasher);
        let hash = hasher.finish();
        let before = self.last.insert(said.token.clone(), (said.end, hash));
        let (end, figures) = before.unwrap_or((said.end, hash));
        let missing = said.end - end - INTERVAL;
        self.missing = self.missing.clone().max((missing, said.token.clone()));
        let same = said.end > end || said.end == end && figures == hash;
        if !(plausible && same) && self.wrong.len() < SHOWN {
            let late_ms = now().timestamp_millis() - said.at_ms;
            self.wrong.push(format!("after {end}, {late_ms} ms ago: {said:?}"));
        }
    }
}

/// Wrong messages that are kept to be shown.
const SHOWN: usize = 5;

fn cpu(service: &Service) -> Duration {
    let clock = clock_getcpuclockid(Pid::from_raw(service.pid.parse().unwrap())).unwrap();
    clock.now().unwrap().into()
}
