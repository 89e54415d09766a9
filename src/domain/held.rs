//! What a shard holds of one token, in the order in which it is touched: what finds it and its
//! newest pane, then whether a trade still fits, then what is for a new second, a late trade and
//! the tick. What the windows have lost of its panes stands in the table.

use std::collections::VecDeque;

use super::address::Address;
use super::chunks::{give_back, room};
use super::dense;
use super::pane::{Running, Sums};
use super::price::Price;
use super::store::{PaneRef, PaneStore};
use super::time::Second;
use super::token::TokenHash;
use super::window::Window;

/// A token. It exists as long as it has a live pane or owes its closing message.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Token {
    pub(crate) address: Address,
    /// Its newest live pane; the others are `older`.
    newest: Option<PaneRef>,
    pub(crate) hash: TokenHash,
    /// Its last trade has left the longest window, and no message has said so yet.
    pub(crate) closing: bool,
    /// The sum of all its live panes. Every window is a part of them, so a trade that fits here
    /// fits everywhere.
    pub(crate) total: Running,
    /// Price of its last trade that has expired; shown once no live one is left.
    pub(crate) last_price: Price,
    /// Its other live panes, oldest first.
    older: VecDeque<PaneRef>,
    /// To the end of the third line of the cache: an allocator leaves as much empty otherwise.
    _rest_of_the_line: [u64; 2],
}

impl Token {
    /// A token without a pane.
    pub(crate) fn new(address: &str, hash: TokenHash) -> Self {
        Self {
            address: Address::of(address),
            newest: None,
            hash,
            closing: false,
            total: Running::default(),
            last_price: Price::ZERO,
            older: VecDeque::new(),
            _rest_of_the_line: [0; 2],
        }
    }

    /// Whether it has no live pane.
    pub(crate) const fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Its newest live pane.
    pub(crate) const fn newest(&self) -> Option<PaneRef> {
        self.newest
    }

    /// Its live panes, oldest first.
    pub(crate) fn panes(&self) -> impl DoubleEndedIterator<Item = PaneRef> {
        self.older.iter().copied().chain(self.newest)
    }

    /// Brings its list of panes near: both ends of it.
    pub(crate) fn prefetch_places(&self) {
        self.older.front().into_iter().chain(self.older.back()).for_each(memfn::prefetch);
    }

    /// Where the pane of a second stands.
    pub(crate) fn place(&self, second: Second) -> Option<PaneRef> {
        let newest = self.newest.filter(|newest| newest.second() >= second)?;
        if newest.second() == second {
            return Some(newest);
        }
        let at = |at| Some(self.older.get(at)?.second());
        let at = dense::find(self.older.len(), second, at).ok()?;
        self.older.get(at).copied()
    }

    /// Takes up the place of a pane in a second that had none.
    pub(crate) fn insert(&mut self, place: PaneRef) {
        let late = self.newest.is_some_and(|newest| place < newest);
        let older = if late { Some(place) } else { self.newest.replace(place) };
        let Some(older) = older else { return };
        room(&mut self.older);
        match self.older.back() {
            Some(last) if older < *last => {
                let at = self.older.partition_point(|pane| *pane < older);
                self.older.insert(at, older);
            }
            Some(_) | None => self.older.push_back(older),
        }
    }

    /// Forgets its oldest pane.
    pub(crate) fn pop_oldest(&mut self) {
        if self.older.pop_front().is_none() {
            self.newest = None;
        }
        give_back(&mut self.older);
    }

    /// Its newest pane that is not after `end`.
    pub(crate) fn newest_until(&self, end: Second) -> Option<PaneRef> {
        self.panes().rev().find(|pane| pane.second() <= end)
    }

    /// Its panes after `left`, oldest first.
    pub(crate) fn after(&self, left: Second) -> impl Iterator<Item = PaneRef> {
        // All of them, most often: what the longest window has lost is gone.
        let skipped = match self.older.front() {
            Some(oldest) if oldest.second() <= left => {
                self.older.partition_point(|pane| pane.second() <= left)
            }
            Some(_) | None => 0,
        };
        let newest = self.newest.filter(|newest| newest.second() > left);
        self.older.range(skipped..).copied().chain(newest)
    }

    /// Sums of the longest window, when it ends at `end`: of all live panes but those that it does
    /// not hold yet.
    pub(crate) fn longest(&self, panes: &PaneStore, end: Second) -> Sums {
        let mut sums = self.total.sums();
        let ahead = self.panes().rev().take_while(|pane| pane.second() > end);
        ahead.filter_map(|pane| panes.sums_at(pane)).for_each(|one| sums.subtract(&one));
        sums
    }

    /// Price of its last trade until `end`; the last known one where none is live.
    pub(crate) fn close(&self, panes: &PaneStore, end: Second) -> Price {
        let newest = self.newest_until(end).and_then(|place| panes.close(place));
        newest.unwrap_or(self.last_price)
    }

    /// Its oldest pane in a window that ends at `end`.
    pub(crate) fn oldest_in(&self, window: &Window, end: Second) -> Option<PaneRef> {
        self.after(window.left_by(end)).next().filter(|pane| pane.second() <= end)
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_takes_three_lines_of_the_cache_and_an_empty_slot_no_more() {
        assert_eq!((size_of::<Token>(), size_of::<Option<Token>>()), (192, 192));
        assert_eq!((offset_of!(Token, total), size_of::<Running>()), (64, 64));
    }

    proptest! {
        /// The places of a token are a sorted list of seconds, whatever came when.
        #[test]
        fn places_are_kept_in_order(steps in prop::collection::vec((0_u8..4, 0_i64..20), 0..60)) {
            let place = |second: i64| PaneRef::new(Second(second), 7).unwrap();
            let (mut token, mut naive) = (Token::new("t", TokenHash(0)), Vec::new());
            for (kind, second) in steps {
                if kind == 0 && !naive.is_empty() {
                    token.pop_oldest();
                    naive.remove(0);
                } else if !naive.contains(&second) {
                    token.insert(place(second));
                    naive.push(second);
                    naive.sort_unstable();
                }
                let kept = || naive.iter().copied().map(place);
                prop_assert!(token.panes().eq(kept()));
                prop_assert_eq!(token.is_empty(), naive.is_empty());
                for second in -1..=20 {
                    let at = Second(second);
                    let found = kept().find(|pane| pane.second() == at);
                    prop_assert_eq!(token.place(at), found);
                    let until = kept().rev().find(|pane| pane.second() <= at);
                    prop_assert_eq!(token.newest_until(at), until);
                    prop_assert!(token.after(at).eq(kept().filter(|pane| pane.second() > at)));
                }
            }
        }
    }
}
