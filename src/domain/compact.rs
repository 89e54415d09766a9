//! A pane in 80 bytes instead of 160: sums of 80 bits, counts of 16, prices of 24 digits, a place
//! in the log in 64 bits. Exact or not at all: what does not fit is told by `None`, and the store
//! keeps such a pane whole.
//!
//! | field | fits below | that is |
//! |---|---|---|
//! | each volume | 2⁸⁰ | 1.2 million of the currency, in one second of one token |
//! | each count | 2¹⁶ | 65,536 |
//! | partition, offset, index | 2¹⁰, 2⁴², 2¹² | 20,000 records a second for seven years |
//! | a price's digits | 2⁸⁰ | 24 digits |

use super::pane::{Flow, Mark, Pane, Sums};
use super::position::{Offset, Partition, Position};
use super::price::Price;

const OFFSET_BITS: u32 = 42;
const INDEX_BITS: u32 = 12;
const PARTITION_BITS: u32 = 10;

/// A pane that fits. Packed, so that lists of it have no gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed)]
pub(crate) struct Compact {
    /// Sells, buys, USD.
    volumes: [Bits80; 3],
    /// Sells, buys.
    counts: [u16; 2],
    first: CompactMark,
    last: CompactMark,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed)]
struct CompactMark {
    /// Partition, offset, index, from the highest bits: ordered as positions are.
    place: u64,
    nanos: u32,
    scale: u8,
    digits: Bits80,
}

/// An integer below 2⁸⁰.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed)]
struct Bits80 {
    low: u64,
    high: u16,
}

impl Compact {
    /// The same pane, if it fits.
    #[inline]
    pub(crate) fn of(pane: &Pane) -> Option<Self> {
        let Sums { sell, buy, usd } = pane.sums;
        let volume = |volume: i128| Bits80::of(volume.cast_unsigned());
        Some(Self {
            volumes: [volume(sell.volume)?, volume(buy.volume)?, volume(usd)?],
            counts: [u16::try_from(sell.count).ok()?, u16::try_from(buy.count).ok()?],
            first: CompactMark::of(&pane.first)?,
            last: CompactMark::of(&pane.last)?,
        })
    }

    /// The pane that it stands for.
    #[inline]
    pub(crate) fn pane(&self) -> Pane {
        Pane { sums: self.sums(), first: self.first.mark(), last: self.last.mark() }
    }

    /// Its sums.
    #[inline]
    pub(crate) fn sums(&self) -> Sums {
        let ([sell, buy, usd], [sells, buys]) = (self.volumes, self.counts);
        Sums {
            sell: Flow { count: sells.into(), volume: sell.value().cast_signed() },
            buy: Flow { count: buys.into(), volume: buy.value().cast_signed() },
            usd: usd.value().cast_signed(),
        }
    }

    /// Price of its first trade.
    pub(crate) fn open(&self) -> Price {
        self.first.price()
    }

    /// Price of its last trade.
    pub(crate) fn close(&self) -> Price {
        self.last.price()
    }

    /// As `Pane::merge`, if the result fits; else nothing has changed.
    #[inline]
    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        let ([sell, buy, usd], [sells, buys]) = (self.volumes, self.counts);
        let ([more_sell, more_buy, more_usd], [more_sells, more_buys]) =
            (other.volumes, other.counts);
        let volumes = (sell.plus(more_sell), buy.plus(more_buy), usd.plus(more_usd));
        let counts = (sells.checked_add(more_sells), buys.checked_add(more_buys));
        let ((Some(sell), Some(buy), Some(usd)), (Some(sells), Some(buys))) = (volumes, counts)
        else {
            return false;
        };
        // Field by field: what was just written in parts is slow to read as a whole.
        self.volumes = [sell, buy, usd];
        self.counts = [sells, buys];
        if other.first.order() < self.first.order() {
            self.first = other.first;
        }
        if other.last.order() > self.last.order() {
            self.last = other.last;
        }
        true
    }
}

impl CompactMark {
    #[inline]
    fn of(mark: &Mark) -> Option<Self> {
        let Position { partition, offset, index } = mark.position;
        let partition = below(partition.0.into(), PARTITION_BITS)?;
        let offset = below(offset.0, OFFSET_BITS)?;
        let index = below(index.into(), INDEX_BITS)?;
        Some(Self {
            place: (partition << OFFSET_BITS | offset) << INDEX_BITS | index,
            nanos: mark.nanos,
            scale: mark.price.scale(),
            digits: Bits80::of(mark.price.mantissa())?,
        })
    }

    #[inline]
    fn mark(&self) -> Mark {
        let part = |shift: u32, bits: u32| (self.place >> shift) & ((1 << bits) - 1);
        let partition = i32::try_from(part(OFFSET_BITS + INDEX_BITS, PARTITION_BITS));
        let position = Position {
            partition: Partition(partition.unwrap_or(i32::MAX)),
            offset: Offset(part(INDEX_BITS, OFFSET_BITS).cast_signed()),
            index: u32::try_from(part(0, INDEX_BITS)).unwrap_or(u32::MAX),
        };
        Mark { nanos: self.nanos, position, price: self.price() }
    }

    fn price(&self) -> Price {
        let digits = self.digits;
        Price::kept(digits.value(), self.scale)
    }

    const fn order(&self) -> (u32, u64) {
        (self.nanos, self.place)
    }
}

impl Bits80 {
    fn of(value: u128) -> Option<Self> {
        let high = u16::try_from(value >> u64::BITS).ok()?;
        let low = u64::try_from(value & u128::from(u64::MAX)).ok()?;
        Some(Self { low, high })
    }

    fn value(self) -> u128 {
        u128::from(self.high) << u64::BITS | u128::from(self.low)
    }

    fn plus(self, other: Self) -> Option<Self> {
        Self::of(self.value() + other.value())
    }
}

/// `value`, if it is not negative and has no more than so many bits.
fn below(value: i64, bits: u32) -> Option<u64> {
    u64::try_from(value).ok().filter(|value| value >> bits == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Small, large, and round the border at `bits`.
    fn near(bits: u32) -> impl Strategy<Value = u128> {
        let border = 1_u128 << bits;
        prop_oneof![
            0_u128..1_000,
            border / 2 - 2..border / 2 + 2,
            border - 3..border + 3,
            Just(border * 8)
        ]
    }

    fn flow() -> impl Strategy<Value = Flow> {
        (near(16), near(80)).prop_map(|(count, volume)| Flow {
            count: u64::try_from(count).unwrap(),
            volume: volume.cast_signed(),
        })
    }

    fn mark() -> impl Strategy<Value = Mark> {
        let position = (near(PARTITION_BITS), near(OFFSET_BITS), near(INDEX_BITS)).prop_map(
            |(partition, offset, index)| Position {
                partition: Partition(i32::try_from(partition).unwrap()),
                offset: Offset(i64::try_from(offset).unwrap()),
                index: u32::try_from(index).unwrap(),
            },
        );
        let digits = prop_oneof![4 => near(80), 1 => Just(10_u128.pow(28) - 1)];
        (prop_oneof![Just(0_u32), 999_999_990_u32..1_000_000_000], position, digits, any::<u8>())
            .prop_map(|(nanos, position, digits, scale)| Mark {
                nanos,
                position,
                price: Price::from_parts(digits, scale).unwrap(),
            })
    }

    fn pane() -> impl Strategy<Value = Pane> {
        (flow(), flow(), near(80), mark(), mark()).prop_map(|(sell, buy, usd, first, last)| Pane {
            sums: Sums { sell, buy, usd: usd.cast_signed() },
            first,
            last,
        })
    }

    fn fits(pane: &Pane) -> bool {
        let Sums { sell, buy, usd } = pane.sums;
        let mark = |mark: &Mark| {
            let Position { partition, offset, index } = mark.position;
            (partition.0 < 1_024 && offset.0 < 1 << 42 && index < 4_096)
                && mark.price.mantissa() < 1 << 80
        };
        [sell.volume, buy.volume, usd].iter().all(|volume| *volume < 1 << 80)
            && sell.count < 65_536
            && buy.count < 65_536
            && mark(&pane.first)
            && mark(&pane.last)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn what_fits_comes_back_as_it_was_and_the_rest_is_refused(pane in pane()) {
            let compact = Compact::of(&pane);
            prop_assert_eq!(compact.is_some(), fits(&pane));
            if let Some(compact) = compact {
                prop_assert_eq!(compact.pane(), pane);
                prop_assert_eq!(compact.open(), pane.first.price);
                prop_assert_eq!(compact.close(), pane.last.price);
            }
        }

        #[test]
        fn merging_is_the_naive_merge_or_changes_nothing(one in pane(), other in pane()) {
            if let (Some(mut compact), Some(more)) = (Compact::of(&one), Compact::of(&other)) {
                let (before, mut naive) = (compact, one);
                naive.merge(&other);
                let merged = compact.merge(&more);
                prop_assert_eq!(merged, fits(&naive));
                let expected = if merged { Compact::of(&naive).unwrap() } else { before };
                prop_assert_eq!(compact, expected);
            }
        }
    }

    #[test]
    fn what_is_negative_does_not_fit() {
        let mark = Mark { nanos: 0, position: Position::default(), price: Price::ZERO };
        let pane = Pane { sums: Sums::default(), first: mark, last: mark };
        assert!(Compact::of(&pane).is_some());
        let below_zero = Sums { usd: -1, ..pane.sums };
        assert_eq!(Compact::of(&Pane { sums: below_zero, ..pane }), None);
        let position = Position { partition: Partition(-1), ..mark.position };
        assert_eq!(Compact::of(&Pane { last: Mark { position, ..mark }, ..pane }), None);
        let position = Position { offset: Offset(-1), ..mark.position };
        assert_eq!(Compact::of(&Pane { first: Mark { position, ..mark }, ..pane }), None);
    }
}
