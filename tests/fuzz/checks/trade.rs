//! Record values against the contract's table, read slowly.

use aggregator_service::domain::amount::{Amount, DecimalError};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::reject::Reason;
use aggregator_service::domain::time::{EventTime, Second};
use aggregator_service::domain::token::TokenHash;
use aggregator_service::domain::trade::{MAX_TOKEN_BYTES, Side, Trade};
use aggregator_service::wire::trade::{Element, decode};
use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, ToPrimitive};

use super::{decimal, json, rfc3339, scan};

/// 2025-01-08T10:35:00.5Z.
pub(crate) const LATEST: EventTime =
    EventTime { second: Second(1_736_332_500), nanos: 500_000_000 };

/// More than any message says: a field's name, what is expected, 64 characters of what was found,
/// twice for a product.
const MESSAGE_BYTES: usize = 800;

/// What an element says: a trade with its token, or why it is none.
pub(crate) type Said = Result<(String, Facts), Reason>;

/// A trade without its token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Facts {
    side: Side,
    native: Amount,
    usd: Amount,
    price: Price,
    at: EventTime,
}

/// Every element as the slow reading has it, in order and one for one; an array says what its
/// elements say alone, and a scan says the same or nothing.
pub fn trade(value: &[u8]) {
    let expected = expected(value, LATEST);
    let mut left = expected.iter();
    decode(value, Some(LATEST), &mut |element| {
        let (index, bytes, said) = seen(&element);
        let expected = left.next().expect("one element for each of the slow reading");
        // A single trade stands at place 0.
        let place = expected.0.or(expected.2.is_ok().then_some(0));
        assert_eq!((index, bytes), (place, expected.1), "place and bytes");
        assert_eq!(said, expected.2);
        if expected.0.is_some() {
            alone(bytes, &said);
        }
    });
    assert_eq!(left.next(), None, "an element for each of the slow reading");
    scan::scan(value);
}

fn alone(element: &[u8], together: &Said) {
    let array = [b"[", element, b"]"].concat();
    let mut count = 0;
    decode(&array, Some(LATEST), &mut |element| {
        count += 1;
        assert_eq!(&seen(&element).2, together);
    });
    assert_eq!(count, 1);
}

fn seen<'a>(element: &Element<'a>) -> (Option<u32>, &'a [u8], Said) {
    match element {
        Element::Trade { index, bytes, trade } => {
            let Trade { token, hash, side, native, usd, price, at, more } = *trade;
            assert_eq!(more, None, "nobody asked");
            assert_eq!(hash, TokenHash::of(token));
            (Some(*index), bytes, Ok((token.to_owned(), Facts { side, native, usd, price, at })))
        }
        Element::Rejected { index, bytes, hash, reason, message } => {
            let no_token =
                matches!(reason, Reason::NotJson | Reason::NotATrade | Reason::InvalidToken);
            assert!(hash.is_none() || !no_token, "a hash of no token");
            assert!(message.len() <= MESSAGE_BYTES, "{} bytes of message", message.len());
            assert!(!message.contains(char::is_control), "{message:?}");
            (*index, bytes, Err(*reason))
        }
    }
}

/// The elements of a value: place in the array, bytes, what they say.
pub(crate) fn expected(value: &[u8], latest: EventTime) -> Vec<(Option<u32>, &[u8], Said)> {
    let text = std::str::from_utf8(value).ok();
    let Some(whole) = text.and_then(json::whole) else {
        return vec![(None, value, Err(Reason::NotJson))];
    };
    match json::elements(whole) {
        Some(elements) => (0..)
            .zip(elements)
            .map(|(index, element)| (Some(index), element.as_bytes(), element_of(element, latest)))
            .collect(),
        None => vec![(None, value, element_of(whole, latest))],
    }
}

fn element_of(element: &str, latest: EventTime) -> Said {
    let fields = json::fields(element).ok_or(Reason::NotATrade)?;
    let field = |pascal: &str, snake: &str| -> Result<&str, Reason> {
        let ours =
            |name: &Option<String>| name.as_deref().is_some_and(|n| n == pascal || n == snake);
        let last = fields.iter().rev().find(|(name, _)| ours(name)).map(|(_, value)| *value);
        last.filter(|value| !matches!(*value, "null" | r#""""#)).ok_or(Reason::MissingField)
    };
    let token = json::text(field("Token", "token")?).ok_or(Reason::InvalidToken)?;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Reason::InvalidToken);
    }
    let any_text = |value: &str| value.starts_with('"').then_some(()).ok_or(Reason::MissingField);
    any_text(field("Wallet", "wallet")?)?;
    let side = json::text(field("SellBuy", "sell_buy")?).ok_or(Reason::InvalidSide)?;
    let side = match side.to_ascii_lowercase().split('_').next() {
        Some("buy") => Side::Buy,
        Some("sell") => Side::Sell,
        _ => return Err(Reason::InvalidSide),
    };
    let native = amount(field("NativeAmount", "native_amount")?, VALUE)?;
    let quantity = amount(field("TokenAmount", "token_amount")?, QUANTITY)?;
    let price = number(field("PriceUsd", "price_usd")?)?;
    let price = price.price(VALUE).map_err(reason)?;
    let product = BigDecimal::from_bigint(quantity, 18) * &price;
    if product > VALUE {
        return Err(Reason::OutOfRange);
    }
    let time = json::text(field("TransTime", "trans_time")?).ok_or(Reason::InvalidTime)?;
    let (second, nanos) = rfc3339::read(&time).ok_or(Reason::InvalidTime)?;
    let at = EventTime { second: Second(second), nanos };
    any_text(field("TxHash", "tx_hash")?)?;
    if at > latest {
        return Err(Reason::Future);
    }
    let usd = units(decimal::units(&product));
    Ok((token, Facts { side, native: units(native), usd, price: packed(&price), at }))
}

fn number(value: &str) -> Result<decimal::Number, Reason> {
    let text = match value.as_bytes().first() {
        Some(b'"') => json::text(value).ok_or(Reason::InvalidAmount)?,
        Some(b'-' | b'0'..=b'9') => value.to_owned(),
        _ => return Err(Reason::InvalidAmount),
    };
    decimal::read(text.as_bytes()).ok_or(Reason::InvalidAmount)
}

fn amount(value: &str, limit: u64) -> Result<BigInt, Reason> {
    number(value)?.units(limit).map_err(reason)
}

fn reason(error: DecimalError) -> Reason {
    match error {
        DecimalError::NotADecimal | DecimalError::Negative => Reason::InvalidAmount,
        DecimalError::AboveLimit | DecimalError::TooFine => Reason::OutOfRange,
    }
}

fn units(units: BigInt) -> Amount {
    Amount::from_units(units.to_i128().expect("within the limits"))
}

fn packed(price: &BigDecimal) -> Price {
    let scale = price.fractional_digit_count().max(0);
    let (mantissa, _) = price.with_scale(scale).into_bigint_and_scale();
    let scale = u8::try_from(scale).expect("checked");
    Price::from_parts(mantissa.to_u128().expect("28 digits"), scale).expect("28 digits")
}

const VALUE: u64 = 10_u64.pow(15);
const QUANTITY: u64 = 10_u64.pow(18);
