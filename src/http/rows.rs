//! Tokens as JSON, in the words of the messages: decimals are strings, figures of a window stand
//! under its name.

use serde::Serialize;

use crate::domain::aggregate::{Aggregate, Figures};
use crate::domain::amount::Amount;
use crate::domain::history::History;
use crate::domain::price::Price;
use crate::domain::time::{Second, WallMs};
use crate::domain::token::TokenHash;
use crate::domain::window::{Window, Windows};
use crate::ports::{Listing, Row};
use crate::wire::aggregate::{TokenNames, encode};
use crate::wire::time::Rfc3339;

/// What `/tokens` answers.
#[derive(Serialize)]
pub(super) struct TokensJson<'a> {
    at: String,
    active: usize,
    matching: usize,
    tokens: Vec<RowJson<'a>>,
    /// For `after`; none behind the last row.
    next: Option<String>,
}

/// The event `market`.
#[derive(Serialize)]
pub(super) struct MarketJson<'a> {
    at: String,
    active: usize,
    matching: usize,
    from: usize,
    windows: Vec<&'a str>,
    rows: Vec<RowJson<'a>>,
}

/// A row of the market.
#[derive(Serialize)]
struct RowJson<'a> {
    token: &'a str,
    symbol: &'a str,
    name: &'a str,
    price: String,
    trades_per_second: f64,
    windows: Vec<WindowJson<'a>>,
}

#[derive(Serialize)]
struct WindowJson<'a> {
    time_window: &'a str,
    price_change: f64,
    volume_usd: String,
    total_volume: String,
    buy_volume: String,
    sell_volume: String,
    buy_count: u64,
    sell_count: u64,
    total_trades: u64,
}

/// A token's last hour.
#[derive(Serialize)]
pub(super) struct HistoryJson<'a> {
    token: &'a str,
    step_seconds: u32,
    from: String,
    to: String,
    points: Vec<PointJson>,
}

#[derive(Serialize)]
struct PointJson {
    at: String,
    price: String,
    volume_usd: String,
    buys: u64,
    sells: u64,
}

impl<'a> TokensJson<'a> {
    /// Of a listing, whose figures are those of `windows`.
    pub(super) fn new(listing: &'a Listing, windows: &'a Windows, next: Option<String>) -> Self {
        let Listing { active, matching, .. } = *listing;
        let (at, tokens) = (time(listing.at), rows(listing, windows));
        Self { at, active, matching, tokens, next }
    }
}

impl<'a> MarketJson<'a> {
    /// Of a listing that begins behind `from` rows.
    pub(super) fn new(listing: &'a Listing, windows: &'a Windows, from: usize) -> Self {
        let Listing { active, matching, .. } = *listing;
        let names = windows.iter().map(|window| window.name.as_str()).collect();
        let (at, rows) = (time(listing.at), rows(listing, windows));
        Self { at, active, matching, from, windows: names, rows }
    }
}

fn rows<'a>(listing: &'a Listing, windows: &'a Windows) -> Vec<RowJson<'a>> {
    listing.rows.iter().map(|row| RowJson::new(row, windows)).collect()
}

fn time(second: Second) -> String {
    Rfc3339(second).to_string()
}

impl<'a> RowJson<'a> {
    fn new(row: &'a Row, windows: &'a Windows) -> Self {
        let figures = || windows.iter().zip(&row.windows);
        let shortest = figures().min_by_key(|(window, _)| window.seconds);
        Self {
            token: &row.token,
            symbol: &row.symbol,
            name: &row.name,
            price: row.windows.first().map_or(Price::ZERO, |one| one.close).to_string(),
            trades_per_second: shortest.map_or(0.0, |(window, one)| {
                per_second(one.sums.trades(), f64::from(window.seconds))
            }),
            windows: figures().map(|(window, one)| WindowJson::new(window, one)).collect(),
        }
    }
}

impl<'a> WindowJson<'a> {
    fn new(window: &'a Window, figures: &Figures) -> Self {
        let Figures { sums, open, close } = figures;
        let decimal = |units| Amount::from_units(units).to_string();
        Self {
            time_window: &window.name,
            price_change: Price::change_percent(*open, *close),
            volume_usd: decimal(sums.usd),
            total_volume: decimal(sums.sell.volume.saturating_add(sums.buy.volume)),
            buy_volume: decimal(sums.buy.volume),
            sell_volume: decimal(sums.sell.volume),
            buy_count: sums.buy.count,
            sell_count: sums.sell.count,
            total_trades: sums.trades(),
        }
    }
}

impl<'a> HistoryJson<'a> {
    /// Of a token's history.
    pub(super) fn new(token: &'a str, history: &History) -> Self {
        let points = history.points.iter().map(|point| PointJson {
            at: time(point.at),
            price: point.price.to_string(),
            volume_usd: Amount::from_units(point.usd).to_string(),
            buys: point.buys,
            sells: point.sells,
        });
        Self {
            token,
            step_seconds: history.step_seconds,
            from: time(history.from),
            to: time(history.to),
            points: points.collect(),
        }
    }
}

/// A row as the message that a tick would publish.
pub(super) fn message(row: &Row, windows: &Windows, now: WallMs) -> Vec<u8> {
    let Row { token, symbol, name, end, windows: figures } = row;
    let hash = TokenHash::of(token);
    let aggregate = Aggregate { token, hash, end: *end, windows: figures };
    let mut text = Vec::new();
    encode(&mut text, &aggregate, windows, TokenNames { symbol, name }, now);
    text
}

/// A rate; of more than 32 bits hold, the greatest that they do.
fn per_second(count: u64, seconds: f64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds
}
