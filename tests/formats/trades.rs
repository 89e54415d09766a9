//! Trades at the edges of what is read: the finest and the largest prices, the longest, amounts of
//! one unit and at their limits, and what an oracle says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use aggregator_service::wire::extended::Chosen;
use rskafka::client::partition::Compression;
use rskafka::record::Record;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::topic::{Topic, now};
use support::kafka::KafkaBroker;
use support::oracle::{self, Span, Told};

pub(crate) const SPANS: [Span; 3] = [("30s", 30), ("2min", 120), ("1hour", 3_600)];

/// A trade: so many seconds ago.
pub(crate) struct Trade {
    pub(crate) token: &'static str,
    age_s: i64,
    buy: bool,
    native: &'static str,
    amount: &'static str,
    price: &'static str,
}

const fn trade(
    token: &'static str,
    age_s: i64,
    buy: bool,
    [native, amount, price]: [&'static str; 3],
) -> Trade {
    Trade { token, age_s, buy, native, amount, price }
}

pub(crate) const TRADES: [Trade; 14] = [
    trade("So11111111111111111111111111111111111111112", 5, true, ["1.5", "1000.25", "1e-8"]),
    trade("So11111111111111111111111111111111111111112", 50, false, ["2", "3e2", "1.3e-8"]),
    trade("So11111111111111111111111111111111111111112", 900, true, ["1e-18", "7", "1.25e-8"]),
    trade("fine", 2, true, ["0.000000000000000001", "1", "1e-255"]),
    trade("fine", 60, false, ["0", "0", "9.999999999999999999999999999e-228"]),
    trade("large", 3, true, ["1000000000000000", "1", "1000000000000000"]),
    trade("large", 4, false, ["999999999999999.999999999999999999", "1e18", "0.001"]),
    trade("large", 70, false, ["1000000000000000", "0.5", "999999999999999.9999999999999"]),
    trade("apart", 10, true, ["1", "1", "1e15"]),
    trade("apart", 500, true, ["1", "1", "1e-255"]),
    trade("nothing", 600, false, ["0", "0", "0"]),
    trade("plain", 1, true, ["128", "255", "256.5"]),
    trade("plain", 2, false, ["127", "256", "0.0000152587890625"]),
    trade("od\"d \u{1f980}\\", 20, false, ["3", "4", "5"]),
];

static TOLD: OnceLock<Vec<Told>> = OnceLock::new();

pub(crate) fn tokens() -> BTreeSet<String> {
    TRADES.iter().map(|trade| trade.token.to_owned()).collect()
}

/// Produces all, and names of some: to a topic of one's own, or they count twice.
pub(crate) fn produce(trades: &str, names: &str) {
    let now_s = now().timestamp();
    let told = |(index, trade): (u32, &Trade)| Told {
        token: trade.token.to_owned(),
        buy: trade.buy,
        native: trade.native.to_owned(),
        amount: trade.amount.to_owned(),
        price: trade.price.to_owned(),
        at_ns: i128::from(now_s - trade.age_s) * 1_000_000_000,
        position: (0, 0, index),
    };
    let told = TOLD.get_or_init(|| (0..).zip(&TRADES).map(told).collect());
    send(trades, &told.iter().map(Told::json).collect());
    send(names, &json!([{"Token": "plain", "Symbol": "PLN", "Name": "Plain \u{e9} \"token\""}]));
}

/// One record.
pub(crate) fn send(topic: &str, value: &Value) {
    let (value, headers) = (Some(value.to_string().into_bytes()), BTreeMap::new());
    let record = Record { key: None, value, headers, timestamp: now() };
    let topic = Topic::open(KafkaBroker::shared(), topic);
    topic.produce(0, vec![record], Compression::default());
}

/// What the oracle says of a token at that end.
pub(crate) fn expected(token: &str, end: &str, chosen: Chosen) -> Value {
    let told: Vec<_> = TOLD.get().unwrap().iter().filter(|told| told.token == token).collect();
    let end = OffsetDateTime::parse(end, &Rfc3339).unwrap().unix_timestamp();
    let windows = if chosen.any() { oracle::windows_extended } else { oracle::windows };
    Value::Array(windows(&told, &SPANS, end))
}
