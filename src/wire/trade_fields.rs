//! The fields of one trade object, by the contract's table. They are checked in the table's
//! order, and the first problem decides. Every message says which field, what was expected and
//! what was found. A valid trade costs no allocation unless a string of it holds escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::amount::{Amount, DecimalError};
use crate::domain::cover::Cover;
use crate::domain::extended::WalletHash;
use crate::domain::price::Price;
use crate::domain::reject::Reason;
use crate::domain::time::EventTime;
use crate::domain::token::TokenHash;
use crate::domain::trade::{MAX_TOKEN_BYTES, More, Side, Trade};

use super::time::{self, Rfc3339};

/// Largest native volume, price in USD, and volume in USD.
pub(super) const MAX_VALUE: u64 = 10_u64.pow(15);
/// Largest quantity of a token.
pub(super) const MAX_QUANTITY: u64 = 10_u64.pow(18);
/// Characters of a value that a message shows.
const SHOWN_CHARS: usize = 64;

/// Why an element is no trade.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) reason: Reason,
    pub(super) message: String,
    /// Of the token, if that is valid.
    pub(super) hash: Option<TokenHash>,
}

/// Reads one element; nothing where its token is of a shard that is not `wanted`. `json` is valid
/// JSON; a trade after `latest` is rejected; a token with escapes is written out into `scratch`.
/// `extended`: with what the extended figures need.
pub(super) fn element<'a>(
    json: &'a str,
    (latest, extended): (Option<EventTime>, bool),
    wanted: Option<&Cover>,
    scratch: &'a mut String,
) -> Result<Option<Trade<'a>>, Rejection> {
    let fields = Fields::read(json).ok_or_else(|| Rejection {
        reason: Reason::NotATrade,
        message: format!("trade: expected an object, found {}", Shown(json)),
        hash: None,
    })?;
    let token = fields.token.token(scratch)?;
    let hash = TokenHash::of(token);
    if wanted.is_some_and(|wanted| !wanted.has(hash)) {
        return Ok(None);
    }
    let trade = fields.trade(token, hash, latest, extended);
    trade.map(Some).map_err(|rejection| Rejection { hash: Some(hash), ..rejection })
}

/// The contract's table: each field with its raw JSON.
struct Fields<'a> {
    token: Field<'a>,
    wallet: Field<'a>,
    sell_buy: Field<'a>,
    native_amount: Field<'a>,
    token_amount: Field<'a>,
    price_usd: Field<'a>,
    trans_time: Field<'a>,
    tx_hash: Field<'a>,
}

struct Field<'a> {
    name: &'static str,
    expected: &'static str,
    raw: Option<&'a str>,
}

impl<'a> Fields<'a> {
    const ABSENT: Self = Self {
        token: Field::absent("Token", "a string of 1 to 128 bytes"),
        wallet: Field::absent("Wallet", "a non-empty string"),
        sell_buy: Field::absent("SellBuy", "buy or sell, alone or followed by _…"),
        native_amount: Field::absent("NativeAmount", "a decimal number not below 0"),
        token_amount: Field::absent("TokenAmount", "a decimal number not below 0"),
        price_usd: Field::absent("PriceUsd", "a decimal number not below 0"),
        trans_time: Field::absent("TransTime", "an RFC 3339 time with an offset"),
        tx_hash: Field::absent("TxHash", "a non-empty string"),
    };

    /// The fields of an object; `None` where `json` is something else.
    fn read(json: &'a str) -> Option<Self> {
        serde_json::Deserializer::from_str(json).deserialize_map(ObjectVisitor).ok()
    }

    /// What all but the token say.
    fn trade<'t>(
        &self,
        token: &'t str,
        hash: TokenHash,
        latest: Option<EventTime>,
        extended: bool,
    ) -> Result<Trade<'t>, Rejection> {
        self.wallet.non_empty_text()?;
        let side = self.sell_buy.side()?;
        let native = self.native_amount.decimal(Amount::parse, MAX_VALUE)?;
        let quantity = self.token_amount.decimal(Amount::parse, MAX_QUANTITY)?;
        let price = self.price_usd.decimal(Price::parse, MAX_VALUE)?;
        let usd = quantity.times(price, MAX_VALUE);
        let usd = usd.map_err(|_| self.product_above_limit())?;
        let at = self.trans_time.time()?;
        self.tx_hash.non_empty_text()?;
        if let Some(latest) = latest.filter(|latest| at > *latest) {
            let expected = format_args!("{} at the latest", Rfc3339(latest.second));
            return Err(self.trans_time.rejection(Reason::Future, expected));
        }
        let more = extended.then(|| More { wallet: self.wallet.wallet(), quantity });
        Ok(Trade { token, hash, side, native, usd, price, at, more })
    }

    /// The field of this name, in either spelling.
    fn named(&mut self, name: &[u8]) -> Option<&mut Field<'a>> {
        Some(match name {
            b"Token" | b"token" => &mut self.token,
            b"Wallet" | b"wallet" => &mut self.wallet,
            b"SellBuy" | b"sell_buy" => &mut self.sell_buy,
            b"NativeAmount" | b"native_amount" => &mut self.native_amount,
            b"TokenAmount" | b"token_amount" => &mut self.token_amount,
            b"PriceUsd" | b"price_usd" => &mut self.price_usd,
            b"TransTime" | b"trans_time" => &mut self.trans_time,
            b"TxHash" | b"tx_hash" => &mut self.tx_hash,
            _ => return None,
        })
    }

    fn product_above_limit(&self) -> Rejection {
        let [quantity, price] = [&self.token_amount, &self.price_usd].map(Field::shown);
        Rejection {
            reason: Reason::OutOfRange,
            message: format!(
                "TokenAmount × PriceUsd: expected at most {MAX_VALUE}, found {quantity} × {price}"
            ),
            hash: None,
        }
    }
}

impl<'a> Field<'a> {
    const fn absent(name: &'static str, expected: &'static str) -> Self {
        Self { name, expected, raw: None }
    }

    fn token<'t>(&self, scratch: &'t mut String) -> Result<&'t str, Rejection>
    where
        'a: 't,
    {
        let token = match self.text()? {
            Some(Cow::Borrowed(token)) => token,
            Some(Cow::Owned(token)) => {
                *scratch = token;
                scratch
            }
            None => return Err(self.wrong(Reason::InvalidToken)),
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(self.wrong(Reason::InvalidToken));
        }
        Ok(token)
    }

    /// What it says is not looked at: that it is there is enough.
    fn non_empty_text(&self) -> Result<(), Rejection> {
        if self.present()?.starts_with('"') {
            Ok(())
        } else {
            Err(self.wrong(Reason::MissingField))
        }
    }

    fn wallet(&self) -> WalletHash {
        let text = self.text().ok().flatten();
        WalletHash::of(&text.unwrap_or(Cow::Borrowed(self.raw.unwrap_or_default())))
    }

    fn side(&self) -> Result<Side, Rejection> {
        self.text()?
            .and_then(|text| side(text.as_bytes()))
            .ok_or_else(|| self.wrong(Reason::InvalidSide))
    }

    /// A decimal as a string or as a JSON number.
    fn decimal<T>(
        &self,
        parse: impl Fn(&[u8], u64) -> Result<T, DecimalError>,
        limit: u64,
    ) -> Result<T, Rejection> {
        let raw = self.present()?;
        let number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let text = if number { Some(Cow::Borrowed(raw)) } else { self.text()? };
        let text = text.ok_or_else(|| self.wrong(Reason::InvalidAmount))?;
        parse(text.as_bytes(), limit).map_err(|error| match error {
            DecimalError::NotADecimal | DecimalError::Negative => self.wrong(Reason::InvalidAmount),
            DecimalError::AboveLimit => {
                self.rejection(Reason::OutOfRange, format_args!("at most {limit}"))
            }
            DecimalError::TooFine => {
                self.rejection(Reason::OutOfRange, "at most 255 fractional digits")
            }
        })
    }

    fn time(&self) -> Result<EventTime, Rejection> {
        self.text()?
            .and_then(|text| time::parse(&text))
            .ok_or_else(|| self.wrong(Reason::InvalidTime))
    }

    /// The field's JSON: not absent, not null, not an empty string.
    fn present(&self) -> Result<&'a str, Rejection> {
        self.raw
            .filter(|raw| !matches!(*raw, "null" | r#""""#))
            .ok_or_else(|| self.wrong(Reason::MissingField))
    }

    /// The string that the field holds; `None` where it holds something else, or half of a
    /// surrogate pair.
    fn text(&self) -> Result<Option<Cow<'a, str>>, Rejection> {
        let raw = self.present()?;
        let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
        Ok(match inner {
            Some(inner) if inner.contains('\\') => serde_json::from_str(raw).ok().map(Cow::Owned),
            inner => inner.map(Cow::Borrowed),
        })
    }

    fn wrong(&self, reason: Reason) -> Rejection {
        self.rejection(reason, self.expected)
    }

    fn rejection(&self, reason: Reason, expected: impl fmt::Display) -> Rejection {
        let (name, found) = (self.name, self.shown());
        let message = format!("{name}: expected {expected}, found {found}");
        Rejection { reason, message, hash: None }
    }

    fn shown(&self) -> Shown<'a> {
        Shown(self.raw.unwrap_or_default())
    }
}

/// Collectors pass the program's method, as `buy_exact_sol_in`.
pub(super) fn side(text: &[u8]) -> Option<Side> {
    let method = text.split(|byte| *byte == b'_').next()?;
    if method.eq_ignore_ascii_case(b"buy") {
        Some(Side::Buy)
    } else if method.eq_ignore_ascii_case(b"sell") {
        Some(Side::Sell)
    } else {
        None
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// Of a name that comes twice the last one counts, as in Go.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::ABSENT;
        while let Some(field) = map.next_key_seed(Name(&mut fields))? {
            if let Some(field) = field {
                field.raw = Some(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(fields)
    }
}

/// Reads a name as the field that it stands for. As bytes, since a name that nobody knows may
/// hold half of a surrogate pair.
struct Name<'f, 'de>(&'f mut Fields<'de>);

impl<'f, 'de> DeserializeSeed<'de> for Name<'f, 'de> {
    type Value = Option<&'f mut Field<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_bytes(self)
    }
}

impl<'f, 'de> Visitor<'de> for Name<'f, 'de> {
    type Value = Option<&'f mut Field<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.named(name))
    }
}

/// A value in a message: its beginning, without what would break a line; `nothing` where empty.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for c in chars.by_ref().take(SHOWN_CHARS) {
            write!(f, "{}", if c.is_control() { ' ' } else { c })?;
        }
        f.write_str(if chars.next().is_some() { "…" } else { "" })
    }
}
