//! How far each partition is read, and for which shards. A shard that comes later is behind: what
//! it has missed is read by a reader of its own (`rewind`), until it stands where the partition's
//! reader does and is covered by that one.
//!
//! Invariant: a partition's reader hands on its batches in turn, and says here what the next one
//! covers and where it ends before it does. Whoever stands at or beyond that end, with all of its
//! own handed on, misses nothing of the batches that come after.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::cover::Cover;
use crate::domain::position::{Offset, Partition};
use crate::domain::token::Shards;
use crate::sabotage::Bug;

/// The state of all partitions' readers.
#[derive(Debug)]
pub struct Reading(Mutex<State>);

#[derive(Debug)]
struct State {
    shards: Shards,
    /// The shards of this process: what a new partition's reader covers.
    owned: Cover,
    cursors: BTreeMap<Partition, Cursor>,
}

#[derive(Debug)]
struct Cursor {
    /// All below is handed on, or about to be.
    at: Offset,
    cover: Cover,
}

impl Reading {
    /// Nothing is read, and no shard is this process'.
    #[must_use]
    pub fn new(shards: Shards) -> Self {
        Self(Mutex::new(State { shards, owned: Cover::none(shards), cursors: BTreeMap::new() }))
    }

    /// A partition's reader begins: it covers all that is owned by then.
    pub fn begin(&self, partition: Partition, at: Offset) {
        let mut state = self.lock();
        let cover = state.owned.clone();
        state.cursors.insert(partition, Cursor { at, cover });
    }

    /// A partition's reader is about to hand on what stands below `next`: for whom.
    pub fn hand_on(&self, partition: Partition, next: Offset) -> Cover {
        let mut state = self.lock();
        let none = Cover::none(state.shards);
        match state.cursors.get_mut(&partition) {
            Some(cursor) => {
                cursor.at = next;
                cursor.cover.clone()
            }
            None => none,
        }
    }

    /// These shards are in the workers' hands. Answers the partitions whose readers do not cover
    /// them yet; those of others will.
    pub fn own(&self, shards: &Cover) -> Vec<Partition> {
        let mut state = self.lock();
        state.owned = state.owned.with(shards);
        state.cursors.keys().copied().collect()
    }

    /// These shards are not read for any more.
    pub fn disown(&self, shards: &Cover) {
        let mut state = self.lock();
        state.owned = state.owned.without(shards);
        for cursor in state.cursors.values_mut() {
            cursor.cover = cursor.cover.without(shards);
        }
    }

    /// All below `reached` was handed on for these shards. True if the partition's reader stands no
    /// further: from now on it covers them.
    pub fn attach(&self, partition: Partition, reached: Offset, shards: &Cover) -> bool {
        let mut state = self.lock();
        let own = shards.within(&state.owned);
        match state.cursors.get_mut(&partition) {
            Some(cursor) if reached < cursor.at && !Bug::CoveredTooEarly.on() => false,
            Some(cursor) => {
                cursor.cover = cursor.cover.with(&own);
                true
            }
            None => true,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::ShardId;

    const P: Partition = Partition(0);

    fn cover(ids: &[u16]) -> Cover {
        Cover::of(Shards::DEFAULT, ids.iter().copied().map(ShardId))
    }

    #[test]
    fn a_shard_is_covered_from_where_it_stands_and_no_earlier() {
        let reading = Reading::new(Shards::DEFAULT);
        reading.own(&cover(&[1]));
        reading.begin(P, Offset(10));
        assert_eq!(reading.own(&cover(&[2])), [P]);
        assert_eq!(reading.hand_on(P, Offset(20)), cover(&[1]), "shard 2 is behind");
        assert!(!reading.attach(P, Offset(19), &cover(&[2])), "20 is on its way already");
        assert!(reading.attach(P, Offset(20), &cover(&[2])));
        assert_eq!(reading.hand_on(P, Offset(30)), cover(&[1, 2]));
        reading.disown(&cover(&[1]));
        assert_eq!(reading.hand_on(P, Offset(40)), cover(&[2]));
        assert!(reading.attach(P, Offset(40), &cover(&[1])));
        assert_eq!(reading.hand_on(P, Offset(50)), cover(&[2]), "1 is not owned any more");
        reading.begin(Partition(1), Offset(0));
        assert_eq!(reading.hand_on(Partition(1), Offset(1)), cover(&[2]));
    }
}
