//! The world that processes live in: a clock, a log, a store, what was published, and what is out
//! of order at the moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::Shards;
use aggregator_service::local::{LocalLog, LocalStore};
use aggregator_service::ports::{Clock, Message, Target, TradeLog};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::ledger::{Ledger, Stay};
use crate::market::Market;
use crate::plan::{Key, Outage, Plan, Weather};
use support::oracle::Span;

pub(crate) const SPANS: [Span; 3] = [("2s", 2), ("10s", 10), ("5s", 5)];
pub(crate) const LONGEST: i64 = 10;
pub(crate) const TICK: i64 = 2;

/// Messages in a batch at most.
pub(crate) const BATCH: usize = 4;

/// Partitions of the input at the begin.
pub(crate) const PARTITIONS: i32 = 3;

/// Tokens that trade all the time.
const TOKENS: u32 = 12;

/// Where they begin; no life is long enough for one that is made anew to come there.
pub(crate) const BASE: i64 = 10_000;

/// A record that nobody can decode, and one that is a transaction's marker.
pub(crate) const POISON: &[u8] = b"!poison";
pub(crate) const MARKER: &[u8] = b"!marker";

const BEGIN: WallMs = WallMs(1_700_000_000_000);

/// A message with the process that sent it.
pub(crate) struct Published {
    pub(crate) at_ms: i64,
    pub(crate) process: usize,
    pub(crate) target: Target,
    pub(crate) partition: Partition,
    pub(crate) message: Message,
}

pub(crate) struct World {
    pub(crate) log: LocalLog,
    pub(crate) store: Arc<LocalStore>,
    pub(crate) published: Mutex<Vec<Published>>,
    pub(crate) market: Mutex<Market>,
    /// Told whenever a process dies.
    pub(crate) deaths: Notify,
    /// Tokens that a process may hold.
    pub(crate) max_tokens: usize,
    /// Its processes are members of a group.
    pub(crate) grouped: bool,
    /// How far ahead of its record a trade may be.
    pub(crate) max_future_skew: Duration,
    pub(crate) shards: Shards,
    /// How long a load takes before its first page comes.
    pub(crate) load: Duration,
    /// Its processes tell extended figures: in each third world.
    pub(crate) extended: bool,
    /// That trade all the time.
    pub(crate) tokens: u32,
    /// Input partitions now.
    pub(crate) partitions: AtomicI32,
    /// Steps of the first process.
    pub(crate) first_steps: AtomicU64,
    ledger: Mutex<Ledger>,
    /// Who wrote an entry, by where its bytes lie; the bytes are kept, so that nothing else does.
    writers: Mutex<HashMap<usize, (Bytes, Stay)>>,
    violations: Mutex<Vec<String>>,
    weather: [AtomicU32; Weather::ALL.len()],
    out_until: Mutex<BTreeMap<Outage, i64>>,
    remade: Mutex<bool>,
    clock_ahead: AtomicI64,
    latest: AtomicI64,
    begin: tokio::time::Instant,
}

impl Clock for World {
    fn now(&self) -> WallMs {
        let now = BEGIN.0 + self.elapsed_ms() + self.clock_ahead.load(SeqCst);
        self.latest.fetch_max(now, SeqCst);
        WallMs(now)
    }
}

impl World {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self::wide(plan, PARTITIONS, TOKENS)
    }

    /// One of so many partitions and of so many tokens that trade all the time.
    pub(crate) fn wide(plan: &Plan, partitions: i32, tokens: u32) -> Self {
        let log = LocalLog::new(partitions.try_into().unwrap(), usize::MAX);
        log.remake(Offset(BASE));
        Self {
            log,
            store: Arc::new(LocalStore::remembering()),
            published: Mutex::default(),
            market: Mutex::default(),
            deaths: Notify::new(),
            max_tokens: 1_000,
            grouped: false,
            max_future_skew: Duration::from_secs(if plan.sets_back() { 300 } else { 8 }),
            shards: plan.shards,
            load: Duration::ZERO,
            extended: plan.seed.is_multiple_of(3),
            partitions: AtomicI32::new(partitions),
            tokens,
            first_steps: AtomicU64::new(0),
            ledger: Mutex::default(),
            writers: Mutex::default(),
            violations: Mutex::default(),
            weather: Default::default(),
            out_until: Mutex::default(),
            remade: Mutex::new(false),
            clock_ahead: AtomicI64::new(0),
            latest: AtomicI64::new(BEGIN.0),
            begin: tokio::time::Instant::now(),
        }
    }

    /// Real milliseconds since the begin, however the clock is set.
    pub(crate) fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.begin.elapsed().as_millis()).unwrap()
    }

    /// The moment so many real milliseconds after the begin.
    pub(crate) fn moment(&self, at: u32) -> tokio::time::Instant {
        self.begin + Duration::from_millis(at.into())
    }

    /// The latest that the clock ever was.
    pub(crate) fn latest(&self) -> WallMs {
        WallMs(self.latest.load(SeqCst))
    }

    pub(crate) fn set_clock(&self, by: i64) {
        self.clock_ahead.fetch_add(by, SeqCst);
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    pub(crate) fn violated(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    /// A process sends an entry to the store.
    pub(crate) fn writes(&self, entry: &Bytes, writer: Stay) {
        let place = entry.as_ptr().addr();
        self.writers.lock().unwrap().insert(place, (entry.clone(), writer));
    }

    /// Which process wrote an entry of the store, in which stay of its shard.
    pub(crate) fn writer(&self, entry: &Bytes) -> Stay {
        self.writers.lock().unwrap()[&entry.as_ptr().addr()].1
    }

    pub(crate) fn weather(&self, weather: Weather) -> u32 {
        self.weather[weather as usize].load(SeqCst)
    }

    pub(crate) fn set_weather(&self, weather: Weather, one_in: u32) {
        self.weather[weather as usize].store(one_in, SeqCst);
    }

    pub(crate) fn take_out(&self, outage: Outage, during_ms: u32) {
        let until = self.elapsed_ms() + i64::from(during_ms);
        self.out_until.lock().unwrap().insert(outage, until);
    }

    pub(crate) fn is_out(&self, outage: Outage) -> bool {
        let until = self.out_until.lock().unwrap();
        until.get(&outage).is_some_and(|until| self.elapsed_ms() < *until)
    }

    /// From here on nothing fails any more.
    pub(crate) fn heal(&self) {
        for weather in Weather::ALL {
            self.set_weather(weather, 0);
        }
        self.out_until.lock().unwrap().clear();
    }

    /// Retention takes all but the newest records of a partition.
    pub(crate) fn truncate(&self, partition: i32, keep: i64) {
        let ranges = futures::executor::block_on(self.log.partitions()).unwrap();
        let range = ranges.iter().find(|range| range.partition.0 == partition);
        if let Some(range) = range {
            self.log.truncate(range.partition, Offset(range.end.0 - keep));
        }
    }

    /// The topic is deleted and made again. Only once, and not when it has got more partitions:
    /// offsets tell the ledger which of both a record stood in.
    pub(crate) fn remake(&self, away_ms: u32) {
        let mut remade = self.remade.lock().unwrap();
        if !*remade && self.partitions.load(SeqCst) == PARTITIONS {
            *remade = true;
            self.log.remake(Offset(0));
            self.take_out(Outage::Topic, away_ms);
        }
    }

    pub(crate) fn add_partition(&self) {
        self.partitions.store(PARTITIONS + 1, SeqCst);
        self.put(PARTITIONS, MARKER.into());
    }

    pub(crate) fn evict(&self, key: Key, every: u16) {
        for shard in self.shards.all().step_by(every.into()) {
            match key {
                Key::Meta => self.store.evict_meta(shard),
                Key::Log => self.store.evict_log(shard),
            }
        }
    }
}
