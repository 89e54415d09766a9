//! Which tokens come first: by one figure of one window, ties by address. Ranks are selected from
//! many tokens without sorting them all, part by part, and lists of parts become one list.
//!
//! Invariants:
//! - The order is total: every two tokens are apart, so that "after this one" is well defined.
//! - What is kept is bounded by what is asked for, however many tokens are offered.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::aggregate::Figures;
use super::pane::Sums;
use super::price::Price;

/// Rows that may be skipped: the places before them are kept while a ranking is made. Whoever looks
/// for a token further down sorts otherwise, or searches.
pub const MAX_SKIPPED: usize = 50_000;

/// By which figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    /// Volume in USD.
    Volume,
    /// Trades on both sides.
    Trades,
    /// Change of the price in percent.
    PriceChange,
    /// The last price.
    Price,
    /// The address alone.
    Token,
}

/// From which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The greatest first.
    Descending,
    /// The least first.
    Ascending,
}

/// A token's place in a ranking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its figure, as [`Sort::key`] has it.
    pub key: i128,
    /// Its address.
    pub token: Box<str>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranking {
    /// Place of the window among the configured ones.
    pub window: usize,
    /// By which figure.
    pub sort: Sort,
    /// From which end.
    pub order: Order,
    /// Only tokens in which this is found.
    pub search: Option<Search>,
    /// Only what comes strictly after this place.
    pub after: Option<Place>,
    /// Rows that are skipped of that, at most [`MAX_SKIPPED`].
    pub from: usize,
    /// Rows that are wanted then.
    pub rows: usize,
}

/// Text that is looked for in addresses, symbols and names, in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search(String);

impl Sort {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Volume, Self::Trades, Self::PriceChange, Self::Price, Self::Token];

    /// Its name in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Trades => "trades",
            Self::PriceChange => "price_change",
            Self::Price => "price",
            Self::Token => "token",
        }
    }

    /// A number that is the greater, the greater the figure is. `prices` are the window's open and
    /// close.
    pub fn key(self, sums: &Sums, prices: impl FnOnce() -> (Price, Price)) -> i128 {
        match self {
            Self::Volume => sums.usd,
            Self::Trades => sums.trades().into(),
            Self::PriceChange => {
                let (open, close) = prices();
                ordered(Price::change_percent(open, close)).into()
            }
            Self::Price => i128::try_from(prices().1.rank()).unwrap_or(i128::MAX),
            Self::Token => 0,
        }
    }
}

impl Order {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Descending, Self::Ascending];

    /// Its name in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Descending => "desc",
            Self::Ascending => "asc",
        }
    }

    /// Which of two comes first.
    #[must_use]
    pub fn compare(self, left: (i128, &str), right: (i128, &str)) -> Ordering {
        match self {
            Self::Ascending => left.cmp(&right),
            Self::Descending => right.cmp(&left),
        }
    }
}

impl Place {
    fn at(&self) -> (i128, &str) {
        (self.key, &self.token)
    }
}

impl Ranking {
    /// How many places it takes to answer, and to know whether anything comes after.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.from.saturating_add(self.rows).saturating_add(1)
    }

    /// The key of a row's figures in the ranking's window.
    #[must_use]
    pub fn key(&self, windows: &[Figures]) -> i128 {
        let figures = windows.get(self.window);
        figures.map_or(0, |one| self.sort.key(&one.sums, || (one.open, one.close)))
    }
}

impl Search {
    /// Of a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    /// Whether it is found in `text`.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        if !text.is_ascii() {
            return text.to_lowercase().contains(&self.0);
        }
        let sought = self.0.as_bytes();
        sought.is_empty()
            || text.as_bytes().windows(sought.len()).any(|part| part.eq_ignore_ascii_case(sought))
    }
}

/// The first places of all that were offered.
#[derive(Debug)]
pub struct Best<'a> {
    ranking: &'a Ranking,
    places: Vec<Place>,
    /// Once so many were found: the last of them. What comes after it is not among the first.
    last: Option<Place>,
}

impl<'a> Best<'a> {
    /// Nothing was offered yet.
    #[must_use]
    pub const fn new(ranking: &'a Ranking) -> Self {
        Self { ranking, places: Vec::new(), last: None }
    }

    /// Takes a token in where it may be among the first.
    pub fn offer(&mut self, key: i128, token: &str) {
        if self.may_be(key, token) {
            self.take(Place { key, token: token.into() });
        }
    }

    /// Takes places in that another list has found.
    pub fn merge(&mut self, places: Vec<Place>) {
        for place in places {
            if self.may_be(place.key, &place.token) {
                self.take(place);
            }
        }
    }

    /// The first ones, in their order: as many as [`Ranking::depth`] says.
    #[must_use]
    pub fn finish(mut self) -> Vec<Place> {
        self.cut();
        let order = self.ranking.order;
        self.places.sort_unstable_by(|left, right| order.compare(left.at(), right.at()));
        self.places
    }

    fn may_be(&self, key: i128, token: &str) -> bool {
        let Ranking { order, after, .. } = self.ranking;
        let compare = |place: &Place| order.compare((key, token), place.at());
        after.as_ref().is_none_or(|after| compare(after).is_gt())
            && self.last.as_ref().is_none_or(|last| compare(last).is_lt())
    }

    fn take(&mut self, place: Place) {
        self.places.push(place);
        // At twice of what is wanted, so that each cut takes many away.
        if self.places.len() >= 2 * self.ranking.depth() {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let (depth, order) = (self.ranking.depth(), self.ranking.order);
        if self.places.len() > depth {
            let by = |left: &Place, right: &Place| order.compare(left.at(), right.at());
            self.places.select_nth_unstable_by(depth - 1, by);
            self.places.truncate(depth);
            self.last = self.places.last().cloned();
        }
    }
}

/// The bits of a number as an integer in the same order (see `f64::total_cmp`).
const fn ordered(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranking(order: Order, from: usize, rows: usize) -> Ranking {
        Ranking { window: 0, sort: Sort::Volume, order, search: None, after: None, from, rows }
    }

    fn token() -> impl Strategy<Value = (i128, String)> {
        (-3_i128..4, "[a-c]{1,3}")
    }

    proptest! {
        /// The naive definition: sort all, drop what is not after, take the first.
        #[test]
        fn selecting_is_sorting_and_slicing(
            offered in prop::collection::btree_map("[a-d]{1,3}", -3_i128..4, 0..60),
            after in prop::option::of(token()),
            ascending: bool,
            (from, rows, parts) in (0_usize..6, 1_usize..8, 1_usize..4),
        ) {
            let order = if ascending { Order::Ascending } else { Order::Descending };
            let after = after.map(|(key, token)| Place { key, token: token.into() });
            let ranking = Ranking { after, ..ranking(order, from, rows) };
            let mut all: Vec<(i128, &str)> =
                offered.iter().map(|(token, key)| (*key, token.as_str())).collect();
            all.sort_unstable();
            if !ascending {
                all.reverse();
            }
            if let Some(after) = &ranking.after {
                let at = (after.key, &*after.token);
                all.retain(|one| if ascending { *one > at } else { *one < at });
            }
            all.truncate(from + rows + 1);
            let mut merged = Best::new(&ranking);
            for part in 0..parts {
                let mut best = Best::new(&ranking);
                let mine = offered.iter().enumerate().filter(|(at, _)| at % parts == part);
                mine.for_each(|(_, (token, key))| best.offer(*key, token));
                merged.merge(best.finish());
            }
            let merged = merged.finish();
            prop_assert_eq!(merged.iter().map(Place::at).collect::<Vec<_>>(), all);
        }

        #[test]
        fn numbers_keep_their_order(left: f64, right: f64) {
            prop_assert_eq!(ordered(left).cmp(&ordered(right)), left.total_cmp(&right));
        }

        #[test]
        fn searching_is_finding_in_lower_case(
            text in "[a-bA-BäÄK ]{0,6}",
            sought in "[aBÄkK]{0,3}",
        ) {
            let naive = text.to_lowercase().contains(&sought.to_lowercase());
            prop_assert_eq!(Search::new(&sought).finds(&text), naive);
        }
    }

    #[test]
    fn of_many_tokens_no_more_is_kept_than_twice_what_is_wanted() {
        let ranking = ranking(Order::Descending, 2, 3);
        let mut best = Best::new(&ranking);
        for key in 0..10_000 {
            best.offer(key, "t");
            assert!(best.places.len() < 2 * ranking.depth());
        }
        let keys: Vec<_> = best.finish().iter().map(|place| place.key).collect();
        assert_eq!(keys, [9_999, 9_998, 9_997, 9_996, 9_995, 9_994]);
    }
}
