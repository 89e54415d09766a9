//! Quotients, rounded once: to the nearest number of 64 bits, or to as many digits as a price
//! keeps.

use num_bigint::BigUint;

use super::price::{PRICE_DIGITS, Price};

/// `(now − before) ÷ before × 100`: per cent, the nearest number to the exact quotient; `None`
/// where `before` is 0.
#[must_use]
pub fn change_percent(before: u128, now: u128) -> Option<f64> {
    let difference = now.abs_diff(before);
    match (difference.checked_mul(100), before) {
        (_, 0) => None,
        (Some(hundredfold), _) if hundredfold >> 71 == 0 && before >> 64 == 0 => {
            Some(signed(now < before, nearest(hundredfold, before)))
        }
        _ => {
            let hundredfold = BigUint::from(difference) * 100_u8;
            Some(signed(now < before, nearest_big(&hundredfold, &BigUint::from(before))))
        }
    }
}

/// `a ÷ b`, the nearest number to the exact quotient; `None` where `b` is 0.
#[must_use]
pub fn of_counts(a: u64, b: u64) -> Option<f64> {
    (b != 0).then(|| nearest(u128::from(a), u128::from(b)))
}

/// `a ÷ b`, rounded half to even at 28 significant digits; `None` where `b` is 0, or the quotient
/// has more than 28 digits before the point.
#[must_use]
pub fn as_price(a: u128, b: u128) -> Option<Price> {
    let (Some(a_log), Some(b_log)) = (a.checked_ilog10(), b.checked_ilog10()) else {
        return (b != 0).then_some(Price::ZERO);
    };
    // One digit too many at most: the quotient lies within a factor of 10 of what the logs say.
    let scale = i64::from(PRICE_DIGITS) - (i64::from(a_log) - i64::from(b_log));
    let (a, b) = (BigUint::from(a), BigUint::from(b));
    let at = |scale: i64| -> Option<(u128, u8)> {
        let power = BigUint::from(10_u8).pow(u32::try_from(scale).ok()?);
        let (whole, rest) = (&a * &power / &b, &a * power % &b);
        let whole = u128::try_from(whole).ok()?;
        let up = match (rest * 2_u8).cmp(&b) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => whole % 2 == 1,
            std::cmp::Ordering::Greater => true,
        };
        Some((whole + u128::from(up), u8::try_from(scale).ok()?))
    };
    let most = 10_u128.pow(PRICE_DIGITS);
    let fits = |(mantissa, _): &(u128, u8)| *mantissa <= most;
    let (mantissa, scale) = at(scale).filter(fits).or_else(|| at(scale - 1).filter(fits))?;
    if mantissa == most {
        return Price::from_parts(mantissa / 10, scale.checked_sub(1)?);
    }
    Price::from_parts(mantissa, scale)
}

pub(super) fn signed(negative: bool, value: f64) -> f64 {
    if negative { -value } else { value }
}

/// `a ÷ b`, correctly rounded: a quotient of 63 or 64 bits whose lowest bit says whether anything
/// is left, so that the one conversion to 53 bits rounds right. `a` is below 2⁷¹, `b` in 1..2⁶⁴.
pub(super) fn nearest(a: u128, b: u128) -> f64 {
    if a == 0 {
        return 0.0;
    }
    let (a_bits, b_bits) = (u128::BITS - a.leading_zeros(), u128::BITS - b.leading_zeros());
    let shift = 63 + i64::from(b_bits) - i64::from(a_bits);
    let (a, b) = match u32::try_from(shift) {
        Ok(up) => (a << up, b),
        Err(_) => (a, b << shift.unsigned_abs()),
    };
    let quotient = a / b;
    with_sticky(u64::try_from(quotient).unwrap_or(u64::MAX), quotient * b != a, shift)
}

/// As [`nearest`], of any size.
pub(super) fn nearest_big(a: &BigUint, b: &BigUint) -> f64 {
    let bits = |value: &BigUint| i64::try_from(value.bits()).unwrap_or(i64::MAX);
    let shift = 63 + bits(b) - bits(a);
    let by = shift.unsigned_abs();
    let (a, b) = if shift >= 0 { (a << by, b.clone()) } else { (a.clone(), b << by) };
    let sticky = &a % &b != BigUint::ZERO;
    with_sticky(u64::try_from(a / b).unwrap_or(u64::MAX), sticky, shift)
}

#[expect(clippy::cast_precision_loss, reason = "the one rounding, to nearest, that is wanted")]
fn with_sticky(quotient: u64, sticky: bool, shift: i64) -> f64 {
    let exponent = i32::try_from(-shift).unwrap_or(i32::MAX);
    (quotient | u64::from(sticky)) as f64 * 2_f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn per_cent_and_ratios_are_the_nearest_numbers() {
        for (before, now, percent) in [
            (4, 6, Some(50.0)),
            (3, 4, Some(33.333_333_333_333_336)),
            (7, 7, Some(0.0)),
            (7, 0, Some(-100.0)),
            (0, 5, None),
            (u128::MAX / 2, u128::MAX / 4, Some(-50.0)),
        ] {
            assert_eq!(change_percent(before, now), percent, "{before} to {now}");
        }
        assert_eq!(of_counts(1, 3), Some(1.0 / 3.0));
        assert_eq!((of_counts(0, u64::MAX), of_counts(5, 0)), (Some(0.0), None));
    }

    #[test]
    fn a_quotient_has_28_digits_rounded_half_to_even() {
        let nines = 10_u128.pow(30) - 1;
        for (a, b, shown) in [
            (1, 3, "0.3333333333333333333333333333"),
            (2, 3, "0.6666666666666666666666666667"),
            (10, 4, "2.500000"),
            (0, 7, "0.000000"),
            (nines, 10_u128.pow(30), "1.000000"),
            (1, 10_u128.pow(38), "0.00000000000000000000000000000000000001"),
            (10_u128.pow(28) + 5, 10_u128.pow(28), "1.000000"),
            (10_u128.pow(28) + 15, 10_u128.pow(28), "1.000000000000000000000000002"),
        ] {
            assert_eq!(as_price(a, b).unwrap().to_string(), shown, "{a} / {b}");
        }
        assert_eq!((as_price(1, 0), as_price(10_u128.pow(38), 1)), (None, None));
    }

    proptest! {
        /// No neighbour of as many digits lies nearer to the quotient.
        #[test]
        fn a_quotient_is_the_nearest_of_its_digits(a in 1..i128::MAX, b in 1..i128::MAX) {
            let (a, b) = (a.unsigned_abs(), b.unsigned_abs());
            if let Some(price) = as_price(a, b) {
                let power = BigUint::from(10_u8).pow(u32::from(price.scale()));
                let (exact, ours) = (BigUint::from(a) * power, BigUint::from(price.mantissa()) * b);
                let off = if exact > ours { &exact - &ours } else { &ours - &exact };
                let digits = price.mantissa().checked_ilog10().unwrap_or(0) + 1;
                let unit = BigUint::from(10_u8).pow(PRICE_DIGITS - digits);
                prop_assert!(off * 2_u8 * unit <= BigUint::from(b));
            }
        }
    }
}
