//! The live panes of a shard, grouped by second: what folds and what expires at one moment lies
//! together. Only seconds that hold a pane exist. A pane's place is its second and its index
//! there; it keeps that place until its whole second goes.

use std::collections::VecDeque;

use super::pane::Pane;
use super::time::Second;

/// Where a live pane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PaneRef {
    pub(crate) second: Second,
    pub(crate) index: u32,
}

/// A pane with its token.
#[derive(Clone, Debug)]
pub(crate) struct StoredPane {
    /// The token's slot in the shard's table.
    pub(crate) slot: u32,
    /// Changed since the last flush.
    pub(crate) dirty: bool,
    pub(crate) pane: Pane,
}

/// All panes of one second.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) second: Second,
    pub(crate) panes: Vec<StoredPane>,
}

/// The panes of a shard, in the order of their seconds.
#[derive(Debug, Default)]
pub(crate) struct PaneStore {
    buckets: VecDeque<Bucket>,
    count: usize,
}

impl PaneStore {
    /// Adds a pane and says where.
    pub(crate) fn push(&mut self, second: Second, pane: StoredPane) -> PaneRef {
        let at = match self.find(second) {
            Ok(at) => at,
            Err(at) => {
                self.buckets.insert(at, Bucket { second, panes: Vec::new() });
                at
            }
        };
        self.count += 1;
        let index = self.buckets.get_mut(at).map_or(0, |bucket| {
            bucket.panes.push(pane);
            u32::try_from(bucket.panes.len() - 1).unwrap_or(u32::MAX)
        });
        PaneRef { second, index }
    }

    /// The pane at a place, if it still lives.
    pub(crate) fn get(&self, at: PaneRef) -> Option<&StoredPane> {
        let bucket = self.buckets.get(self.find(at.second).ok()?)?;
        bucket.panes.get(usize::try_from(at.index).ok()?)
    }

    /// The pane at a place, if it still lives.
    pub(crate) fn get_mut(&mut self, at: PaneRef) -> Option<&mut StoredPane> {
        let bucket = self.find(at.second).ok()?;
        self.buckets.get_mut(bucket)?.panes.get_mut(usize::try_from(at.index).ok()?)
    }

    /// The buckets with `after < second ≤ until`, oldest first.
    pub(crate) fn between(
        &self,
        after: Second,
        until: Second,
    ) -> impl Iterator<Item = &Bucket> + use<'_> {
        let from = self.buckets.partition_point(|bucket| bucket.second <= after);
        self.buckets.range(from..).take_while(move |bucket| bucket.second <= until)
    }

    /// Removes and returns the oldest bucket if its second is not after `until`.
    pub(crate) fn pop_until(&mut self, until: Second) -> Option<Bucket> {
        let bucket = self.buckets.pop_front_if(|bucket| bucket.second <= until)?;
        self.count -= bucket.panes.len();
        Some(bucket)
    }

    /// How many panes there are.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// All panes with their seconds, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Second, &StoredPane)> {
        self.buckets.iter().flat_map(|bucket| bucket.panes.iter().map(|pane| (bucket.second, pane)))
    }

    /// The bucket of a second, or where it would stand. Seconds are mostly dense, so the distance
    /// from the oldest is a good first guess.
    fn find(&self, second: Second) -> Result<usize, usize> {
        let first = self.buckets.front().map_or(second, |bucket| bucket.second);
        let guess = usize::try_from(second.0.saturating_sub(first.0)).unwrap_or(0);
        match self.buckets.get(guess) {
            Some(bucket) if bucket.second == second => Ok(guess),
            _ => self.buckets.binary_search_by_key(&second, |bucket| bucket.second),
        }
    }
}
