//! A pane: one token's trades of one second, summed. Windows are sums over panes.

use serde::{Deserialize, Serialize};

use super::position::Position;
use super::price::Price;
use super::trade::{Side, Trade};

/// Count and native volume of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// Trades.
    pub count: u64,
    /// Native volume in units of 10⁻¹⁸.
    pub volume: i128,
}

/// What is summed: both sides and the USD volume. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sums {
    /// Sells.
    pub sell: Flow,
    /// Buys.
    pub buy: Flow,
    /// Volume in USD, in units of 10⁻¹⁸.
    pub usd: i128,
}

/// [`Sums`] as they are kept for each token and window: without gaps, in one line of the cache.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Running {
    /// Sells, buys, USD.
    volumes: [i128; 3],
    /// Sells, buys.
    counts: [u64; 2],
}

/// The first or the last trade of a pane, by the contract's order: nanoseconds inside the second,
/// then the position in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Nanoseconds inside the pane's second.
    pub nanos: u32,
    /// Where the trade stands in the log.
    pub position: Position,
    /// Its price.
    pub price: Price,
}

/// One token's trades of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pane {
    /// Their sums.
    pub sums: Sums,
    /// The first of them.
    pub first: Mark,
    /// The last of them.
    pub last: Mark,
}

impl Sums {
    /// The sums of one trade.
    #[inline]
    #[must_use]
    pub fn of(trade: &Trade<'_>) -> Self {
        let flow = Flow { count: 1, volume: trade.native.units() };
        let (sell, buy) = match trade.side {
            Side::Sell => (flow, Flow::default()),
            Side::Buy => (Flow::default(), flow),
        };
        Self { sell, buy, usd: trade.usd.units() }
    }

    /// Trades on both sides.
    #[must_use]
    pub const fn trades(&self) -> u64 {
        self.sell.count + self.buy.count
    }

    /// `self + other`, or `None` where a sum would leave 128 bits. The volume of both sides
    /// together is checked too, since it is published.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let sell = self.sell.checked_add(other.sell)?;
        let buy = self.buy.checked_add(other.buy)?;
        sell.volume.checked_add(buy.volume)?;
        Some(Self { sell, buy, usd: self.usd.checked_add(other.usd)? })
    }

    /// Adds `other`. The caller knows that the result fits: see `Shard`'s per-token total.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sell.count += other.sell.count;
        self.sell.volume += other.sell.volume;
        self.buy.count += other.buy.count;
        self.buy.volume += other.buy.volume;
        self.usd += other.usd;
    }

    /// Takes away `other`, which was added before.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.sell.count -= other.sell.count;
        self.sell.volume -= other.sell.volume;
        self.buy.count -= other.buy.count;
        self.buy.volume -= other.buy.volume;
        self.usd -= other.usd;
    }
}

impl From<&Sums> for Running {
    fn from(sums: &Sums) -> Self {
        let Sums { sell, buy, usd } = *sums;
        Self { volumes: [sell.volume, buy.volume, usd], counts: [sell.count, buy.count] }
    }
}

impl Running {
    /// The sums.
    pub(crate) const fn sums(&self) -> Sums {
        let ([sell, buy, usd], [sells, buys]) = (self.volumes, self.counts);
        let sell = Flow { count: sells, volume: sell };
        Sums { sell, buy: Flow { count: buys, volume: buy }, usd }
    }

    /// As [`Sums::add`].
    pub(crate) fn add(&mut self, other: &Sums) {
        let mut sums = self.sums();
        sums.add(other);
        *self = Self::from(&sums);
    }

    /// As [`Sums::subtract`].
    pub(crate) fn subtract(&mut self, other: &Sums) {
        let mut sums = self.sums();
        sums.subtract(other);
        *self = Self::from(&sums);
    }
}

impl Flow {
    fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            count: self.count.checked_add(other.count)?,
            volume: self.volume.checked_add(other.volume)?,
        })
    }
}

impl Mark {
    const fn order(&self) -> (u32, Position) {
        (self.nanos, self.position)
    }
}

impl Pane {
    /// The pane of one trade.
    #[inline]
    #[must_use]
    pub fn of(trade: &Trade<'_>, position: Position) -> Self {
        let mark = Mark { nanos: trade.at.nanos, position, price: trade.price };
        Self { sums: Sums::of(trade), first: mark, last: mark }
    }

    /// Adds what another pane of the same second holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.sums.add(&other.sums);
        if other.first.order() < self.first.order() {
            self.first = other.first;
        }
        if other.last.order() > self.last.order() {
            self.last = other.last;
        }
    }
}
