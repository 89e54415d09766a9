//! A hash of 64 bits of a wallet's text: words of eight bytes, folded by products of 128 bits, two
//! words a product. It stands in checkpoints, so it never changes; the values that it has for some
//! texts are kept in a test.

/// Odd numbers without a pattern: digits of π.
const KEYS: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// The hash of a text.
pub(super) fn hash(text: &[u8]) -> u64 {
    let [first, second, third, fourth] = KEYS;
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let (pairs, rest) = text.as_chunks::<16>();
    let folded = pairs.iter().fold(first ^ length.wrapping_mul(fourth), |hash, pair| {
        let (left, right) = halves(pair);
        fold(left ^ hash, right ^ second).wrapping_add(hash.rotate_left(23))
    });
    let mut last = [0; 16];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    let (left, right) = halves(&last);
    fold(fold(left ^ folded, right ^ third) ^ second, folded ^ fourth)
}

/// Both halves of 16 bytes, the lowest byte first.
fn halves(bytes: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*bytes);
    (low(both), low(both >> 64))
}

/// The two halves of the product, one over the other.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    low(product) ^ low(product >> 64)
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest 64 bits are what is wanted")]
const fn low(value: u128) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// They stand in checkpoints.
    #[test]
    fn a_hash_never_changes() {
        let texts = ["", "a", "0x0000000000000000000000000000000000000001", "0123456789abcdef"];
        let hashes = texts.map(|text| hash(text.as_bytes()));
        let kept = [
            750_500_872_552_994_515,
            11_009_035_328_603_648_589,
            16_750_843_870_171_953_276,
            18_336_492_779_563_918_038,
        ];
        assert_eq!(hashes, kept);
    }

    #[test]
    fn texts_that_differ_in_little_have_other_hashes_and_halves() {
        let mut texts = BTreeSet::from([Vec::new()]);
        for length in 1..70_u8 {
            texts.extend([0, 1, b'0'].map(|byte| vec![byte; usize::from(length)]));
            texts.extend((0..length).flat_map(|at| {
                (0..8).map(move |bit| {
                    let mut text = vec![b'A'; usize::from(length)];
                    text[usize::from(at)] ^= 1 << bit;
                    text
                })
            }));
        }
        let hashes: BTreeSet<_> = texts.iter().map(|text| hash(text)).collect();
        let upper: BTreeSet<_> = hashes.iter().map(|hash| hash >> 28).collect();
        let lower: BTreeSet<_> = hashes.iter().map(|hash| hash & ((1 << 36) - 1)).collect();
        assert_eq!((hashes.len(), lower.len()), (texts.len(), texts.len()));
        assert_eq!(upper.len(), texts.len());
    }
}
