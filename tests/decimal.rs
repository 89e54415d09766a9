//! Amounts and prices against an independent implementation of decimals, `bigdecimal`: reading,
//! limits, rounding, products, writing and the change in percent, over random texts. The texts
//! favour what goes wrong: ties, digits behind the kept ones, zeros in front, exponents.
#![cfg(test)]

use std::str::FromStr;

use aggregator_service::domain::amount::{Amount, DecimalError};
use aggregator_service::domain::price::{PRICE_DIGITS, Price};
use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, Signed, Zero};
use proptest::prelude::*;

const AMOUNT_SCALE: i64 = 18;
const LIMIT: u64 = 1_000_000_000_000_000;

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[+-]?0{0,3}[0-9]{1,16}",
        "0{0,3}[0-9]{1,16}(\\.[0-9]{1,45})?([eE][+-]?[0-9]{1,2})?",
        "[0-9]{1,5}\\.[0-9]{17}[0-9]50{0,40}[01]?",
        "0\\.0{0,20}[1-9][0-9]{27}50{0,40}[01]?",
        "9{1,16}\\.9{15,45}[45]?",
        "[0-9]{1,40}e-[0-9]{1,3}",
        "1000000000000000(\\.0{1,50}[01])?",
        "0\\.0{0,250}[0-9]{1,45}",
        // Where 64 bits end, and what is read at once.
        "1844674407370955161[0-9](e-[1-9])?",
        "[0-9]{18,20}e-[0-9]{1,2}",
        "[0-9]{1,3}\\.[0-9]{15,21}",
        "[0-9]{1,2}\\.[0-9]{34,38}",
    ]
}

/// Numbers next to the ends of 64 bits and of their powers of ten.
fn at_an_edge() -> impl Strategy<Value = u128> {
    let edges = vec![1 << 32, 10_u128.pow(18), 10_u128.pow(19), 1 << 64, 10_u128.pow(27)];
    (prop::sample::select(edges), 0..5_u128).prop_map(|(edge, more)| edge - 2 + more)
}

fn exact(text: &str) -> BigDecimal {
    BigDecimal::from_str(text).expect(text)
}

fn units(value: &BigDecimal) -> BigInt {
    value.with_scale_round(AMOUNT_SCALE, RoundingMode::HalfEven).into_bigint_and_scale().0
}

fn expected_price(value: &BigDecimal) -> Result<BigDecimal, DecimalError> {
    let kept = u64::from(PRICE_DIGITS).try_into().expect("not 0");
    let rounded = value.with_precision_round(kept, RoundingMode::HalfEven).normalized();
    if rounded.fractional_digit_count() > 255 {
        return Err(DecimalError::TooFine);
    }
    Ok(rounded)
}

fn of_price(price: Price) -> BigDecimal {
    BigDecimal::from_bigint(price.mantissa().into(), i64::from(price.scale()))
}

fn assert_plain(shown: &str, value: &BigDecimal) {
    let (whole, fraction) = shown.split_once('.').expect("a point");
    assert_eq!(&exact(shown), value);
    assert!(!whole.is_empty() && fraction.len() >= 6, "{shown}");
    assert!(whole == "0" || !whole.starts_with('0'), "{shown}");
    assert!(fraction.len() == 6 || !fraction.ends_with('0'), "{shown}");
    assert!(!shown.contains(['e', 'E', '+', '-']), "{shown}");
}

/// Whether `f` is the `f64` nearest to `a ÷ b`, the even one of two as near. `b` is above 0.
fn is_nearest(f: f64, a: &BigDecimal, b: &BigDecimal) -> bool {
    let distance = |f: f64| (BigDecimal::try_from(f).expect("finite") * b - a).abs();
    let own = distance(f);
    [f.next_up(), f.next_down()].into_iter().all(|other| {
        let theirs = distance(other);
        own < theirs || (own == theirs && f.to_bits().is_multiple_of(2))
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_096,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_amount_is_its_text_rounded_half_to_even(text in texts()) {
        let value = exact(&text);
        let expected = if value.is_negative() {
            Err(DecimalError::Negative)
        } else if value > LIMIT {
            Err(DecimalError::AboveLimit)
        } else {
            Ok(units(&value))
        };
        let amount = Amount::parse(text.as_bytes(), LIMIT);
        prop_assert_eq!(amount.map(|amount| BigInt::from(amount.units())), expected);
    }

    #[test]
    fn a_price_is_its_text_to_28_digits(text in texts()) {
        let value = exact(&text);
        let expected = if value.is_negative() {
            Err(DecimalError::Negative)
        } else if value > LIMIT {
            Err(DecimalError::AboveLimit)
        } else {
            expected_price(&value)
        };
        prop_assert_eq!(Price::parse(text.as_bytes(), LIMIT).map(of_price), expected);
    }

    #[test]
    fn a_product_is_rounded_once_and_its_limit_is_exact(
        amount in prop_oneof![
            0..=10_i128.pow(36),
            0..=10_i128.pow(20),
            0..=i128::MAX,
            at_an_edge().prop_map(|edge| edge.cast_signed()),
        ],
        mantissa in prop_oneof![
            0..10_u128.pow(28),
            0..10_u128.pow(9),
            (0..28_u32).prop_map(|digits| 10_u128.pow(digits) / 2),
            at_an_edge(),
        ],
        scale in prop_oneof![0..=255_u8, 0..=40_u8, 60..=70_u8, 17..=20_u8, 36..=39_u8, 56..=58_u8],
    ) {
        let price = Price::from_parts(mantissa, scale).expect("28 digits");
        let value = BigDecimal::from_bigint(amount.into(), AMOUNT_SCALE) * of_price(price);
        let expected = if value > LIMIT {
            Err(DecimalError::AboveLimit)
        } else {
            Ok(units(&value))
        };
        let product = Amount::from_units(amount).times(price, LIMIT);
        prop_assert_eq!(product.map(|usd| BigInt::from(usd.units())), expected);
    }

    #[test]
    fn amounts_and_prices_are_written_plainly_and_wholly(
        amount in prop_oneof![
            0..=i128::MAX,
            0..=10_i128.pow(20),
            at_an_edge().prop_map(|edge| edge.cast_signed()),
            // With zeros at the end of the fraction, and round the first 64 bits before the point.
            (0..1_000_000_i128, 0..31_u32).prop_map(|(digits, zeros)| digits * 10_i128.pow(zeros)),
            (-3..3_i128).prop_map(|more| (10_i128.pow(18) << 64) + more),
        ],
        mantissa in prop_oneof![
            0..10_u128.pow(28),
            0..1_000_u128,
            0..u128::from(u64::MAX),
            at_an_edge(),
            (0..1_000_u128, 0..25_u32).prop_map(|(digits, zeros)| digits * 10_u128.pow(zeros)),
        ],
        scale in prop_oneof![0..=255_u8, 0..=20_u8],
    ) {
        let value = BigDecimal::from_bigint(amount.into(), AMOUNT_SCALE);
        assert_plain(&Amount::from_units(amount).to_string(), &value);
        let price = Price::from_parts(mantissa, scale).expect("28 digits");
        let value = BigDecimal::from_bigint(mantissa.into(), i64::from(scale));
        assert_plain(&price.to_string(), &value);
    }

    #[test]
    fn change_is_the_nearest_number_to_the_exact_quotient(
        (open, close) in prop_oneof![
            (texts(), texts()),
            ("0\\.000[0-9]{1,9}", "0\\.000[0-9]{1,9}"),
            ("[0-9]{1,4}(\\.[0-9]{1,2})?", "[0-9]{1,4}(\\.[0-9]{1,2})?"),
            ("1\\.[0-9]{27}", "1\\.[0-9]{27}"),
        ]
    ) {
        let (Ok(open), Ok(close)) = (
            Price::parse(open.as_bytes(), LIMIT),
            Price::parse(close.as_bytes(), LIMIT),
        ) else {
            return Ok(());
        };
        let change = Price::change_percent(open, close);
        let (a, b) = (of_price(open), of_price(close));
        if a.is_zero() {
            prop_assert_eq!(change.to_bits(), 0);
        } else {
            let hundredfold = (b - &a) * BigDecimal::from(100);
            prop_assert!(is_nearest(change, &hundredfold, &a), "{open} to {close}: {change}");
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(text in "[-+.eE0-9]{0,60}", exponent: i64, bytes: Vec<u8>) {
        for text in [text.as_bytes(), format!("1e{exponent}").as_bytes(), &bytes] {
            for limit in [0, 1, LIMIT, u64::MAX] {
                let (amount, price) = (Amount::parse(text, limit), Price::parse(text, limit));
                prop_assert!(amount.is_ok_and(|amount| amount >= Amount::ZERO) || amount.is_err());
                prop_assert!(price.is_ok() || price.is_err());
            }
        }
    }
}

#[test]
fn an_exponent_of_any_size_is_above_the_limit_or_nothing() {
    for huge in ["1e39", "1e4294967295", "1e4294967296", "1e99999999999999999999999"] {
        let above = Err(DecimalError::AboveLimit);
        assert_eq!(Amount::parse(huge.as_bytes(), u64::MAX), above, "{huge}");
        assert_eq!(Price::parse(huge.as_bytes(), u64::MAX), Err(DecimalError::AboveLimit));
    }
    for tiny in ["1e-39", "1e-4294967296", "1e-99999999999999999999999"] {
        assert_eq!(Amount::parse(tiny.as_bytes(), 1), Ok(Amount::ZERO), "{tiny}");
    }
    assert_eq!(Price::parse(b"1e-99999999999999999999", 1), Err(DecimalError::TooFine));
    assert_eq!(Price::parse(b"0e99999999999999999999", 1), Ok(Price::ZERO));
}

#[test]
fn ten_thousand_digits_are_read() {
    let nines = "9".repeat(10_000);
    let above = Amount::parse(nines.as_bytes(), LIMIT);
    assert_eq!(above, Err(DecimalError::AboveLimit));
    let fraction = format!("0.{nines}");
    assert_eq!(Amount::parse(fraction.as_bytes(), 1), Ok(Amount::from_units(10_i128.pow(18))));
    let one = format!("{}1.{}", "0".repeat(10_000), "0".repeat(10_000));
    assert_eq!(Price::parse(one.as_bytes(), 1), Ok(Price::from_parts(1, 0).expect("small")));
}
