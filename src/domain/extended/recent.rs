//! Trades that have come and are not with their tokens yet: a list in the order in which they came,
//! and through it a chain for each token. So a trade touches the list's end and nothing of its
//! token, and each token is touched once for all that has come of it.

use super::types::Visit;

/// So many trades wait at most: with those of all shards they are to stay near.
pub(super) const MOST: usize = 256;

/// A trade that waits. Aligned as a pane is.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(8))]
pub(super) struct Kept {
    pub(super) second: i64,
    pub(super) visit: Visit,
    /// The token's next one, from 1; 0: none.
    next: u32,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Recent {
    trades: Vec<Kept>,
    /// Each slot's first and last trade, from 1; 0: none.
    chains: Vec<(u32, u32)>,
    /// Slots that have a trade.
    slots: Vec<u32>,
}

impl Recent {
    /// How many.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.trades.len()
    }

    /// Adds a trade of the token in a slot.
    #[inline]
    pub(super) fn add(&mut self, slot: u32, second: i64, visit: &Visit) {
        self.trades.push(Kept { second, visit: *visit, next: 0 });
        let place = super::index(slot);
        if self.chains.len() <= place {
            self.chains.resize(place + 1, (0, 0));
        }
        let number = u32::try_from(self.trades.len()).unwrap_or(u32::MAX);
        let Some((first, last)) = self.chains.get_mut(place) else { return };
        let before = std::mem::replace(last, number);
        match at(&mut self.trades, before) {
            Some(before) => before.next = number,
            None => {
                *first = number;
                self.slots.push(slot);
            }
        }
    }

    /// Slots that have a trade.
    pub(super) fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// The trades of the token in a slot, in the order in which they came.
    pub(super) fn of(&self, slot: u32) -> impl Iterator<Item = &Kept> {
        let first = self.chains.get(super::index(slot)).map_or(0, |(first, _)| *first);
        let trade = |number: u32| self.trades.get(super::index(number.checked_sub(1)?));
        std::iter::successors(trade(first), move |before| trade(before.next))
    }

    /// Brings all near: what follows one in its chain is known only once that one is.
    pub(super) fn prefetch(&self) {
        self.trades.iter().for_each(memfn::prefetch);
    }

    /// None waits any more.
    pub(super) fn clear(&mut self) {
        self.trades.clear();
        for slot in self.slots.drain(..) {
            self.chains.get_mut(super::index(slot)).into_iter().for_each(|chain| *chain = (0, 0));
        }
    }

    /// Slots from `len` on have no token.
    pub(super) fn shorten(&mut self, len: usize) {
        self.chains.truncate(len);
        if self.chains.capacity() > 4 * len + MOST {
            self.chains.shrink_to_fit();
        }
    }

    /// Bytes that there is memory for.
    pub(super) const fn bytes(&self) -> usize {
        self.trades.capacity() * size_of::<Kept>()
            + self.chains.capacity() * size_of::<(u32, u32)>()
            + self.slots.capacity() * size_of::<u32>()
    }
}

#[inline]
fn at(trades: &mut [Kept], number: u32) -> Option<&mut Kept> {
    trades.get_mut(super::index(number.checked_sub(1)?))
}
