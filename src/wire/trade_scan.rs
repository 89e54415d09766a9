//! The usual trade JSON, read in one pass straight from its bytes: objects of exactly the
//! contract's eight fields, in any order, without escapes, one alone or an array of them.
//!
//! A scan that answers `true` has handed on exactly what [`super::trade::Elements`] would have:
//! the same trades, places and bytes, in the same order. Whatever it is not sure of makes it answer
//! `false` (another field, an escape, a bad value, a trade too late, a byte too much), and the
//! value is then read by `Elements`, which also says what is wrong. So nothing is decided here
//! that the general reader does not decide.
//!
//! What a token of another member's shard has beside it is passed by as JSON, and not converted:
//! that it is valid, and has each of the eight fields once, is made as sure of as elsewhere. What
//! the fields say is its owner's matter.
//!
//! Producers write their fields in one order: each place of an object remembers the name that
//! stood there last, and reading it again is one comparison of 16 bytes.

use crate::domain::amount::Amount;
use crate::domain::cover::Cover;
use crate::domain::decimal::Scanned;
use crate::domain::extended::WalletHash;
use crate::domain::price::Price;
use crate::domain::time::EventTime;
use crate::domain::token::TokenHash;
use crate::domain::trade::{MAX_TOKEN_BYTES, More, Trade};

use super::cursor::Cursor;
use super::trade_fields::{MAX_QUANTITY, MAX_VALUE, side};

/// Reads usual values; remembers the order of the last object's fields.
#[derive(Clone, Debug)]
pub struct Scanner {
    order: [Name; FIELDS],
    extended: bool,
}

impl Scanner {
    /// One that expects the contract's order.
    #[must_use]
    pub const fn new() -> Self {
        let [token, wallet, side, native, quantity, price, at, hash, ..] = NAMES;
        let order = [token, wallet, side, native, quantity, price, at, hash];
        Self { order, extended: false }
    }

    /// Whether trades come with what the extended figures need.
    #[must_use]
    pub const fn extended(mut self, extended: bool) -> Self {
        self.extended = extended;
        self
    }

    /// Hands every trade of `value` to `each`: its place in the array (0 for a single object), its
    /// bytes (of a single object the whole value), and what it says. Only those of `wanted` shards,
    /// where these are given. `false`: the value is not usual, or holds a wanted trade after
    /// `latest`; what `each` was told is then to be forgotten.
    #[inline]
    pub fn scan<'v>(
        &mut self,
        value: &'v [u8],
        latest: Option<EventTime>,
        wanted: Option<&Cover>,
        each: &mut impl FnMut(u32, &'v [u8], Trade<'v>),
    ) -> bool {
        self.value(value, latest, wanted, each).is_some()
    }

    fn value<'v>(
        &mut self,
        value: &'v [u8],
        latest: Option<EventTime>,
        wanted: Option<&Cover>,
        each: &mut impl FnMut(u32, &'v [u8], Trade<'v>),
    ) -> Option<()> {
        let mut cursor = Cursor::new(value);
        cursor.blanks();
        let is_array = cursor.eat(b'[');
        cursor.blanks();
        let is_empty = is_array && cursor.eat(b']');
        for index in 0..if is_empty { 0 } else { u32::MAX } {
            let start = cursor;
            if let Some(trade) = self.element(&mut cursor, wanted)? {
                if latest.is_some_and(|latest| trade.at > latest) {
                    return None;
                }
                each(index, if is_array { start.up_to(&cursor)? } else { value }, trade);
            }
            cursor.blanks();
            if !is_array || cursor.eat(b']') {
                break;
            }
            cursor.expect(b',')?;
            cursor.blanks();
        }
        cursor.blanks();
        cursor.is_at_end().then_some(())
    }

    /// Reads an object, or passes by one that is not wanted.
    #[inline(always)]
    fn element<'v>(
        &mut self,
        cursor: &mut Cursor<'v>,
        wanted: Option<&Cover>,
    ) -> Option<Option<Trade<'v>>> {
        let hash = match wanted {
            None => None,
            Some(wanted) => match self.look_ahead(*cursor, wanted)? {
                Ahead::Wanted(hash) => Some(hash),
                Ahead::Foreign(behind) => {
                    *cursor = behind;
                    return Some(None);
                }
            },
        };
        self.object(cursor, hash).map(Some)
    }

    /// Whether an object is wanted, by its token.
    // Apart from the way of a service that is alone.
    #[inline(never)]
    fn look_ahead<'v>(&mut self, mut cursor: Cursor<'v>, wanted: &Cover) -> Option<Ahead<'v>> {
        let mut seen = 0;
        let mut before = b'{';
        for place in &mut self.order {
            cursor.expect(before)?;
            cursor.blanks();
            place.pass(&mut cursor)?;
            seen |= place.bit;
            if place.bit == TOKEN_BIT {
                let hash = TokenHash::of(token(cursor.text()?)?);
                if wanted.has(hash) {
                    return Some(Ahead::Wanted(hash));
                }
            } else {
                cursor.any()?;
            }
            cursor.blanks();
            before = b',';
        }
        cursor.expect(b'}')?;
        (seen == u8::MAX).then_some(Ahead::Foreign(cursor))
    }

    #[inline(always)]
    fn object<'v>(
        &mut self,
        cursor: &mut Cursor<'v>,
        hash: Option<TokenHash>,
    ) -> Option<Trade<'v>> {
        let mut fields = Fields::default();
        let mut before = b'{';
        for place in &mut self.order {
            cursor.expect(before)?;
            cursor.blanks();
            fields.read(place, cursor)?;
            cursor.blanks();
            before = b',';
        }
        cursor.expect(b'}')?;
        fields.trade(hash, self.extended)
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

/// What a look at an object's token tells.
enum Ahead<'v> {
    /// It is wanted.
    Wanted(TokenHash),
    /// It is not; what stands behind the object.
    Foreign(Cursor<'v>),
}

/// Fields of a trade.
const FIELDS: usize = 8;

/// Where a field's value is kept, by its kind: few kinds are few ways through the program.
#[derive(Clone, Copy, Debug)]
enum Field {
    Text(usize),
    Decimal(usize),
    Time,
}

const TOKEN: Field = Field::Text(0);
const SIDE: Field = Field::Text(1);
/// Of it is enough that it is there, unless the figures are extended.
const WALLET: Field = Field::Text(2);
/// Of it is enough that it is there.
const HASH: Field = Field::Text(3);
const NATIVE: Field = Field::Decimal(0);
const QUANTITY: Field = Field::Decimal(1);
const PRICE: Field = Field::Decimal(2);
const TIME: Field = Field::Time;

/// The bit of the token's names.
const TOKEN_BIT: u8 = 1;

/// A field's name with its quotes and the colon, as a number of 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Name {
    bytes: u128,
    mask: u128,
    len: usize,
    field: Field,
    /// One bit for each field.
    bit: u8,
}

impl Name {
    const fn new(number: u8, field: Field, text: &str) -> Self {
        let mut bytes = 0;
        let mut rest = text.as_bytes();
        while let Some((last, before)) = rest.split_last() {
            bytes = (bytes << 8) | *last as u128;
            rest = before;
        }
        let mask = u128::MAX >> (128 - 8 * text.len());
        Self { bytes, mask, len: text.len(), field, bit: 1 << number }
    }

    /// Passes a name, most likely the one that stood here before; remembers which it was.
    #[inline(always)]
    fn pass(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let found = cursor.peek_16();
        if found & self.mask != self.bytes {
            *self = *name(found)?;
        }
        cursor.pass(self.len)?;
        cursor.blanks();
        Some(())
    }
}

/// The contract's names, first one spelling of all, then the other.
const NAMES: [Name; 2 * FIELDS] = [
    Name::new(0, TOKEN, "\"Token\":"),
    Name::new(1, WALLET, "\"Wallet\":"),
    Name::new(2, SIDE, "\"SellBuy\":"),
    Name::new(3, NATIVE, "\"NativeAmount\":"),
    Name::new(4, QUANTITY, "\"TokenAmount\":"),
    Name::new(5, PRICE, "\"PriceUsd\":"),
    Name::new(6, TIME, "\"TransTime\":"),
    Name::new(7, HASH, "\"TxHash\":"),
    Name::new(0, TOKEN, "\"token\":"),
    Name::new(1, WALLET, "\"wallet\":"),
    Name::new(2, SIDE, "\"sell_buy\":"),
    Name::new(3, NATIVE, "\"native_amount\":"),
    Name::new(4, QUANTITY, "\"token_amount\":"),
    Name::new(5, PRICE, "\"price_usd\":"),
    Name::new(6, TIME, "\"trans_time\":"),
    Name::new(7, HASH, "\"tx_hash\":"),
];

/// What was read of one object.
#[derive(Default)]
struct Fields<'v> {
    /// Bits of the names.
    seen: u8,
    texts: [Option<&'v [u8]>; 4],
    decimals: [Scanned; 3],
    at: EventTime,
}

impl<'v> Fields<'v> {
    /// Reads the name at a `place` and its value.
    #[inline(always)]
    fn read(&mut self, place: &mut Name, cursor: &mut Cursor<'v>) -> Option<()> {
        place.pass(cursor)?;
        self.seen |= place.bit;
        match place.field {
            Field::Text(at) => *self.texts.get_mut(at)? = Some(cursor.text()?),
            Field::Decimal(at) => *self.decimals.get_mut(at)? = cursor.decimal()?,
            Field::Time => self.at = cursor.time()?,
        }
        Some(())
    }

    /// The trade, if each field was there once: as many were read as there are fields. Its token's
    /// hash may be known.
    #[inline(always)]
    fn trade(self, hash: Option<TokenHash>, extended: bool) -> Option<Trade<'v>> {
        let Self { seen, texts: [token_text, side_text, wallet_text, _], decimals, at } = self;
        let token = token(token_text.filter(|_| seen == u8::MAX)?)?;
        let side = side(side_text?)?;
        let [native, quantity, price] = decimals;
        let native = Amount::scanned(native, MAX_VALUE).ok()?;
        let quantity = Amount::scanned(quantity, MAX_QUANTITY).ok()?;
        let price = Price::scanned(price, MAX_VALUE).ok()?;
        let usd = quantity.times(price, MAX_VALUE).ok()?;
        let hash = hash.unwrap_or_else(|| TokenHash::of(token));
        let more = match extended {
            true => Some(More { wallet: WalletHash::of(memfn::text(wallet_text?)?), quantity }),
            false => None,
        };
        Some(Trade { token, hash, side, native, usd, price, at, more })
    }
}

#[inline(always)]
fn token(text: &[u8]) -> Option<&str> {
    memfn::text(text).filter(|text| text.len() <= MAX_TOKEN_BYTES)
}

/// The name that 16 bytes begin with.
#[cold]
fn name(found: u128) -> Option<&'static Name> {
    NAMES.iter().find(|name| found & name.mask == name.bytes)
}
