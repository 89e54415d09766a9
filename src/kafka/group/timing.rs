//! How long a member waits for what, and why. All follows from the session time-out, after which
//! the coordinator gives the shards of a silent member away.

use std::time::Duration;

use super::permit::STILL;

/// The waits that follow from a session time-out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) session: Duration,
}

impl Timing {
    /// Between two heartbeats.
    pub(super) fn heartbeat(self) -> Duration {
        (self.session / HEARTBEATS).clamp(HEARTBEAT_LEAST, HEARTBEAT_MOST)
    }

    /// How long publishing is allowed after a request was sent that was answered well.
    pub(super) fn lease(self) -> Duration {
        self.session.saturating_sub(LEASE_MARGIN)
    }

    /// How long a process that follows another of its name lets that one notice: it may be about to
    /// be taken for still, then it has to ask, and is answered.
    pub(super) fn quiet(self) -> Duration {
        STILL + self.heartbeat() + NOTICED
    }

    /// How long a rebalance waits for a member. Not below the session time-out: who misses one is
    /// cut off only after its lease.
    pub(super) fn rebalance(self) -> Duration {
        REBALANCE_LIMIT.max(self.session)
    }

    /// How long an answer is waited for; to a join it comes when all have joined.
    pub(super) fn limit(self, join: bool) -> Duration {
        let limit = (self.session / ANSWERS).clamp(ANSWER_LEAST, ANSWER_MOST);
        if join { self.rebalance() + limit } else { limit }
    }
}

/// Of the session time-out this is left when the lease ends: for what is on its way to the brokers
/// by then, and for clocks that do not run alike.
pub const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// For what is on its way to the brokers when it notices, and for the answer that it notices by.
const NOTICED: Duration = Duration::from_millis(500);

/// For so long a rebalance waits for a member: it has to finish a request, nothing more.
pub const REBALANCE_LIMIT: Duration = Duration::from_secs(30);

/// So many heartbeats in a session time-out: how soon a rebalance is noticed.
const HEARTBEATS: u32 = 20;
const HEARTBEAT_LEAST: Duration = Duration::from_millis(100);
const HEARTBEAT_MOST: Duration = Duration::from_secs(1);

/// So many answers can be missed in a session time-out: there is time for another way.
const ANSWERS: u32 = 3;
const ANSWER_LEAST: Duration = Duration::from_secs(1);
const ANSWER_MOST: Duration = Duration::from_secs(5);

/// As Kafka's own clients commit.
pub(super) const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Between two attempts: soon enough for a coordinator that moves, no burden on one that is away.
pub(super) const PAUSE_FIRST: Duration = Duration::from_millis(100);
pub(super) const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Trouble that is over sooner is no news: a fresh broker makes its offsets topic first.
pub(super) const TROUBLE_AFTER: Duration = Duration::from_secs(3);

/// What a stop spends on leaving: the others notice without it, only later.
pub(super) const LEAVE_LIMIT: Duration = Duration::from_secs(2);
