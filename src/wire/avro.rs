//! A message in Avro, as `deploy/schemas/aggregate.avsc` has it, or `aggregate-extended.avsc` where
//! any extended field is written: there each of them is a union with null. Decimals are `bytes`:
//! sums at the 18 fractional digits that they are held with, in up to 39 digits (128 bits); prices
//! at 255, as many as a price can have, and the 16 before the point that the largest has. So every
//! value has one scale and loses nothing.

use super::aggregate::{TokenNames, VERSION};
use super::extended::{self, Chosen};
use super::fields::{Value, values};
use super::varint::put_signed;
use crate::domain::aggregate::Aggregate;
use crate::domain::price::Price;
use crate::domain::time::{Second, WallMs};
use crate::domain::window::Windows;

/// Appends the message of an aggregate of those windows.
pub(super) fn write(
    out: &mut Vec<u8>,
    (windows, chosen): (&Windows, Chosen),
    aggregate: &Aggregate<'_>,
    names: TokenNames<'_>,
    generated_at: WallMs,
) {
    [aggregate.token, names.symbol, names.name].iter().for_each(|it| bytes(out, it.as_bytes()));
    length(out, windows.count());
    let mut extended = aggregate.extended.iter();
    for (window, figures) in windows.iter().zip(aggregate.windows) {
        values(window, figures, aggregate.end).iter().for_each(|value| put(out, value));
        if chosen.any()
            && let Some(more) = extended.next()
        {
            let both = (figures, more);
            let values = extended::values(chosen, window, both, aggregate.end);
            values.iter().for_each(|value| put_union(out, value.as_ref()));
            let previous = extended::previous(chosen, both);
            length(out, usize::from(previous.is_some()));
            for (value, field) in previous.iter().flatten().zip(&extended::PREVIOUS) {
                match value {
                    Some(value) if !field.optional => put(out, value),
                    value => put_union(out, value.as_ref()),
                }
            }
        }
    }
    length(out, 0);
    time(out, generated_at.second());
    bytes(out, VERSION.as_bytes());
}

/// A union of null and what the value is.
fn put_union(out: &mut Vec<u8>, value: Option<&Value<'_>>) {
    length(out, usize::from(value.is_some()));
    value.into_iter().for_each(|value| put(out, value));
}

fn put(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => bytes(out, text.as_bytes()),
        Value::Count(count) => put_signed(out, i64::try_from(*count).unwrap_or(i64::MAX)),
        Value::Amount(amount) => bytes(out, shortest(&amount.units().to_be_bytes())),
        Value::Net(units) => bytes(out, shortest(&units.to_be_bytes())),
        Value::Price(price) => self::price(out, *price),
        Value::Number(number) => out.extend_from_slice(&number.to_le_bytes()),
        Value::Time(second) => time(out, *second),
    }
}

/// `mantissa × 10^−scale` in units of 10⁻²⁵⁵.
fn price(out: &mut Vec<u8>, price: Price) {
    let up = u8::MAX - price.scale();
    let mut units = [0; LIMBS];
    if let Some(power) = POWERS.get(usize::from(up / LIMB_DIGITS)) {
        let mantissa = [low(price.mantissa()), low(price.mantissa() >> u64::BITS)];
        for (place, digit) in mantissa.into_iter().enumerate() {
            add_product(units.iter_mut().skip(place), power, digit);
        }
    }
    let whole = units;
    units = [0; LIMBS];
    add_product(units.iter_mut(), &whole, 10_u64.pow(u32::from(up % LIMB_DIGITS)));
    let mut big_endian = [0; LIMBS * LIMB_BYTES];
    for (place, limb) in big_endian.chunks_exact_mut(LIMB_BYTES).zip(units.iter().rev()) {
        place.copy_from_slice(&limb.to_be_bytes());
    }
    bytes(out, shortest(&big_endian));
}

/// `sum += factors × factor`, least digits first.
fn add_product<'a>(sum: impl Iterator<Item = &'a mut u64>, factors: &[u64; LIMBS], factor: u64) {
    let mut carry = 0;
    for (digit, one) in sum.zip(factors) {
        let all = u128::from(*digit) + u128::from(*one) * u128::from(factor) + carry;
        *digit = low(all);
        carry = all >> u64::BITS;
    }
}

/// The lower half.
fn low(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).unwrap_or_default()
}

/// A number of two's complement without the bytes in front that say nothing.
fn shortest(mut bytes: &[u8]) -> &[u8] {
    while let [0 | 0xff, rest @ ..] = bytes
        && rest.first().is_some_and(|next| (*next < 0x80) == (bytes.first() == Some(&0)))
    {
        bytes = rest;
    }
    bytes
}

/// As the logical type `timestamp-millis`.
fn time(out: &mut Vec<u8>, second: Second) {
    put_signed(out, second.start().0);
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn length(out: &mut Vec<u8>, length: usize) {
    put_signed(out, i64::try_from(length).unwrap_or(i64::MAX));
}

/// 960 bits: a mantissa of 28 digits times 10²⁵⁵ has 941, and the sign is one.
const LIMBS: usize = 15;
const LIMB_BYTES: usize = 8;
/// Decimal digits that fit 64 bits.
const LIMB_DIGITS: u8 = 19;

/// 10^(19 × place), least digits first.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "out of bounds, a constant does not compile; the lower half is wanted"
)]
const POWERS: [[u64; LIMBS]; 14] = {
    let mut powers = [[0; LIMBS]; 14];
    powers[0][0] = 1;
    let mut at = 1;
    while at < powers.len() {
        let (mut place, mut carry) = (0, 0);
        while place < LIMBS {
            let all = powers[at - 1][place] as u128 * 10_u128.pow(LIMB_DIGITS as u32) + carry;
            powers[at][place] = all as u64;
            carry = all >> u64::BITS;
            place += 1;
        }
        at += 1;
    }
    powers
};

#[cfg(test)]
mod tests {
    use num_bigint::{BigInt, BigUint};

    use super::*;
    use crate::domain::amount::Amount;

    #[test]
    fn sums_of_128_bits_are_exact() {
        let below = [-1, -127, -128, -129, -256, -32_768, -32_769, -(1 << 64), i128::MIN];
        let above = [0, 1, 127, 128, 255, 256, 32_767, 32_768, 1 << 64, i128::MAX];
        for units in above.into_iter().chain(below) {
            let mut out = Vec::new();
            put(&mut out, &Value::Net(units));
            let mut amount = Vec::new();
            put(&mut amount, &Value::Amount(Amount::from_units(units)));
            assert_eq!(out, amount);
            let (length, number) = out.split_first().unwrap();
            assert_eq!(usize::from(*length), 2 * number.len());
            assert_eq!(BigInt::from_signed_bytes_be(number), BigInt::from(units));
        }
    }

    #[test]
    fn prices_are_exact_at_255_places() {
        let most = 10_u128.pow(28) - 1;
        for mantissa in [0, 1, 118, 12_345_678_901_234_567_890_123, most] {
            for scale in 0..=u8::MAX {
                let Some(price) = Price::from_parts(mantissa, scale) else { continue };
                let mut out = Vec::new();
                super::price(&mut out, price);
                let (size, number) = (i16::from(out[0]) / 2, out.split_off(1));
                let (size, number) = match out[0] < 0x80 {
                    true => (usize::try_from(size).unwrap(), number),
                    false => (number.len() - 1, number[1..].to_vec()),
                };
                assert_eq!(size, number.len());
                let expected =
                    BigUint::from(mantissa) * BigUint::from(10_u8).pow(255 - u32::from(scale));
                assert_eq!(BigInt::from_signed_bytes_be(&number), BigInt::from(expected));
            }
        }
    }
}
