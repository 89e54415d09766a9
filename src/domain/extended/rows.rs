//! What is counted of each pane of a token, in a ring of rows of words: as many words as there are
//! windows with a preceding one, and three. Rows are in the order of their seconds. A window that
//! moves on reads them and nothing else of a pane.

use super::super::dense;
use super::super::time::Second;
use super::ring::Ring;

/// Buyers whose last buy is in this pane; above them, by 32 bits, the same of sellers.
pub(super) const SIDES: usize = 0;
/// Wallets whose last trade is in this pane; above them how many visits it has, and two flags.
pub(super) const TRADED: usize = 1;
/// The pane's second.
const SECOND: usize = 2;
/// One word for each window with a preceding one: the visits whose wallet has none so shortly
/// before; above them those whose wallet has none so shortly after.
pub(super) const LINKS: usize = 3;

/// One in the upper half of a word.
pub(super) const UPPER: u64 = 1 << 32;
/// A wallet was not counted in this pane.
pub(super) const UNCOUNTED: u64 = 1 << 62;
/// Of this pane's trades only count and volume are known.
pub(super) const UNKNOWN: u64 = 1 << 63;

/// A ring of rows.
#[derive(Debug)]
pub(super) struct Rows {
    words: Ring<u64, WORDS>,
    /// Words in a row.
    width: usize,
    len: usize,
}

/// In a chunk.
const WORDS: usize = 128;

impl Rows {
    /// None yet, for so many windows with a preceding one.
    pub(super) fn new(links: usize) -> Self {
        Self { words: Ring::default(), width: LINKS + links, len: 0 }
    }

    /// How many.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// A word of a row; 0 where there is none.
    #[inline]
    pub(super) fn word(&self, at: usize, word: usize) -> u64 {
        self.words.get(at * self.width + word).copied().unwrap_or(0)
    }

    /// A word of a row, to be changed.
    #[inline]
    pub(super) fn change(&mut self, at: usize, word: usize, change: impl FnOnce(u64) -> u64) {
        let index = at * self.width + word;
        if let Some(place) = self.words.get_mut(index) {
            *place = change(*place);
        }
    }

    /// The second of a row; later than any where there is none.
    #[inline]
    pub(super) fn second(&self, at: usize) -> i64 {
        if at < self.len { self.word(at, SECOND).cast_signed() } else { i64::MAX }
    }

    /// How many visits the pane of a row has.
    pub(super) fn visits(&self, at: usize) -> usize {
        let visits = (self.word(at, TRADED) & !(UNCOUNTED | UNKNOWN)) >> 32;
        usize::try_from(visits).unwrap_or(usize::MAX)
    }

    /// How many visits the panes of these rows have.
    pub(super) fn visits_within(&self, rows: std::ops::Range<usize>) -> usize {
        rows.map(|row| self.visits(row)).sum()
    }

    /// The row of a second, or where it would stand.
    #[inline]
    pub(super) fn find(&self, second: i64) -> Result<usize, usize> {
        dense::find(self.len, Second(second), |at| Some(Second(self.second(at))))
    }

    /// A row of zeros for a second, before the one at a place.
    pub(super) fn insert(&mut self, at: usize, second: i64) {
        let index = at * self.width;
        (0..self.width).for_each(|_| self.words.push_back(0));
        self.len += 1;
        if at + 1 < self.len {
            for place in (index + self.width..self.words.len()).rev() {
                let before = self.words.get(place - self.width).copied().unwrap_or(0);
                self.words.get_mut(place).into_iter().for_each(|word| *word = before);
            }
            (0..self.width).for_each(|word| self.change(at, word, |_| 0));
        }
        self.change(at, SECOND, |_| second.cast_unsigned());
    }

    /// Removes so many of the oldest rows.
    pub(super) fn pop(&mut self, count: usize) {
        let count = count.min(self.len);
        self.words.pop_front(count * self.width);
        self.len -= count;
    }

    /// Puts 0 in every word but for seconds, visits and flags.
    pub(super) fn forget(&mut self) {
        for at in 0..self.len {
            self.change(at, SIDES, |_| 0);
            self.change(at, TRADED, |word| word & !(UPPER - 1));
            (LINKS..self.width).for_each(|word| self.change(at, word, |_| 0));
        }
    }

    /// Brings a row near.
    pub(super) fn prefetch(&self, at: usize) {
        self.words.get(at * self.width).into_iter().for_each(memfn::prefetch);
    }

    /// Bytes that there is memory for.
    pub(super) fn bytes(&self) -> usize {
        self.words.bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a sorted list, wherever rows come and however many go.
        #[test]
        fn rows_are_a_list(
            links in 0_usize..5,
            steps in prop::collection::vec((0_u8..9, 0_i64..60), 0..90),
        ) {
            let (mut rows, mut naive) = (Rows::new(links), Vec::<(i64, u64)>::new());
            for (kind, second) in steps {
                if kind < 2 {
                    let count = naive.len().min(usize::from(kind) + 1);
                    rows.pop(count);
                    naive.drain(..count);
                } else if let Err(at) = naive.binary_search_by_key(&second, |(second, _)| *second) {
                    prop_assert_eq!(rows.find(second), Err(at));
                    rows.insert(at, second);
                    rows.change(at, LINKS + links - 1, |word| word + u64::from(kind));
                    let only_second = links == 0;
                    naive.insert(at, (second, if only_second { 0 } else { kind.into() }));
                    if only_second {
                        rows.change(at, LINKS - 1, |word| word - u64::from(kind));
                    }
                }
                prop_assert_eq!(rows.len(), naive.len());
                prop_assert!(rows.bytes() <= (naive.len() * rows.width + 2 * WORDS + 30) * 8);
                for (at, (second, word)) in naive.iter().enumerate() {
                    prop_assert_eq!((rows.second(at), rows.find(*second)), (*second, Ok(at)));
                    if links > 0 {
                        prop_assert_eq!(rows.word(at, LINKS + links - 1), *word);
                    }
                }
            }
        }
    }
}
