//! What stands between a process and the world: every step of a port call passes here. It delays,
//! throws the weather's dice, stands still while the process is frozen, and lets nothing through
//! any more once the process is killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;

use crate::plan::Weather;
use crate::world::World;

pub(crate) struct Gate {
    pub(crate) world: Arc<World>,
    /// Which process.
    pub(crate) process: usize,
    rng: Mutex<StdRng>,
    dead: AtomicBool,
    frozen: AtomicBool,
    thawed: Notify,
    steps: AtomicU64,
    dies_at: AtomicU64,
    under_way: Mutex<BTreeMap<String, usize>>,
}

impl Gate {
    pub(crate) fn new(world: Arc<World>, process: usize, seed: u64) -> Self {
        Self {
            world,
            process,
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            dead: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            thawed: Notify::new(),
            steps: AtomicU64::new(0),
            dies_at: AtomicU64::new(u64::MAX),
            under_way: Mutex::default(),
        }
    }

    /// From now on nothing that the process does has an effect.
    pub(crate) fn kill(&self) {
        self.dead.store(true, SeqCst);
        self.world.deaths.notify_one();
    }

    /// The process dies at the so many-th step from here.
    pub(crate) fn kill_at(&self, steps: Option<u64>) {
        let at = steps.map_or(u64::MAX, |steps| self.steps() + steps);
        self.dies_at.store(at, SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(SeqCst)
    }

    /// Steps so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(SeqCst)
    }

    pub(crate) fn freeze(&self) {
        self.frozen.store(true, SeqCst);
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.load(SeqCst)
    }

    pub(crate) fn thaw(&self) {
        self.frozen.store(false, SeqCst);
        self.thawed.notify_waiters();
    }

    /// Whether this call suffers from it.
    pub(crate) fn roll(&self, weather: Weather) -> bool {
        self.one_in(self.world.weather(weather))
    }

    pub(crate) fn one_in(&self, count: u32) -> bool {
        count > 0 && self.below(u64::from(count)) == 0
    }

    pub(crate) fn below(&self, count: u64) -> u64 {
        self.rng.lock().unwrap().random_range(0..count)
    }

    pub(crate) async fn wait(&self, at_most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.below(at_most_ms))).await;
    }

    /// The way there, or back.
    pub(crate) async fn pass(&self) {
        self.wait(if self.roll(Weather::Slow) { 2_000 } else { 10 }).await;
        while self.is_frozen() {
            self.thawed.notified().await;
        }
        if self.steps.fetch_add(1, SeqCst) + 1 >= self.dies_at.load(SeqCst) && !self.is_dead() {
            self.kill();
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// Notes that a call is under way; there may be `bound` of its kind at a time.
    pub(crate) fn enter(&self, kind: String, bound: usize) -> UnderWay<'_> {
        let mut under_way = self.under_way.lock().unwrap();
        let count = under_way.entry(kind.clone()).or_default();
        *count += 1;
        if *count > bound {
            self.world.violated(format!("{count} × {kind} at a time, at most {bound}"));
        }
        UnderWay { gate: self, kind }
    }
}

/// A call that is under way, until dropped.
pub(crate) struct UnderWay<'a> {
    gate: &'a Gate,
    kind: String,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.gate.under_way.lock().unwrap().get_mut(&self.kind) {
            *count -= 1;
        }
    }
}
