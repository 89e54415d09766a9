//! Numbers of 7 bits a byte, least first (LEB128), and a reader over bytes that never runs past
//! their end. Signed numbers go through zigzag, so that small ones stay short.

use super::checkpoint::CodecError;

/// Appends `value`: 1 byte below 128, 19 at most.
pub(super) fn put(out: &mut Vec<u8>, mut value: u128) {
    while value > 0x7f {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

/// Appends `value` by zigzag.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    let zigzag = (value << 1) ^ (value >> 63);
    put(out, u128::from(zigzag.cast_unsigned()));
}

/// Appends a length.
pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    put(out, u128::try_from(length).unwrap_or(u128::MAX));
}

fn low_bits(value: u128) -> u8 {
    value.to_le_bytes()[0] & 0x7f
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

    pub(super) fn unsigned(&mut self) -> Result<u128, CodecError> {
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
