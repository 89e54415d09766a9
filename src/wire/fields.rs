//! What stands in a message, field by field: the name, the kind and the definition that all
//! schemas share (`deploy/schemas` is made from these lists by a test), and the values in the same
//! order, which the binary formats write. A new field of a window goes to the end of [`WINDOW`]
//! and of [`values`]: its place is its number in Protobuf.

use crate::domain::aggregate::Figures;
use crate::domain::amount::Amount;
use crate::domain::price::Price;
use crate::domain::time::Second;
use crate::domain::window::Window;

/// One field of a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its definition.
    pub doc: &'static str,
    /// Whether it may be missing.
    pub optional: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text with something in it.
    Filled,
    /// A token's address.
    Token,
    /// A whole number from 0.
    Count,
    /// An exact sum, at 10⁻¹⁸.
    Amount,
    /// As [`Amount`](Self::Amount), below 0 too.
    Net,
    /// A price as written.
    Price,
    /// A number of 64 bits.
    Number,
    /// A whole second, UTC.
    Time,
    /// One [`WINDOW`] for each configured window.
    Windows,
    /// A [`PREVIOUS`](super::extended::PREVIOUS).
    Previous,
    /// `buy` or `sell`, as collectors write it.
    Side,
    /// A decimal from 0, as producers write it.
    Decimal,
    /// A time with an offset, as producers write it.
    Moment,
    /// A whole number as text.
    Digits,
    /// Why a trade was rejected.
    Reason,
}

/// A value of a window's field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Count(u64),
    Amount(Amount),
    /// In units of 10⁻¹⁸.
    Net(i128),
    Price(Price),
    Number(f64),
    Time(Second),
}

/// A record of `KAFKA_TOPIC` is one of these, or an array of them.
pub const TRADE: [Field; 8] = [
    field("Token", Kind::Token, "Address of the token."),
    field("Wallet", Kind::Filled, "The trader."),
    field("SellBuy", Kind::Side, "buy or sell in any case, alone or followed by _ and more."),
    field("NativeAmount", Kind::Decimal, "Volume in the chain's native currency, up to 10^15."),
    field("TokenAmount", Kind::Decimal, "Quantity of the token, up to 10^18."),
    field(
        "PriceUsd",
        Kind::Decimal,
        "Price of one token in USD, up to 10^15, as TokenAmount times PriceUsd is. The first 28 \
         significant digits count.",
    ),
    field("TransTime", Kind::Moment, "When it was traded: RFC 3339 with an offset."),
    field("TxHash", Kind::Filled, "The transaction. It may hold several trades."),
];

/// A message of `AGGREGATE_TOPIC`.
pub const AGGREGATE: [Field; 6] = [
    field("token", Kind::Token, "Address of the token, which is the record's key, too."),
    field("symbol", Kind::Text, "Its symbol as token-info has it; empty while unknown."),
    field("name", Kind::Text, "Its name as token-info has it; empty while unknown."),
    field(
        "aggregate_data",
        Kind::Windows,
        "One item for each configured window, in the configured order, all with one end.",
    ),
    field("generated_at", Kind::Time, "When the message was made: UTC, whole seconds."),
    field("version", Kind::Text, "Version of the message: 1.x only ever adds fields."),
];

/// The figures of one window.
pub const WINDOW: [Field; 12] = [
    field("time_window", Kind::Text, "Name of the window as configured."),
    field("sell_count", Kind::Count, "Sells in the window."),
    field("buy_count", Kind::Count, "Buys in the window."),
    field("total_trades", Kind::Count, "sell_count + buy_count."),
    field("sell_volume", Kind::Amount, "Sum of NativeAmount of the sells, exact; 0 without any."),
    field("buy_volume", Kind::Amount, "Sum of NativeAmount of the buys, exact; 0 without any."),
    field("total_volume", Kind::Amount, "sell_volume + buy_volume."),
    field(
        "volume_usd",
        Kind::Amount,
        "Sum of TokenAmount times PriceUsd in USD, each product rounded half to even at 18 \
         fractional digits; 0 without trades.",
    ),
    field(
        "price_change",
        Kind::Number,
        "(close_price - open_price) / open_price * 100: per cent, the nearest number to the exact \
         quotient; 0 without trades or where open_price is 0.",
    ),
    field(
        "open_price",
        Kind::Price,
        "PriceUsd of the first trade in the window; without trades the last known one.",
    ),
    field(
        "close_price",
        Kind::Price,
        "PriceUsd of the last trade in the window; without trades the last known one.",
    ),
    field(
        "timestamp",
        Kind::Time,
        "End of the window, UTC: a window of D seconds holds the trades after end - D and up to \
         end.",
    ),
];

/// The headers of a record of `DLQ_TOPIC`, without the prefix that they share.
pub const DEAD_LETTER: [Field; 7] = [
    field("topic", Kind::Text, "The topic that it was read from."),
    field("partition", Kind::Digits, "The partition that it was read from."),
    field("offset", Kind::Digits, "The offset of its record."),
    Field {
        optional: true,
        ..field(
            "timestamp",
            Kind::Digits,
            "The record's timestamp in milliseconds; absent where it has none.",
        )
    },
    Field {
        optional: true,
        ..field(
            "index",
            Kind::Digits,
            "Its place in the record's array; absent where it is the whole value.",
        )
    },
    field("reason", Kind::Reason, "Why it was rejected."),
    field("message", Kind::Text, "Why it was rejected, for people."),
];

const fn field(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, doc, optional: false }
}

/// The values of [`WINDOW`], in its order.
pub(super) fn values<'a>(
    window: &'a Window,
    figures: &Figures,
    end: Second,
) -> [Value<'a>; WINDOW.len()] {
    let Figures { sums, open, close } = figures;
    let amount = |units| Value::Amount(Amount::from_units(units));
    [
        Value::Text(&window.name),
        Value::Count(sums.sell.count),
        Value::Count(sums.buy.count),
        Value::Count(sums.trades()),
        amount(sums.sell.volume),
        amount(sums.buy.volume),
        amount(sums.sell.volume.saturating_add(sums.buy.volume)),
        amount(sums.usd),
        Value::Number(Price::change_percent(*open, *close)),
        Value::Price(*open),
        Value::Price(*close),
        Value::Time(end),
    ]
}
