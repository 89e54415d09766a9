//! Decimal digits in text, eight at a time: as the bytes of one 64-bit word they are told from
//! other bytes and put together in a few steps, whatever their number, without a branch; and taken
//! apart again.

/// Powers of ten in 64 bits.
#[expect(clippy::indexing_slicing, reason = "out of bounds, a constant does not compile")]
pub(crate) const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Digits of one run.
pub(crate) const RUN: usize = 8;

/// The digits that a text begins with, [`RUN`] at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) value: u64,
    pub(crate) count: usize,
}

impl Run {
    #[inline]
    pub(crate) fn read(text: &[u8]) -> Self {
        let digits = word(text) ^ repeated(b'0');
        // The highest bit of every byte above 9. Only what stands behind a first one may be wrong.
        let others = (digits.wrapping_add(repeated(0x7f - 9)) | digits) & repeated(0x80);
        let count = others.trailing_zeros() / 8;
        // The first digit is the lowest byte: moved up, zeros stand in front of it.
        let digits = digits.checked_shl(64 - 8 * count).unwrap_or(0);
        Self { value: eight(digits), count: count as usize }
    }
}

/// The value of eight digits, the first one in the lowest byte.
#[inline]
const fn eight(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

/// As [`eight`], the other way: the digits of a number below 10⁸, zeros in front of it.
#[inline]
pub(crate) const fn eight_of(value: u64) -> u64 {
    let fours = (value / 10_000) | (value % 10_000) << 32;
    // A hundredth and a tenth by multiplication, in each part at once.
    let hundreds = ((fours * 5_243) >> 19) & 0x0000_007f_0000_007f;
    let pairs = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - tens * 10) << 8
}

/// The first eight bytes, the first one lowest; zeros behind the end.
#[inline]
pub(crate) fn word(text: &[u8]) -> u64 {
    text.first_chunk().map_or_else(|| last_word(text), |bytes| u64::from_le_bytes(*bytes))
}

/// As [`word`], of fewer than eight bytes.
#[inline(never)]
fn last_word(text: &[u8]) -> u64 {
    let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    match (text, text.first_chunk(), text.last_chunk()) {
        // Both halves hold what stands in the middle.
        (_, Some(first), Some(last)) => four(first) | (four(last) << (8 * (text.len() - 4))),
        ([a, b, c], ..) => four(&[*a, *b, *c, 0]),
        ([a, b], ..) => four(&[*a, *b, 0, 0]),
        ([a], ..) => u64::from(*a),
        _ => 0,
    }
}

/// A word of eight times this byte.
#[inline]
pub(crate) const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_are_taken_apart_as_they_were_put_together() {
        let parts = (0..10_000).flat_map(|part| [part, part * 10_000, part * 10_001]);
        for value in parts.chain([12_345_678, 99_999_999]) {
            let text = (eight_of(value) | repeated(b'0')).to_le_bytes();
            assert_eq!(str::from_utf8(&text), Ok(&*format!("{value:08}")));
        }
    }

    #[test]
    fn a_run_ends_at_the_first_byte_that_is_no_digit() {
        let digits = b"98765432";
        for count in 0..=RUN {
            let value =
                digits[..count].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
            assert_eq!(Run::read(&digits[..count]), Run { value, count });
            for other in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                let mut text = *b"98765432109";
                text[count] = other;
                assert_eq!(Run::read(&text), Run { value, count }, "{other}");
            }
        }
    }
}
