//! What is kept for each partition between two uses. It is taken out while it is used and put back
//! after an answer; what failed, was cancelled or took too long is not, and the next use makes a
//! new one. Two are kept: a partition is read twice while shards come that are behind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::position::Partition;

/// Kept of each partition.
const KEPT: usize = 2;

/// Things by partition, taken out for use.
pub(super) struct Slots<T>(Mutex<BTreeMap<Partition, Vec<T>>>);

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(super) fn take(&self, partition: Partition) -> Option<T> {
        self.lock().get_mut(&partition)?.pop()
    }

    pub(super) fn put(&self, partition: Partition, thing: T) {
        let mut slots = self.lock();
        let kept = slots.entry(partition).or_default();
        if kept.len() < KEPT {
            kept.push(thing);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Vec<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slots").field(&self.lock().len()).finish()
    }
}
