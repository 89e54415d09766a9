//! A price as it was written: up to 28 significant digits and 255 fractional ones, packed into
//! 16 bytes. `rust_decimal` ends at 28 fractional digits, which prices of 10⁻²⁰ USD need more of.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::BigUint;
use serde::{Deserialize, Serialize};

use super::decimal::{DecimalError, Scanned, show_plain, write_plain};
use super::digits::POWERS;
use super::ratio::{nearest, nearest_big, signed};

/// Significant digits that a price keeps.
pub const PRICE_DIGITS: u32 = 28;

/// Bits of the mantissa: 10²⁸ is below 2⁹⁴.
const MANTISSA_BITS: u32 = 96;

/// `mantissa × 10^−scale`, without trailing zeros; the scale in the highest 8 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Price(u128);

impl Price {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// A price of `mantissa × 10^−scale`; `None` where the mantissa has more than 28 digits.
    #[must_use]
    pub fn from_parts(mantissa: u128, scale: u8) -> Option<Self> {
        if mantissa >= 10_u128.pow(PRICE_DIGITS) {
            return None;
        }
        match u64::try_from(mantissa) {
            Ok(mantissa) => Some(Self::shortest_of_few(mantissa, scale)),
            Err(_) => Self::shortest(mantissa, i64::from(scale)),
        }
    }

    /// Reads decimal text; `limit` is the largest price allowed, in USD.
    ///
    /// # Errors
    /// The text is no decimal, negative, above `limit`, or finer than 255 fractional digits.
    pub fn parse(text: &[u8], limit: u64) -> Result<Self, DecimalError> {
        Self::scanned(Scanned::read(text)?, limit)
    }

    /// As [`Price::parse`], of text that has been read.
    #[inline]
    pub(crate) fn scanned(scanned: Scanned, limit: u64) -> Result<Self, DecimalError> {
        if scanned.exceeds(limit) {
            return Err(DecimalError::AboveLimit);
        }
        if let (Ok(digits), Ok(scale)) =
            (u64::try_from(scanned.digits), u8::try_from(scanned.exponent.saturating_neg()))
        {
            return Ok(Self::shortest_of_few(digits, scale));
        }
        let Some(log) = scanned.digits.checked_ilog10() else { return Ok(Self::ZERO) };
        let surplus = i64::from((log + 1).saturating_sub(PRICE_DIGITS));
        // At least 0: a value with a positive exponent is written out, and fits, being in limits.
        let scale = scanned.exponent.saturating_add(surplus).saturating_neg().max(0);
        let mantissa = scanned.rounded(scale).ok_or(DecimalError::AboveLimit)?;
        Self::shortest(mantissa, scale).ok_or(DecimalError::TooFine)
    }

    /// Without trailing zeros; `None` where it is too fine all the same.
    fn shortest(mut mantissa: u128, mut scale: i64) -> Option<Self> {
        while scale > 0 && mantissa.is_multiple_of(10) {
            mantissa /= 10;
            scale -= 1;
        }
        u8::try_from(scale).ok().map(|scale| Self::packed(mantissa, scale))
    }

    /// As [`Price::shortest`], of what prices usually have: 64 bits divide far faster than 128.
    #[inline]
    fn shortest_of_few(mut mantissa: u64, mut scale: u8) -> Self {
        while scale > 0 && mantissa.is_multiple_of(10) {
            mantissa /= 10;
            scale -= 1;
        }
        Self::packed(u128::from(mantissa), scale)
    }

    const fn packed(mantissa: u128, scale: u8) -> Self {
        Self(((scale as u128) << MANTISSA_BITS) | mantissa)
    }

    /// A price from what [`mantissa`](Self::mantissa) and [`scale`](Self::scale) have told of it.
    pub(crate) fn kept(mantissa: u128, scale: u8) -> Self {
        Self((u128::from(scale) << MANTISSA_BITS) | mantissa)
    }

    /// The digits, as an integer below 10²⁸.
    #[must_use]
    pub const fn mantissa(self) -> u128 {
        self.0 & ((1 << MANTISSA_BITS) - 1)
    }

    /// How many of them are fractional.
    #[must_use]
    pub fn scale(self) -> u8 {
        u8::try_from(self.0 >> MANTISSA_BITS).unwrap_or(u8::MAX)
    }

    /// Which of two prices is higher. Most have few digits and scales that are near each other.
    #[must_use]
    pub fn order(self, other: Self) -> Ordering {
        let (digits, others) = (self.mantissa(), other.mantissa());
        if self.scale() == other.scale() {
            return digits.cmp(&others);
        }
        let few = (u64::try_from(digits), u64::try_from(others));
        match (few, POWERS.get(usize::from(self.scale().abs_diff(other.scale())))) {
            ((Ok(digits), Ok(others)), Some(power)) => {
                let (digits, others, power) = (digits.into(), others.into(), u128::from(*power));
                if self.scale() < other.scale() {
                    u128::cmp(&(digits * power), &others)
                } else {
                    u128::cmp(&digits, &(others * power))
                }
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Appends its plain notation, with at least 6 fractional digits.
    pub fn write(self, out: &mut Vec<u8>) {
        write_plain(out, self.mantissa(), u32::from(self.scale()));
    }

    /// `(close − open) ÷ open × 100`: the exact quotient, rounded once, to the nearest `f64`.
    /// 0 where the open price is 0.
    #[must_use]
    pub fn change_percent(open: Self, close: Self) -> f64 {
        if open.mantissa() == 0 || open == close {
            return 0.0;
        }
        let scale = open.scale().max(close.scale());
        match (open.at_scale(scale), close.at_scale(scale)) {
            (Some(open), Some(close)) if open >> 64 == 0 && close >> 64 == 0 => {
                signed(close < open, nearest(close.abs_diff(open) * 100, open))
            }
            _ => {
                let (open, close) = (open.at_scale_big(scale), close.at_scale_big(scale));
                if close < open {
                    signed(true, nearest_big(&((&open - close) * 100_u8), &open))
                } else {
                    signed(false, nearest_big(&((close - &open) * 100_u8), &open))
                }
            }
        }
    }

    /// An integer that is the greater, the greater the price is: the place of its first digit, then
    /// its digits.
    #[must_use]
    pub fn rank(self) -> u128 {
        let mantissa = self.mantissa();
        let Some(log) = mantissa.checked_ilog10() else { return 0 };
        let first = u128::from(log + 1 + u32::from(u8::MAX - self.scale()));
        (first << MANTISSA_BITS) | (mantissa * 10_u128.pow(PRICE_DIGITS - 1 - log))
    }

    fn at_scale(self, scale: u8) -> Option<u128> {
        10_u128
            .checked_pow(u32::from(scale - self.scale()))
            .and_then(|power| self.mantissa().checked_mul(power))
    }

    fn at_scale_big(self, scale: u8) -> BigUint {
        BigUint::from(self.mantissa()) * BigUint::from(10_u8).pow(u32::from(scale - self.scale()))
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_plain(f, |out| self.write(out))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(text: &str) -> Price {
        Price::parse(text.as_bytes(), 1_000_000_000_000_000).expect(text)
    }

    #[test]
    fn prices_are_kept_as_written() {
        for (text, shown) in [
            ("0.00000001234", "0.00000001234"),
            ("1e-30", "0.000000000000000000000000000001"),
            ("0.000118000", "0.000118"),
            ("1e15", "1000000000000000.000000"),
            ("1234567890123456789012345678.9", ""),
            ("0.12345678901234567890123456785", "0.1234567890123456789012345678"),
            ("0.12345678901234567890123456775", "0.1234567890123456789012345678"),
            (
                "0.123456789012345678901234567850000000000000000001",
                "0.1234567890123456789012345679",
            ),
            ("9.9999999999999999999999999999", "10.000000"),
        ] {
            match Price::parse(text.as_bytes(), 1_000_000_000_000_000) {
                Ok(price) => assert_eq!(price.to_string(), shown, "{text}"),
                Err(error) => assert!(shown.is_empty() && error == DecimalError::AboveLimit),
            }
        }
        assert_eq!(Price::parse(b"1e-256", 1), Err(DecimalError::TooFine));
    }

    #[test]
    fn ranks_are_in_the_order_of_the_prices() {
        let rising = [
            "0",
            "1e-255",
            "2e-255",
            "1e-200",
            "9.99e-31",
            "1e-30",
            "0.000000099",
            "0.0000001",
            "0.1234567890123456789012345677",
            "0.1234567890123456789012345678",
            "0.9",
            "0.95",
            "1",
            "1.05",
            "9",
            "10",
            "10.00000000000000000000000001",
            "99.5",
            "100",
            "1e15",
        ];
        let ranks: Vec<_> = rising.iter().map(|text| price(text).rank()).collect();
        assert!(ranks.is_sorted_by(|left, right| left < right), "{ranks:?}");
        assert!(i128::try_from(price("1e15").rank()).is_ok());
    }

    #[test]
    fn change_is_the_nearest_number_to_the_exact_quotient() {
        for (open, close, percent) in [
            ("100", "102.5", 2.5),
            ("102.5", "100", -2.439_024_390_243_902_5),
            ("3", "4", 33.333_333_333_333_336),
            ("0", "4", 0.0),
            ("4", "0", -100.0),
            ("1e-200", "1e15", 1e217),
            ("0.1234567890123456789012345678", "0.2469135780246913578024691356", 100.0),
        ] {
            assert!((Price::change_percent(price(open), price(close)) - percent).abs() <= 0.0);
        }
    }

    fn any_price() -> impl Strategy<Value = Price> {
        let digits = prop_oneof![0_u128..30, any::<u64>().prop_map(u128::from), 0..10_u128.pow(28)];
        (digits, prop_oneof![0_u8..6, 0_u8..=255])
            .prop_map(|(digits, scale)| Price::from_parts(digits, scale).unwrap())
    }

    proptest! {
        #[test]
        fn the_order_of_prices_is_that_of_their_ranks(one in any_price(), other in any_price()) {
            prop_assert_eq!(one.order(other), one.rank().cmp(&other.rank()));
        }
    }
}
