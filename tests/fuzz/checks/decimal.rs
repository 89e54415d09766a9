//! Decimal text, read into exact decimals of another implementation (`bigdecimal`).

use std::str::FromStr;

use aggregator_service::domain::amount::{AMOUNT_DIGITS, Amount, DecimalError};
use aggregator_service::domain::price::{PRICE_DIGITS, Price};
use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode};

/// A number of any size: `0.digits × 10^magnitude`; no digits where it is 0.
pub(crate) struct Number {
    negative: bool,
    digits: String,
    magnitude: i128,
}

/// Reads `[±]digits[.digits][e[±]digits]`; `None` of anything else.
pub(crate) fn read(text: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(text).ok()?;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = all.trim_start_matches('0');
    let zeros = all.len() - digits.len();
    let magnitude = exponent + i128::try_from(whole.len()).ok()? - i128::try_from(zeros).ok()?;
    Some(Number { negative, digits: digits.trim_end_matches('0').to_owned(), magnitude })
}

/// An exponent of more digits than matter is told as one of a few.
fn read_exponent(text: &str) -> Option<i128> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.trim_start_matches('0');
    let size: i128 =
        if size.len() > 15 { 10_i128.pow(15) } else { format!("0{size}").parse().ok()? };
    Some(if text.starts_with('-') { -size } else { size })
}

impl Number {
    /// The exact value, at most `limit`. Nothing is computed where the magnitude says it all.
    fn within(&self, limit: u64) -> Result<BigDecimal, DecimalError> {
        if self.digits.is_empty() {
            return Ok(BigDecimal::from(0));
        }
        if self.negative {
            return Err(DecimalError::Negative);
        }
        // A limit has 20 digits at most.
        if self.magnitude > 20 || limit == 0 {
            return Err(DecimalError::AboveLimit);
        }
        if self.magnitude < -NOTHING {
            return Ok(BigDecimal::new(BigInt::from(1), NOTHING.try_into().expect("small")));
        }
        let value = BigDecimal::from_str(&format!("0.{}e{}", self.digits, self.magnitude));
        let value = value.expect("digits");
        if value > limit { Err(DecimalError::AboveLimit) } else { Ok(value) }
    }

    /// As an amount: units of 10⁻¹⁸.
    pub(crate) fn units(&self, limit: u64) -> Result<BigInt, DecimalError> {
        self.within(limit).map(|value| units(&value))
    }

    /// As a price.
    pub(crate) fn price(&self, limit: u64) -> Result<BigDecimal, DecimalError> {
        let value = self.within(limit)?;
        let kept = u64::from(PRICE_DIGITS).try_into().expect("not 0");
        let rounded = value.with_precision_round(kept, RoundingMode::HalfEven).normalized();
        if rounded.fractional_digit_count() > 255 {
            return Err(DecimalError::TooFine);
        }
        Ok(rounded)
    }
}

/// In units of 10⁻¹⁸, rounded half to even.
pub(crate) fn units(value: &BigDecimal) -> BigInt {
    let scale = i64::from(AMOUNT_DIGITS);
    value.with_scale_round(scale, RoundingMode::HalfEven).into_bigint_and_scale().0
}

/// What a price says.
pub(crate) fn of_price(price: Price) -> BigDecimal {
    BigDecimal::from_bigint(price.mantissa().into(), i64::from(price.scale()))
}

/// What an amount says.
pub(crate) fn of_amount(amount: Amount) -> BigDecimal {
    BigDecimal::from_bigint(amount.units().into(), i64::from(AMOUNT_DIGITS))
}

/// Below 10 to the minus this, a value is nothing as an amount and too fine as a price.
const NOTHING: i128 = 400;
