//! The highest (or lowest) price of every window at once: of each second those prices that no later
//! one has reached. What is first of them in a window is the window's.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::super::price::Price;

/// A price with its second. Aligned as a pane is.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(8))]
struct Best {
    second: i64,
    price: Price,
}

/// Seconds ascending, prices falling (rising, where the lowest is asked for).
#[derive(Debug)]
pub(super) struct Extremes {
    list: VecDeque<Best>,
    /// How a price compares with one that it makes worthless.
    beats: Ordering,
}

impl Extremes {
    /// Of highest prices.
    pub(super) const fn highest() -> Self {
        Self { list: VecDeque::new(), beats: Ordering::Greater }
    }

    /// Of lowest prices.
    pub(super) const fn lowest() -> Self {
        Self { list: VecDeque::new(), beats: Ordering::Less }
    }

    /// A price of a second that is not before the last one.
    pub(super) fn push(&mut self, second: i64, price: Price) {
        let beats = self.beats;
        while self.list.pop_back_if(|last| !is(beats, last.price, price)).is_some() {}
        grow(&mut self.list);
        self.list.push_back(Best { second, price });
    }

    /// Forgets seconds that are not before `first`.
    pub(super) fn cut(&mut self, first: i64) {
        while self.list.pop_back_if(|last| last.second >= first).is_some() {}
    }

    /// The best price after `left`.
    pub(super) fn after(&self, left: i64) -> Option<Price> {
        self.list.iter().find(|best| best.second > left).map(|best| best.price)
    }

    /// Forgets seconds that are not after `left`.
    pub(super) fn expire(&mut self, left: i64) {
        while self.list.pop_front_if(|best| best.second <= left).is_some() {}
        if self.list.capacity() > 2 * self.list.len() + 4 {
            self.list.shrink_to(self.list.len() + 1);
        }
    }

    /// Brings both ends near.
    pub(super) fn prefetch(&self) {
        self.list.front().into_iter().chain(self.list.back()).for_each(memfn::prefetch);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// Bytes that there is memory for.
    pub(super) fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<Best>()
    }
}

/// Makes room for one more: a fourth of what is held, one at least.
pub(super) fn grow<T>(ring: &mut VecDeque<T>) {
    if ring.len() == ring.capacity() {
        ring.reserve_exact(ring.len() / 4 + 1);
    }
}

fn is(beats: Ordering, one: Price, other: Price) -> bool {
    one.order(other) == beats
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Prices come to any second, and only get better.
        #[test]
        fn the_best_price_after_any_second_is_known(
            steps in prop::collection::vec((0_i64..30, 1_u128..40, 0_u8..2), 0..60),
        ) {
            let (mut high, mut low) = (Extremes::highest(), Extremes::lowest());
            let (mut panes, mut left) = (BTreeMap::<i64, (Price, Price)>::new(), -1);
            for (second, digits, scale) in steps {
                let price = Price::from_parts(digits, scale).unwrap();
                if second > left {
                    let (highest, lowest) = panes.entry(second).or_insert((price, price));
                    *highest = std::cmp::max_by_key(*highest, price, |price| price.rank());
                    *lowest = std::cmp::min_by_key(*lowest, price, |price| price.rank());
                    high.cut(second);
                    low.cut(second);
                    for (second, (highest, lowest)) in panes.range(second..) {
                        high.push(*second, *highest);
                        low.push(*second, *lowest);
                    }
                }
                if digits == 1 {
                    left = left.max(second - 10);
                    high.expire(left);
                    low.expire(left);
                }
                for after in left..30 {
                    let held = || panes.range(after + 1..).map(|(_, prices)| prices);
                    let highest = held().map(|(highest, _)| highest.rank()).max();
                    let lowest = held().map(|(_, lowest)| lowest.rank()).min();
                    prop_assert_eq!(high.after(after).map(Price::rank), highest);
                    prop_assert_eq!(low.after(after).map(Price::rank), lowest);
                }
            }
        }
    }
}
