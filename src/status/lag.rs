//! How far reading is behind, by partition. Pure: time is an argument.
//!
//! | what is unread | `records` | `age` |
//! |---|---|---|
//! | nothing | 0 | 0 |
//! | something, and all was read at `t` | end − next | since the newest record read, or since `t` |
//! | something, and all never was | end − next | since the newest record read |
//! | something, and nothing was ever read | end − next | unknown |

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::position::{Offset, Partition};
use crate::domain::time::WallMs;

/// How far one partition is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Offsets between what was handed to the workers and the end.
    pub records: i64,
    /// How old the newest record read is, while there are unread ones.
    pub age: Option<Duration>,
}

/// What is known of every partition.
#[derive(Debug, Default)]
pub(super) struct Lags(BTreeMap<Partition, Reading>);

#[derive(Debug, Default)]
struct Reading {
    /// All below was handed to the workers.
    next: Offset,
    newest: Option<WallMs>,
    end: Offset,
    /// When the end was asked for.
    asked: WallMs,
    /// What is unread came later than this.
    caught_up: Option<WallMs>,
    /// It is no partition of the topic any more.
    lost: bool,
}

impl Lags {
    /// All below `next` was handed to the workers; the newest of its records is of `newest`.
    pub(super) fn reads(&mut self, partition: Partition, next: Offset, newest: Option<WallMs>) {
        let reading = self.0.entry(partition).or_default();
        reading.next = next;
        reading.newest = newest.or(reading.newest);
        reading.look();
    }

    /// A partition ends here: the answer to a question of the moment `asked`.
    pub(super) fn ends(&mut self, partition: Partition, end: Offset, asked: WallMs) {
        let reading = self.0.entry(partition).or_default();
        (reading.end, reading.asked) = (end, asked);
        reading.look();
    }

    /// The topic has these partitions, and they were not shorter when they were asked for; answers
    /// those that it has no more.
    pub(super) fn listed(
        &mut self,
        ends: &BTreeMap<Partition, Offset>,
        asked: WallMs,
    ) -> Vec<Partition> {
        for (partition, end) in ends {
            // A fetch may have told more since.
            if self.0.get(partition).is_none_or(|reading| reading.asked <= asked) {
                self.ends(*partition, *end, asked);
            }
        }
        for (partition, reading) in &mut self.0 {
            reading.lost = !ends.contains_key(partition);
        }
        self.0.iter().filter(|(_, reading)| reading.lost).map(|(lost, _)| *lost).collect()
    }

    /// All is to be learned anew: by a clock that was set back, times of before are in the future.
    /// No partition is known to be there until it is listed.
    pub(super) fn forget(&mut self) {
        for reading in self.0.values_mut() {
            *reading = Reading { lost: true, ..Reading::default() };
        }
    }

    /// Whether a partition is no longer one of the topic.
    pub(super) fn is_lost(&self, partition: Partition) -> bool {
        self.0.get(&partition).is_some_and(|reading| reading.lost)
    }

    /// Whether the end of any partition was not asked for within a while.
    pub(super) fn is_old(&self, now: WallMs, than: Duration) -> bool {
        self.0.values().any(|reading| !reading.lost && now.since(reading.asked) > than)
    }

    /// Every partition's lag; `None` for one that is lost.
    pub(super) fn all(&self, now: WallMs) -> Vec<(Partition, Option<Lag>)> {
        let lag = |reading: &Reading| (!reading.lost).then(|| reading.lag(now));
        self.0.iter().map(|(partition, reading)| (*partition, lag(reading))).collect()
    }
}

impl Reading {
    fn look(&mut self) {
        if self.next >= self.end {
            self.caught_up = self.caught_up.max(Some(self.asked));
        }
    }

    fn lag(&self, now: WallMs) -> Lag {
        let records = self.end.0.saturating_sub(self.next.0).max(0);
        let since = self.newest.max(self.caught_up);
        let age = since.map(|since| now.since(since));
        Lag { records, age: if records == 0 { Some(Duration::ZERO) } else { age } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P0: Partition = Partition(0);

    fn lag(lags: &Lags, now: i64) -> (i64, Option<u64>) {
        let Lag { records, age } = lags.all(WallMs(now * 1_000))[0].1.unwrap();
        (records, age.map(|age| age.as_secs()))
    }

    fn second(at: i64) -> WallMs {
        WallMs(at * 1_000)
    }

    #[test]
    fn a_backlog_is_as_old_as_the_newest_record_that_was_read() {
        let mut lags = Lags::default();
        lags.ends(P0, Offset(100), second(1_000));
        assert_eq!(lag(&lags, 1_001), (100, None), "nothing was read");
        lags.reads(P0, Offset(40), Some(second(400)));
        assert_eq!(lag(&lags, 1_001), (60, Some(601)));
        lags.reads(P0, Offset(41), None);
        assert_eq!(lag(&lags, 1_001), (59, Some(601)), "a record without a timestamp");
        lags.reads(P0, Offset(100), Some(second(900)));
        assert_eq!(lag(&lags, 1_001), (0, Some(0)));
    }

    #[test]
    fn what_comes_after_a_silence_is_no_older_than_the_last_look() {
        let mut lags = Lags::default();
        lags.ends(P0, Offset(1), second(100));
        lags.reads(P0, Offset(1), Some(second(100)));
        lags.ends(P0, Offset(1), second(5_000));
        lags.ends(P0, Offset(3), second(5_001));
        assert_eq!(lag(&lags, 5_001), (2, Some(1)));
        assert_eq!(lag(&lags, 5_090), (2, Some(90)), "it grows while nothing is read");
    }

    #[test]
    fn what_is_read_late_is_not_held_for_the_end_of_now() {
        let mut lags = Lags::default();
        lags.ends(P0, Offset(10), second(100));
        lags.reads(P0, Offset(10), None);
        lags.ends(P0, Offset(11), second(160));
        assert_eq!(lag(&lags, 170), (1, Some(70)), "nothing tells of the time since 100");
    }

    #[test]
    fn a_lost_partition_has_no_lag_and_one_that_is_back_has() {
        let mut lags = Lags::default();
        lags.ends(P0, Offset(10), second(100));
        lags.ends(Partition(1), Offset(10), second(100));
        let both = BTreeMap::from([(P0, Offset(10)), (Partition(1), Offset(10))]);
        assert_eq!(lags.listed(&[(P0, Offset(10))].into(), second(100)), [Partition(1)]);
        assert!(lags.is_lost(Partition(1)) && !lags.is_lost(P0));
        assert_eq!(lags.all(second(100))[1], (Partition(1), None));
        assert_eq!(lags.listed(&both, second(100)), []);
        assert!(lags.all(second(100))[1].1.is_some());
    }

    #[test]
    fn a_list_that_was_asked_for_before_the_last_fetch_says_nothing_new() {
        let mut lags = Lags::default();
        lags.ends(P0, Offset(10), second(100));
        lags.listed(&[(P0, Offset(8))].into(), second(99));
        assert_eq!(lag(&lags, 100), (10, None));
        lags.listed(&[(P0, Offset(12))].into(), second(100));
        assert_eq!(lag(&lags, 100), (12, None));
    }

    #[test]
    fn after_a_clock_that_was_set_back_nothing_is_younger_than_it_is() {
        let mut lags = Lags::default();
        lags.ends(P0, Offset(10), second(9_000));
        lags.reads(P0, Offset(10), Some(second(9_000)));
        lags.forget();
        assert_eq!(lags.all(second(100)), [(P0, None)]);
        lags.listed(&[(P0, Offset(12))].into(), second(100));
        lags.reads(P0, Offset(10), None);
        assert_eq!(lag(&lags, 100), (2, None));
    }

    #[test]
    fn an_end_is_old_when_nobody_asked() {
        let mut lags = Lags::default();
        lags.ends(P0, Offset(10), second(100));
        assert!(!lags.is_old(second(102), Duration::from_secs(2)));
        assert!(lags.is_old(second(103), Duration::from_secs(2)));
    }
}
