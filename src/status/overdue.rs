//! What has failed for longer than it may, in words. Pure: time is an argument.
//!
//! | component | overdue when |
//! |---|---|
//! | `kafka` | the fetches of a partition have failed for [`FETCHING_FAILS_AFTER`] |
//! | `publishing` | what an output partition was sent is not acknowledged for two intervals |
//! | `checkpoint` | a change is older than `CHECKPOINT_MAX_AGE` and in no checkpoint |
//!
//! So one fetch, batch or flush that failed is not, and a service with nothing to do never is.
//! What fails with dead letters shows as a checkpoint that waits for them; the query view is
//! written anew with each tick.

use std::time::Duration;

use super::faults::{Component, Fault, Faults};
use crate::domain::time::WallMs;

/// When one fetch after the other has failed for so long, reading fails: the election of a leader
/// takes less.
pub const FETCHING_FAILS_AFTER: Duration = Duration::from_secs(5);

/// What else is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `AGGREGATE_PUBLISH_INTERVAL`.
    pub publish_interval: Duration,
    /// `CHECKPOINT_MAX_AGE`.
    pub checkpoint_max_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            publish_interval: Duration::from_secs(30),
            checkpoint_max_age: Duration::from_secs(60),
        }
    }
}

/// Every component that is overdue, with the reason.
pub(super) fn overdue(
    limits: Limits,
    faults: &Faults,
    checkpoint_age: Option<Duration>,
    now: WallMs,
) -> Vec<(Component, String)> {
    let lasted = |component| faults.oldest(component).map(|fault| (now.since(fault.since), fault));
    let mut found = Vec::new();
    if let Some((lasted, fault)) = lasted(Component::Kafka)
        && lasted >= FETCHING_FAILS_AFTER
    {
        let reason = format!("nothing read for {}: {}", seconds(lasted), fault.words());
        found.push((Component::Kafka, reason));
    }
    let two_intervals = limits.publish_interval * 2;
    if let Some((lasted, fault)) = lasted(Component::Publishing)
        && lasted >= two_intervals
    {
        let (lasted, limit, words) = (seconds(lasted), seconds(two_intervals), fault.words());
        let reason =
            format!("nothing acknowledged for {lasted} (two intervals are {limit}): {words}");
        found.push((Component::Publishing, reason));
    }
    if let Some(age) = checkpoint_age.filter(|age| *age > limits.checkpoint_max_age) {
        let (age, limit) = (seconds(age), seconds(limits.checkpoint_max_age));
        let words = faults.oldest(Component::Checkpoint).map_or("no answer", Fault::words);
        let reason =
            format!("a change of {age} ago is not in it (CHECKPOINT_MAX_AGE is {limit}): {words}");
        found.push((Component::Checkpoint, reason));
    }
    found
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Option<Duration> = Some(Duration::from_secs(60));

    fn reasons(faults: &Faults, age: Option<Duration>, second: i64) -> Vec<String> {
        let found = overdue(Limits::default(), faults, age, WallMs(second * 1_000));
        found.into_iter().map(|(_, reason)| reason).collect()
    }

    #[test]
    fn fetches_may_fail_for_less_than_five_seconds() {
        let mut faults = Faults::default();
        faults.fails(Component::Kafka, 0, WallMs(0), "away".to_owned());
        assert!(reasons(&faults, None, 4).is_empty());
        assert_eq!(reasons(&faults, None, 5), ["nothing read for 5 s: away"]);
    }

    #[test]
    fn publishing_may_owe_an_answer_for_less_than_two_intervals() {
        let mut faults = Faults::default();
        faults.asks(Component::Publishing, 0, WallMs(0));
        assert!(reasons(&faults, None, 59).is_empty());
        let silent = "nothing acknowledged for 60 s (two intervals are 60 s): no answer";
        assert_eq!(reasons(&faults, None, 60), [silent]);
        faults.fails(Component::Publishing, 0, WallMs(60_000), "broker says no".to_owned());
        let told = "nothing acknowledged for 64 s (two intervals are 60 s): broker says no";
        assert_eq!(reasons(&faults, None, 64), [told]);
        faults.works(Component::Publishing, 0);
        assert!(reasons(&faults, None, 999).is_empty(), "nothing is owed");
    }

    #[test]
    fn a_checkpoint_may_be_as_old_as_its_limit_whatever_its_flushes_say() {
        let mut faults = Faults::default();
        faults.fails(Component::Checkpoint, 0, WallMs(0), "OOM".to_owned());
        assert!(reasons(&faults, AGE, 999).is_empty());
        let age = AGE.map(|age| age + Duration::from_secs(1));
        let told = "a change of 61 s ago is not in it (CHECKPOINT_MAX_AGE is 60 s): OOM";
        assert_eq!(reasons(&faults, age, 999), [told]);
        faults.works(Component::Checkpoint, 0);
        assert!(reasons(&faults, age, 999)[0].ends_with(": no answer"));
    }

    #[test]
    fn what_only_delays_others_is_not_overdue_itself() {
        let mut faults = Faults::default();
        faults.fails(Component::DeadLetters, 0, WallMs(0), "away".to_owned());
        faults.fails(Component::View, 0, WallMs(0), "away".to_owned());
        assert!(reasons(&faults, AGE, 999).is_empty());
    }
}
