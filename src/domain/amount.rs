//! Exact decimals. An [`Amount`] is a count of 10⁻¹⁸; text with more fractional digits is rounded
//! half-to-even once, when it comes in. [`Scanned`] is decimal text on its way into an amount or a
//! price; [`write_plain`] is the one way out.

use std::fmt;

use ethnum::U256;

use super::price::Price;

/// Fractional digits of an amount.
pub const AMOUNT_DIGITS: u32 = 18;

/// One unit of a currency in amount units.
const ONE: i128 = 10_i128.pow(AMOUNT_DIGITS);

/// Significant digits that a scan keeps; the rest is remembered as "something more". 37, so that
/// one more digit still fits 128 bits.
const SCANNED_DIGITS: u32 = 37;

/// A non-negative decimal, in units of 10⁻¹⁸.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) digits: u128,
    pub(crate) exponent: i64,
    pub(crate) inexact: bool,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount from units of 10⁻¹⁸.
    #[must_use]
    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    /// In units of 10⁻¹⁸.
    #[must_use]
    pub const fn units(self) -> i128 {
        self.0
    }

    /// Appends its plain notation, with at least 6 fractional digits.
    pub fn write(self, out: &mut Vec<u8>) {
        write_plain(out, self.0.unsigned_abs(), AMOUNT_DIGITS);
    }

    /// Reads decimal text; `limit` is the largest value allowed, in whole units of the currency,
    /// 10¹⁸ at most: of larger values the digits that a scan keeps do not tell how to round.
    ///
    /// # Errors
    /// The text is no decimal, negative, or above `limit`.
    pub fn parse(text: &[u8], limit: u64) -> Result<Self, DecimalError> {
        let scanned = Scanned::read(text)?;
        if scanned.exceeds(limit) {
            return Err(DecimalError::AboveLimit);
        }
        let units = scanned.rounded(i64::from(AMOUNT_DIGITS)).ok_or(DecimalError::AboveLimit)?;
        i128::try_from(units).map(Self).map_err(|_| DecimalError::AboveLimit)
    }

    /// `self × price`, rounded half-to-even to 10⁻¹⁸.
    ///
    /// # Errors
    /// The exact product is above `limit` whole units, which is at least 1.
    pub fn times(self, price: Price, limit: u64) -> Result<Self, DecimalError> {
        let units = self.0.unsigned_abs();
        let scale = u32::from(price.scale());
        let bound = u128::from(limit) * ONE.unsigned_abs();
        let (quotient, remainder, divisor) = match units.checked_mul(price.mantissa()) {
            Some(product) if scale <= 37 => {
                let divisor = 10_u128.pow(scale);
                (product / divisor, product % divisor, divisor)
            }
            // Below 2¹²⁷ × 10²⁸: with 67 fractional digits less than half a unit is left.
            _ if scale >= 67 => return Ok(Self::ZERO),
            _ => {
                let product = U256::from(units) * U256::from(price.mantissa());
                let divisor = U256::from(10_u8).pow(scale);
                let (quotient, remainder) = (product / divisor, product % divisor);
                if quotient > U256::from(bound) {
                    return Err(DecimalError::AboveLimit);
                }
                // Scaled down to one digit and "something more", which is all that rounding asks.
                let tenths = remainder * U256::from(10_u8);
                let more = u128::from(tenths % divisor != U256::ZERO);
                ((quotient).as_u128(), (tenths / divisor).as_u128() * 10 + more, 100)
            }
        };
        if quotient > bound || (quotient == bound && remainder > 0) {
            return Err(DecimalError::AboveLimit);
        }
        let rounded = round_half_even(quotient, remainder, divisor, false);
        i128::try_from(rounded).map(Self).map_err(|_| DecimalError::AboveLimit)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_plain(f, |out| self.write(out))
    }
}

impl Scanned {
    /// Reads `digits[.digits][e[±]digits]`, with an optional sign.
    pub(crate) fn read(text: &[u8]) -> Result<Self, DecimalError> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
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
    pub(crate) fn exceeds(&self, limit: u64) -> bool {
        if self.digits == 0 {
            return false;
        }
        let whole_limit = u128::from(limit);
        let above = |value: u128, exact: bool| {
            value > whole_limit || (value == whole_limit && (self.inexact || !exact))
        };
        match power_of_ten(self.exponent.unsigned_abs()) {
            Some(power) if self.exponent >= 0 => {
                let value = self.digits.checked_mul(power);
                value.is_none_or(|value| above(value, true))
            }
            Some(power) => above(self.digits / power, self.digits.is_multiple_of(power)),
            None => self.exponent > 0 || limit == 0,
        }
    }

    /// The value in units of 10^−`scale`, rounded half-to-even; `None` beyond 128 bits.
    pub(crate) fn rounded(&self, scale: i64) -> Option<u128> {
        let shift = self.exponent.saturating_add(scale);
        if self.digits == 0 {
            return Some(0);
        }
        match power_of_ten(shift.unsigned_abs()) {
            Some(power) if shift >= 0 => self.digits.checked_mul(power),
            Some(power) => {
                let (whole, rest) = (self.digits / power, self.digits % power);
                Some(round_half_even(whole, rest, power, self.inexact))
            }
            None if shift > 0 => None,
            None => Some(0),
        }
    }
}

fn read_exponent(text: &[u8]) -> Result<i64, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
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
fn power_of_ten(exponent: u64) -> Option<u128> {
    u32::try_from(exponent).ok().and_then(|exponent| 10_u128.checked_pow(exponent))
}

/// `quotient + (remainder + rest) / divisor`, half to even; `rest` in 0..1, not 0 if `inexact`.
pub(crate) const fn round_half_even(
    quotient: u128,
    remainder: u128,
    divisor: u128,
    inexact: bool,
) -> u128 {
    let complement = divisor - remainder;
    let above = remainder > complement || (remainder == complement && inexact);
    let tie = remainder == complement && !inexact;
    if above || (tie && quotient % 2 == 1) { quotient + 1 } else { quotient }
}

/// Appends `digits × 10^−scale` in plain notation: at least 6 fractional digits, more where the
/// value needs them, never rounded.
pub(crate) fn write_plain(out: &mut Vec<u8>, digits: u128, scale: u32) {
    let mut buffer = itoa::Buffer::new();
    // Most fit 64 bits, which are written in half the time.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_units_rounded_half_to_even_once() {
        let cases = [
            ("0", 0),
            ("-0.0", 0),
            ("1", ONE),
            (".5", ONE / 2),
            ("1.5e-8", 15_000_000_000),
            ("1E3", 1_000 * ONE),
            ("0.0000000000000000005", 0),
            ("0.0000000000000000015", 2),
            ("0.00000000000000000050000000000000000000000000000000000001", 1),
            ("1e-400", 0),
            ("0e999999999999999999999", 0),
            ("00000000000000000000000000000000000000000000000000001", ONE),
        ];
        for (text, units) in cases {
            assert_eq!(Amount::parse(text.as_bytes(), 1_000), Ok(Amount(units)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "-", "1.2.3", "1e", "1e+", "e5", "0x10", " 1", "1 ", "NaN", "1_0"] {
            assert_eq!(
                Amount::parse(text.as_bytes(), 10),
                Err(DecimalError::NotADecimal),
                "{text}"
            );
        }
        assert_eq!(Amount::parse(b"-1", 10), Err(DecimalError::Negative));
        for text in ["10.000000000000000000000000000000000000000000000001", "11", "1e2", "1e99"] {
            assert_eq!(Amount::parse(text.as_bytes(), 10), Err(DecimalError::AboveLimit), "{text}");
        }
    }

    #[test]
    fn amounts_are_written_plainly_with_six_digits_or_more() {
        let cases = [
            (0, "0.000000"),
            (1, "0.000000000000000001"),
            (ONE, "1.000000"),
            (1_250_500_000_000_000_000_000, "1250.500000"),
            (12_345_678_900_000_000, "0.0123456789"),
        ];
        for (units, text) in cases {
            assert_eq!(Amount(units).to_string(), text);
        }
    }
}
