//! Exact amounts. An [`Amount`] is a count of 10⁻¹⁸; text with more fractional digits is rounded
//! half-to-even once, when it comes in.

use std::fmt;

pub use super::decimal::DecimalError;
use super::decimal::{Scanned, write_plain};
use super::price::Price;
use super::wide::Wide;

/// Fractional digits of an amount.
pub const AMOUNT_DIGITS: u32 = 18;

/// One unit of a currency in amount units.
const ONE: i128 = 10_i128.pow(AMOUNT_DIGITS);

/// A non-negative decimal, in units of 10⁻¹⁸.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

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

    /// Reads decimal text; `limit` is the largest value allowed, in whole units of the currency,
    /// 10¹⁸ at most: of larger values the digits that a scan keeps do not tell how to round.
    ///
    /// # Errors
    /// The text is no decimal, negative, or above `limit`.
    pub fn parse(text: &[u8], limit: u64) -> Result<Self, DecimalError> {
        Self::scanned(Scanned::read(text)?, limit)
    }

    /// As [`Amount::parse`], of text that has been read.
    #[inline]
    pub(crate) fn scanned(scanned: Scanned, limit: u64) -> Result<Self, DecimalError> {
        let units = scanned.rounded(i64::from(AMOUNT_DIGITS));
        let above = if scanned.exponent >= -i64::from(AMOUNT_DIGITS) {
            // Nothing was rounded: the units themselves can be compared.
            let bound = u128::from(limit) * ONE.unsigned_abs();
            units.is_some_and(|units| units > bound || (units == bound && scanned.inexact))
        } else {
            scanned.exceeds(limit)
        };
        Self::of(units.filter(|_| !above))
    }

    /// What has no place in 128 bits is above every limit.
    fn of(units: Option<u128>) -> Result<Self, DecimalError> {
        let units = units.and_then(|units| i128::try_from(units).ok());
        units.map(Self).ok_or(DecimalError::AboveLimit)
    }

    /// `self × price`, rounded half-to-even to 10⁻¹⁸.
    ///
    /// # Errors
    /// The exact product is above `limit` whole units, which is at least 1.
    #[inline]
    pub fn times(self, price: Price, limit: u64) -> Result<Self, DecimalError> {
        let product = Wide::product(self.0.unsigned_abs(), price.mantissa());
        let quotient = product.divided(u32::from(price.scale()));
        let bound = u128::from(limit) * ONE.unsigned_abs();
        let above = |whole| whole > bound || (whole == bound && !quotient.is_exact());
        if quotient.whole.is_none_or(above) {
            return Err(DecimalError::AboveLimit);
        }
        Self::of(quotient.rounded(false))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_plain(f, self.0.unsigned_abs(), AMOUNT_DIGITS)
    }
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
