//! A message in Protobuf, as `deploy/schemas/aggregate.proto` has it, or `aggregate-extended.proto`
//! where any extended field is written: those that are known stand there, 0 and all. Decimals are
//! text, as in JSON; of the others what is empty or 0 is left out, as everyone does.

use super::aggregate::{self, TokenNames, VERSION};
use super::extended::{self, Chosen, EXTENDED, PREVIOUS};
use super::fields::{Value, WINDOW, values};
use super::varint::{put, put_length};
use crate::domain::aggregate::Aggregate;
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
    let texts = [aggregate.token, names.symbol, names.name];
    for (number, text) in (1..).zip(texts) {
        field(out, number, &Value::Text(text));
    }
    let mut extended = aggregate.extended.iter();
    for (window, figures) in windows.iter().zip(aggregate.windows) {
        let more = extended.next().filter(|_| chosen.any());
        delimited(out, 4, |out| {
            for (number, value) in (1..).zip(&values(window, figures, aggregate.end)) {
                field(out, number, value);
            }
            let Some(more) = more else { return };
            let (both, first) = ((figures, more), number_of(WINDOW.len()));
            let values = extended::values(chosen, window, both, aggregate.end);
            for (number, value) in (first..).zip(values) {
                value.into_iter().for_each(|value| present(out, number, &value));
            }
            let last = number_of(WINDOW.len() + EXTENDED.len() - 1);
            let Some(previous) = extended::previous(chosen, both) else { return };
            delimited(out, last, |out| {
                for ((number, value), one) in (1..).zip(previous).zip(&PREVIOUS) {
                    let write = if one.optional { present } else { field };
                    value.into_iter().for_each(|value| write(out, number, &value));
                }
            });
        });
    }
    field(out, 5, &Value::Time(generated_at.second()));
    field(out, 6, &Value::Text(VERSION));
}

/// The number of the field at a place.
fn number_of(place: usize) -> u64 {
    u64::try_from(place + 1).unwrap_or(u64::MAX)
}

/// A field that is always there.
fn field(out: &mut Vec<u8>, number: u64, value: &Value<'_>) {
    let is_zero = matches!(value, Value::Text("") | Value::Count(0))
        || matches!(value, Value::Number(number) if number.to_bits() == 0);
    if !is_zero {
        present(out, number, value);
    }
}

/// A field that is there because it has a value.
fn present(out: &mut Vec<u8>, number: u64, value: &Value<'_>) {
    match value {
        Value::Text(text) => delimited(out, number, |out| out.extend_from_slice(text.as_bytes())),
        Value::Count(count) => varint(out, number, *count),
        Value::Amount(amount) => delimited(out, number, |out| amount.write(out)),
        Value::Net(units) => delimited(out, number, |out| aggregate::net(out, *units)),
        Value::Price(price) => delimited(out, number, |out| price.write(out)),
        Value::Number(value) => {
            tag(out, number, FIXED_64);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Time(second) => delimited(out, number, |out| timestamp(out, *second)),
    }
}

/// `google.protobuf.Timestamp`.
fn timestamp(out: &mut Vec<u8>, second: Second) {
    if second.0 != 0 {
        varint(out, 1, second.0.cast_unsigned());
    }
}

fn varint(out: &mut Vec<u8>, number: u64, value: u64) {
    tag(out, number, VARINT);
    put(out, value);
}

/// What `write` appends, behind its length: that is known when it is written, and then moved to
/// its place.
fn delimited(out: &mut Vec<u8>, number: u64, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, number, DELIMITED);
    let from = out.len();
    write(out);
    let end = out.len();
    put_length(out, end - from);
    let length_bytes = out.len() - end;
    if let Some(written) = out.get_mut(from..) {
        written.rotate_right(length_bytes);
    }
}

fn tag(out: &mut Vec<u8>, number: u64, wire_type: u64) {
    put(out, (number << 3) | wire_type);
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const DELIMITED: u64 = 2;
