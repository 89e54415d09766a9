//! A token's hash: Kafka's murmur2 of its address. One hash decides three things: the shard that
//! keeps the token, its place in the shard's table, and the output partition, which must be the
//! one that every Kafka client's default partitioner computes.

use serde::{Deserialize, Serialize};

use super::position::Partition;

/// Shards that the tokens are spread over. Part of the checkpoint's layout: a change of it would
/// look for tokens in the wrong shard.
pub const SHARDS: u16 = 64;

/// Kafka's murmur2 of a token's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub u32);

/// One of the [`SHARDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard whose owner answers for a partition: sends the dead letters of what no shard can
    /// take, and commits its offset. Neighbours lie apart, so that each member answers for some.
    #[must_use]
    pub fn answering_for(Partition(partition): Partition, shards: u16) -> Self {
        const APART: i64 = 37;
        let shard = (i64::from(partition) * APART).rem_euclid(i64::from(shards.max(1)));
        Self(u16::try_from(shard).unwrap_or(0))
    }
}

impl TokenHash {
    /// The hash of an address.
    #[must_use]
    pub fn of(address: &str) -> Self {
        Self(murmur2(address.as_bytes()))
    }

    /// The shard that keeps the token.
    #[must_use]
    pub fn shard(self) -> ShardId {
        // The low bits choose the output partition; the high ones are as even and independent.
        ShardId(u16::try_from((self.0 >> 16) % u32::from(SHARDS)).unwrap_or(0))
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
    use super::*;

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
