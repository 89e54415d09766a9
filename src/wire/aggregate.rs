//! The message of one token: JSON that is the same bytes for the same figures, and its key.
//! Decides nothing: figures come in, text goes out. Written piece by piece, without `core::fmt`,
//! which costs twice as much: a tick writes as many messages as there are active tokens.

use std::io::Write;
use std::ops::Range;

use bytes::Bytes;

use crate::domain::aggregate::{Aggregate, ExtendedFigures, Figures};
use crate::domain::amount::Amount;
use crate::domain::price::Price;
use crate::domain::time::{Second, WallMs};
use crate::domain::window::{Window, Windows};

use super::extended::{self, Chosen, EXTENDED, PREVIOUS};
use super::fields::{Field, Value};
use super::time::Rfc3339;

/// The format's version, in every message and its headers.
pub(super) const VERSION: &str = "1.0";

/// What every message begins with.
const BEGIN: &[u8] = br#"{"token":""#;

/// What `token-info` says of a token; empty while unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenNames<'a> {
    /// Its symbol.
    pub symbol: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// How messages of the configured windows are written: what an item begins with, for each window,
/// and which extended fields it ends with.
#[derive(Clone, Debug)]
pub struct Form {
    heads: Box<[Vec<u8>]>,
    windows: Windows,
    chosen: Chosen,
}

impl Form {
    /// The form of these windows, without extended fields.
    #[must_use]
    pub fn new(windows: &Windows) -> Self {
        Self::extended(windows, Chosen::STANDARD)
    }

    /// The form of these windows with these extended fields.
    #[must_use]
    pub fn extended(windows: &Windows, chosen: Chosen) -> Self {
        let head = |(place, window): (usize, &Window)| {
            let mut head = Vec::new();
            head.extend_from_slice(if place == 0 { b"" } else { b"," });
            head.extend_from_slice(br#"{"time_window":"#);
            text(&mut head, &window.name);
            head.extend_from_slice(br#","sell_count":"#);
            head
        };
        let heads = windows.iter().enumerate().map(head).collect();
        Self { heads, windows: windows.clone(), chosen }
    }

    /// Appends the message of an aggregate of those windows. A window that says the same as the
    /// one before it, since it holds the same trades, is copied: of a young token all do.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        aggregate: &Aggregate<'_>,
        names: TokenNames<'_>,
        generated_at: WallMs,
    ) {
        debug_assert_eq!(aggregate.windows.len(), self.heads.len());
        let end = Rfc3339(aggregate.end).text();
        out.extend_from_slice(br#"{"token":"#);
        text(out, aggregate.token);
        out.extend_from_slice(br#","symbol":"#);
        text(out, names.symbol);
        out.extend_from_slice(br#","name":"#);
        text(out, names.name);
        out.extend_from_slice(br#","aggregate_data":["#);
        let mut before: Option<(&Figures, Range<usize>)> = None;
        let mut extended = aggregate.extended.iter().zip(&self.windows);
        for (head, figures) in self.heads.iter().zip(aggregate.windows) {
            out.extend_from_slice(head);
            let from = out.len();
            match before {
                Some((same, item)) if same == figures => out.extend_from_within(item),
                _ => item(out, figures, &end),
            }
            before = Some((figures, from..out.len()));
            if self.chosen.any()
                && let Some((more, window)) = extended.next()
            {
                fields(out, self.chosen, window, (figures, more), aggregate.end);
            }
            out.push(b'}');
        }
        out.extend_from_slice(br#"],"generated_at":""#);
        out.extend_from_slice(&Rfc3339(generated_at.second()).text());
        out.extend_from_slice(br#"","version":""#);
        out.extend_from_slice(VERSION.as_bytes());
        out.extend_from_slice(br#""}"#);
    }
}

/// The key of a token's message: the address as it stands in the message, without a copy, but
/// where it is escaped there.
#[must_use]
pub fn key(message: &Bytes, token: &str) -> Bytes {
    let place = BEGIN.len()..BEGIN.len() + token.len();
    if message.get(place.clone()) == Some(token.as_bytes()) {
        message.slice(place)
    } else {
        Bytes::copy_from_slice(token.as_bytes())
    }
}

/// What follows a window's name.
fn item(out: &mut Vec<u8>, figures: &Figures, end: &[u8]) {
    let Figures { sums, open, close } = figures;
    count(out, sums.sell.count);
    out.extend_from_slice(br#","buy_count":"#);
    count(out, sums.buy.count);
    out.extend_from_slice(br#","total_trades":"#);
    count(out, sums.trades());
    out.extend_from_slice(br#","sell_volume":""#);
    Amount::from_units(sums.sell.volume).write(out);
    out.extend_from_slice(br#"","buy_volume":""#);
    Amount::from_units(sums.buy.volume).write(out);
    out.extend_from_slice(br#"","total_volume":""#);
    Amount::from_units(sums.sell.volume.saturating_add(sums.buy.volume)).write(out);
    out.extend_from_slice(br#"","volume_usd":""#);
    Amount::from_units(sums.usd).write(out);
    out.extend_from_slice(br#"","price_change":"#);
    number(out, Price::change_percent(*open, *close));
    out.extend_from_slice(br#","open_price":""#);
    open.write(out);
    out.extend_from_slice(br#"","close_price":""#);
    close.write(out);
    out.extend_from_slice(br#"","timestamp":""#);
    out.extend_from_slice(end);
    out.push(b'"');
}

/// The chosen extended fields.
fn fields(
    out: &mut Vec<u8>,
    chosen: Chosen,
    window: &Window,
    both: (&Figures, &ExtendedFigures),
    end: Second,
) {
    let values = extended::values(chosen, window, both, end);
    for (place, (field, value)) in EXTENDED.iter().zip(values).enumerate() {
        if chosen.has(place) {
            name(out, b",\"", field);
            value_or_null(out, value);
        }
    }
    let [.., last] = &EXTENDED;
    if chosen.has(EXTENDED.len() - 1) {
        name(out, b",\"", last);
        let Some(previous) = extended::previous(chosen, both) else {
            return out.extend_from_slice(NULL);
        };
        for (place, (field, value)) in PREVIOUS.iter().zip(previous).enumerate() {
            name(out, if place == 0 { b"{\"" } else { b",\"" }, field);
            value_or_null(out, value);
        }
        out.push(b'}');
    }
}

fn name(out: &mut Vec<u8>, before: &[u8], field: &Field) {
    out.extend_from_slice(before);
    out.extend_from_slice(field.name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn value_or_null(out: &mut Vec<u8>, value: Option<Value<'_>>) {
    let Some(value) = value else { return out.extend_from_slice(NULL) };
    match value {
        Value::Text(of) => text(out, of),
        Value::Count(of) => count(out, of),
        Value::Number(of) => number(out, of),
        Value::Amount(of) => quoted(out, |out| of.write(out)),
        Value::Net(of) => quoted(out, |out| net(out, of)),
        Value::Price(of) => quoted(out, |out| of.write(out)),
        Value::Time(of) => quoted(out, |out| out.extend_from_slice(&Rfc3339(of).text())),
    }
}

/// An amount that may be below 0, in units of 10⁻¹⁸.
pub(super) fn net(out: &mut Vec<u8>, units: i128) {
    out.extend_from_slice(if units < 0 { b"-" } else { b"" });
    Amount::from_units(units).write(out);
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

const NULL: &[u8] = b"null";

fn text(out: &mut Vec<u8>, text: &str) {
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // To the end, whatever comes: so many at a time.
    if !text.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
        return quoted(out, |out| out.extend_from_slice(text.as_bytes()));
    }
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "memory takes every byte");
}

fn count(out: &mut Vec<u8>, count: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
}

/// As Go writes it: the shortest digits that read back the same, in plain notation from 10⁻⁶ to
/// below 10²¹, else with an exponent. Of two equally near the standard library takes the one that
/// messages always had: faster crates take the other (1675813672934131.25).
fn number(out: &mut Vec<u8>, value: f64) {
    if value.to_bits() == 0 {
        return out.push(b'0');
    }
    let size = value.abs();
    let written = if size >= 1e21 {
        write!(out, "{}", format!("{value:e}").replace('e', "e+"))
    } else if size != 0.0 && size < 1e-6 {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
    debug_assert!(written.is_ok(), "memory takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (2.5, "2.5"),
            (-100.0, "-100"),
            (33.333_333_333_333_336, "33.333333333333336"),
            (1e-6, "0.000001"),
            (9.5e-7, "9.5e-7"),
            (-1.25e-26, "-1.25e-26"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1_675_813_672_934_131.3, "1675813672934131.3"),
            (1e21, "1e+21"),
            (-1.5e217, "-1.5e+217"),
        ] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
