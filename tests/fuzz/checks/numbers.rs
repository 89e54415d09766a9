//! Amounts, prices, their products, times and durations as text.

use aggregator_service::config::duration;
use aggregator_service::domain::amount::{Amount, DecimalError};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::time::Second;
use aggregator_service::wire::time::{self, Rfc3339};
use bigdecimal::num_bigint::BigInt;

use super::{decimal, rfc3339};

/// The contract's, and the edges below.
const LIMITS: [u64; 4] = [0, 1, 10_u64.pow(15), 10_u64.pow(18)];

/// The input as each kind of text, `a*b` as an amount times a price.
pub fn numbers(input: &[u8]) {
    decimals(input);
    if let Some(place) = input.iter().position(|byte| *byte == b'*') {
        product(&input[..place], &input[place + 1..]);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        moment(text);
        span(text);
    }
}

fn decimals(text: &[u8]) {
    let number = decimal::read(text).ok_or(DecimalError::NotADecimal);
    for limit in LIMITS {
        let amount = Amount::parse(text, limit);
        let expected = number.as_ref().map_err(|error| *error).and_then(|n| n.units(limit));
        assert_eq!(amount.map(|amount| BigInt::from(amount.units())), expected, "up to {limit}");
        let price = Price::parse(text, limit);
        let expected = number.as_ref().map_err(|error| *error).and_then(|n| n.price(limit));
        assert_eq!(price.map(decimal::of_price), expected, "up to {limit}");
        if let (Ok(amount), Ok(price)) = (amount, price) {
            assert_eq!(Amount::parse(amount.to_string().as_bytes(), limit), Ok(amount));
            assert_eq!(Price::parse(price.to_string().as_bytes(), limit), Ok(price));
        }
    }
}

fn product(amount: &[u8], price: &[u8]) {
    let largest = 10_u64.pow(18);
    let (Ok(amount), Ok(price)) = (Amount::parse(amount, largest), Price::parse(price, largest))
    else {
        return;
    };
    let exact = decimal::of_amount(amount) * decimal::of_price(price);
    for limit in LIMITS.into_iter().filter(|limit| *limit > 0) {
        let expected =
            if exact > limit { Err(DecimalError::AboveLimit) } else { Ok(decimal::units(&exact)) };
        let found = amount.times(price, limit);
        assert_eq!(found.map(|usd| BigInt::from(usd.units())), expected, "up to {limit}");
    }
}

fn moment(text: &str) {
    let read = time::parse(text);
    assert_eq!(read.map(|at| (at.second.0, at.nanos)), rfc3339::read(text));
    if let Some(at) = read {
        let written = Rfc3339(at.second).to_string();
        let years =
            [Rfc3339(Second(i64::MIN)), Rfc3339(Second(i64::MAX))].map(|end| end.to_string());
        let again = time::parse(&written).map(|at| at.second);
        assert!(again == Some(at.second) || years.contains(&written), "{written}");
    }
}

fn span(text: &str) {
    let read = duration::parse(text);
    assert_eq!(read.map(|span| span.as_nanos()), nanos(text));
    if let Some(span) = read {
        assert_eq!(duration::parse(&duration::format(span)), Some(span));
    }
}

/// Go's grammar with exact numbers; of a fraction 18 digits count.
fn nanos(text: &str) -> Option<u128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = BigInt::from(0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let kept: String = fraction.chars().take(18).collect();
        if fraction.contains('.') || number.len() == number.matches('.').count() {
            return None;
        }
        let scaled: BigInt = format!("0{whole}{kept:0<18}").parse().ok()?;
        total += scaled * unit / 10_u128.pow(18);
        rest = tail;
    }
    i64::try_from(total).ok()?.try_into().ok()
}

const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
