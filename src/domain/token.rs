//! A token's hash: Kafka's murmur2 of its address. One hash decides three things: the shard that
//! keeps the token, its place in the shard's table, and the output partition, which must be the
//! one that every Kafka client's default partitioner computes. And how many shards there are.

use serde::{Deserialize, Serialize};

use super::position::Partition;

/// Kafka's murmur2 of a token's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub u32);

/// One of the [`Shards`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(pub u16);

/// How many shards the tokens are spread over: a power of two, so that a shard is found by a mask.
/// Part of the checkpoint's layout: another number would look for tokens in the wrong shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shards(u16);

impl Shards {
    /// As many as there were before they could be chosen.
    pub const DEFAULT: Self = Self(64);

    /// At most: each member then writes as many entries a flush, each with the positions of all
    /// partitions.
    pub const MOST: u16 = 1_024;

    /// So many; `None` where that is no power of two, or more than [`MOST`](Self::MOST).
    #[must_use]
    pub const fn new(count: u16) -> Option<Self> {
        if count.is_power_of_two() && count <= Self::MOST { Some(Self(count)) } else { None }
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0
    }

    /// Each of them, in order.
    pub fn all(self) -> impl DoubleEndedIterator<Item = ShardId> + Clone {
        (0..self.0).map(ShardId)
    }

    /// The shard that keeps a token.
    #[must_use]
    pub fn of(self, TokenHash(hash): TokenHash) -> ShardId {
        // The low bits choose the output partition; the high ones are as even and independent.
        ShardId(u16::try_from((hash >> 16) & u32::from(self.0 - 1)).unwrap_or(0))
    }

    /// As [`of`](Self::of), by the token's address.
    #[must_use]
    pub fn of_token(self, token: &str) -> ShardId {
        self.of(TokenHash::of(token))
    }

    /// The shard whose owner answers for a partition: sends the dead letters of what no shard can
    /// take, and commits its offset. Neighbours lie apart, so that each member answers for some.
    #[must_use]
    pub fn answering_for(self, Partition(partition): Partition) -> ShardId {
        const APART: i64 = 37;
        let shard = (i64::from(partition) * APART).rem_euclid(i64::from(self.0));
        ShardId(u16::try_from(shard).unwrap_or(0))
    }
}

impl TokenHash {
    /// The hash of an address.
    #[must_use]
    pub fn of(address: &str) -> Self {
        Self(murmur2(address.as_bytes()))
    }

    /// The output partition among `partitions`, as Kafka's default partitioner has it:
    /// `toPositive(murmur2(key)) % partitions`.
    #[must_use]
    pub fn partition(self, partitions: u32) -> u32 {
        (self.0 & 0x7fff_ffff) % partitions.max(1)
    }
}

/// Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`), as an unsigned number.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let (words, rest) = data.as_chunks();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |k, byte| (k << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_shard_is_what_remains_of_the_upper_half_of_a_hash() {
        for count in (0..=u16::MAX).filter(|count| Shards::new(*count).is_some()) {
            let shards = Shards::new(count).unwrap();
            for token in ["21", "foobar", "abc", ""] {
                let TokenHash(hash) = TokenHash::of(token);
                assert_eq!(u32::from(shards.of_token(token).0), (hash >> 16) % u32::from(count));
            }
            let answering = (0..i32::from(count)).map(|at| shards.answering_for(Partition(at)));
            assert_eq!(answering.collect::<BTreeSet<_>>().len(), usize::from(count));
        }
        let counts = [0, 1, 3, 64, 96, 1_024, 2_048].map(Shards::new);
        let counts = counts.map(|shards| shards.map(Shards::count));
        assert_eq!(counts, [None, Some(1), None, Some(64), None, Some(1_024), None]);
    }

    /// From Kafka's own `UtilsTest.testMurmur2`, as unsigned numbers.
    #[test]
    fn murmur2_gives_kafkas_own_test_values() {
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key.as_bytes()), expected.cast_unsigned(), "{key}");
        }
    }
}
