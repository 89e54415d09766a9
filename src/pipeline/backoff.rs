//! Waits between attempts, 100 ms doubling to 1 s: short enough to be back within a second of a
//! recovery, long enough to leave a struggling server alone. And log lines in a row, thinned.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// The state of one series of attempts.
#[derive(Debug)]
pub struct Backoff {
    wait: Duration,
    failures: u32,
}

impl Backoff {
    /// Before the first attempt.
    #[must_use]
    pub const fn new() -> Self {
        Self { wait: FIRST, failures: 0 }
    }

    /// Counts a failure. True for the first of a series and then for about one in half a minute:
    /// those are worth a log line.
    pub const fn worth_a_line(&mut self) -> bool {
        const EVERY: u32 = 30;
        self.failures += 1;
        self.failures % EVERY == 1
    }

    /// Waits before the next attempt.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST);
    }

    /// An attempt succeeded. True if there had been failures.
    pub const fn succeeded(&mut self) -> bool {
        let failed = self.failures > 0;
        *self = Self::new();
        failed
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}
