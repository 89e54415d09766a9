//! What should have come out: the log as it is, told by the naive oracle's own arithmetic, with
//! decimals read once and trades in order, so that a million of them take seconds. No code of the
//! service.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Zero};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::topic::Stored;
use super::workload::{Bad, Element, Planned};
use crate::oracle::{self, Span, Told};

/// Where a rejected thing stood: partition, offset, index.
pub type Place = (i32, i64, Option<u32>);

/// A rejected thing with its record.
pub struct Rejected<'a> {
    pub bad: &'a Bad,
    pub stored: &'a Stored,
}

/// The log, understood.
pub struct Model<'a> {
    spans: Vec<Span>,
    trades: BTreeMap<&'a str, Vec<Entry>>,
    pub rejected: BTreeMap<Place, Rejected<'a>>,
    pub records: usize,
    pub elements: usize,
}

/// A trade, its decimals in units of 10⁻¹⁸.
pub struct Entry {
    pub order: (i128, (i32, i64, u32)),
    pub second: i64,
    pub buy: bool,
    pub native: i128,
    pub usd: i128,
    price: BigDecimal,
}

impl<'a> Model<'a> {
    /// The log `stored`, whose records were planned; each plan stands there at least once.
    pub fn new(spans: &[Span], stored: &'a [Stored], planned: &'a [Planned]) -> Self {
        let valued = planned.iter().filter_map(|plan| Some((plan.value.as_deref()?, plan)));
        let plans: HashMap<&[u8], &Planned> = valued.collect();
        let mut model = Self {
            spans: spans.to_vec(),
            trades: BTreeMap::new(),
            rejected: BTreeMap::new(),
            records: stored.len(),
            elements: 0,
        };
        let mut seen = BTreeSet::new();
        for one in stored {
            let Some(value) = one.record.value.as_deref() else { continue };
            let plan = plans.get(value).expect("a record that was planned");
            seen.insert(value);
            model.note(one, plan);
        }
        assert_eq!(seen.len(), plans.len(), "the log holds every record");
        for entries in model.trades.values_mut() {
            entries.sort_by_key(|entry| entry.order);
        }
        model
    }

    fn note(&mut self, stored: &'a Stored, plan: &'a Planned) {
        for (index, element) in (0_u32..).zip(&plan.elements) {
            self.elements += 1;
            match element {
                Element::Trade(told) => {
                    let position = (stored.partition, stored.offset, index);
                    self.trades.entry(&told.token).or_default().push(Entry::new(told, position));
                }
                Element::Bad(bad) => {
                    let index = (!bad.whole).then_some(index);
                    let place = (stored.partition, stored.offset, index);
                    self.rejected.insert(place, Rejected { bad, stored });
                }
            }
        }
    }

    /// Trades that count.
    pub fn counted(&self) -> usize {
        self.trades.values().map(Vec::len).sum()
    }

    /// Tokens with a trade in the longest window that ends at `end`.
    pub fn active(&self, end: i64) -> BTreeSet<&'a str> {
        let longest = self.spans.iter().map(|(_, length)| *length).max().unwrap();
        let active = |entries: &[Entry]| !held(entries, longest, end).is_empty();
        let active = self.trades.iter().filter(|(_, entries)| active(entries));
        active.map(|(token, _)| *token).collect()
    }

    /// How many trades of `token` each window holds: of all, or of those below `ends` of the log.
    pub fn counts(&self, token: &str, end: i64, ends: Option<&[i64]>) -> Vec<u64> {
        let entries = self.trades.get(token).map_or(&[][..], Vec::as_slice);
        let below = |entry: &&Entry| {
            let (partition, offset, _) = entry.order.1;
            // A partition that was added later held nothing.
            let end = |ends: &[i64]| ends.get(usize::try_from(partition).unwrap()).copied();
            ends.is_none_or(|ends| offset < end(ends).unwrap_or(0))
        };
        let count = |length| held(entries, length, end).iter().filter(below).count();
        self.spans.iter().map(|(_, length)| u64::try_from(count(*length)).unwrap()).collect()
    }

    /// `aggregate_data` of a token's windows that end at `end`.
    pub fn windows(&self, token: &str, end: i64) -> Value {
        let entries: Vec<_> = self.trades[token].iter().collect();
        aggregate_data(&self.spans, &entries, end)
    }
}

/// `aggregate_data` of one token's trades, which are in order, for windows that end at `end`.
pub fn aggregate_data(spans: &[Span], entries: &[&Entry], end: i64) -> Value {
    let known = entries.iter().rev().find(|entry| entry.second <= end);
    let known = known.map_or(BigDecimal::zero(), |entry| entry.price.clone());
    let timestamp = OffsetDateTime::from_unix_timestamp(end).unwrap();
    let timestamp = timestamp.format(&Rfc3339).unwrap();
    let item = |(name, length): &Span| {
        let held = held(entries, *length, end);
        let open = held.first().map_or(&known, |entry| &entry.price);
        let close = held.last().map_or(&known, |entry| &entry.price);
        let of = |buy| held.iter().filter(move |entry| entry.buy == buy);
        let volume = |buy| of(buy).map(|entry| entry.native).sum::<i128>();
        json!({
            "time_window": name,
            "sell_count": of(false).count(), "buy_count": of(true).count(),
            "total_trades": held.len(),
            "sell_volume": plain(volume(false)), "buy_volume": plain(volume(true)),
            "total_volume": plain(volume(false) + volume(true)),
            "volume_usd": plain(held.iter().map(|entry| entry.usd).sum()),
            "price_change": oracle::change(open, close),
            "open_price": oracle::plain(open), "close_price": oracle::plain(close),
            "timestamp": timestamp,
        })
    };
    spans.iter().map(item).collect()
}

impl Entry {
    pub fn new(told: &Told, position: (i32, i64, u32)) -> Self {
        let (amount, price) = (oracle::amount(&told.amount), oracle::price(told));
        Self {
            order: (told.at_ns, position),
            second: told.second(),
            buy: told.buy,
            native: units(&oracle::amount(&told.native)),
            usd: units(&oracle::rounded(amount * &price)),
            price,
        }
    }
}

/// Those with `end − length < second ≤ end`; the entries are in order of time.
pub fn held<E: Borrow<Entry>>(entries: &[E], length: i64, end: i64) -> &[E] {
    let from = entries.partition_point(|entry| entry.borrow().second <= end - length);
    let to = entries.partition_point(|entry| entry.borrow().second <= end);
    &entries[from..to]
}

/// In units of 10⁻¹⁸.
pub fn units(held: &BigDecimal) -> i128 {
    let (units, _) = held.with_scale(SCALE).into_bigint_and_scale();
    i128::try_from(units).unwrap()
}

fn plain(units: i128) -> String {
    oracle::plain(&BigDecimal::new(BigInt::from(units), SCALE))
}

const SCALE: i64 = 18;
