//! Numbers of 7 bits a byte, least first (LEB128), and a reader over bytes that never runs past
//! their end. Signed numbers go through zigzag, so that small ones stay short.
//!
//! Up to 8 bytes of a number are handled at once, as one word: `spread` moves its groups of 7 bits
//! to a byte each, `gather` moves them back. A longer number is such words one behind the other.

use super::checkpoint::CodecError;

/// What fits the 8 groups of a word.
const WORD_BITS: u32 = 56;
/// The bit of each byte that says that another one follows.
const MORE: u64 = 0x8080_8080_8080_8080;

/// Appends `value`: 1 byte below 128, 10 at most.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 { out.push(value.to_le_bytes()[0]) } else { put_long(out, value) }
}

/// As [`put`], with 2 bytes or more.
fn put_long(out: &mut Vec<u8>, mut value: u64) {
    if value >> WORD_BITS != 0 {
        out.extend_from_slice(&(spread(value) | MORE).to_le_bytes());
        value >>= WORD_BITS;
    }
    let word = spread(value);
    let last = (word | 1).ilog2() / 8; // the byte that ends it
    let length = out.len() + 1 + usize::from(last.to_le_bytes()[0]);
    let more = MORE & !(u64::MAX << (8 * last));
    out.extend_from_slice(&(word | more).to_le_bytes());
    out.truncate(length);
}

/// Appends `value`: 19 bytes at most.
#[inline]
pub(super) fn put_wide(out: &mut Vec<u8>, mut value: u128) {
    loop {
        match u64::try_from(value) {
            Ok(rest) => return put(out, rest),
            Err(_) => {
                let low = value & u128::from(u64::MAX >> (u64::BITS - WORD_BITS));
                let word = spread(u64::try_from(low).unwrap_or_default());
                out.extend_from_slice(&(word | MORE).to_le_bytes());
                value >>= WORD_BITS;
            }
        }
    }
}

/// Appends `value` by zigzag.
#[inline]
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends a length.
pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    put(out, u64::try_from(length).unwrap_or(u64::MAX));
}

/// The lowest 56 bits, 7 in each byte.
const fn spread(value: u64) -> u64 {
    let x = (value & 0x0fff_ffff) | ((value << 4) & (0x0fff_ffff << 32));
    let x = (x & 0x0000_3fff_0000_3fff) | ((x << 2) & 0x3fff_0000_3fff_0000);
    (x & 0x007f_007f_007f_007f) | ((x << 1) & 0x7f00_7f00_7f00_7f00)
}

/// The lowest 7 bits of each byte in one number.
const fn gather(word: u64) -> u64 {
    let x = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let x = (x & 0x0000_3fff_0000_3fff) | ((x & 0x3fff_0000_3fff_0000) >> 2);
    (x & 0x0fff_ffff) | ((x & (0x0fff_ffff << 32)) >> 4)
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, CodecError> {
        let (byte, rest) = self.0.split_first().ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// The next `length` bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// An unsigned number below 2¹²⁸.
    #[inline]
    pub(super) fn unsigned(&mut self) -> Result<u128, CodecError> {
        match self.short() {
            Some(short) => Ok(u128::from(short)),
            None => self.long(),
        }
    }

    /// A number of at most 8 bytes, where as many bytes are left.
    #[inline]
    fn short(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        if *first < 0x80 {
            self.0 = rest;
            return Some(u64::from(*first));
        }
        let word = u64::from_le_bytes(*self.0.first_chunk()?);
        let ends = !word & MORE;
        if ends == 0 {
            return None;
        }
        let length = usize::from((ends.trailing_zeros() / 8 + 1).to_le_bytes()[0]);
        self.0 = self.0.get(length..)?;
        Some(gather(word & (ends ^ ends.wrapping_sub(1))))
    }

    /// What is no short one: mostly 9 to 16 bytes, else at the end, longer still, or damaged.
    #[inline(never)]
    fn long(&mut self) -> Result<u128, CodecError> {
        if let Some((word, rest)) = self.0.split_first_chunk() {
            let (word, mut rest) = (u64::from_le_bytes(*word), Reader(rest));
            if let Some(high) = rest.short() {
                self.0 = rest.0;
                return Ok(u128::from(gather(word)) | (u128::from(high) << WORD_BITS));
            }
        }
        let mut value = 0_u128;
        for shift in (0..u128::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CodecError::Malformed("a number"))
    }

    /// An unsigned number that fits `T`; `what` names it in the error.
    pub(super) fn number<T: TryFrom<u128>>(&mut self, what: &'static str) -> Result<T, CodecError> {
        T::try_from(self.unsigned()?).map_err(|_| CodecError::Malformed(what))
    }

    pub(super) fn signed(&mut self, what: &'static str) -> Result<i64, CodecError> {
        let zigzag: u64 = self.number(what)?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }
}
