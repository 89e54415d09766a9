//! The naive definition: keep every trade, filter, sum. No panes, no running sums, no code of the
//! service; decimals are `bigdecimal`'s. What it says, the service must say.

use bigdecimal::{BigDecimal, RoundingMode, Zero};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::str::FromStr;

/// A trade as it stood in the log.
#[derive(Clone, Debug)]
pub struct Told {
    pub token: String,
    pub buy: bool,
    pub native: String,
    pub amount: String,
    pub price: String,
    /// `TransTime`, in nanoseconds since the epoch.
    pub at_ns: i128,
    /// Partition, offset, index.
    pub position: (i32, i64, u32),
}

/// A window: its name and length in seconds.
pub type Span = (&'static str, i64);

impl Told {
    pub fn second(&self) -> i64 {
        i64::try_from(self.at_ns.div_euclid(1_000_000_000)).unwrap()
    }

    /// What decides between open and close.
    pub fn order(&self) -> (i128, (i32, i64, u32)) {
        (self.at_ns, self.position)
    }

    /// Who traded: it follows from what the trade says. Half of the trades are of few wallets.
    pub fn wallet(&self) -> String {
        let text = format!("{}|{}|{}", self.at_ns, self.native, self.amount);
        let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, mix) >> 20;
        let wallets = if hash.is_multiple_of(2) { 30 } else { WALLETS };
        format!("wallet-{}", hash / 2 % wallets)
    }

    /// What the extended figures need of it.
    pub fn known(&self) -> Known {
        let amount = amount(&self.amount);
        let usd = rounded(&amount * price(self));
        let (second, order, buy) = (self.second(), self.order(), self.buy);
        Known { second, order, buy, usd, amount, price: price(self), wallet: self.wallet() }
    }

    /// The trade as producers write it.
    pub fn json(&self) -> Value {
        let at = time::OffsetDateTime::from_unix_timestamp_nanos(self.at_ns).unwrap();
        let at = at.format(&time::format_description::well_known::Rfc3339).unwrap();
        json!({
            "Token": self.token, "Wallet": self.wallet(),
            "SellBuy": if self.buy { "buy" } else { "sell" },
            "NativeAmount": self.native, "TokenAmount": self.amount, "PriceUsd": self.price,
            "TransTime": at, "TxHash": "t",
        })
    }
}

/// Different wallets of all trades.
pub const WALLETS: u64 = 20_000;

/// What the extended figures need of a trade.
#[derive(Clone, Debug)]
pub struct Known {
    pub second: i64,
    pub order: (i128, (i32, i64, u32)),
    pub buy: bool,
    pub usd: BigDecimal,
    pub amount: BigDecimal,
    pub price: BigDecimal,
    pub wallet: String,
}

/// Whether a token has a trade in the longest window that ends at `end`.
pub fn active<'a>(mut trades: impl Iterator<Item = &'a Told>, end: i64, longest: i64) -> bool {
    trades.any(|told| end - longest < told.second() && told.second() <= end)
}

/// `aggregate_data` of one token's trades for windows that end at `end`.
pub fn windows(trades: &[&Told], spans: &[Span], end: i64) -> Vec<Value> {
    let timestamp = time::OffsetDateTime::from_unix_timestamp(end).unwrap();
    let timestamp = timestamp.format(&time::format_description::well_known::Rfc3339).unwrap();
    let last = trades.iter().filter(|told| told.second() <= end).max_by_key(|told| told.order());
    let known = last.map_or(BigDecimal::zero(), |told| price(told));
    spans
        .iter()
        .map(|(name, length)| {
            let mut held: Vec<_> = trades
                .iter()
                .filter(|told| end - length < told.second() && told.second() <= end)
                .collect();
            held.sort_by_key(|told| told.order());
            let open = held.first().map_or(known.clone(), |told| price(told));
            let close = held.last().map_or(known.clone(), |told| price(told));
            let count = |buy| held.iter().filter(|told| told.buy == buy).count();
            let volume = |buy| -> BigDecimal {
                held.iter().filter(|told| told.buy == buy).map(|told| amount(&told.native)).sum()
            };
            let usd: BigDecimal =
                held.iter().map(|told| rounded(amount(&told.amount) * price(told))).sum();
            json!({
                "time_window": name,
                "sell_count": count(false), "buy_count": count(true), "total_trades": held.len(),
                "sell_volume": plain(&volume(false)), "buy_volume": plain(&volume(true)),
                "total_volume": plain(&(volume(false) + volume(true))),
                "volume_usd": plain(&usd),
                "price_change": change(&open, &close),
                "open_price": plain(&open), "close_price": plain(&close),
                "timestamp": timestamp,
            })
        })
        .collect()
}

/// As [`windows`], with the extended figures.
pub fn windows_extended(trades: &[&Told], spans: &[Span], end: i64) -> Vec<Value> {
    let known: Vec<Known> = trades.iter().map(|told| told.known()).collect();
    let mut windows = windows(trades, spans, end);
    for (window, extended) in windows.iter_mut().zip(extended(&known, spans, end)) {
        let Value::Object(extended) = extended else { panic!("an object") };
        window.as_object_mut().unwrap().extend(extended);
    }
    windows
}

/// The extended figures of one token's trades, an object for each window that ends at `end`.
pub fn extended(trades: &[Known], spans: &[Span], end: i64) -> Vec<Value> {
    let longest = spans.iter().map(|(_, length)| *length).max().unwrap();
    let until = trades.iter().filter(|known| known.second <= end);
    let last = until.max_by_key(|known| known.order).map(|known| known.price.clone());
    let last = last.unwrap_or_default();
    spans.iter().map(|(_, length)| of_window(trades, *length, longest, end, &last)).collect()
}

fn within(trades: &[Known], after: i64, until: i64) -> impl Iterator<Item = &Known> + Clone {
    trades.iter().filter(move |known| after < known.second && known.second <= until)
}

fn of_window(trades: &[Known], length: i64, longest: i64, end: i64, last: &BigDecimal) -> Value {
    let held = within(trades, end - length, end);
    let before = within(trades, end - 2 * length, end - length);
    let usd = |buy: bool| -> BigDecimal {
        held.clone().filter(|known| known.buy == buy).map(|known| &known.usd).sum()
    };
    let tokens: BigDecimal = held.clone().map(|known| &known.amount).sum();
    let (bought, sold) = (usd(true), usd(false));
    let all = &bought + &sold;
    let vwap = (!tokens.is_zero()).then(|| {
        plain(
            &(&all / &tokens).with_precision_round(28.try_into().unwrap(), RoundingMode::HalfEven),
        )
    });
    let count = |buy: bool| held.clone().filter(|known| known.buy == buy).count();
    let (buys, sells, trades) = (count(true), count(false), held.clone().count());
    let ratio = (sells > 0).then(|| nearest(big(buys) / big(sells)));
    let newest = held.clone().max_by_key(|known| known.order);
    let at = |known: Option<&Known>| known.map(|known| moment(known.second));
    let volume: BigDecimal = before.clone().map(|known| &known.usd).sum();
    let traders = wallets(held.clone());
    let previous = json!({
        "trades": before.clone().count(), "volume_usd": plain(&volume),
        "traders": wallets(before.clone()),
        "trades_change": percent(&big(before.clone().count()), &big(trades)),
        "volume_usd_change": percent(&volume, &all),
        "traders_change": percent(&big(wallets(before)), &big(traders)),
    });
    json!({
        "unique_buyers": wallets(held.clone().filter(|known| known.buy)),
        "unique_sellers": wallets(held.clone().filter(|known| !known.buy)),
        "unique_traders": traders,
        "buy_volume_usd": plain(&bought), "sell_volume_usd": plain(&sold),
        "net_volume_usd": plain(&(&bought - &sold)),
        "token_volume": plain(&tokens), "vwap": vwap,
        "high_price": plain(held.clone().map(|known| &known.price).max().unwrap_or(last)),
        "low_price": plain(held.clone().map(|known| &known.price).min().unwrap_or(last)),
        "window_start": moment(end - length + 1),
        "first_trade_at": at(held.clone().min_by_key(|known| known.order)),
        "last_trade_at": at(newest),
        "price_usd": plain(newest.map_or(last, |known| &known.price)),
        "buy_sell_ratio": ratio,
        "previous": if 2 * length <= longest { previous } else { Value::Null },
    })
}

fn wallets<'a>(trades: impl Iterator<Item = &'a Known>) -> usize {
    trades.map(|known| known.wallet.as_str()).collect::<BTreeSet<_>>().len()
}

fn big(count: usize) -> BigDecimal {
    BigDecimal::from(u64::try_from(count).unwrap())
}

fn percent(before: &BigDecimal, now: &BigDecimal) -> Option<f64> {
    (!before.is_zero()).then(|| change(before, now))
}

fn moment(second: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(second).unwrap();
    at.format(&time::format_description::well_known::Rfc3339).unwrap()
}

/// Whether two `aggregate_data` say the same. Numbers compare by value: `0` is `0.0`.
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

/// A price as it is kept.
pub fn price(told: &Told) -> BigDecimal {
    let exact = BigDecimal::from_str(&told.price).unwrap();
    exact.with_precision_round(28.try_into().unwrap(), RoundingMode::HalfEven)
}

/// An amount as it is held.
pub fn amount(text: &str) -> BigDecimal {
    rounded(BigDecimal::from_str(text).unwrap())
}

/// As amounts and products are held: at 18 fractional digits.
pub fn rounded(exact: BigDecimal) -> BigDecimal {
    exact.with_scale_round(18, RoundingMode::HalfEven)
}

/// `price_change`, in percent.
pub fn change(open: &BigDecimal, close: &BigDecimal) -> f64 {
    if open.is_zero() {
        return 0.0;
    }
    nearest((close - open) * BigDecimal::from(100) / open)
}

/// The nearest number of 64 bits.
pub fn nearest(exact: BigDecimal) -> f64 {
    exact.with_prec(40).to_string().parse().unwrap()
}

/// Plain notation, at least 6 fractional digits.
pub fn plain(value: &BigDecimal) -> String {
    let text = value.normalized().to_plain_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}.{fraction:0<6}")
}
