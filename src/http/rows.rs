//! Tokens as JSON, in the words of the messages: decimals are strings, figures of a window stand
//! under its name.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::aggregate::{Aggregate, Figures};
use crate::domain::amount::Amount;
use crate::domain::history::History;
use crate::domain::price::Price;
use crate::domain::time::{Second, WallMs};
use crate::domain::token::TokenHash;
use crate::domain::window::{Window, Windows};
use crate::ports::{Listing, Row};
use crate::wire::aggregate::{Form, TokenNames};
use crate::wire::time::Rfc3339;

/// What `/tokens` answers.
#[derive(Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct TokensJson<'a> {
    /// The second that the figures are of.
    #[schema(format = DateTime)]
    at: String,
    active: usize,
    /// How many of the active ones match `search`.
    matching: usize,
    tokens: Vec<RowJson<'a>>,
    /// For `after`; none behind the last row.
    next: Option<String>,
    /// Of how many of the 64 shards the tokens are missing: they are moving, or their member has
    /// not answered.
    #[serde(skip_serializing_if = "is_none")]
    missing_shards: usize,
    /// The members that have not answered, and why.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unanswered: &'a [String],
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
    missing_shards: usize,
}

/// A row of the market; decimals are text.
#[derive(Serialize, ToSchema)]
#[schema(as = Row)]
struct RowJson<'a> {
    token: &'a str,
    /// Empty while unknown.
    symbol: &'a str,
    name: &'a str,
    /// The last one, in USD.
    #[schema(examples("0.00000001234"))]
    price: String,
    /// Of the shortest window.
    trades_per_second: f64,
    windows: Vec<WindowJson<'a>>,
}

/// The figures of one window.
#[derive(Serialize, ToSchema)]
#[schema(as = Window)]
struct WindowJson<'a> {
    #[schema(examples("1min"))]
    time_window: &'a str,
    /// In percent.
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
#[derive(Serialize, ToSchema)]
#[schema(as = History)]
pub(super) struct HistoryJson<'a> {
    token: &'a str,
    step_seconds: u32,
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    #[schema(max_items = 300)]
    points: Vec<PointJson>,
}

/// One step.
#[derive(Serialize, ToSchema)]
#[schema(as = Point)]
struct PointJson {
    #[schema(format = DateTime)]
    at: String,
    /// The last one of the step, in USD.
    price: String,
    volume_usd: String,
    buys: u64,
    sells: u64,
}

/// One token's aggregate, as it is published.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is written as text")]
pub(super) struct Message {
    token: String,
    /// Empty while unknown.
    symbol: String,
    name: String,
    /// One for each configured window, in the configured order.
    aggregate_data: Vec<WindowAggregate>,
    #[schema(format = DateTime)]
    generated_at: String,
    #[schema(examples("1.0"))]
    version: String,
}

/// One window of a message; decimals are text with at least six fractional digits, never rounded.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is written as text")]
struct WindowAggregate {
    #[schema(examples("1min"))]
    time_window: String,
    sell_count: u64,
    buy_count: u64,
    total_trades: u64,
    /// In native currency, as all but `volume_usd`.
    #[schema(examples("1250.500000"))]
    sell_volume: String,
    buy_volume: String,
    total_volume: String,
    volume_usd: String,
    /// In percent.
    price_change: f64,
    /// In USD.
    #[schema(examples("0.00000001234"))]
    open_price: String,
    close_price: String,
    /// The end of the window.
    #[schema(format = DateTime)]
    timestamp: String,
    /// Wallets, each once; this and what follows as `AGGREGATE_FIELDS` says, null while unknown.
    unique_buyers: Option<u64>,
    unique_sellers: Option<u64>,
    unique_traders: Option<u64>,
    buy_volume_usd: Option<String>,
    sell_volume_usd: Option<String>,
    /// Below 0 where more was sold.
    net_volume_usd: Option<String>,
    token_volume: Option<String>,
    /// In USD, as the other prices.
    vwap: Option<String>,
    high_price: Option<String>,
    low_price: Option<String>,
    /// The first second of the window.
    #[schema(format = DateTime)]
    window_start: Option<String>,
    #[schema(format = DateTime)]
    first_trade_at: Option<String>,
    #[schema(format = DateTime)]
    last_trade_at: Option<String>,
    price_usd: Option<String>,
    buy_sell_ratio: Option<f64>,
    previous: Option<PreviousWindow>,
}

/// The preceding window of the same length; changes in percent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is written as text")]
struct PreviousWindow {
    trades: u64,
    volume_usd: String,
    traders: Option<u64>,
    trades_change: Option<f64>,
    volume_usd_change: Option<f64>,
    traders_change: Option<f64>,
}

impl<'a> TokensJson<'a> {
    /// Of a listing, whose figures are those of `windows`.
    pub(super) fn new(listing: &'a Listing, windows: &'a Windows, next: Option<String>) -> Self {
        let Listing { active, matching, .. } = *listing;
        let (at, tokens) = (time(listing.at), rows(listing, windows));
        let (missing_shards, unanswered) = (listing.missing.len(), &*listing.unanswered);
        Self { at, active, matching, tokens, next, missing_shards, unanswered }
    }
}

impl<'a> MarketJson<'a> {
    /// Of a listing that begins behind `from` rows.
    pub(super) fn new(listing: &'a Listing, windows: &'a Windows, from: usize) -> Self {
        let Listing { active, matching, .. } = *listing;
        let names = windows.iter().map(|window| window.name.as_str()).collect();
        let (at, rows) = (time(listing.at), rows(listing, windows));
        let missing_shards = listing.missing.len();
        Self { at, active, matching, from, windows: names, rows, missing_shards }
    }
}

fn rows<'a>(listing: &'a Listing, windows: &'a Windows) -> Vec<RowJson<'a>> {
    listing.rows.iter().map(|row| RowJson::new(row, windows)).collect()
}

fn is_none(count: &usize) -> bool {
    *count == 0
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
pub(super) fn message(row: &Row, form: &Form, now: WallMs) -> Vec<u8> {
    let Row { token, symbol, name, end, windows, extended } = row;
    let hash = TokenHash::of(token);
    let aggregate = Aggregate { token, hash, end: *end, windows, extended };
    let mut text = Vec::new();
    form.write(&mut text, &aggregate, TokenNames { symbol, name }, now);
    text
}

/// A rate; of more than 32 bits hold, the greatest that they do.
fn per_second(count: u64, seconds: f64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds
}
