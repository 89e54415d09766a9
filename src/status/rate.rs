//! How many trades are counted a second: that of the last few notes. Pure: time is an argument.

use std::collections::VecDeque;

use crate::domain::time::WallMs;

/// Trades counted, as noted of late.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(WallMs, u64)>);

impl Rate {
    /// Notes how many trades are counted by now.
    pub(super) fn note(&mut self, now: WallMs, trades: u64) {
        self.0.push_back((now, trades));
        while self.0.len() > NOTES {
            self.0.pop_front();
        }
    }

    /// 0 before the second note, and where the clock was set back.
    pub(super) fn per_second(&self) -> f64 {
        let (Some((from, before)), Some((to, after))) = (self.0.front(), self.0.back()) else {
            return 0.0;
        };
        let seconds = to.since(*from).as_secs_f64();
        let trades = u32::try_from(after.saturating_sub(*before)).unwrap_or(u32::MAX);
        if seconds > 0.0 { f64::from(trades) / seconds } else { 0.0 }
    }
}

/// Some seconds, so that it is steady and yet new.
const NOTES: usize = 6;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: WallMs = WallMs(1_000_000);

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        let said = |rate: &Rate| (rate.per_second() * 1_000.0).round().to_string();
        assert_eq!(said(&rate), "0");
        rate.note(START, 1_000_000);
        assert_eq!(said(&rate), "0");
        for second in 1..=20_u32 {
            let at = START.plus(Duration::from_secs(second.into()));
            rate.note(at, 1_000_000 + u64::from(second) * 30);
            assert_eq!(said(&rate), "30000", "of a million before nothing is seen");
        }
        rate.note(START, 0);
        assert_eq!(said(&rate), "0", "the clock was set back");
    }
}
