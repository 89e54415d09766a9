//! What the soak plays on: a broker, a Redis, the service as a child process, and what all its
//! threads know of faults and lives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::auditor::Tally;
use crate::judge::Said;
use crate::ledger::Positions;
use crate::service::Service;
use crate::topic::{Topic, now};
use crate::workload::Planned;
use support::kafka::KafkaBroker;
use support::oracle::Span;
use support::redis::RedisServer;

/// What a soak is to be.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) lasts: Duration,
    /// Time between two faults.
    pub(crate) fault_every: Duration,
    pub(crate) seed: u64,
    /// Trades a second.
    pub(crate) rate: usize,
    pub(crate) tokens: usize,
    pub(crate) spans: Vec<Span>,
    /// Seconds between ticks.
    pub(crate) interval: i64,
    /// Seconds after which other tokens are traded.
    pub(crate) wave: u64,
}

/// What all threads know.
#[derive(Default)]
pub(crate) struct Shared {
    /// Records that are produced and were not seen in the log yet, by number.
    pub(crate) plans: Mutex<BTreeMap<u64, Planned>>,
    pub(crate) loading: AtomicBool,
    pub(crate) over: AtomicBool,
    pub(crate) tally: Mutex<Tally>,
    pub(crate) lives: Mutex<Vec<Life>>,
    /// When a process came to stand still for a while, or for ever.
    pub(crate) halts: Mutex<Vec<i64>>,
    pub(crate) faults: Mutex<Vec<Inflicted>>,
    /// By the end of a message: for how many seconds its token had missed messages before it at
    /// the most, and which token that was.
    pub(crate) gaps: Mutex<BTreeMap<i64, (i64, String)>>,
}

/// A process of the service: when it ran, and where the log ended when it started.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pid: String,
    since_ms: i64,
    until_ms: i64,
    ends: Positions,
}

/// A fault or another event, from its begin until the service was ready again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inflicted {
    pub(crate) what: &'static str,
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
    /// From the end of the fault until ready.
    pub(crate) recovery: Duration,
}

impl Shared {
    /// What whoever published at `ms` had read of the log before.
    pub(crate) fn floor(&self, ms: i64) -> Positions {
        let lives = self.lives.lock().unwrap();
        let alive = lives.iter().filter(|life| life.since_ms <= ms && ms <= life.until_ms);
        let least = |left: Positions, right: Positions| {
            std::array::from_fn(|partition| left[partition].min(right[partition]))
        };
        alive.map(|life| life.ends).reduce(least).expect("somebody lived when it was published")
    }

    /// Whether between two moments a life began, or one stood still: whoever goes on may not know
    /// what was published last.
    pub(crate) fn taken_over(&self, from_ms: i64, until_ms: i64) -> bool {
        let lives = self.lives.lock().unwrap();
        let halts = self.halts.lock().unwrap();
        let mut moments = lives.iter().map(|life| life.since_ms).chain(halts.iter().copied());
        moments.any(|at| (from_ms..=until_ms).contains(&at))
    }

    /// A process stands still from now on.
    pub(crate) fn halts(&self) {
        self.halts.lock().unwrap().push(now().timestamp_millis());
    }

    /// A fault begins.
    pub(crate) fn begins(&self, what: &'static str) {
        let from_ms = now().timestamp_millis();
        let begun = Inflicted { what, from_ms, until_ms: i64::MAX, recovery: Duration::ZERO };
        self.faults.lock().unwrap().push(begun);
    }

    /// What began last is over.
    pub(crate) fn is_over(&self, recovery: Duration) -> Inflicted {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.last_mut().unwrap();
        (fault.recovery, fault.until_ms) = (recovery, now().timestamp_millis());
        *fault
    }

    /// A token's messages were missing for so many seconds before this one.
    pub(crate) fn missed(&self, said: &Said, seconds: i64) {
        let mut gaps = self.gaps.lock().unwrap();
        let longest = gaps.entry(said.end).or_default();
        if longest.0 < seconds {
            *longest = (seconds, said.token.clone());
        }
    }

    /// Whether there was no fault, and none was being recovered from.
    pub(crate) fn calm(&self, from_ms: i64, until_ms: i64) -> bool {
        let faults = self.faults.lock().unwrap();
        faults.iter().all(|fault| until_ms < fault.from_ms || fault.until_ms < from_ms)
    }
}

/// The servers and the service.
pub(crate) struct World<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) shared: &'a Shared,
    pub(crate) kafka: &'a mut KafkaBroker,
    pub(crate) redis: RedisServer,
    pub(crate) trades: Topic,
    pub(crate) seen: Seen,
}

/// What was seen of all lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Largest resident memory, in kB.
    pub(crate) peak_kb: u64,
    pub(crate) read_again: f64,
    /// Of the last look at the life that is on.
    duplicates: f64,
    pub(crate) broken_stops: u64,
}

impl World<'_> {
    /// Starts the service.
    pub(crate) fn start(&mut self) -> Service {
        self.start_with(&[])
    }

    /// As [`start`](Self::start), with further variables.
    pub(crate) fn start_with(&mut self, further: &[(&str, &str)]) -> Service {
        let ends = self.trades.ends().try_into().unwrap();
        let since_ms = now().timestamp_millis();
        let names: Vec<_> = self.settings.spans.iter().map(|(name, _)| *name).collect();
        let topic = |kind: &str| format!("{}-{kind}", self.settings.name);
        let variables = [
            ("KAFKA_BROKERS", self.kafka.address()),
            ("REDIS_ADDR", self.redis.addr()),
            ("KAFKA_TOPIC", topic("trades")),
            ("AGGREGATE_TOPIC", topic("aggregates")),
            ("DLQ_TOPIC", topic("letters")),
            ("TIME_WINDOWS", names.join(",")),
            ("AGGREGATE_PUBLISH_INTERVAL", format!("{}s", self.settings.interval)),
            ("AGGREGATE_FIELDS", "extended".to_owned()),
        ];
        let further = further.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let variables = variables.into_iter().chain(further);
        let variables: Vec<_> = variables.map(|(name, value)| (name.to_owned(), value)).collect();
        let service = Service::start(&self.settings.program, &variables);
        let life = Life { pid: service.pid.clone(), since_ms, until_ms: i64::MAX, ends };
        self.shared.lives.lock().unwrap().push(life);
        service
    }

    /// Notes that a process is no more.
    pub(crate) fn ended(&mut self, pid: &str) {
        let mut lives = self.shared.lives.lock().unwrap();
        let life = lives.iter_mut().find(|life| life.pid == pid && life.until_ms == i64::MAX);
        life.unwrap().until_ms = now().timestamp_millis();
        self.seen.read_again += std::mem::take(&mut self.seen.duplicates);
    }

    /// Looks at the service that runs: its memory, and figures that must stay at zero.
    pub(crate) fn look(&mut self, service: &Service) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid));
        let status = status.unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.split_whitespace().next()?.parse().ok());
        self.seen.peak_kb = self.seen.peak_kb.max(peak.unwrap_or(0));
        if let Some(duplicates) = service.figure_if_up("trades_duplicate_total") {
            self.seen.duplicates = duplicates;
        }
    }

    /// Looks at the service until `until`.
    pub(crate) fn watch(&mut self, service: &Service, until: Instant) {
        while Instant::now() < until && self.shared.tally.lock().unwrap().findings() == 0 {
            self.look(service);
            std::thread::sleep(WATCH);
        }
    }
}

/// Between two looks at the service.
const WATCH: Duration = Duration::from_secs(1);
