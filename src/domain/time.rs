//! Event time and wall time as types of their own, so that they are never mixed up.
//! Nothing here reads a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A whole second since the Unix epoch: a pane's second, or the end of a window.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Second(pub i64);

/// A trade's `TransTime` in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime {
    /// The whole second: the trade's pane.
    pub second: Second,
    /// Nanoseconds inside it, below 10⁹.
    pub nanos: u32,
}

/// A reading of the service's clock (or a record's timestamp), in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallMs(pub i64);

impl Second {
    /// The moment at which this second begins.
    #[must_use]
    pub const fn start(self) -> WallMs {
        WallMs(self.0.saturating_mul(1_000))
    }

    /// This second `seconds` later (earlier where negative), saturating.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl WallMs {
    /// The whole second that this moment lies in.
    #[must_use]
    pub const fn second(self) -> Second {
        Second(self.0.div_euclid(1_000))
    }

    /// The first whole second that is not before this moment.
    #[must_use]
    pub const fn second_after(self) -> Second {
        Second(self.0.saturating_add(999).div_euclid(1_000))
    }

    /// This moment `by` later, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment `by` earlier, saturating.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` to this moment; zero if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The first multiple of `interval` after this moment (one below 1 ms counts as 1 ms).
    #[must_use]
    pub fn next_multiple(self, interval: Duration) -> Self {
        self.last_multiple(interval).plus(interval.max(Duration::from_millis(1)))
    }

    /// The last multiple of `interval` that is not after this moment.
    #[must_use]
    pub fn last_multiple(self, interval: Duration) -> Self {
        let step = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        Self(self.0 - self.0.rem_euclid(step))
    }

    /// The same moment as event time.
    #[must_use]
    pub fn event_time(self) -> EventTime {
        let millis = u32::try_from(self.0.rem_euclid(1_000)).unwrap_or(0);
        EventTime { second: self.second(), nanos: millis * 1_000_000 }
    }
}
