//! A ring in chunks: what comes behind moves nothing, and no more than two chunks are to spare.
//! All chunks have one size, so the allocator has for the next one what another ring gave back.

use std::collections::VecDeque;
use std::ops::Range;

/// A ring in chunks of `N`, a power of two.
#[derive(Debug)]
pub(super) struct Ring<T, const N: usize> {
    /// All but the last are full.
    chunks: VecDeque<Vec<T>>,
    /// Items of the first chunk that are gone.
    head: usize,
    len: usize,
}

/// The first chunk begins with so many, so that a ring of one is small too.
const FEWEST: usize = 2;

impl<T, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), head: 0, len: 0 }
    }
}

impl<T: Copy, const N: usize> Ring<T, N> {
    /// How many items.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The item at a place.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        let place = self.head + at;
        self.chunks.get(place / N)?.get(place % N)
    }

    /// The item at a place, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let place = self.head + at;
        self.chunks.get_mut(place / N)?.get_mut(place % N)
    }

    /// The last item.
    #[inline]
    pub(super) fn back(&self) -> Option<&T> {
        self.chunks.back()?.last()
    }

    /// The items at these places.
    pub(super) fn range(&self, places: Range<usize>) -> impl DoubleEndedIterator<Item = &T> {
        places.filter_map(|at| self.get(at))
    }

    /// Adds an item behind all others.
    #[inline]
    pub(super) fn push_back(&mut self, item: T) {
        match self.chunks.back_mut().filter(|last| last.len() < last.capacity()) {
            Some(last) => last.push(item),
            None => self.push_into_new(item),
        }
        self.len += 1;
    }

    #[cold]
    fn push_into_new(&mut self, item: T) {
        match self.chunks.back_mut().filter(|last| last.len() < N) {
            Some(last) => {
                last.reserve_exact(last.len().max(FEWEST).min(N - last.len()));
                last.push(item);
            }
            None => {
                let room = if self.chunks.is_empty() { FEWEST } else { N };
                let mut chunk = Vec::with_capacity(room.min(N));
                chunk.push(item);
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Adds an item before the one at a place.
    pub(super) fn insert(&mut self, at: usize, item: T) {
        self.push_back(item);
        let place = self.head + at;
        let (mut start, mut item) = (place % N, item);
        for chunk in self.chunks.range_mut(place / N..) {
            let Some(last) = chunk.last().copied() else { return };
            let end = chunk.len() - 1;
            chunk.copy_within(start..end, start + 1);
            chunk.get_mut(start).into_iter().for_each(|first| *first = item);
            (start, item) = (0, last);
        }
    }

    /// Puts items in place of those at these places.
    pub(super) fn replace(&mut self, places: Range<usize>, items: impl Iterator<Item = T>) {
        let behind: Vec<T> = self.range(places.end..self.len).copied().collect();
        self.truncate(places.start);
        items.chain(behind).for_each(|item| self.push_back(item));
    }

    /// Removes so many of the first items.
    pub(super) fn pop_front(&mut self, count: usize) {
        let count = count.min(self.len);
        (self.head, self.len) = (self.head + count, self.len - count);
        if self.len == 0 {
            *self = Self::default();
        }
        while self.head >= N {
            self.chunks.pop_front();
            self.head -= N;
        }
        if self.chunks.capacity() > 2 * self.chunks.len() + FEWEST {
            self.chunks.shrink_to_fit();
        }
    }

    /// Keeps the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        if count >= self.len {
            return;
        }
        let end = self.head + count;
        self.chunks.truncate(end.div_ceil(N));
        if let Some(last) = self.chunks.back_mut() {
            last.truncate((end - 1) % N + 1);
            last.shrink_to_fit();
        }
        self.len = count;
        if count == 0 {
            *self = Self::default();
        }
    }

    /// Bytes that there is memory for.
    pub(super) fn bytes(&self) -> usize {
        let items: usize = self.chunks.iter().map(Vec::capacity).sum();
        items * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a list, whatever comes and goes.
        #[test]
        fn a_ring_is_a_list(
            steps in prop::collection::vec((0_u8..12, 0_usize..90), 0..300),
        ) {
            let (mut ring, mut naive) = (Ring::<usize, 8>::default(), Vec::new());
            for (number, (kind, count)) in steps.into_iter().enumerate() {
                match kind {
                    0 => {
                        ring.pop_front(count % 30);
                        naive.drain(..naive.len().min(count % 30));
                    }
                    1 => {
                        ring.truncate(count);
                        naive.truncate(count);
                    }
                    4 => {
                        let end = naive.len().min(count);
                        let places = end.saturating_sub(3)..end;
                        ring.replace(places.clone(), [number; 2].into_iter());
                        naive.splice(places, [number; 2]);
                    }
                    2 | 3 => {
                        ring.insert(count % (naive.len() + 1), number);
                        naive.insert(count % (naive.len() + 1), number);
                    }
                    _ => {
                        ring.push_back(number);
                        naive.push(number);
                    }
                }
                prop_assert_eq!(ring.len(), naive.len());
                prop_assert_eq!((ring.back(), ring.get(naive.len())), (naive.last(), None));
                prop_assert!(ring.range(0..naive.len()).eq(&naive));
                prop_assert!(ring.bytes() <= (naive.len() + 2 * 8) * 8 * 8);
            }
        }
    }
}
