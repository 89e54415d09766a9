//! The wallets of one token with the seconds of their last buy and their last sell: lists without
//! gaps in the order of the hashes, each of an equal part of all hashes. Hashes are even, so where
//! one stands in its list is guessed well; and what a new one moves is one short list. A wallet
//! takes twelve bytes, and an eighth of that to spare.

use super::types::HASH_BITS;

/// Seconds are kept modulo this, so that two that a token can hold at once are told apart: the
/// longest window has less. One more than the remainder; 0: none.
const MODULUS: u32 = (1 << SECOND_BITS) - 1;
const SECOND_BITS: u32 = 17;

/// The seconds of a wallet's last buy and last sell, as [`Clock`] tells them; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) buy: u32,
    pub(super) sell: u32,
}

/// Tells seconds of a day and a half up to an end by 17 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    end: i64,
    /// One more than the end's remainder.
    mark: u32,
}

/// Wallets by hash.
#[derive(Debug, Default)]
pub(super) struct Wallets {
    /// None, or a power of two.
    lists: Vec<Vec<Place>>,
    held: usize,
}

/// Where a wallet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    list: usize,
    index: usize,
}

/// The hash's lowest 32 bits; its others above the highest bit of each time; the times' lowest 16.
#[derive(Clone, Copy, Debug, Default)]
struct Place([u32; 3]);

impl Clock {
    /// Seconds up to `end`.
    pub(super) fn new(end: i64) -> Self {
        Self { end, mark: Self::mark(end) }
    }

    /// What stands for a second, whatever the end is.
    #[inline]
    pub(super) fn mark(second: i64) -> u32 {
        u32::try_from(second.rem_euclid(MODULUS.into())).unwrap_or(0) + 1
    }

    /// The second that something stands for.
    #[inline]
    pub(super) fn second(&self, mark: u32) -> Option<i64> {
        if mark == 0 {
            return None;
        }
        let age = if mark <= self.mark { self.mark - mark } else { self.mark + MODULUS - mark };
        Some(self.end - i64::from(age))
    }
}

impl Wallets {
    /// How many.
    pub(super) const fn len(&self) -> usize {
        self.held
    }

    /// Where a wallet stands, or would.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Result<Spot, Spot> {
        let (list, mut index) = self.guess(hash);
        let places = self.lists.get(list).map(Vec::as_slice).unwrap_or_default();
        while places.get(index).is_some_and(|place| place.hash() < hash) {
            index += 1;
        }
        while let Some(before) = index.checked_sub(1)
            && places.get(before).is_some_and(|place| place.hash() >= hash)
        {
            index = before;
        }
        let is = places.get(index).is_some_and(|place| place.hash() == hash);
        if is { Ok(Spot { list, index }) } else { Err(Spot { list, index }) }
    }

    /// The times of a wallet that stands there.
    #[inline]
    pub(super) fn times(&self, spot: Spot) -> Times {
        let place = self.lists.get(spot.list).and_then(|list| list.get(spot.index));
        place.map(Place::times).unwrap_or_default()
    }

    /// Sets the times of a wallet that stands there.
    #[inline]
    pub(super) fn set(&mut self, spot: Spot, times: Times) {
        let list = self.lists.get_mut(spot.list);
        if let Some(place) = list.and_then(|list| list.get_mut(spot.index)) {
            *place = Place::new(place.hash(), times);
        }
    }

    /// Adds a wallet where [`find`](Self::find) has missed it. Where it stands then.
    pub(super) fn insert(&mut self, spot: Spot, hash: u64, times: Times) -> Spot {
        let mut spot = spot;
        if self.held >= self.lists.len() * MOST {
            self.split();
            spot = self.find(hash).unwrap_or_else(|spot| spot);
        }
        if let Some(list) = self.lists.get_mut(spot.list) {
            if list.len() == list.capacity() {
                list.reserve_exact(list.len() / 8 + 2);
            }
            list.insert(spot.index.min(list.len()), Place::new(hash, times));
            self.held += 1;
        }
        spot
    }

    /// Removes the wallet that stands there.
    pub(super) fn remove(&mut self, spot: Spot) {
        let list = self.lists.get_mut(spot.list);
        let Some(list) = list.filter(|list| spot.index < list.len()) else { return };
        list.remove(spot.index);
        if list.capacity() > 2 * list.len() + 2 {
            list.shrink_to_fit();
        }
        self.held -= 1;
        if self.lists.len() > 1 && self.held < self.lists.len() * FEWEST {
            self.join();
        }
    }

    /// Brings near where a wallet is looked for.
    pub(super) fn prefetch(&self, hash: u64) {
        let (list, index) = self.guess(hash);
        let place = self.lists.get(list).and_then(|list| list.get(index));
        place.into_iter().for_each(memfn::prefetch);
    }

    /// Removes all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes that there is memory for.
    pub(super) fn bytes(&self) -> usize {
        let places: usize = self.lists.iter().map(Vec::capacity).sum();
        places * size_of::<Place>() + self.lists.capacity() * size_of::<Vec<Place>>()
    }

    /// The list of a hash, and where it may stand there.
    #[inline]
    fn guess(&self, hash: u64) -> (usize, usize) {
        let scaled = u128::from(hash) * wide(self.lists.len());
        let list = usize::try_from(scaled >> HASH_BITS).unwrap_or(0);
        let held = self.lists.get(list).map_or(0, Vec::len);
        let rest = scaled & ((1 << HASH_BITS) - 1);
        (list, usize::try_from((rest * wide(held)) >> HASH_BITS).unwrap_or(0))
    }

    /// Twice as many lists.
    #[cold]
    fn split(&mut self) {
        let count = (2 * self.lists.len()).max(1);
        let mut lists = Vec::with_capacity(count);
        for list in std::mem::take(&mut self.lists) {
            let middle = wide(lists.len() + 1);
            let list_of = |place: &Place| (u128::from(place.hash()) * wide(count)) >> HASH_BITS;
            let first = |place: &Place| list_of(place) < middle;
            let (first, second) = list.split_at(list.partition_point(first));
            lists.extend([first.to_vec(), second.to_vec()]);
        }
        lists.resize_with(count, Vec::new);
        self.lists = lists;
    }

    /// Half as many lists.
    #[cold]
    fn join(&mut self) {
        self.lists = self.lists.chunks(2).map(<[_]>::concat).collect();
    }
}

/// So many wallets are in a list on average at most,
const MOST: usize = 64;
/// and at least, where there are several lists.
const FEWEST: usize = 16;

const fn wide(count: usize) -> u128 {
    count as u128
}

impl Place {
    #[inline]
    fn new(hash: u64, times: Times) -> Self {
        let Times { buy, sell } = times;
        let upper = ((low(hash >> 32)) << 2) | ((buy >> 16) << 1) | (sell >> 16);
        Self([low(hash), upper, (buy << 16) | (sell & 0xffff)])
    }

    #[inline]
    fn hash(&self) -> u64 {
        let Self([lower, upper, _]) = *self;
        (u64::from(upper >> 2) << 32) | u64::from(lower)
    }

    #[inline]
    const fn times(&self) -> Times {
        let Self([_, upper, times]) = *self;
        Times {
            buy: ((upper & 2) << 15) | (times >> 16),
            sell: ((upper & 1) << 16) | (times & 0xffff),
        }
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lowest 32 bits are what is wanted")]
const fn low(value: u64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_of_a_day_are_told_by_17_bits() {
        for end in [-200_000, -1, 0, 1, 86_400, 1_700_000_000, 253_402_300_799] {
            let clock = Clock::new(end);
            for age in [0, 1, 59, 3_600, 65_535, 65_536, 86_399, 131_070] {
                let mark = Clock::mark(end - age);
                assert!((1..=MODULUS).contains(&mark), "{mark}");
                assert_eq!(clock.second(mark), Some(end - age), "{end} {age}");
            }
            assert_eq!(clock.second(0), None);
        }
    }

    #[test]
    fn a_wallet_takes_14_bytes_and_16_at_most_in_lists_of_any_size() {
        let mut wallets = Wallets::default();
        let mut worst = 0.0_f64;
        let mut sum = 0.0;
        for number in 0..100_000_u64 {
            let hash = super::super::hash::hash(&number.to_le_bytes()) >> 2;
            let at = wallets.find(hash).unwrap_err();
            wallets.insert(at, hash, Times { buy: 1, sell: 0 });
            let each = f64::from(u32::try_from(wallets.bytes()).unwrap())
                / f64::from(u32::try_from(wallets.len()).unwrap());
            sum += each;
            if number >= 16 {
                worst = worst.max(each);
            }
        }
        assert!(worst < 16.0, "{worst}");
        assert!(sum / 100_000.0 < 14.0, "{}", sum / 100_000.0);
    }

    proptest! {
        /// As a map, whatever collides.
        #[test]
        fn wallets_are_a_map(
            shift in prop::sample::select(vec![0_u32, 30, 54]),
            steps in prop::collection::vec((0_u8..4, 0_u64..256, 1_u32..=MODULUS), 0..400),
        ) {
            let (mut wallets, mut naive) = (Wallets::default(), BTreeMap::new());
            for (kind, hash, time) in steps {
                let hash = hash << shift;
                match (wallets.find(hash), kind) {
                    (Ok(at), 0) => {
                        wallets.remove(at);
                        naive.remove(&hash);
                    }
                    (Ok(at), _) => {
                        let times = Times { sell: time, ..wallets.times(at) };
                        wallets.set(at, times);
                        naive.insert(hash, times);
                    }
                    (Err(at), _) => {
                        let times = Times { buy: time, sell: 0 };
                        wallets.insert(at, hash, times);
                        prop_assert_eq!(naive.insert(hash, times), None);
                    }
                }
                prop_assert_eq!(wallets.len(), naive.len());
                let most = (naive.len() + 4) * 12 * 2 + wallets.lists.len() * (24 + 24);
                prop_assert!(wallets.bytes() <= most, "{} of {}", wallets.bytes(), naive.len());
            }
            for hash in (0..256).map(|hash: u64| hash << shift) {
                let found = wallets.find(hash).ok().map(|at| wallets.times(at));
                prop_assert_eq!(found, naive.get(&hash).copied());
            }
        }
    }
}
