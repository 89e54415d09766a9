//! What goes into the extended figures and what comes out: visits, panes for the checkpoint,
//! figures of a window; and how many wallets one process may hold.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::super::aggregate::Previous;
use super::super::amount::Amount;
use super::super::price::Price;
use super::super::trade::Side;

/// Bits of a wallet's hash.
pub(super) const HASH_BITS: u32 = 62;

/// 62 bits of a hash of a wallet's text, the same on every machine and in every release: it stands
/// in the checkpoint. Two of n wallets of one token have the same one with a probability of n² ÷
/// 2⁶³: one in nine million where n is a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalletHash(u64);

/// On which sides a wallet traded in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sides(u8);

/// A wallet and the sides on which it traded in one second: its hash above their two bits, as it
/// stands in the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen(u64);

/// What one trade adds to the extended figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Who traded, on which side.
    pub seen: Seen,
    /// Volume in USD.
    pub usd: Amount,
    /// Quantity of the token.
    pub tokens: Amount,
    /// USD for one token.
    pub price: Price,
}

/// All that is known of one token's trades of one second beside the core's pane: for the
/// checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedPane {
    /// Trades, as in the core's pane: need not be written twice.
    pub trades: u64,
    /// Volume in USD, as in the core's pane: need not be written twice.
    pub usd: Amount,
    /// Volume of the buys in USD.
    pub buy_usd: Amount,
    /// Quantity of the token; `None` where it leaves 128 bits.
    pub token_volume: Option<Amount>,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// Each wallet once, in any order.
    pub visits: Vec<Seen>,
    /// A wallet is missing in `visits`: there was no room for it.
    pub uncounted: bool,
    /// Nothing is known but `trades` and `usd`: the pane was written without extended figures, or
    /// has trades of before they were counted.
    pub unknown: bool,
}

/// The extended figures of one window. What is `None` is not known, see each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Wallets that bought in the window; `None` where a wallet was not counted in it.
    pub unique_buyers: Option<u64>,
    /// Wallets that sold in the window; `None` as above.
    pub unique_sellers: Option<u64>,
    /// Wallets that traded in the window; `None` as above.
    pub unique_traders: Option<u64>,
    /// Volume of the buys in USD; `None` where the window holds an unknown pane.
    pub buy_usd: Option<Amount>,
    /// Quantity of the token; `None` where the window holds an unknown pane, or the sum leaves 128
    /// bits.
    pub token_volume: Option<Amount>,
    /// The highest price; `None` where the window holds an unknown pane or no trade.
    pub high: Option<Price>,
    /// The lowest price; `None` as above.
    pub low: Option<Price>,
    /// The window of the same length before, of `end − 2 D < pane ≤ end − D`; `None` where the
    /// longest window does not hold both.
    pub previous: Option<Previous>,
}

/// How many live (token, wallet) pairs one process may hold. Shared by all its shards. At the bound
/// a new pair is not taken, and the windows that it would be in have no figures of wallets.
#[derive(Debug)]
pub struct WalletBudget {
    held: AtomicUsize,
    most: usize,
    refused: AtomicU64,
}

impl WalletHash {
    /// The hash of a wallet's text.
    #[must_use]
    pub fn of(wallet: &str) -> Self {
        Self::from_bits(super::hash::hash(wallet.as_bytes()))
    }

    /// A hash of these bits; the two highest are left out.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << HASH_BITS) - 1))
    }

    /// The hash, below 2⁶².
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl Sides {
    /// The wallet bought.
    pub const BOUGHT: Self = Self(1);
    /// The wallet sold.
    pub const SOLD: Self = Self(2);

    /// The side of one trade.
    #[must_use]
    pub const fn of(side: Side) -> Self {
        match side {
            Side::Buy => Self::BOUGHT,
            Side::Sell => Self::SOLD,
        }
    }

    /// Sides from bits: 1 bought, 2 sold; others are left out.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 3)
    }

    /// 1 bought, 2 sold, 3 both.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether these are among them.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Seen {
    /// A wallet on these sides.
    #[must_use]
    pub fn new(wallet: WalletHash, sides: Sides) -> Self {
        Self((wallet.bits() << 2) | u64::from(sides.bits()))
    }

    /// From what [`bits`](Self::bits) has told.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The hash of the wallet, and below it two bits: 1 bought, 2 sold.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The wallet.
    #[must_use]
    pub const fn wallet(self) -> WalletHash {
        WalletHash(self.0 >> 2)
    }

    pub(super) const fn hash(self) -> u64 {
        self.0 >> 2
    }

    /// The sides.
    #[must_use]
    pub fn sides(self) -> Sides {
        Sides::from_bits(u8::try_from(self.0 & 3).unwrap_or(0))
    }

    /// Where the later one is of the same wallet, the earlier one has its sides too.
    pub(super) const fn unite(later: &mut Self, earlier: &mut Self) -> bool {
        let same = later.hash() == earlier.hash();
        if same {
            earlier.0 |= later.0;
        }
        same
    }
}

impl ExtendedPane {
    /// The pane of one trade.
    #[must_use]
    pub fn of(visit: &Visit) -> Self {
        let mut pane = Self::without_trade(visit.price);
        pane.add(visit);
        pane
    }

    /// A pane whose first trade, of this price, is still to be added.
    pub(super) const fn without_trade(price: Price) -> Self {
        Self {
            trades: 0,
            usd: Amount::ZERO,
            buy_usd: Amount::ZERO,
            token_volume: Some(Amount::ZERO),
            high: price,
            low: price,
            visits: Vec::new(),
            uncounted: false,
            unknown: false,
        }
    }

    /// As [`without_trade`](Self::without_trade), in the room that it has.
    pub(super) fn begin(&mut self, price: Price) {
        let mut visits = std::mem::take(&mut self.visits);
        visits.clear();
        *self = Self { visits, ..Self::without_trade(price) };
    }

    /// Adds a trade; its wallet stands last then, once more where it was there.
    pub(super) fn add(&mut self, visit: &Visit) {
        let plus = |sum: Amount, more: Amount| sum.units().checked_add(more.units());
        let bought = visit.seen.sides() == Sides::BOUGHT;
        self.trades += 1;
        // The core has checked the sum of both sides.
        self.usd = plus(self.usd, visit.usd).map_or(self.usd, Amount::from_units);
        let buy_usd = plus(self.buy_usd, visit.usd).filter(|_| bought);
        self.buy_usd = buy_usd.map_or(self.buy_usd, Amount::from_units);
        let volume = self.token_volume.and_then(|volume| plus(volume, visit.tokens));
        self.token_volume = volume.map(Amount::from_units);
        if visit.price.order(self.high) == Ordering::Greater {
            self.high = visit.price;
        }
        if visit.price.order(self.low) == Ordering::Less {
            self.low = visit.price;
        }
        self.visits.push(visit.seen);
    }

    /// Makes one of the visits of each wallet.
    pub(super) fn unite(&mut self) {
        self.visits.sort_unstable();
        self.visits.dedup_by(Seen::unite);
    }

    /// A pane that was written without extended figures.
    #[must_use]
    pub fn unknown(trades: u64, usd: Amount) -> Self {
        Self { trades, usd, uncounted: true, unknown: true, ..Self::without_trade(Price::ZERO) }
    }
}

impl WalletBudget {
    /// An empty budget of so many pairs.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { held: AtomicUsize::new(0), most, refused: AtomicU64::new(0) }
    }

    /// Pairs held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// How often a pair found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Takes places for up to `count` new pairs, as many as there are. Where there is none, one is
    /// refused.
    pub(super) fn take(&self, count: usize) -> usize {
        let more = |held| (held < self.most).then(|| self.most.min(held + count));
        match self.held.fetch_update(Relaxed, Relaxed, more) {
            Ok(held) => self.most.min(held + count) - held,
            Err(_) => {
                self.refused.fetch_add(1, Relaxed);
                0
            }
        }
    }

    pub(super) fn release(&self, count: usize) {
        self.held.fetch_sub(count, Relaxed);
    }
}
