//! How the service is doing: written by the pipeline, read by HTTP. Holds facts only; what they
//! mean for health is decided here from them and from a time that is passed in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::WallMs;

/// Where the service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Loading the checkpoint.
    Starting,
    /// Reading to where the log ended at the start.
    CatchingUp,
    /// Publishing.
    Running,
    /// Asked to stop.
    Stopping,
}

/// What a component last said: fine, or what is wrong with it.
pub type Component = Result<(), String>;

/// Live facts.
#[derive(Debug)]
pub struct Status {
    started: WallMs,
    phase: AtomicU8,
    stopping: AtomicBool,
    last_progress: AtomicI64,
    last_publish: AtomicI64,
    last_flush: AtomicI64,
    components: Mutex<BTreeMap<&'static str, Component>>,
    /// Trades counted, as noted of late.
    counted: Mutex<VecDeque<(WallMs, u64)>>,
}

/// Without progress for so long, the pipeline is stuck: its loop comes round every second, and
/// the longest thing that it may do in one turn is a tick over all tokens, some seconds.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);

impl Status {
    /// A service that started now.
    #[must_use]
    pub const fn new(now: WallMs) -> Self {
        Self {
            started: now,
            phase: AtomicU8::new(0),
            stopping: AtomicBool::new(false),
            last_progress: AtomicI64::new(now.0),
            last_publish: AtomicI64::new(NEVER),
            last_flush: AtomicI64::new(NEVER),
            components: Mutex::new(BTreeMap::new()),
            counted: Mutex::new(VecDeque::new()),
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

    /// Enters a phase. After `Stopping` there is none: asked to stop is asked for good.
    pub fn enter(&self, phase: Phase) {
        let number = match phase {
            Phase::Starting => 0,
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

    /// Every change up to then is in the checkpoint.
    pub fn flushed(&self, covers: WallMs) {
        self.last_flush.store(covers.0, Relaxed);
    }

    /// When an aggregate was last acknowledged.
    #[must_use]
    pub fn last_publish(&self) -> Option<WallMs> {
        moment(&self.last_publish)
    }

    /// Up to when every change is in the checkpoint.
    #[must_use]
    pub fn last_flush(&self) -> Option<WallMs> {
        moment(&self.last_flush)
    }

    /// Notes how many trades are counted by now; for the rate, about once a second.
    pub fn note_counted(&self, now: WallMs, trades: u64) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.push_back((now, trades));
        while counted.len() > RATE_NOTES {
            counted.pop_front();
        }
    }

    /// The rate over the last notes; 0 before the second one, and where the clock was set back.
    #[must_use]
    pub fn trades_per_second(&self) -> f64 {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some((from, before)), Some((to, after))) = (counted.front(), counted.back()) else {
            return 0.0;
        };
        let seconds = to.since(*from).as_secs_f64();
        let trades = u32::try_from(after.saturating_sub(*before)).unwrap_or(u32::MAX);
        if seconds > 0.0 { f64::from(trades) / seconds } else { 0.0 }
    }

    /// Notes what a component says: `kafka`, `publishing`, `checkpoint`.
    pub fn set_component(&self, name: &'static str, says: Component) {
        self.locked().insert(name, says);
    }

    /// What every component last said.
    #[must_use]
    pub fn components(&self) -> BTreeMap<&'static str, Component> {
        self.locked().clone()
    }

    /// Whether the pipeline makes progress or waits for a dependency.
    #[must_use]
    pub fn live(&self, now: WallMs) -> bool {
        now.since(WallMs(self.last_progress.load(Relaxed))) <= STUCK_AFTER
    }

    /// Whether it is caught up, and every component is fine.
    ///
    /// # Errors
    /// All reasons why not.
    pub fn ready(&self, now: WallMs) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        match self.phase() {
            Phase::Starting => reasons.push("starting".to_owned()),
            Phase::CatchingUp => reasons.push("catching up".to_owned()),
            Phase::Stopping => reasons.push("stopping".to_owned()),
            Phase::Running => {}
        }
        reasons.extend(self.failures(now));
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// What is wrong, apart from the phase.
    #[must_use]
    pub fn failures(&self, now: WallMs) -> Vec<String> {
        let stuck = (!self.live(now)).then(|| "pipeline: no progress".to_owned());
        let said = self.components();
        let failing = said.iter().filter_map(|(name, says)| {
            says.as_ref().err().map(|reason| format!("{name}: {reason}"))
        });
        stuck.into_iter().chain(failing).collect()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Component>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    /// Its name on pages and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp => "catching up",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}

fn moment(cell: &AtomicI64) -> Option<WallMs> {
    let at = cell.load(Relaxed);
    (at != NEVER).then_some(WallMs(at))
}

/// The rate shown is that of so many notes: some seconds, so that it is steady and yet new.
const RATE_NOTES: usize = 6;

const NEVER: i64 = i64::MIN;

#[cfg(test)]
mod tests {
    use super::*;

    const START: WallMs = WallMs(1_000_000);

    #[test]
    fn ready_when_running_and_no_component_complains() {
        let status = Status::new(START);
        assert_eq!(status.ready(START), Err(vec!["starting".to_owned()]));
        status.enter(Phase::CatchingUp);
        assert_eq!(status.ready(START), Err(vec!["catching up".to_owned()]));
        status.enter(Phase::Running);
        assert_eq!(status.ready(START), Ok(()));
        status.set_component("kafka", Err("no broker answers".to_owned()));
        assert_eq!(status.ready(START), Err(vec!["kafka: no broker answers".to_owned()]));
        status.set_component("kafka", Ok(()));
        assert_eq!(status.ready(START), Ok(()));
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
        let status = Status::new(START);
        status.enter(Phase::Running);
        status.enter(Phase::Starting);
        assert_eq!(status.ready(START), Err(vec!["starting".to_owned()]));
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
        status.set_component("kafka", Err("away".to_owned()));
        assert!(status.live(START.plus(STUCK_AFTER)));
        let later = START.plus(STUCK_AFTER + Duration::from_millis(1));
        assert!(!status.live(later));
        status.progressed(later);
        assert!(status.live(later));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let status = Status::new(START);
        let rate = || (status.trades_per_second() * 1_000.0).round().to_string();
        assert_eq!(rate(), "0");
        status.note_counted(START, 1_000_000);
        assert_eq!(rate(), "0");
        for second in 1..=20_u32 {
            let at = START.plus(Duration::from_secs(second.into()));
            status.note_counted(at, 1_000_000 + u64::from(second) * 30);
            assert_eq!(rate(), "30000", "of a million before nothing is seen");
        }
        status.note_counted(START, 0);
        assert_eq!(rate(), "0", "the clock was set back");
    }

    #[test]
    fn nothing_was_published_before_it_was() {
        let status = Status::new(START);
        assert_eq!(status.last_publish(), None);
        status.published(START);
        assert_eq!(status.last_publish(), Some(START));
    }
}
