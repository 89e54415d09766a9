//! The system's clock: the one place where the present comes from.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use time::OffsetDateTime;

use crate::domain::time::WallMs;
use crate::ports::Clock;
use crate::telemetry::Clocks;

/// What lines and spans are timed by.
pub const CLOCKS: Clocks = Clocks { uptime, wall };

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

/// Since it was first asked for; never goes back.
#[expect(clippy::disallowed_methods, reason = "its one home")]
fn uptime() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed()
}

/// Since the epoch; zero on a host whose clock is before it.
#[expect(clippy::disallowed_methods, reason = "its one home")]
fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
