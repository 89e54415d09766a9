//! The message of one token: JSON that is the same bytes for the same figures, and its headers.
//! Decides nothing: figures come in, text goes out.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;

use crate::domain::aggregate::{Aggregate, Figures};
use crate::domain::amount::Amount;
use crate::domain::price::Price;
use crate::domain::time::WallMs;
use crate::domain::window::Windows;

use super::time::Rfc3339;

/// The format's version, in every message and its headers.
const VERSION: &str = "1.0";

/// What `token-info` says of a token; empty while unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenNames<'a> {
    /// Its symbol.
    pub symbol: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// Appends the message to `out`. `windows` are the ones that the aggregate's figures are of.
pub fn encode(
    out: &mut Vec<u8>,
    aggregate: &Aggregate<'_>,
    windows: &Windows,
    names: TokenNames<'_>,
    generated_at: WallMs,
) {
    debug_assert_eq!(aggregate.windows.len(), windows.count());
    let written = message(out, aggregate, windows, names, generated_at);
    debug_assert!(written.is_ok(), "memory takes every byte");
}

/// The message's headers; `ttl` is how long a reader may use it.
#[must_use]
pub fn headers(token: &str, ttl: Option<Duration>, generated_at: WallMs) -> Vec<(String, Bytes)> {
    let mut headers = vec![
        ("content-type".to_owned(), Bytes::from_static(b"application/json")),
        ("version".to_owned(), Bytes::from_static(VERSION.as_bytes())),
        ("token".to_owned(), Bytes::copy_from_slice(token.as_bytes())),
    ];
    if let Some(ttl) = ttl {
        let expires_at = generated_at.plus(ttl).0;
        headers.push(("ttl".to_owned(), ttl.as_millis().to_string().into()));
        headers.push(("expires-at".to_owned(), expires_at.to_string().into()));
    }
    headers
}

fn message(
    out: &mut Vec<u8>,
    aggregate: &Aggregate<'_>,
    windows: &Windows,
    names: TokenNames<'_>,
    generated_at: WallMs,
) -> io::Result<()> {
    let end = Rfc3339(aggregate.end).to_string();
    text(out, r#"{"token":"#, aggregate.token)?;
    text(out, r#","symbol":"#, names.symbol)?;
    text(out, r#","name":"#, names.name)?;
    out.extend_from_slice(br#","aggregate_data":["#);
    for (place, (window, figures)) in windows.iter().zip(aggregate.windows).enumerate() {
        let before = if place == 0 { "" } else { "," };
        text(out, &format!(r#"{before}{{"time_window":"#), &window.name)?;
        item(out, figures, &end)?;
    }
    let generated_at = Rfc3339(generated_at.second());
    write!(out, r#"],"generated_at":"{generated_at}","version":"{VERSION}"}}"#)
}

/// What follows a window's name.
fn item(out: &mut Vec<u8>, figures: &Figures, end: &str) -> io::Result<()> {
    let Figures { sums, open, close } = figures;
    let (sells, buys, trades) = (sums.sell.count, sums.buy.count, sums.trades());
    let sell = Amount::from_units(sums.sell.volume);
    let buy = Amount::from_units(sums.buy.volume);
    let total = Amount::from_units(sums.sell.volume.saturating_add(sums.buy.volume));
    let usd = Amount::from_units(sums.usd);
    write!(
        out,
        concat!(
            r#","sell_count":{},"buy_count":{},"total_trades":{},"#,
            r#""sell_volume":"{}","buy_volume":"{}","total_volume":"{}","volume_usd":"{}","#,
            r#""price_change":"#
        ),
        sells, buys, trades, sell, buy, total, usd
    )?;
    number(out, Price::change_percent(*open, *close))?;
    write!(out, r#","open_price":"{open}","close_price":"{close}","timestamp":"{end}"}}"#)
}

fn text(out: &mut Vec<u8>, before: &str, text: &str) -> io::Result<()> {
    out.extend_from_slice(before.as_bytes());
    serde_json::to_writer(out, text).map_err(io::Error::from)
}

/// As Go writes it: the shortest digits that read back the same, in plain notation from 10⁻⁶ to
/// below 10²¹, else with an exponent.
fn number(out: &mut Vec<u8>, value: f64) -> io::Result<()> {
    let size = value.abs();
    if size >= 1e21 {
        write!(out, "{}", format!("{value:e}").replace('e', "e+"))
    } else if size != 0.0 && size < 1e-6 {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    }
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
            (1e21, "1e+21"),
            (-1.5e217, "-1.5e+217"),
        ] {
            let mut out = Vec::new();
            number(&mut out, value).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
