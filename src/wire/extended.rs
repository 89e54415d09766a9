//! The extended fields of a window: what each is called and means (README's table, the schemas and
//! this list say the same, by tests), which of them a service writes, and their values. A new one
//! goes to the end: its place is its number in Protobuf, behind those of
//! [`WINDOW`](super::fields::WINDOW).

use crate::domain::aggregate::{ExtendedFigures, Figures, Previous};
use crate::domain::amount::Amount;
use crate::domain::ratio;
use crate::domain::time::Second;
use crate::domain::window::Window;

use super::fields::{Field, Kind, Value};

/// Extended fields.
pub const FIELDS: usize = 16;

/// What may follow the fields of a window. Each may be missing: it was not chosen, or is unknown.
pub const EXTENDED: [Field; FIELDS] = [
    field(
        "unique_buyers",
        Kind::Count,
        "Wallets with a buy in the window, each once, exact; 0 without any; null while a trade in \
         it has a wallet that was not counted.",
    ),
    field(
        "unique_sellers",
        Kind::Count,
        "Wallets with a sell in the window, each once, exact; 0 without any; null while a trade \
         in it has a wallet that was not counted.",
    ),
    field(
        "unique_traders",
        Kind::Count,
        "Wallets with a trade in the window, each once, exact; 0 without any; null while a trade \
         in it has a wallet that was not counted.",
    ),
    field(
        "buy_volume_usd",
        Kind::Amount,
        "The part of volume_usd that is of buys, exact; 0 without any.",
    ),
    field(
        "sell_volume_usd",
        Kind::Amount,
        "The part of volume_usd that is of sells, exact; 0 without any.",
    ),
    field(
        "net_volume_usd",
        Kind::Net,
        "buy_volume_usd - sell_volume_usd, exact, below 0 where more was sold; 0 without trades.",
    ),
    field(
        "token_volume",
        Kind::Amount,
        "Sum of TokenAmount, each rounded half to even at 18 fractional digits; 0 without trades; \
         null where it is beyond 128 bits, 1.7 * 10^20.",
    ),
    field(
        "vwap",
        Kind::Price,
        "volume_usd / token_volume: USD for one token, rounded half to even at 28 significant \
         digits; null where token_volume is 0 or null.",
    ),
    field(
        "high_price",
        Kind::Price,
        "The highest PriceUsd in the window; without trades the last known price.",
    ),
    field(
        "low_price",
        Kind::Price,
        "The lowest PriceUsd in the window; without trades the last known price.",
    ),
    field(
        "window_start",
        Kind::Time,
        "The first second of the window, UTC: timestamp - D + 1 s for a window of D seconds.",
    ),
    field(
        "first_trade_at",
        Kind::Time,
        "When the first trade in the window was, UTC, cut to whole seconds; null without trades.",
    ),
    field(
        "last_trade_at",
        Kind::Time,
        "When the last trade in the window was, UTC, cut to whole seconds; null without trades.",
    ),
    field(
        "price_usd",
        Kind::Price,
        "PriceUsd of the last trade in the window, as close_price; without trades the last known \
         one.",
    ),
    field(
        "buy_sell_ratio",
        Kind::Number,
        "buy_count / sell_count, the nearest number to the exact quotient; null without sells.",
    ),
    field(
        "previous",
        Kind::Previous,
        "The preceding window of the same length, which ends where this one begins; null for \
         windows of more than half of the longest one, of which no more is kept.",
    ),
];

/// The figures of the preceding window.
pub const PREVIOUS: [Field; 6] = [
    required("trades", Kind::Count, "Trades in it."),
    required("volume_usd", Kind::Amount, "Its volume_usd, exact; 0 without trades."),
    field(
        "traders",
        Kind::Count,
        "Wallets with a trade in it, each once, exact; 0 without any; null while a trade in it \
         has a wallet that was not counted.",
    ),
    field(
        "trades_change",
        Kind::Number,
        "(total_trades - trades) / trades * 100: per cent, the nearest number to the exact \
         quotient; null where trades is 0.",
    ),
    field(
        "volume_usd_change",
        Kind::Number,
        "The same of volume_usd: per cent; null where that was 0.",
    ),
    field(
        "traders_change",
        Kind::Number,
        "The same of unique_traders and traders: per cent; null where either is null, or traders \
         is 0.",
    ),
];

/// Which extended fields are written: by their places, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chosen(u32);

impl Chosen {
    /// None of them.
    pub const STANDARD: Self = Self(0);

    /// All of them.
    pub const ALL: Self = Self((1 << FIELDS) - 1);

    /// `standard`, `extended`, or names of extended fields between commas; `None` for anything
    /// else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "standard" => return Some(Self::STANDARD),
            "extended" => return Some(Self::ALL),
            _ => {}
        }
        text.split(',').try_fold(Self::STANDARD, |Self(chosen), name| {
            let place = EXTENDED.iter().position(|field| field.name == name.trim())?;
            Some(Self(chosen | 1 << place))
        })
    }

    /// Whether there is any.
    #[must_use]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether the one at a place is.
    #[must_use]
    pub const fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

/// The values of [`EXTENDED`] but the last, in its order; `None`: not chosen, or unknown.
pub(super) fn values(
    chosen: Chosen,
    window: &Window,
    (figures, extended): (&Figures, &ExtendedFigures),
    end: Second,
) -> [Option<Value<'static>>; FIELDS - 1] {
    let Figures { sums, close, .. } = figures;
    let ExtendedFigures {
        buyers, sellers, traders, buy_usd, tokens, high, low, first, last, ..
    } = extended;
    let amount = |units| Value::Amount(Amount::from_units(units));
    let average = |tokens: i128| ratio::as_price(sums.usd.unsigned_abs(), tokens.unsigned_abs());
    let vwap = tokens.filter(|_| chosen.has(VWAP)).and_then(average);
    let all = [
        buyers.map(Value::Count),
        sellers.map(Value::Count),
        traders.map(Value::Count),
        buy_usd.map(amount),
        buy_usd.map(|buy| amount(sums.usd - buy)),
        buy_usd.map(|buy| Value::Net(buy - (sums.usd - buy))),
        tokens.map(amount),
        vwap.map(Value::Price),
        high.map(Value::Price),
        low.map(Value::Price),
        Some(Value::Time(window.left_by(end).plus(1))),
        first.map(Value::Time),
        last.map(Value::Time),
        Some(Value::Price(*close)),
        ratio::of_counts(sums.buy.count, sums.sell.count).map(Value::Number),
    ];
    let mut place = 0;
    all.map(|value| {
        let is_chosen = chosen.has(place);
        place += 1;
        value.filter(|_| is_chosen)
    })
}

/// The values of [`PREVIOUS`], in its order; `None`: not chosen, or not kept.
pub(super) fn previous(
    chosen: Chosen,
    (now, extended): (&Figures, &ExtendedFigures),
) -> Option<[Option<Value<'static>>; PREVIOUS.len()]> {
    let Previous { trades, usd, traders } = extended.previous.filter(|_| chosen.has(FIELDS - 1))?;
    let change = |before: u128, now: u128| ratio::change_percent(before, now).map(Value::Number);
    let both = traders.zip(extended.traders);
    Some([
        Some(Value::Count(trades)),
        Some(Value::Amount(Amount::from_units(usd))),
        traders.map(Value::Count),
        change(trades.into(), now.sums.trades().into()),
        change(usd.unsigned_abs(), now.sums.usd.unsigned_abs()),
        both.and_then(|(before, now)| change(before.into(), now.into())),
    ])
}

/// Place of `vwap`.
const VWAP: usize = 7;

const fn field(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, doc, optional: true }
}

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, doc, optional: false }
}
