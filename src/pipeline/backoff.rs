//! Waits between attempts, 100 ms doubling to 1 s: short enough to be back within a second of a
//! recovery, long enough to leave a struggling server alone.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// The state of one series of attempts.
#[derive(Debug)]
pub struct Backoff {
    wait: Duration,
    failed: bool,
}

impl Backoff {
    /// Before the first attempt.
    #[must_use]
    pub const fn new() -> Self {
        Self { wait: FIRST, failed: false }
    }

    /// An attempt failed: waits before the next one.
    pub async fn wait(&mut self) {
        self.failed = true;
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST);
    }

    /// Whether an attempt failed, and none succeeded since.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// An attempt succeeded. True if there had been failures.
    pub fn succeeded(&mut self) -> bool {
        std::mem::take(self).failed
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}
