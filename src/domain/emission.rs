//! When ticks come, and which of them publish every active token. The others publish what has
//! changed: tokens of which a message would say something else than their last one, besides its
//! times, and those that fell silent. Which tick is which follows from its second alone, so that
//! all instances agree.

use std::time::Duration;

use super::time::Second;

/// The plan of ticks, all at multiples on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission {
    interval: Duration,
    whole: Duration,
}

impl Emission {
    /// A tick at each `interval`, each of all active tokens.
    #[must_use]
    pub const fn all(interval: Duration) -> Self {
        Self { interval, whole: interval }
    }

    /// A tick at each `interval`, of all active tokens at each `whole`: a multiple of it.
    #[must_use]
    pub const fn changed(interval: Duration, whole: Duration) -> Self {
        Self { interval, whole }
    }

    /// Time between ticks.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Time between ticks of all active tokens: no token's last message is older, but for those
    /// that are on their way.
    #[must_use]
    pub const fn whole(&self) -> Duration {
        self.whole
    }

    /// Whether no tick leaves anything out.
    #[must_use]
    pub fn is_always_whole(&self) -> bool {
        self.interval == self.whole
    }

    /// Whether the tick of this second is one of all active tokens.
    #[must_use]
    pub fn is_whole(&self, Second(tick): Second) -> bool {
        i64::try_from(self.whole.as_secs()).is_ok_and(|whole| tick.rem_euclid(whole.max(1)) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_so_many_seconds_a_tick_is_whole() {
        let [second, half, whole] = [1, 30, 300].map(Duration::from_secs);
        let wholes = |emission: Emission| {
            let ticks = (1_736_332_200..1_736_332_800).filter(|second| second % 30 == 0);
            ticks.filter(|tick| emission.is_whole(Second(*tick))).count()
        };
        assert_eq!(wholes(Emission::all(half)), 20);
        assert_eq!(wholes(Emission::changed(half, whole)), 2);
        assert_eq!(wholes(Emission::changed(second, half)), 20);
        assert!(Emission::all(half).is_always_whole());
        assert!(!Emission::changed(second, half).is_always_whole());
    }
}
