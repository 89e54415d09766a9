//! A set of shards: those that a process owns, or that a batch has the trades of.

use std::sync::Arc;

use super::position::Partition;
use super::token::{ShardId, Shards, TokenHash};

/// A set of shards, cheap to hand on and to ask. It knows of how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    shards: Shards,
    /// By their numbers.
    within: Arc<[bool]>,
}

impl Cover {
    /// All shards.
    #[must_use]
    pub fn all(shards: Shards) -> Self {
        Self::of(shards, shards.all())
    }

    /// No shard.
    #[must_use]
    pub fn none(shards: Shards) -> Self {
        Self::of(shards, [])
    }

    /// These of the shards.
    pub fn of(shards: Shards, these: impl IntoIterator<Item = ShardId>) -> Self {
        let mut within = vec![false; usize::from(shards.count())];
        for ShardId(id) in these {
            if let Some(place) = within.get_mut(usize::from(id)) {
                *place = true;
            }
        }
        Self { shards, within: within.into() }
    }

    /// Whether they are all there are.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.within.iter().all(|is_in| *is_in)
    }

    /// Whether a shard is among them.
    #[must_use]
    pub fn contains(&self, shard: ShardId) -> bool {
        self.within.get(usize::from(shard.0)).copied().unwrap_or(false)
    }

    /// Whether a token is of one of them.
    #[must_use]
    pub fn has(&self, hash: TokenHash) -> bool {
        self.contains(self.shards.of(hash))
    }

    /// Whether the shard is among them that [answers for](Shards::answering_for) a partition.
    #[must_use]
    pub fn answers_for(&self, partition: Partition) -> bool {
        self.contains(self.shards.answering_for(partition))
    }

    /// The shards, in order.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> {
        (0_u16..).zip(self.within.iter()).filter(|(_, is_in)| **is_in).map(|(id, _)| ShardId(id))
    }

    /// Those of both.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self::of(self.shards, self.shards().chain(other.shards()))
    }

    /// Those that are not among the others.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self::of(self.shards, self.shards().filter(|shard| !other.contains(*shard)))
    }

    /// Those that are among the others too.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        Self::of(self.shards, self.shards().filter(|shard| other.contains(*shard)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(ids: &[u16]) -> Cover {
        Cover::of(Shards::DEFAULT, ids.iter().copied().map(ShardId))
    }

    #[test]
    fn it_is_a_set() {
        let (one, other) = (cover(&[1, 5, 63]), cover(&[5, 7]));
        assert!(one.contains(ShardId(63)) && !one.contains(ShardId(62)));
        assert!(!one.contains(ShardId(64)) && !cover(&[]).contains(ShardId(0)));
        let ids = |cover: Cover| cover.shards().map(|shard| shard.0).collect::<Vec<_>>();
        assert_eq!(ids(one.with(&other)), [1, 5, 7, 63]);
        assert_eq!(ids(one.without(&other)), [1, 63]);
        assert_eq!(ids(one.within(&other)), [5]);
        let all = Cover::all(Shards::DEFAULT);
        assert!(all.is_all() && !all.without(&one).is_all());
        assert!(Cover::all(Shards::new(1).unwrap()).is_all());
    }
}
