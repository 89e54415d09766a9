//! What the extended figures have of one pane, behind it in a checkpoint entry.
//!
//! ```text
//! extended = flags:u8 [buy_usd] [tokens] [high] [low] count (hash << 2 | sides):u64le*
//! high, low = scale:u8 mantissa
//! ```
//!
//! Numbers are varints. The volume of the buys is left out where the pane has one side, the highest
//! and the lowest price where they are those of the first or of the last trade. A pane that is
//! unknown to the extended figures has no such part: one of before they were wanted has none
//! either.

use std::cmp::Ordering;

use crate::domain::amount::Amount;
use crate::domain::extended::{ExtendedPane, Seen};
use crate::domain::pane::{Pane, Sums};
use crate::domain::price::Price;

use super::checkpoint::CodecError;
use super::varint::{Reader, put_length, put_wide};

/// A wallet was not counted.
const UNCOUNTED: u8 = 1;
/// The volume of the buys is written.
const HAS_BUYS: u8 = 1 << 1;
/// The quantity of the token is known.
const HAS_TOKENS: u8 = 1 << 2;
const HAS_HIGH: u8 = 1 << 3;
const HAS_LOW: u8 = 1 << 4;
const UNKNOWN_FLAGS: u8 = 0b1110_0000;
const VISIT_BYTES: usize = 8;

/// What the extended figures have of one pane, as it stands in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedAt<'a> {
    buy_usd: Amount,
    tokens: Option<Amount>,
    high: Price,
    low: Price,
    uncounted: bool,
    visits: &'a [[u8; VISIT_BYTES]],
}

impl ExtendedAt<'_> {
    /// The pane itself, of these sums.
    #[must_use]
    pub fn pane(&self, sums: &Sums) -> ExtendedPane {
        let Self { buy_usd, tokens, high, low, uncounted, visits } = *self;
        ExtendedPane {
            trades: sums.trades(),
            usd: Amount::from_units(sums.usd),
            buy_usd,
            token_volume: tokens,
            high,
            low,
            visits: visits.iter().map(|it| Seen::from_bits(u64::from_le_bytes(*it))).collect(),
            uncounted,
            unknown: false,
        }
    }

    /// Writes it anew.
    pub(super) fn put(&self, out: &mut Vec<u8>, pane: &Pane) {
        let Self { buy_usd, tokens, high, low, uncounted, visits } = *self;
        put_figures(out, pane, (buy_usd, tokens), [high, low], uncounted);
        put_length(out, visits.len());
        visits.iter().for_each(|visit| out.extend_from_slice(visit));
    }
}

/// Writes what the extended figures have of a pane.
pub(super) fn put(out: &mut Vec<u8>, pane: &Pane, extended: &ExtendedPane) {
    let ExtendedPane { buy_usd, token_volume, high, low, visits, uncounted, .. } = extended;
    put_figures(out, pane, (*buy_usd, *token_volume), [*high, *low], *uncounted);
    put_length(out, visits.len());
    for visit in visits {
        out.extend_from_slice(&visit.bits().to_le_bytes());
    }
}

fn put_figures(
    out: &mut Vec<u8>,
    pane: &Pane,
    (buy_usd, tokens): (Amount, Option<Amount>),
    [high, low]: [Price; 2],
    uncounted: bool,
) {
    let [usual_high, usual_low] = usual_prices(pane);
    let flags = [
        (UNCOUNTED, uncounted),
        (HAS_BUYS, buy_usd != usual_buys(pane)),
        (HAS_TOKENS, tokens.is_some()),
        (HAS_HIGH, high != usual_high),
        (HAS_LOW, low != usual_low),
    ];
    let flags = flags.into_iter().fold(0, |all, (flag, set)| all | (flag * u8::from(set)));
    out.push(flags);
    let buys = Some(buy_usd).filter(|_| flags & HAS_BUYS != 0);
    for amount in [buys, tokens].into_iter().flatten() {
        put_wide(out, amount.units().unsigned_abs());
    }
    for (flag, price) in [(HAS_HIGH, high), (HAS_LOW, low)] {
        if flags & flag != 0 {
            out.push(price.scale());
            put_wide(out, price.mantissa());
        }
    }
}

/// Reads what the extended figures have of a pane.
pub(super) fn take<'a>(reader: &mut Reader<'a>, pane: &Pane) -> Result<ExtendedAt<'a>, CodecError> {
    let flags = reader.byte()?;
    if flags & UNKNOWN_FLAGS != 0 {
        return Err(CodecError::Malformed("flags of extended figures"));
    }
    let mut amount = |flag: u8| -> Result<Option<Amount>, CodecError> {
        let units = (flags & flag != 0).then(|| reader.number("an extended volume"));
        Ok(units.transpose()?.map(Amount::from_units))
    };
    let (buys, tokens) = (amount(HAS_BUYS)?, amount(HAS_TOKENS)?);
    let [usual_high, usual_low] = usual_prices(pane);
    let mut price = |flag: u8, usual: Price| {
        if flags & flag == 0 {
            return Ok(usual);
        }
        let scale = reader.byte()?;
        Price::from_parts(reader.unsigned()?, scale).ok_or(CodecError::Malformed("price"))
    };
    let (high, low) = (price(HAS_HIGH, usual_high)?, price(HAS_LOW, usual_low)?);
    let count: usize = reader.number("number of visits")?;
    let bytes = count.checked_mul(VISIT_BYTES).ok_or(CodecError::Truncated)?;
    let (visits, _) = reader.bytes(bytes)?.as_chunks::<VISIT_BYTES>();
    if visits.iter().any(|[first, ..]| first & 3 == 0) {
        return Err(CodecError::Malformed("a visit without a side"));
    }
    let buy_usd = buys.unwrap_or_else(|| usual_buys(pane));
    if buy_usd.units() > pane.sums.usd {
        return Err(CodecError::Malformed("more bought than traded"));
    }
    Ok(ExtendedAt { buy_usd, tokens, high, low, uncounted: flags & UNCOUNTED != 0, visits })
}

/// The volume of the buys where the pane has one side.
fn usual_buys(pane: &Pane) -> Amount {
    let Sums { sell, buy, usd } = pane.sums;
    Amount::from_units(if buy.count > 0 && sell.count == 0 { usd } else { 0 })
}

/// The higher and the lower one of the prices of the first and the last trade.
fn usual_prices(pane: &Pane) -> [Price; 2] {
    let (first, last) = (pane.first.price, pane.last.price);
    if last.order(first) == Ordering::Greater { [last, first] } else { [first, last] }
}
