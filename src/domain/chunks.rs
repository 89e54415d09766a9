//! Lists that grow by little. [`Chunks`] is a list in chunks of `N`: what it holds never moves, and
//! no more than a chunk is to spare. [`room`] and [`give_back`] do the same for rings.

use std::collections::VecDeque;

/// The first chunk begins with so many, so that a list of one is small too.
const FEWEST: usize = 4;
/// A ring begins with so many: a token with two panes has one, and there are many of those.
const RING_FIRST: usize = 2;
/// Then it has a multiple of so many, a line of the cache where they are places: it is moved once
/// for each line.
const RING_STEP: usize = 8;
/// A ring that has this many places to spare, and more than it uses, gives some back.
const SPARE: usize = 16;

/// A list in chunks of `N`.
#[derive(Debug)]
pub(crate) struct Chunks<T, const N: usize> {
    full: Vec<Vec<T>>,
    last: Vec<T>,
}

impl<T, const N: usize> Default for Chunks<T, N> {
    fn default() -> Self {
        Self { full: Vec::new(), last: Vec::new() }
    }
}

impl<T, const N: usize> Chunks<T, N> {
    /// An empty list that will have about so many chunks.
    pub(crate) fn of_about(chunks: usize) -> Self {
        Self { full: Vec::with_capacity(chunks), last: Vec::new() }
    }

    /// Adds an item behind all others; a chunk of `spare` is used first.
    #[inline]
    pub(crate) fn push(&mut self, item: T, spare: &mut Vec<Vec<T>>) {
        if self.last.len() == self.last.capacity() {
            self.grow(spare);
        }
        self.last.push(item);
    }

    /// Makes room for one more.
    #[cold]
    fn grow(&mut self, spare: &mut Vec<Vec<T>>) {
        if self.last.len() == N {
            self.full.push(std::mem::take(&mut self.last));
        }
        if self.last.capacity() == 0 {
            self.last = spare.pop().unwrap_or_default();
        }
        let held = self.last.len();
        if held == self.last.capacity() {
            // Behind a full one: it grows in two steps.
            let fewest = if self.full.is_empty() { FEWEST } else { N / 2 };
            self.last.reserve_exact(held.max(fewest).min(N - held));
        }
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.full.len() * N + self.last.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        match self.full.get(at / N) {
            Some(chunk) => chunk.get(at % N),
            None => self.last.get(at - self.full.len() * N),
        }
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let before = self.full.len() * N;
        match self.full.get_mut(at / N) {
            Some(chunk) => chunk.get_mut(at % N),
            None => self.last.get_mut(at - before),
        }
    }

    /// The items chunk by chunk: whoever walks them can look ahead inside a chunk.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[T]> {
        self.full.iter().chain([&self.last]).map(Vec::as_slice)
    }

    /// Keeps the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) {
        while self.len() > count {
            let before = self.full.len() * N;
            if count >= before {
                self.last.truncate(count - before);
            } else {
                self.last = self.full.pop().unwrap_or_default();
            }
        }
        self.tighten();
    }

    /// Gives back what is to spare.
    pub(crate) fn tighten(&mut self) {
        self.last.shrink_to_fit();
        self.full.shrink_to_fit();
    }

    /// As [`tighten`](Self::tighten), but a whole chunk goes to `spare`, and the list of chunks
    /// stays: it is small beside them.
    pub(crate) fn tighten_into(&mut self, spare: &mut Vec<Vec<T>>) {
        if self.last.capacity() < N {
            self.last.shrink_to_fit();
        } else if self.last.len() < N {
            let mut exact = Vec::with_capacity(self.last.len());
            exact.append(&mut self.last);
            spare.push(std::mem::replace(&mut self.last, exact));
        }
    }

    /// Its whole chunks, emptied, to be used again.
    pub(crate) fn into_spare(self) -> impl Iterator<Item = Vec<T>> {
        let whole = self.full.into_iter().chain([self.last]).filter(|chunk| chunk.capacity() == N);
        whole.map(|mut chunk| {
            chunk.clear();
            chunk
        })
    }

    /// How many chunks there are.
    pub(crate) const fn count(&self) -> usize {
        self.full.len() + 1
    }

    /// Items that there is memory for.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.full.iter().chain([&self.last]).map(Vec::capacity).sum()
    }
}

/// Makes room for one item more: by an eighth, where doubling would leave half of a long ring
/// empty.
pub(crate) fn room<T>(ring: &mut VecDeque<T>) {
    let held = ring.len();
    if held == ring.capacity() {
        let eighth = (held + held / 8 + 1).next_multiple_of(RING_STEP);
        ring.reserve_exact(if held == 0 { RING_FIRST } else { eighth - held });
    }
}

/// Gives back what a ring has to spare, once that is more than what it holds: so each item is moved
/// once at most for each that was taken out.
pub(crate) fn give_back<T>(ring: &mut VecDeque<T>) {
    if ring.capacity() > 2 * ring.len() + SPARE {
        ring.shrink_to(ring.len() + ring.len() / 8 + FEWEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_places_and_little_is_to_spare() {
        let mut list = Chunks::<usize, 48>::default();
        for item in 0..1_000 {
            list.push(item, &mut Vec::new());
            assert_eq!(
                (list.len(), list.get(item), list.get(item + 1)),
                (item + 1, Some(&item), None)
            );
            assert!(list.capacity() - list.len() <= list.len().clamp(3, 24), "{item}");
        }
        assert!(list.chunks().flatten().copied().eq(0..1_000));
        *list.get_mut(47).unwrap() = 7;
        assert_eq!(list.get(47), Some(&7));
        assert_eq!(list.get_mut(1_000), None);
    }

    #[test]
    fn what_is_cut_off_gives_its_memory_back() {
        for (held, kept) in [(0, 0), (47, 0), (48, 48), (49, 48), (96, 95), (1_000, 1), (97, 200)] {
            let mut list = Chunks::<usize, 48>::default();
            (0..held).for_each(|item| list.push(item, &mut Vec::new()));
            list.truncate(kept);
            let left = held.min(kept);
            assert_eq!((list.len(), list.capacity()), (left, left), "{held} cut to {kept}");
            list.push(left, &mut Vec::new());
            assert!(list.chunks().flatten().copied().eq(0..=left), "{held} cut to {kept}");
        }
    }

    #[test]
    fn whole_chunks_are_used_again() {
        let (mut list, mut spare) = (Chunks::<usize, 48>::default(), Vec::new());
        (0..100).for_each(|item| list.push(item, &mut spare));
        spare.extend(list.into_spare());
        assert_eq!(spare.iter().map(Vec::capacity).collect::<Vec<_>>(), [48, 48]);
        let mut again = Chunks::<usize, 48>::default();
        (0..50).for_each(|item| again.push(item, &mut spare));
        assert_eq!((again.capacity(), again.count(), spare.len()), (96, 2, 0));
        again.tighten_into(&mut spare);
        assert_eq!((again.capacity(), spare.len()), (50, 1));
        assert!(again.chunks().flatten().copied().eq(0..50) && spare.iter().all(Vec::is_empty));
    }

    #[test]
    fn a_ring_grows_by_an_eighth_and_shrinks_when_it_is_half_empty() {
        let mut ring = VecDeque::new();
        for item in 0..10_000 {
            room(&mut ring);
            ring.push_back(item);
            assert!(ring.capacity() <= ring.len() + ring.len() / 8 + RING_STEP);
        }
        while ring.pop_front().is_some() {
            give_back(&mut ring);
            assert!(ring.capacity() <= 2 * ring.len() + SPARE);
        }
    }
}
