//! Decimal text on its way into an amount or a price, and out again. [`Scanned`] is what was read;
//! [`write_plain`] is the one way out. Usual text is read eight digits at a time
//! ([`Scanned::usual`]), any other byte by byte, to the same result.

use std::fmt;

use super::digits::{POWERS as SHORT_POWERS, RUN, Run, eight_of, repeated};
use super::wide::Wide;

/// Significant digits that a scan keeps; the rest is remembered as "something more". 37, so that
/// one more digit still fits 128 bits.
const SCANNED_DIGITS: u32 = 37;

/// Digits of usual text: together they fit 128 bits, zeros in front counted.
const USUAL_DIGITS: usize = 37;

/// Why text is no amount or price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not of the form `digits[.digits][e[±]digits]`.
    #[error("not a decimal number")]
    NotADecimal,
    /// Below zero.
    #[error("negative")]
    Negative,
    /// Above the limit of its field.
    #[error("above the limit")]
    AboveLimit,
    /// A price that needs more than 255 fractional digits.
    #[error("more than 255 fractional digits")]
    TooFine,
}

/// Decimal text, read: `(digits + rest) × 10^exponent`, where `rest` is in 0..1 and not 0 if
/// `inexact`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) digits: u128,
    pub(crate) exponent: i64,
    pub(crate) inexact: bool,
}

impl Scanned {
    /// What stands at the beginning of a text, and the text behind it:
    /// `digits[.digits][e[±]digits]` with a digit on both sides of the point, [`USUAL_DIGITS`] at
    /// most, read eight at a time. `None`: not of this form.
    #[inline(always)]
    pub(crate) fn usual(text: &[u8]) -> Option<(Self, &[u8])> {
        let (mut digits, mut rest) = append(0, text)?;
        let mut count = text.len() - rest.len();
        let mut exponent = 0;
        if count == 0 {
            return None;
        }
        if let Some((b'.', fraction)) = rest.split_first() {
            (digits, rest) = append(digits, fraction)?;
            let places = fraction.len() - rest.len();
            if places == 0 {
                return None;
            }
            count += places;
            exponent = -i64::try_from(places).ok()?;
        }
        if let Some((b'e' | b'E', after)) = rest.split_first() {
            let (negative, after) = sign(after);
            let run = Run::read(after);
            if !(1..RUN).contains(&run.count) {
                return None;
            }
            let value = i64::try_from(run.value).ok()?;
            exponent += if negative { -value } else { value };
            rest = after.get(run.count..)?;
        }
        let scanned = Self { digits, exponent, inexact: false };
        (count <= USUAL_DIGITS).then_some((scanned, rest))
    }

    /// Reads `digits[.digits][e[±]digits]`, with an optional sign.
    pub(crate) fn read(text: &[u8]) -> Result<Self, DecimalError> {
        match Self::usual(text) {
            Some((scanned, [])) => Ok(scanned),
            _ => Self::any(text),
        }
    }

    fn any(text: &[u8]) -> Result<Self, DecimalError> {
        let (negative, text) = sign(text);
        let mut scanned = Self { digits: 0, exponent: 0, inexact: false };
        let mut count = 0_u32;
        let mut seen_digit = false;
        let mut fraction = false;
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'0'..=b'9' => {
                    seen_digit = true;
                    if count < SCANNED_DIGITS {
                        scanned.digits = scanned.digits * 10 + u128::from(byte - b'0');
                        count += u32::from(scanned.digits != 0);
                        scanned.exponent -= i64::from(fraction);
                    } else {
                        scanned.inexact |= *byte != b'0';
                        scanned.exponent += i64::from(!fraction);
                    }
                }
                b'.' if !fraction => fraction = true,
                b'e' | b'E' if seen_digit => {
                    let exponent = read_exponent(bytes.as_slice())?;
                    scanned.exponent = scanned.exponent.saturating_add(exponent);
                    break;
                }
                _ => return Err(DecimalError::NotADecimal),
            }
        }
        if !seen_digit {
            return Err(DecimalError::NotADecimal);
        }
        if negative && scanned.digits != 0 {
            return Err(DecimalError::Negative);
        }
        Ok(scanned)
    }

    /// Whether the exact value is above `limit`.
    #[inline]
    pub(crate) fn exceeds(&self, limit: u64) -> bool {
        if self.digits == 0 {
            return false;
        }
        let limit = u128::from(limit);
        match power_of_ten(self.exponent.unsigned_abs()) {
            Some(power) if self.exponent >= 0 => self
                .digits
                .checked_mul(power)
                .is_none_or(|whole| whole > limit || (whole == limit && self.inexact)),
            Some(power) => limit
                .checked_mul(power)
                .is_some_and(|limit| self.digits > limit || (self.digits == limit && self.inexact)),
            None => self.exponent > 0 || limit == 0,
        }
    }

    /// The value in units of 10^−`scale`, rounded half-to-even; `None` beyond 128 bits.
    #[inline]
    pub(crate) fn rounded(&self, scale: i64) -> Option<u128> {
        let shift = self.exponent.saturating_add(scale);
        if self.digits == 0 {
            return Some(0);
        }
        match u32::try_from(shift.unsigned_abs()) {
            Ok(power) if shift < 0 && power <= HIGHEST_POWER => {
                Wide::product(self.digits, 1).divided(power).rounded(self.inexact)
            }
            _ if shift < 0 => Some(0),
            _ => {
                power_of_ten(shift.unsigned_abs()).and_then(|power| self.digits.checked_mul(power))
            }
        }
    }
}

/// `digits` with those behind it that `text` begins with, and the text behind these. Right where
/// there are no more in all than [`USUAL_DIGITS`].
#[inline(always)]
fn append(mut digits: u128, mut text: &[u8]) -> Option<(u128, &[u8])> {
    loop {
        let run = Run::read(text);
        let power = *POWERS.get(run.count)?;
        digits = digits.wrapping_mul(power).wrapping_add(u128::from(run.value));
        text = text.get(run.count..)?;
        if run.count < RUN {
            return Some((digits, text));
        }
    }
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn read_exponent(text: &[u8]) -> Result<i64, DecimalError> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::NotADecimal);
    }
    // Saturating: beyond this every value is zero or above every limit anyway.
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(i64::MAX / 4)
    });
    Ok(if negative { -value } else { value })
}

/// 10^`exponent` where it fits 128 bits.
#[inline]
fn power_of_ten(exponent: u64) -> Option<u128> {
    POWERS.get(usize::try_from(exponent).ok()?).copied()
}

/// The highest power of ten in 128 bits: divided by a higher one less than a tenth is left of
/// anything.
const HIGHEST_POWER: u32 = 38;

/// All of them.
#[expect(clippy::indexing_slicing, reason = "out of bounds, a constant does not compile")]
const POWERS: [u128; HIGHEST_POWER as usize + 1] = {
    let mut powers = [1; HIGHEST_POWER as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Appends `digits × 10^−scale` in plain notation: at least 6 fractional digits, more where the
/// value needs them, never rounded.
pub(crate) fn write_plain(out: &mut Vec<u8>, digits: u128, scale: u32) {
    match usual_parts(digits, scale) {
        Some((whole, fraction)) => write_parts(out, whole, fraction),
        None => write_any(out, digits, scale),
    }
}

/// What stands before the point and, in units of 10⁻¹⁸, behind it; `None` where either has more
/// than 64 bits, or there are finer digits.
#[inline]
fn usual_parts(digits: u128, scale: u32) -> Option<(u64, u64)> {
    let finer = FINEST.checked_sub(scale)?;
    match u64::try_from(digits) {
        Ok(digits) => {
            let [one, unit] = [scale, finer].map(|power| SHORT_POWERS.get(power as usize).copied());
            let (one, unit) = (one?, unit?);
            Some((digits / one, digits % one * unit))
        }
        Err(_) if finer == 0 => {
            let (whole, fraction) = Wide::product(digits, 1).divided(FINEST).parts();
            Some((u64::try_from(whole?).ok()?, fraction))
        }
        Err(_) => None,
    }
}

/// Fractional digits of the usual way.
const FINEST: u32 = 18;

#[inline]
fn write_parts(out: &mut Vec<u8>, whole: u64, fraction: u64) {
    match u8::try_from(whole) {
        Ok(digit @ 0..=9) => out.push(b'0' + digit),
        _ => out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes()),
    }
    let (front, rest) = (fraction / 10_u64.pow(16), fraction % 10_u64.pow(16));
    let words = [front, rest / 10_u64.pow(8), rest % 10_u64.pow(8)].map(eight_of);
    // The last digit other than 0 decides; what stands in front of the first word's two is none.
    let [front, middle, last] = words.map(|digits| RUN - digits.leading_zeros() as usize / 8);
    let needed = match (last, middle) {
        (0, 0) => front.saturating_sub(6),
        (0, _) => 2 + middle,
        _ => 10 + last,
    };
    let [front, middle, last] = words.map(|digits| (digits | repeated(b'0')).to_le_bytes());
    let begin = out.len();
    out.extend_from_slice(&[b'.', front[6], front[7]]);
    out.extend_from_slice(&middle);
    out.extend_from_slice(&last);
    out.truncate(begin + 1 + needed.max(LEAST_FRACTION.len()));
}

/// As [`write_plain`], of anything.
fn write_any(out: &mut Vec<u8>, digits: u128, scale: u32) {
    let mut buffer = itoa::Buffer::new();
    let text = match u64::try_from(digits) {
        Ok(digits) => buffer.format(digits),
        Err(_) => buffer.format(digits),
    };
    let text = text.as_bytes();
    let scale = usize::try_from(scale).unwrap_or(0);
    let point = text.len().saturating_sub(scale);
    let (whole, fraction) = text.split_at_checked(point).unwrap_or((text, b""));
    let needed = fraction.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    let zeros = if needed == 0 { 0 } else { scale.saturating_sub(text.len()) };
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    out.push(b'.');
    out.resize(out.len() + zeros, b'0');
    out.extend_from_slice(fraction.get(..needed).unwrap_or_default());
    out.extend_from_slice(LEAST_FRACTION.get(zeros + needed..).unwrap_or_default());
}

/// Fractional digits that are always written.
const LEAST_FRACTION: &[u8] = b"000000";

/// Shows what `write` appends: ASCII.
pub(crate) fn show_plain(
    f: &mut fmt::Formatter<'_>,
    write: impl FnOnce(&mut Vec<u8>),
) -> fmt::Result {
    let mut text = Vec::new();
    write(&mut text);
    f.write_str(str::from_utf8(&text).unwrap_or_default())
}
