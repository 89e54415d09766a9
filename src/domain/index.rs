//! Slots by the hash of their tokens: open addressing in linear steps, eight places to a line of
//! the cache. So a look-up most often touches one line, which can be asked for in time.
//!
//! At most three of four places are taken, so every walk ends at an empty one. Nothing is left
//! behind by what was removed: whatever stood behind it moves up.

use super::token::TokenHash;

/// Slots by hash; several may have the same.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// None, or a power of two of them.
    places: Box<[Place]>,
    held: usize,
}

/// A slot with its token's hash: a token that is looked at is the right one.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    hash: u32,
    /// One more than the slot; 0 where none is.
    slot: u32,
}

/// Places of the smallest index that holds any.
const FEWEST: usize = 8;

impl Index {
    /// How many slots it holds.
    pub(crate) const fn len(&self) -> usize {
        self.held
    }

    /// The first slot of this hash of which `is_it` is true.
    #[inline]
    pub(crate) fn find(&self, hash: TokenHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash.0);
        loop {
            let place = *self.places.get(at)?;
            if place.hash == hash.0 && place.slot != 0 && is_it(place.slot - 1) {
                return Some(place.slot - 1);
            }
            if place.slot == 0 {
                return None;
            }
            at = self.behind(at);
        }
    }

    /// Brings near where a hash is looked up.
    pub(crate) fn prefetch(&self, hash: TokenHash) {
        self.places.get(self.home(hash.0)).into_iter().for_each(memfn::prefetch);
    }

    /// Adds a slot that it does not hold.
    pub(crate) fn insert(&mut self, hash: TokenHash, slot: u32) {
        if self.places.len() * 3 <= self.held * 4 {
            self.resize((self.places.len() * 2).max(FEWEST));
        }
        self.held += 1;
        self.put(Place { hash: hash.0, slot: slot + 1 });
    }

    /// A slot's token has moved to another slot.
    pub(crate) fn change(&mut self, hash: TokenHash, from: u32, to: u32) {
        let at = self.place_of(hash, from);
        if let Some(place) = at.and_then(|at| self.places.get_mut(at)) {
            place.slot = to + 1;
        }
    }

    /// Removes a slot.
    pub(crate) fn remove(&mut self, hash: TokenHash, slot: u32) {
        let Some(mut hole) = self.place_of(hash, slot) else { return };
        self.held -= 1;
        let mut at = hole;
        loop {
            at = self.behind(at);
            let Some(place) = self.places.get(at).copied().filter(|place| place.slot != 0) else {
                break;
            };
            // It moves up unless that is before its home.
            if self.steps(self.home(place.hash), at) >= self.steps(hole, at) {
                self.set(hole, place);
                hole = at;
            }
        }
        self.set(hole, Place::default());
    }

    /// Gives back what is to spare, once that is more than what it holds.
    pub(crate) fn tighten(&mut self) {
        let enough = (self.held * 3 / 2).next_power_of_two().max(FEWEST);
        if enough < self.places.len() {
            self.resize(enough);
        }
    }

    /// Bytes that there is memory for.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.places)
    }

    fn place_of(&self, hash: TokenHash, slot: u32) -> Option<usize> {
        let mut at = self.home(hash.0);
        loop {
            match self.places.get(at)?.slot {
                0 => return None,
                found if found == slot + 1 => return Some(at),
                _ => at = self.behind(at),
            }
        }
    }

    fn resize(&mut self, places: usize) {
        let empty = vec![Place::default(); places].into();
        let before = std::mem::replace(&mut self.places, empty);
        before.iter().filter(|place| place.slot != 0).for_each(|place| self.put(*place));
    }

    fn put(&mut self, place: Place) {
        let mut at = self.home(place.hash);
        while self.places.get(at).is_some_and(|taken| taken.slot != 0) {
            at = self.behind(at);
        }
        self.set(at, place);
    }

    fn set(&mut self, at: usize, place: Place) {
        if let Some(there) = self.places.get_mut(at) {
            *there = place;
        }
    }

    /// Where a hash is looked for first. Tokens of a shard share the bits that chose it: the
    /// product's middle bits depend on all of them.
    fn home(&self, hash: u32) -> usize {
        let product = u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
        usize::try_from(product).unwrap_or(0) & self.mask()
    }

    fn behind(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    fn steps(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }

    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a list of pairs, whatever collides.
        #[test]
        fn slots_are_found_by_hash(steps in prop::collection::vec((0_u8..4, 0_u32..9), 0..200)) {
            let (mut index, mut naive) = (Index::default(), Vec::new());
            for (slot, (kind, hash)) in (0_u32..).zip(steps) {
                let hash = TokenHash(hash);
                let held = naive.iter().position(|(one, _)| *one == hash);
                match (kind, held) {
                    (0, Some(at)) => {
                        let (hash, slot) = naive.remove(at);
                        index.remove(hash, slot);
                    }
                    (1, Some(at)) => {
                        let from = std::mem::replace(&mut naive[at].1, slot + 1_000);
                        index.change(hash, from, slot + 1_000);
                    }
                    (2, _) => index.tighten(),
                    _ => {
                        index.insert(hash, slot);
                        naive.push((hash, slot));
                    }
                }
                prop_assert_eq!(index.len(), naive.len());
                prop_assert!(index.bytes() <= (naive.len() * 8 / 3).max(FEWEST) * 2 * 8);
                for hash in (0..9).map(TokenHash) {
                    for slot in naive.iter().map(|(_, slot)| *slot) {
                        let found = index.find(hash, |found| found == slot);
                        prop_assert_eq!(found.is_some(), naive.contains(&(hash, slot)));
                    }
                    let any = index.find(hash, |_| true);
                    prop_assert_eq!(any.is_some(), naive.iter().any(|(one, _)| *one == hash));
                }
            }
        }
    }

    #[test]
    fn what_is_to_spare_is_given_back() {
        let mut index = Index::default();
        (0..10_000).for_each(|slot| index.insert(TokenHash(slot * 7), slot));
        assert_eq!(index.bytes(), 16_384 * 8);
        (10..10_000).for_each(|slot| index.remove(TokenHash(slot * 7), slot));
        index.tighten();
        assert_eq!((index.len(), index.bytes()), (10, 16 * 8));
        assert!((0..10).all(|slot| index.find(TokenHash(slot * 7), |_| true) == Some(slot)));
    }
}
