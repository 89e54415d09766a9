//! Which lines are worth writing: one of each kind in ten seconds, and how many of its kind were
//! left out since. A kind is the place in the code that speaks, and the thing it speaks of.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Between two lines of one kind: a person still reads along, and a log file does not grow.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// Kinds that are remembered: every place in the code, each with every shard. Beyond, too many
/// lines are better than none.
const MAX_KINDS: usize = 16_384;

/// What was said of late.
#[derive(Debug)]
pub(super) struct Throttle<K> {
    said: HashMap<K, Said>,
}

#[derive(Debug)]
struct Said {
    at: Duration,
    left_out: u64,
}

impl<K: Eq + Hash> Throttle<K> {
    pub(super) fn new() -> Self {
        Self { said: HashMap::new() }
    }

    /// Whether a line of this kind is written at `now`, by a clock that never goes back: with the
    /// number of those that were left out since the last one.
    pub(super) fn admit(&mut self, kind: K, now: Duration) -> Option<u64> {
        if let Some(said) = self.said.get_mut(&kind) {
            if now.saturating_sub(said.at) < PAUSE {
                said.left_out = said.left_out.saturating_add(1);
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.left_out));
        }
        if self.said.len() >= MAX_KINDS {
            self.said.retain(|_, said| now.saturating_sub(said.at) < PAUSE);
        }
        if self.said.len() < MAX_KINDS {
            self.said.insert(kind, Said { at: now, left_out: 0 });
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_line_of_a_kind_in_ten_seconds_says_how_many_were_left_out() {
        let mut throttle = Throttle::new();
        let mut at = |seconds| throttle.admit("away", s(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!([at(0), at(5), at(9)], [None, None, None]);
        assert_eq!(at(10), Some(3));
        assert_eq!(at(19), None);
        assert_eq!(at(60), Some(1));
        assert_eq!(at(120), Some(0));
    }

    #[test]
    fn kinds_do_not_hide_each_other() {
        let mut throttle = Throttle::new();
        assert_eq!(throttle.admit(("lost", 0), s(1)), Some(0));
        assert_eq!(throttle.admit(("lost", 1), s(1)), Some(0));
        assert_eq!(throttle.admit(("damaged", 0), s(1)), Some(0));
        assert_eq!(throttle.admit(("lost", 1), s(2)), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_not_is_said() {
        let mut throttle = Throttle::new();
        for kind in 0..MAX_KINDS {
            assert_eq!(throttle.admit(kind, s(0)), Some(0));
        }
        for _ in 0..2 {
            assert_eq!(throttle.admit(MAX_KINDS, s(1)), Some(0));
        }
        assert_eq!(throttle.said.len(), MAX_KINDS);
        assert_eq!(throttle.admit(MAX_KINDS, s(11)), Some(0));
        assert_eq!(throttle.said.len(), 1, "what is over is forgotten");
    }
}
