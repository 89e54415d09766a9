//! The usual trade JSON, read in one pass straight from its bytes: objects of exactly the
//! contract's eight fields, in any order, without escapes, one alone or an array of them.
//!
//! A scan that answers `true` has handed on exactly what [`super::trade::Elements`] would have:
//! the same trades, places and bytes, in the same order. Whatever it is not sure of makes it answer
//! `false` (another field, an escape, a bad value, a trade too late, a byte too much), and the
//! value is then read by `Elements`, which also says what is wrong. So nothing is decided here
//! that the general reader does not decide.
//!
//! Producers write their fields in one order: each place of an object remembers the name that
//! stood there last, and reading it again is one comparison of 16 bytes.

use crate::domain::amount::Amount;
use crate::domain::price::Price;
use crate::domain::time::{EventTime, Second};
use crate::domain::token::TokenHash;
use crate::domain::trade::{MAX_TOKEN_BYTES, Side, Trade};

use super::cursor::Cursor;
use super::time;
use super::trade_fields::{MAX_QUANTITY, MAX_VALUE, side};

/// Reads usual values; remembers the order of the last object's fields.
#[derive(Clone, Debug)]
pub struct Scanner {
    order: [Name; FIELDS],
}

impl Scanner {
    /// One that expects the contract's order.
    #[must_use]
    pub const fn new() -> Self {
        let [token, wallet, side, native, quantity, price, at, hash, ..] = NAMES;
        Self { order: [token, wallet, side, native, quantity, price, at, hash] }
    }

    /// Hands every trade of `value` to `each`: its place in the array (0 for a single object), its
    /// bytes (of a single object the whole value), and what it says. `false`: the value is not
    /// usual, or holds a trade after `latest`; what `each` was told is then to be forgotten.
    pub fn scan<'v>(
        &mut self,
        value: &'v [u8],
        latest: Option<EventTime>,
        each: &mut impl FnMut(u32, &'v [u8], Trade<'v>),
    ) -> bool {
        self.value(value, latest, each).is_some()
    }

    fn value<'v>(
        &mut self,
        value: &'v [u8],
        latest: Option<EventTime>,
        each: &mut impl FnMut(u32, &'v [u8], Trade<'v>),
    ) -> Option<()> {
        let mut cursor = Cursor::new(value);
        cursor.blanks();
        if cursor.eat(b'[') {
            self.array(&mut cursor, latest, each)?;
        } else {
            let trade = self.object(&mut cursor, latest)?;
            each(0, value, trade);
        }
        cursor.blanks();
        cursor.is_at_end().then_some(())
    }

    /// What stands behind the opening bracket.
    fn array<'v>(
        &mut self,
        cursor: &mut Cursor<'v>,
        latest: Option<EventTime>,
        each: &mut impl FnMut(u32, &'v [u8], Trade<'v>),
    ) -> Option<()> {
        cursor.blanks();
        if cursor.eat(b']') {
            return Some(());
        }
        let mut index = 0_u32;
        loop {
            let start = *cursor;
            let trade = self.object(cursor, latest)?;
            each(index, start.up_to(cursor)?, trade);
            cursor.blanks();
            if cursor.eat(b']') {
                return Some(());
            }
            cursor.expect(b',')?;
            cursor.blanks();
            index = index.checked_add(1)?;
        }
    }

    fn object<'v>(
        &mut self,
        cursor: &mut Cursor<'v>,
        latest: Option<EventTime>,
    ) -> Option<Trade<'v>> {
        let mut fields = Fields::NOTHING;
        let mut before = b'{';
        for place in &mut self.order {
            cursor.expect(before)?;
            cursor.blanks();
            let name = name(cursor, place)?;
            cursor.blanks();
            fields.read(name, cursor)?;
            cursor.blanks();
            before = b',';
        }
        cursor.expect(b'}')?;
        fields.trade(latest)
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

/// Fields of a trade.
const FIELDS: usize = 8;

#[derive(Clone, Copy, Debug)]
enum Field {
    Token,
    Wallet,
    Side,
    Native,
    Quantity,
    Price,
    At,
    Hash,
}

/// A field's name with its quotes and the colon, as a number of 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Name {
    field: Field,
    len: usize,
    bytes: u128,
    mask: u128,
}

impl Name {
    const fn new(field: Field, text: &str) -> Self {
        let mut bytes = 0;
        let mut rest = text.as_bytes();
        while let Some((last, before)) = rest.split_last() {
            bytes = (bytes << 8) | *last as u128;
            rest = before;
        }
        Self { field, len: text.len(), bytes, mask: u128::MAX >> (128 - 8 * text.len()) }
    }
}

/// The contract's names, first one spelling of all, then the other.
const NAMES: [Name; 2 * FIELDS] = [
    Name::new(Field::Token, "\"Token\":"),
    Name::new(Field::Wallet, "\"Wallet\":"),
    Name::new(Field::Side, "\"SellBuy\":"),
    Name::new(Field::Native, "\"NativeAmount\":"),
    Name::new(Field::Quantity, "\"TokenAmount\":"),
    Name::new(Field::Price, "\"PriceUsd\":"),
    Name::new(Field::At, "\"TransTime\":"),
    Name::new(Field::Hash, "\"TxHash\":"),
    Name::new(Field::Token, "\"token\":"),
    Name::new(Field::Wallet, "\"wallet\":"),
    Name::new(Field::Side, "\"sell_buy\":"),
    Name::new(Field::Native, "\"native_amount\":"),
    Name::new(Field::Quantity, "\"token_amount\":"),
    Name::new(Field::Price, "\"price_usd\":"),
    Name::new(Field::At, "\"trans_time\":"),
    Name::new(Field::Hash, "\"tx_hash\":"),
];

/// The name at the cursor: most likely the one that stood at this `place` before.
fn name(cursor: &mut Cursor<'_>, place: &mut Name) -> Option<Field> {
    let found = cursor.peek_16();
    if found & place.mask != place.bytes {
        *place = *NAMES.iter().find(|name| found & name.mask == name.bytes)?;
    }
    cursor.pass(place.len)?;
    Some(place.field)
}

/// What was read of one object.
struct Fields<'v> {
    /// One bit for each field.
    seen: u8,
    token: &'v str,
    side: Side,
    native: Amount,
    quantity: Amount,
    price: Price,
    at: EventTime,
}

impl<'v> Fields<'v> {
    const NOTHING: Self = Self {
        seen: 0,
        token: "",
        side: Side::Buy,
        native: Amount::ZERO,
        quantity: Amount::ZERO,
        price: Price::ZERO,
        at: EventTime { second: Second(0), nanos: 0 },
    };

    /// Reads the value at the cursor.
    fn read(&mut self, field: Field, cursor: &mut Cursor<'v>) -> Option<()> {
        self.seen |= 1 << field as u8;
        match field {
            Field::Token => {
                let text = cursor.text().filter(|text| text.len() <= MAX_TOKEN_BYTES)?;
                self.token = std::str::from_utf8(text).ok()?;
            }
            Field::Wallet | Field::Hash => {
                cursor.text()?;
            }
            Field::Side => self.side = side(cursor.text()?)?,
            Field::Native => self.native = Amount::parse(cursor.decimal()?, MAX_VALUE).ok()?,
            Field::Quantity => {
                self.quantity = Amount::parse(cursor.decimal()?, MAX_QUANTITY).ok()?;
            }
            Field::Price => self.price = Price::parse(cursor.decimal()?, MAX_VALUE).ok()?,
            Field::At => self.at = time::parse(std::str::from_utf8(cursor.text()?).ok()?)?,
        }
        Some(())
    }

    /// The trade, if each field was there once: there were as many as there are fields.
    fn trade(self, latest: Option<EventTime>) -> Option<Trade<'v>> {
        let Self { seen, token, side, native, quantity, price, at } = self;
        if seen != u8::MAX || latest.is_some_and(|latest| at > latest) {
            return None;
        }
        let usd = quantity.times(price, MAX_VALUE).ok()?;
        Some(Trade { token, hash: TokenHash::of(token), side, native, usd, price, at })
    }
}
