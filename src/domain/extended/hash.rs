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
