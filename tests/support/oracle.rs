//! The naive definition: keep every trade, filter, sum. No panes, no running sums, no code of the
//! service; decimals are `bigdecimal`'s. What it says, the service must say.

use bigdecimal::{BigDecimal, RoundingMode, Zero};
use serde_json::{Value, json};
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

    /// The trade as producers write it.
    pub fn json(&self) -> Value {
        let at = time::OffsetDateTime::from_unix_timestamp_nanos(self.at_ns).unwrap();
        let at = at.format(&time::format_description::well_known::Rfc3339).unwrap();
        json!({
            "Token": self.token, "Wallet": "w", "SellBuy": if self.buy { "buy" } else { "sell" },
            "NativeAmount": self.native, "TokenAmount": self.amount, "PriceUsd": self.price,
            "TransTime": at, "TxHash": "t",
        })
    }
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
    let percent = (close - open) * BigDecimal::from(100) / open;
    percent.with_prec(40).to_string().parse().unwrap()
}

/// Plain notation, at least 6 fractional digits.
pub fn plain(value: &BigDecimal) -> String {
    let text = value.normalized().to_plain_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}.{fraction:0<6}")
}
