//! A message in Protobuf, as `deploy/schemas/aggregate.proto` has it. Decimals are text, as in
//! JSON; what is empty or 0 is left out, as everyone does.

use super::aggregate::{TokenNames, VERSION};
use super::fields::{Value, values};
use super::varint::{put, put_length};
use crate::domain::aggregate::Aggregate;
use crate::domain::time::{Second, WallMs};
use crate::domain::window::Windows;

/// Appends the message of an aggregate of those windows.
pub(super) fn write(
    out: &mut Vec<u8>,
    windows: &Windows,
    aggregate: &Aggregate<'_>,
    names: TokenNames<'_>,
    generated_at: WallMs,
) {
    let texts = [aggregate.token, names.symbol, names.name];
    for (number, text) in (1..).zip(texts) {
        field(out, number, &Value::Text(text));
    }
    for (window, figures) in windows.iter().zip(aggregate.windows) {
        delimited(out, 4, |out| {
            for (number, value) in (1..).zip(&values(window, figures, aggregate.end)) {
                field(out, number, value);
            }
        });
    }
    field(out, 5, &Value::Time(generated_at.second()));
    field(out, 6, &Value::Text(VERSION));
}

fn field(out: &mut Vec<u8>, number: u64, value: &Value<'_>) {
    match value {
        Value::Text("") | Value::Count(0) => {}
        Value::Text(text) => delimited(out, number, |out| out.extend_from_slice(text.as_bytes())),
        Value::Count(count) => varint(out, number, *count),
        Value::Amount(amount) => delimited(out, number, |out| amount.write(out)),
        Value::Price(price) => delimited(out, number, |out| price.write(out)),
        Value::Number(value) if value.to_bits() == 0 => {}
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
