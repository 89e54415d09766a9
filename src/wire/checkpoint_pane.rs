//! One pane inside a checkpoint entry, in few bytes.
//!
//! ```text
//! pane  = flags:u8 [token] second [sell] [buy] [usd] first [last] [extended]
//! token = length bytes
//! sell, buy = count volume
//! first, last = nanos partition offset index [scale:u8 mantissa]
//! ```
//!
//! Numbers are varints. A second is told as the distance from the pane before (the first one's
//! from the published second), an offset as the distance from the mark before. A token's address
//! is left out where the pane before is of the same token. Sums are never negative.

use std::ops::Range;

use crate::domain::pane::{Flow, Mark, Pane, Sums};
use crate::domain::position::{Offset, Partition, Position};
use crate::domain::price::Price;
use crate::domain::time::Second;
use crate::domain::trade::MAX_TOKEN_BYTES;

use super::checkpoint::CodecError;
use super::checkpoint_extended::{self, ExtendedAt};
use super::varint::{Reader, put, put_length, put_signed, put_wide};

const NANOS_PER_SECOND: u32 = 1_000_000_000;
const NANOS_PER_MILLI: u32 = 1_000_000;
/// Most chains count in 10⁻⁹; volumes of theirs need half the bytes in that unit.
const COARSE_UNITS: u64 = 1_000_000_000;

/// A pane's flags.
const SAME_TOKEN: u8 = 1;
const HAS_SELL: u8 = 1 << 1;
const HAS_BUY: u8 = 1 << 2;
const HAS_USD: u8 = 1 << 3;
/// Both native volumes are in units of 10⁻⁹.
const COARSE: u8 = 1 << 4;
/// The first trade is the last one too.
const ONE_MARK: u8 = 1 << 5;
/// Both marks have the same price.
const ONE_PRICE: u8 = 1 << 6;
/// What the extended figures have of it follows: in entries of the version that may have that.
const EXTENDED: u8 = 1 << 7;

/// One pane of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneAt<'a> {
    /// Token address, 1 to [`MAX_TOKEN_BYTES`] bytes.
    pub token: &'a str,
    /// The pane's second.
    pub second: Second,
    /// Its absolute values.
    pub pane: Pane,
    /// What the extended figures have of it, where that was written.
    pub extended: Option<ExtendedAt<'a>>,
}

/// What the next pane is written relative to.
#[derive(Debug)]
pub(super) struct Written {
    /// Where the last address stands in the entry.
    token: Range<usize>,
    second: Second,
    offset: i64,
}

impl Written {
    pub(super) const fn new(published: Second) -> Self {
        Self { token: 0..0, second: published, offset: 0 }
    }

    /// Writes a pane, and behind it what `extended` writes.
    #[inline]
    pub(super) fn put_pane(
        &mut self,
        out: &mut Vec<u8>,
        token: &str,
        second: Second,
        pane: &Pane,
        extended: Option<impl FnOnce(&mut Vec<u8>)>,
    ) {
        let Pane { sums, first, last } = pane;
        let coarse = coarse(sums.sell).zip(coarse(sums.buy));
        let same = out.get(self.token.clone()) == Some(token.as_bytes());
        let flags = flags(pane, same, coarse.is_some());
        out.push(flags | if extended.is_some() { EXTENDED } else { 0 });
        if !same {
            put_length(out, token.len());
            self.token = out.len()..out.len() + token.len();
            out.extend_from_slice(token.as_bytes());
        }
        put_signed(out, second.0.wrapping_sub(self.second.0));
        self.second = second;
        let (sell, buy) =
            coarse.unwrap_or((sums.sell.volume.cast_unsigned(), sums.buy.volume.cast_unsigned()));
        for (flag, count, volume) in
            [(HAS_SELL, sums.sell.count, sell), (HAS_BUY, sums.buy.count, buy)]
        {
            if flags & flag != 0 {
                put(out, count);
                put_wide(out, volume);
            }
        }
        if flags & HAS_USD != 0 {
            put_wide(out, sums.usd.cast_unsigned());
        }
        self.put_mark(out, first, true);
        if flags & ONE_MARK == 0 {
            self.put_mark(out, last, flags & ONE_PRICE == 0);
        }
        extended.into_iter().for_each(|write| write(out));
    }

    #[inline]
    fn put_mark(&mut self, out: &mut Vec<u8>, mark: &Mark, priced: bool) {
        put(out, pack_nanos(mark.nanos));
        let Position { partition, offset, index } = mark.position;
        put_signed(out, i64::from(partition.0));
        put_signed(out, offset.0.wrapping_sub(self.offset));
        put(out, u64::from(index));
        self.offset = offset.0;
        if priced {
            out.push(mark.price.scale());
            put_wide(out, mark.price.mantissa());
        }
    }
}

/// What the next pane is read relative to.
#[derive(Clone, Debug)]
pub(super) struct Before<'a> {
    token: &'a str,
    second: Second,
    offset: i64,
    /// Flags that nobody writes.
    unknown: u8,
}

impl Before<'_> {
    pub(super) const fn new(published: Second, extended: bool) -> Self {
        let unknown = if extended { 0 } else { EXTENDED };
        Self { token: "", second: published, offset: 0, unknown }
    }
}

/// The volume in units of 10⁻⁹ where it is a whole number of them. Most are below 2⁶⁴, and
/// dividing those is cheap.
fn coarse(flow: Flow) -> Option<u128> {
    let volume = flow.volume.cast_unsigned();
    match u64::try_from(volume) {
        Ok(small) => small.is_multiple_of(COARSE_UNITS).then_some(u128::from(small / COARSE_UNITS)),
        Err(_) => {
            let units = u128::from(COARSE_UNITS);
            volume.is_multiple_of(units).then(|| volume / units)
        }
    }
}

fn flags(pane: &Pane, same_token: bool, coarse: bool) -> u8 {
    let Pane { sums, first, last } = pane;
    [
        (SAME_TOKEN, same_token),
        (HAS_SELL, sums.sell != Flow::default()),
        (HAS_BUY, sums.buy != Flow::default()),
        (HAS_USD, sums.usd != 0),
        (COARSE, coarse),
        (ONE_MARK, first == last),
        (ONE_PRICE, first.price == last.price),
    ]
    .into_iter()
    .fold(0, |flags, (flag, set)| flags | (flag * u8::from(set)))
}

/// Whole milliseconds, which most producers send, need 2 bytes: twice their number; nanoseconds
/// are twice theirs and one.
fn pack_nanos(nanos: u32) -> u64 {
    if nanos.is_multiple_of(NANOS_PER_MILLI) {
        u64::from(nanos / NANOS_PER_MILLI) << 1
    } else {
        u64::from(nanos) << 1 | 1
    }
}

/// Reads a pane.
pub(super) fn take_pane<'a>(
    reader: &mut Reader<'a>,
    before: &mut Before<'a>,
) -> Result<PaneAt<'a>, CodecError> {
    PaneReader { reader, before }.pane()
}

struct PaneReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    before: &'r mut Before<'a>,
}

impl<'a> PaneReader<'_, 'a> {
    fn pane(&mut self) -> Result<PaneAt<'a>, CodecError> {
        let flags = self.reader.byte()?;
        if flags & self.before.unknown != 0 {
            return Err(CodecError::Malformed("flags"));
        }
        if flags & SAME_TOKEN == 0 {
            self.before.token = self.token()?;
        } else if self.before.token.is_empty() {
            return Err(CodecError::Malformed("no token"));
        }
        let distance = self.reader.signed("second")?;
        self.before.second = Second(self.before.second.0.wrapping_add(distance));
        let coarse = flags & COARSE != 0;
        let sell = self.flow(flags & HAS_SELL != 0, coarse)?;
        let buy = self.flow(flags & HAS_BUY != 0, coarse)?;
        let usd = if flags & HAS_USD == 0 { 0 } else { self.reader.number("volume in USD")? };
        let first = self.mark(None)?;
        let last = match flags & (ONE_MARK | ONE_PRICE) {
            0 => self.mark(None)?,
            ONE_PRICE => self.mark(Some(first.price))?,
            _ => first,
        };
        let pane = Pane { sums: Sums { sell, buy, usd }, first, last };
        let extended = (flags & EXTENDED != 0)
            .then(|| checkpoint_extended::take(self.reader, &pane))
            .transpose()?;
        Ok(PaneAt { token: self.before.token, second: self.before.second, pane, extended })
    }

    fn token(&mut self) -> Result<&'a str, CodecError> {
        let length: usize = self.reader.number("length of a token")?;
        if !(1..=MAX_TOKEN_BYTES).contains(&length) {
            return Err(CodecError::Malformed("length of a token"));
        }
        std::str::from_utf8(self.reader.bytes(length)?).map_err(|_| CodecError::Malformed("token"))
    }

    fn flow(&mut self, present: bool, coarse: bool) -> Result<Flow, CodecError> {
        if !present {
            return Ok(Flow::default());
        }
        let count = self.reader.number("count")?;
        let told = self.reader.unsigned()?;
        let volume = match (coarse, u64::try_from(told)) {
            (false, _) => Some(told),
            (true, Ok(small)) => Some(u128::from(small) * u128::from(COARSE_UNITS)),
            (true, Err(_)) => told.checked_mul(u128::from(COARSE_UNITS)),
        };
        let volume = volume.and_then(|volume| i128::try_from(volume).ok());
        Ok(Flow { count, volume: volume.ok_or(CodecError::Malformed("volume"))? })
    }

    fn mark(&mut self, price: Option<Price>) -> Result<Mark, CodecError> {
        let nanos = self.nanos()?;
        let partition = take_partition(self.reader)?;
        let distance = self.reader.signed("offset")?;
        self.before.offset = self.before.offset.wrapping_add(distance);
        let position = Position {
            partition,
            offset: Offset(self.before.offset),
            index: self.reader.number("index")?,
        };
        let price = match price {
            Some(price) => price,
            None => self.price()?,
        };
        Ok(Mark { nanos, position, price })
    }

    fn nanos(&mut self) -> Result<u32, CodecError> {
        let packed: u64 = self.reader.number("nanoseconds")?;
        let unit = if packed & 1 == 0 { NANOS_PER_MILLI } else { 1 };
        u32::try_from(packed >> 1)
            .ok()
            .and_then(|count| count.checked_mul(unit))
            .filter(|nanos| *nanos < NANOS_PER_SECOND)
            .ok_or(CodecError::Malformed("nanoseconds"))
    }

    fn price(&mut self) -> Result<Price, CodecError> {
        let scale = self.reader.byte()?;
        Price::from_parts(self.reader.unsigned()?, scale).ok_or(CodecError::Malformed("price"))
    }
}

pub(super) fn take_partition(reader: &mut Reader<'_>) -> Result<Partition, CodecError> {
    i32::try_from(reader.signed("partition")?)
        .map(Partition)
        .map_err(|_| CodecError::Malformed("partition"))
}
