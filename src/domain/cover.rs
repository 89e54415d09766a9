//! A set of shards: those that a process owns, or that a batch has the trades of.

use std::sync::Arc;

use super::token::{SHARDS, ShardId};

/// A set of shards, cheap to hand on and to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cover(Arc<[bool]>);

impl Cover {
    /// All shards.
    #[must_use]
    pub fn all() -> Self {
        Self::of((0..SHARDS).map(ShardId))
    }

    /// These shards.
    pub fn of(shards: impl IntoIterator<Item = ShardId>) -> Self {
        let mut all = Vec::new();
        for ShardId(id) in shards {
            let at = usize::from(id);
            if at >= all.len() {
                all.resize(at + 1, false);
            }
            if let Some(place) = all.get_mut(at) {
                *place = true;
            }
        }
        Self(all.into())
    }

    /// Whether they are all there are.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.shards().count() == usize::from(SHARDS)
    }

    /// Whether a shard is among them.
    #[must_use]
    pub fn contains(&self, shard: ShardId) -> bool {
        self.0.get(usize::from(shard.0)).copied().unwrap_or(false)
    }

    /// The shards, in order.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> {
        (0_u16..).zip(self.0.iter()).filter(|(_, is_in)| **is_in).map(|(id, _)| ShardId(id))
    }

    /// Those of both.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self::of(self.shards().chain(other.shards()))
    }

    /// Those that are not among the others.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self::of(self.shards().filter(|shard| !other.contains(*shard)))
    }

    /// Those that are among the others too.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        Self::of(self.shards().filter(|shard| other.contains(*shard)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(ids: &[u16]) -> Cover {
        Cover::of(ids.iter().copied().map(ShardId))
    }

    #[test]
    fn it_is_a_set() {
        let (one, other) = (cover(&[1, 5, 63]), cover(&[5, 7]));
        assert!(one.contains(ShardId(63)) && !one.contains(ShardId(62)));
        assert!(!one.contains(ShardId(64)) && !Cover::default().contains(ShardId(0)));
        let ids = |cover: Cover| cover.shards().map(|shard| shard.0).collect::<Vec<_>>();
        assert_eq!(ids(one.with(&other)), [1, 5, 7, 63]);
        assert_eq!(ids(one.without(&other)), [1, 63]);
        assert_eq!(ids(one.within(&other)), [5]);
        assert!(Cover::all().is_all() && !Cover::all().without(&one).is_all());
    }
}
