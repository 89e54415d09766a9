//! How the service is doing: written by the pipeline, read by HTTP. Holds facts only; what they
//! mean for health is decided here from them and from a time that is passed in.

mod faults;
mod lag;
mod overdue;
mod phase;
mod rate;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use faults::{Component, WHOLE};
pub use lag::Lag;
pub use overdue::{FETCHING_FAILS_AFTER, Limits};
pub use phase::Phase;

use faults::{Fault, Faults};
use lag::Lags;
use rate::Rate;

use crate::domain::position::{Offset, Partition};
use crate::domain::time::WallMs;

/// What a component says: fine, or what is wrong with it.
pub type Says = Result<(), String>;

/// Live facts.
#[derive(Debug)]
pub struct Status {
    started: WallMs,
    limits: Limits,
    phase: AtomicU8,
    stopping: AtomicBool,
    last_progress: AtomicI64,
    last_publish: AtomicI64,
    /// Up to when each worker's changes are in the checkpoint.
    flushed: Mutex<BTreeMap<i32, WallMs>>,
    faults: Mutex<Faults>,
    lags: Mutex<Lags>,
    rate: Mutex<Rate>,
}

/// Without progress for so long, the pipeline is stuck: its loop comes round every second, and
/// the longest thing that it may do in one turn is a tick over all tokens, some seconds.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);

impl Status {
    /// A service that started now, measured by the default limits.
    #[must_use]
    pub fn new(now: WallMs) -> Self {
        Self::within(Limits::default(), now)
    }

    /// A service that started now.
    #[must_use]
    pub fn within(limits: Limits, now: WallMs) -> Self {
        Self {
            started: now,
            limits,
            phase: AtomicU8::new(0),
            stopping: AtomicBool::new(false),
            last_progress: AtomicI64::new(now.0),
            last_publish: AtomicI64::new(NEVER),
            flushed: Mutex::default(),
            faults: Mutex::default(),
            lags: Mutex::default(),
            rate: Mutex::default(),
        }
    }

    /// When it started.
    #[must_use]
    pub const fn started(&self) -> WallMs {
        self.started
    }

    /// Where it is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            _ if self.stopping.load(Relaxed) => Phase::Stopping,
            0 => Phase::Starting,
            1 => Phase::CatchingUp,
            _ => Phase::Running,
        }
    }

    /// Enters a phase. After `Stopping` there is none: asked to stop is asked for good. With
    /// `Starting` what the last run met is over.
    pub fn enter(&self, phase: Phase) {
        let number = match phase {
            Phase::Starting => {
                locked(&self.flushed).clear();
                *locked(&self.faults) = Faults::default();
                locked(&self.lags).forget();
                0
            }
            Phase::CatchingUp => 1,
            Phase::Running => 2,
            Phase::Stopping => return self.stopping.store(true, Relaxed),
        };
        self.phase.store(number, Relaxed);
    }

    /// The pipeline's loop came round; waiting for a dependency is progress too.
    pub fn progressed(&self, now: WallMs) {
        self.last_progress.store(now.0, Relaxed);
    }

    /// An aggregate was acknowledged.
    pub fn published(&self, now: WallMs) {
        self.last_publish.store(now.0, Relaxed);
    }

    /// Every change of a worker up to then is in the checkpoint.
    pub fn flushed(&self, worker: i32, covers: WallMs) {
        locked(&self.flushed).insert(worker, covers);
    }

    /// When an aggregate was last acknowledged.
    #[must_use]
    pub fn last_publish(&self) -> Option<WallMs> {
        let at = self.last_publish.load(Relaxed);
        (at != NEVER).then_some(WallMs(at))
    }

    /// Up to when every change of every worker is in the checkpoint.
    #[must_use]
    pub fn last_flush(&self) -> Option<WallMs> {
        locked(&self.flushed).values().min().copied()
    }

    /// A source of a component waits for an answer from now on, if it does not already.
    pub fn asks(&self, component: Component, source: i32, now: WallMs) {
        locked(&self.faults).asks(component, source, now);
    }

    /// A source of a component has met a fault.
    pub fn fails(&self, component: Component, source: i32, now: WallMs, cause: String) {
        let lost = component == Component::Kafka && locked(&self.lags).is_lost(Partition(source));
        if !lost {
            locked(&self.faults).fails(component, source, now, cause);
        }
    }

    /// A source of a component works.
    pub fn works(&self, component: Component, source: i32) {
        locked(&self.faults).works(component, source);
    }

    /// All of a partition below `next` was handed to the workers; the newest of its records is of
    /// `newest`.
    pub fn reads(&self, partition: Partition, next: Offset, newest: Option<WallMs>) {
        locked(&self.lags).reads(partition, next, newest);
    }

    /// A partition ends here: the answer to a question of the moment `asked`.
    pub fn ends(&self, partition: Partition, end: Offset, asked: WallMs) {
        locked(&self.lags).ends(partition, end, asked);
    }

    /// The topic has these partitions with these ends, as it was asked at a moment. One that is
    /// gone has no lag, and fails nobody.
    pub fn listed(&self, ends: &BTreeMap<Partition, Offset>, asked: WallMs) {
        let lost = locked(&self.lags).listed(ends, asked);
        let mut faults = locked(&self.faults);
        for Partition(lost) in lost {
            faults.forget(Component::Kafka, lost);
        }
    }

    /// Whether the end of any partition was not asked for within a while.
    #[must_use]
    pub fn ends_are_old(&self, now: WallMs, than: Duration) -> bool {
        locked(&self.lags).is_old(now, than)
    }

    /// How far each partition is behind; `None` for one that is gone.
    #[must_use]
    pub fn lags(&self, now: WallMs) -> Vec<(Partition, Option<Lag>)> {
        locked(&self.lags).all(now)
    }

    /// Notes how many trades are counted by now; about once a second.
    pub fn note_counted(&self, now: WallMs, trades: u64) {
        locked(&self.rate).note(now, trades);
    }

    /// How many trades are counted a second, over the last few seconds.
    #[must_use]
    pub fn trades_per_second(&self) -> f64 {
        locked(&self.rate).per_second()
    }

    /// How old the oldest change of any worker is that is in no checkpoint.
    #[must_use]
    pub fn checkpoint_age(&self, now: WallMs) -> Option<Duration> {
        self.last_flush().map(|covers| now.since(covers))
    }

    /// What every component last met.
    #[must_use]
    pub fn components(&self, now: WallMs) -> BTreeMap<&'static str, Says> {
        let met = |fault: Option<&Fault>| fault.and_then(|fault| fault.cause.clone());
        let faults = locked(&self.faults);
        let told = faults.told().map(|(component, fault)| (component.name(), met(fault)));
        let mut says: BTreeMap<_, _> =
            told.map(|(name, cause)| (name, cause.map_or(Ok(()), Err))).collect();
        for (component, reason) in self.overdue(&faults, now) {
            let said = says.entry(component.name()).or_insert(Ok(()));
            if said.is_ok() {
                *said = Err(reason);
            }
        }
        says
    }

    /// Whether the pipeline makes progress or waits for a dependency.
    #[must_use]
    pub fn live(&self, now: WallMs) -> bool {
        now.since(WallMs(self.last_progress.load(Relaxed))) <= STUCK_AFTER
    }

    /// Whether it is caught up, and reads, publishes and checkpoints.
    ///
    /// # Errors
    /// All reasons why not.
    pub fn ready(&self, now: WallMs) -> Result<(), Vec<String>> {
        let phase = self.phase();
        let mut reasons = Vec::new();
        if phase != Phase::Running {
            reasons.push(phase.name().to_owned());
        }
        reasons.extend(self.stuck(now));
        if phase == Phase::Running {
            let overdue = self.overdue(&locked(&self.faults), now);
            let named = |(component, reason): (Component, String)| component.because(&reason);
            reasons.extend(overdue.into_iter().map(named));
        } else {
            reasons.extend(self.failing(now));
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// What is wrong at this moment, apart from the phase.
    #[must_use]
    pub fn failures(&self, now: WallMs) -> Vec<String> {
        self.stuck(now).into_iter().chain(self.failing(now)).collect()
    }

    fn stuck(&self, now: WallMs) -> Option<String> {
        (!self.live(now)).then(|| "pipeline: no progress".to_owned())
    }

    fn failing(&self, now: WallMs) -> Vec<String> {
        let said = self.components(now).into_iter();
        said.filter_map(|(name, says)| Some(format!("{name}: {}", says.err()?))).collect()
    }

    fn overdue(&self, faults: &Faults, now: WallMs) -> Vec<(Component, String)> {
        overdue::overdue(self.limits, faults, self.checkpoint_age(now), now)
    }
}

fn locked<T>(facts: &Mutex<T>) -> MutexGuard<'_, T> {
    facts.lock().unwrap_or_else(PoisonError::into_inner)
}

const NEVER: i64 = i64::MIN;

#[cfg(test)]
mod tests {
    use super::*;

    const START: WallMs = WallMs(1_000_000);

    fn running() -> Status {
        let status = Status::new(START);
        status.enter(Phase::Running);
        status
    }

    fn after(seconds: u64) -> WallMs {
        START.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn it_is_ready_when_running_and_a_start_names_what_it_waits_for_at_once() {
        let status = Status::new(START);
        assert_eq!(status.ready(START), Err(vec!["starting".to_owned()]));
        status.fails(Component::Kafka, WHOLE, START, "no broker answers".to_owned());
        let reasons = ["starting", "kafka: no broker answers"].map(str::to_owned);
        assert_eq!(status.ready(START), Err(reasons.to_vec()));
        status.works(Component::Kafka, WHOLE);
        status.enter(Phase::CatchingUp);
        assert_eq!(status.ready(START), Err(vec!["catching up".to_owned()]));
        status.enter(Phase::Running);
        assert_eq!(status.ready(START), Ok(()));
    }

    #[test]
    fn one_failure_shows_in_health_at_once_and_in_readiness_when_it_lasts() {
        let status = running();
        status.fails(Component::Kafka, 3, START, "away".to_owned());
        assert_eq!(status.ready(START), Ok(()));
        assert_eq!(status.failures(START), ["kafka: away"]);
        let reasons = status.ready(START.plus(FETCHING_FAILS_AFTER));
        assert_eq!(reasons, Err(vec!["kafka: nothing read for 5 s: away".to_owned()]));
        status.works(Component::Kafka, 3);
        assert_eq!(status.ready(START.plus(FETCHING_FAILS_AFTER)), Ok(()));
        assert!(status.failures(START).is_empty());
    }

    #[test]
    fn the_checkpoint_is_as_old_as_that_of_its_slowest_worker() {
        let status = running();
        assert_eq!(status.checkpoint_age(after(9)), None);
        status.flushed(0, START);
        status.flushed(1, after(60));
        assert_eq!(status.checkpoint_age(after(61)), Some(Duration::from_secs(61)));
        status.progressed(after(61));
        let reason = "checkpoint: a change of 61 s ago is not in it (CHECKPOINT_MAX_AGE is 60 s): \
                      no answer";
        assert_eq!(status.ready(after(61)), Err(vec![reason.to_owned()]));
        let said = &status.components(after(61))["checkpoint"];
        assert!(said.is_err(), "what makes it unready shows in health: {said:?}");
        status.flushed(0, after(61));
        assert_eq!(status.ready(after(61)), Ok(()));
    }

    #[test]
    fn a_service_with_nothing_to_do_stays_ready() {
        let status = running();
        status.progressed(after(9_000));
        status.flushed(0, after(9_000));
        assert_eq!(status.ready(after(9_000)), Ok(()));
    }

    #[test]
    fn a_partition_that_is_gone_fails_nobody() {
        let status = running();
        let partition = Partition(7);
        status.ends(partition, Offset(5), START);
        status.fails(Component::Kafka, 7, START, "unknown partition".to_owned());
        status.listed(&[(Partition(0), Offset(1))].into(), START);
        status.fails(Component::Kafka, 7, START, "unknown partition".to_owned());
        assert!(status.failures(START).is_empty());
        assert!(status.lags(START).contains(&(partition, None)));
    }

    #[test]
    fn stopping_is_final_and_never_ready() {
        let status = Status::new(START);
        status.enter(Phase::Stopping);
        status.enter(Phase::Running);
        assert_eq!(status.ready(START), Err(vec!["stopping".to_owned()]));
    }

    #[test]
    fn it_starts_anew_when_the_pipeline_does() {
        let status = running();
        status.fails(Component::Publishing, 0, START, "away".to_owned());
        status.flushed(0, START);
        status.enter(Phase::Starting);
        assert_eq!(status.ready(after(9)), Err(vec!["starting".to_owned()]));
        assert_eq!(status.last_flush(), None);
    }

    #[test]
    fn a_clock_that_was_set_back_hides_no_stuck_pipeline() {
        let status = Status::new(START);
        status.progressed(START.plus(STUCK_AFTER * 9));
        status.progressed(START);
        assert!(!status.live(START.plus(STUCK_AFTER * 2)));
    }

    #[test]
    fn live_does_not_depend_on_components_only_on_progress() {
        let status = Status::new(START);
        status.fails(Component::Kafka, 0, START, "away".to_owned());
        assert!(status.live(START.plus(STUCK_AFTER)));
        let later = START.plus(STUCK_AFTER + Duration::from_millis(1));
        assert!(!status.live(later));
        status.progressed(later);
        assert!(status.live(later));
    }

    #[test]
    fn nothing_was_published_before_it_was() {
        let status = Status::new(START);
        assert_eq!(status.last_publish(), None);
        status.published(START);
        assert_eq!(status.last_publish(), Some(START));
    }
}
