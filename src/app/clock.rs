//! The system's clock: the one place where the present comes from.

use time::OffsetDateTime;

use crate::domain::time::WallMs;
use crate::ports::Clock;

/// The wall clock of the host.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "its one home")]
    fn now(&self) -> WallMs {
        let millis = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        WallMs(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}
