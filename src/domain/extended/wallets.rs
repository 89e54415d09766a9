//! The wallets of one token with the seconds of their last buy and their last sell: open addressing
//! in the order of the hashes, so that a wallet that is not there is missed as soon as it is
//! passed, and a table that grows is copied in one sweep. A place takes twelve bytes, and at least
//! seven of nine places are taken where there are many: it grows by an eighth.

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
    places: Vec<Place>,
    held: usize,
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
    pub(super) fn find(&self, hash: u64) -> Result<usize, usize> {
        let home = home(hash, self.places.len());
        for (at, place) in (home..).zip(self.places.get(home..).unwrap_or_default()) {
            if place.is_empty() || place.hash() > hash {
                return Err(at);
            }
            if place.hash() == hash {
                return Ok(at);
            }
        }
        Err(self.places.len())
    }

    /// The times of the wallet at a place.
    #[inline]
    pub(super) fn times(&self, at: usize) -> Times {
        self.places.get(at).map(Place::times).unwrap_or_default()
    }

    /// Sets the times of the wallet at a place; one of them is not 0.
    #[inline]
    pub(super) fn set(&mut self, at: usize, times: Times) {
        if let Some(place) = self.places.get_mut(at) {
            *place = Place::new(place.hash(), times);
        }
    }

    /// Adds a wallet where [`find`](Self::find) has missed it; one of the times is not 0. Where it
    /// stands then.
    pub(super) fn insert(&mut self, mut at: usize, hash: u64, times: Times) -> usize {
        let full = self.held + 1 > most(self.places.len());
        let mut empty = if full { None } else { self.empty_from(at) };
        while empty.is_none() {
            self.resize(more(self.places.len()));
            at = self.find(hash).unwrap_or_else(|at| at);
            empty = self.empty_from(at);
        }
        let empty = empty.unwrap_or(at);
        self.places.copy_within(at..empty, at + 1);
        self.held += 1;
        if let Some(place) = self.places.get_mut(at) {
            *place = Place::new(hash, times);
        }
        at
    }

    /// Removes the wallet at a place.
    pub(super) fn remove(&mut self, at: usize) {
        let places = self.places.len();
        let behind = self.places.get(at + 1..).unwrap_or_default().iter();
        let moves =
            |(to, place): (usize, &Place)| !place.is_empty() && home(place.hash(), places) <= to;
        let count = (at..).zip(behind).take_while(|one| moves(*one)).count();
        self.places.copy_within(at + 1..at + 1 + count, at);
        if let Some(place) = self.places.get_mut(at + count) {
            *place = Place::default();
        }
        self.held -= 1;
        if places > FEW && self.held < places / 2 {
            self.resize(self.held + self.held / 4);
        }
    }

    /// Brings near where a wallet is looked for.
    pub(super) fn prefetch(&self, hash: u64) {
        let home = home(hash, self.places.len());
        self.places.get(home).into_iter().for_each(memfn::prefetch);
    }

    /// Removes all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes that there is memory for.
    pub(super) const fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
    }

    fn empty_from(&self, at: usize) -> Option<usize> {
        let places = self.places.get(at..)?;
        places.iter().position(Place::is_empty).map(|empty| at + empty)
    }

    /// So many places, more where the last ones would be too many for those.
    fn resize(&mut self, mut places: usize) {
        loop {
            if let Some(table) = self.spread(places) {
                self.places = table;
                return;
            }
            places = more(places);
        }
    }

    fn spread(&self, places: usize) -> Option<Vec<Place>> {
        let mut table = vec![Place::default(); places];
        let mut next = 0;
        for place in self.places.iter().filter(|place| !place.is_empty()) {
            let at = home(place.hash(), places).max(next);
            *table.get_mut(at)? = *place;
            next = at + 1;
        }
        Some(table)
    }
}

/// So few are a sorted list without a gap.
const FEW: usize = 12;

/// How many wallets so many places take.
const fn most(places: usize) -> usize {
    if places <= FEW { places } else { places - places / 8 }
}

/// The next number of places.
const fn more(places: usize) -> usize {
    places + places / 8 + 1
}

/// Where a hash is looked for first. Behind the last home are places for those that find none.
#[inline]
fn home(hash: u64, places: usize) -> usize {
    if places <= FEW {
        return 0;
    }
    let homes = u128::try_from(places - places / 32 - 3).unwrap_or(0);
    usize::try_from((u128::from(hash) * homes) >> super::types::HASH_BITS).unwrap_or(0)
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

    #[inline]
    const fn is_empty(&self) -> bool {
        let Self([_, upper, times]) = *self;
        upper & 3 == 0 && times == 0
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
    fn a_wallet_takes_15_bytes_and_18_at_most_in_a_table_of_any_size() {
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
            if number >= 8 {
                worst = worst.max(each);
            }
        }
        assert!(worst < 18.0, "{worst}");
        assert!(sum / 100_000.0 < 15.0, "{}", sum / 100_000.0);
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
                let most = (naive.len() + FEW) * 12 * 2;
                prop_assert!(wallets.bytes() <= most, "{} of {}", wallets.bytes(), naive.len());
            }
            for hash in (0..256).map(|hash: u64| hash << shift) {
                let found = wallets.find(hash).ok().map(|at| wallets.times(at));
                prop_assert_eq!(found, naive.get(&hash).copied());
            }
        }
    }
}
