//! What the lease is to the pipeline: a permission that is given anew many times a second, and for
//! a moment only. A process that stood still (halted, starved, a host that slept) wakes without
//! it, and has it again when the group has answered what was asked after that: meanwhile another
//! process may have come under its name, or have its shards.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Between two permissions.
pub(super) const PULSE: Duration = Duration::from_millis(100);

/// A process that was not heard of for so long stood still: some pulses more than a busy host
/// makes one wait.
pub(super) const STILL: Duration = Duration::from_millis(500);

/// The permission, and what it follows from.
#[derive(Debug)]
pub struct Permit {
    shown: watch::Sender<Option<Instant>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The group's word: until when, and when that was asked for.
    lease: Option<(Instant, Instant)>,
    pulse: Instant,
    /// When it stood still last, and went on.
    woke: Instant,
}

impl Permit {
    /// None yet; `shown` is told of each.
    #[must_use]
    pub fn new(shown: watch::Sender<Option<Instant>>, now: Instant) -> Self {
        Self { shown, state: Mutex::new(State { lease: None, pulse: now, woke: now }) }
    }

    /// The group's word has come: until when, and when that was asked for.
    pub fn granted(&self, now: Instant, lease: Option<(Instant, Instant)>) {
        let mut state = self.lock();
        state.lease = lease;
        self.show(&mut state, now);
    }

    /// Time has gone on: to be said every [`PULSE`].
    pub fn pulse(&self, now: Instant) {
        self.show(&mut self.lock(), now);
    }

    fn show(&self, state: &mut State, now: Instant) {
        if now >= state.pulse + STILL {
            state.woke = now;
        }
        state.pulse = now;
        let awake = state.lease.filter(|(_, asked)| *asked >= state.woke);
        let until = awake.map(|(until, _)| until.min(now + STILL));
        self.shown.send_if_modified(|before| {
            let permitted = |lease: Option<Instant>| lease.is_some_and(|until| now < until);
            // One that only lasts longer is no news.
            permitted(until) != permitted(std::mem::replace(before, until))
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_stood_still_has_to_ask_first() {
        let (shown, mut seen) = watch::channel(None);
        let begun = Instant::now();
        let permit = Permit::new(shown, begun);
        let at = |ms: u64| begun + Duration::from_millis(ms);
        let lease = |asked: u64| Some((at(asked + 9_000), at(asked)));
        permit.granted(at(20), lease(10));
        assert_eq!(*seen.borrow_and_update(), Some(at(520)));
        permit.pulse(at(120));
        assert_eq!(*seen.borrow(), Some(at(620)), "on and on");
        assert!(!seen.has_changed().unwrap(), "that is no news");
        permit.pulse(at(620));
        assert_eq!(*seen.borrow_and_update(), None, "it stood still");
        permit.granted(at(630), lease(110));
        assert_eq!(*seen.borrow(), None, "asked before");
        permit.granted(at(650), lease(640));
        assert_eq!(*seen.borrow_and_update(), Some(at(1_150)));
        permit.granted(at(700), None);
        assert!(seen.has_changed().unwrap() && seen.borrow().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn none_goes_beyond_the_lease_and_one_that_was_over_is_news_again() {
        let (shown, mut seen) = watch::channel(None);
        let begun = Instant::now();
        let permit = Permit::new(shown, begun);
        let at = |ms: u64| begun + Duration::from_millis(ms);
        permit.granted(at(10), Some((at(300), at(10))));
        assert_eq!(*seen.borrow_and_update(), Some(at(300)));
        permit.pulse(at(310));
        assert!(!seen.has_changed().unwrap(), "whoever looks sees that it is over");
        permit.granted(at(320), Some((at(900), at(315))));
        assert!(seen.has_changed().unwrap(), "it is permitted again");
    }
}
