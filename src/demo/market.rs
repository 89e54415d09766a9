//! A simulated market: tokens of very different activity, prices that walk, bursts and silences,
//! whole blocks of mixed tokens, out of order by seconds, now and then a bad or a late trade. The
//! same seed and start give the same trades. Reads no clock.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rust_decimal::Decimal;

use super::names;
use crate::domain::position::Partition;
use crate::domain::time::WallMs;
use crate::ports::Record;
use crate::wire::time::Rfc3339;

/// Partitions that blocks are spread over.
pub const PARTITIONS: i32 = 3;

/// From block to block.
pub const BLOCK: Duration = Duration::from_millis(400);

/// A market that has not been asked for so long goes on from now: what lies before would only
/// hold up what is new.
pub const LONGEST_CATCH_UP: Duration = Duration::from_secs(120);

/// The market.
#[derive(Debug)]
pub struct Market {
    rng: StdRng,
    tokens: Vec<Token>,
    next_block: WallMs,
    quiet_until: WallMs,
    longest_window: Duration,
    /// How much more is traded than among [`USUAL_TOKENS`].
    scale: u32,
}

#[derive(Debug)]
struct Token {
    address: String,
    /// How often it is traded in usual times.
    weight: u32,
    /// How much more often in a burst, beside three times as often.
    burst: u32,
    mood: Mood,
    mood_until: WallMs,
    price: Decimal,
    /// Its price never leaves `first ÷ 20 .. first × 20`.
    first_price: Decimal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Usual,
    Burst,
    Silent,
}

/// One trade as producers write it.
struct Written<'a> {
    token: &'a str,
    wallet: String,
    side: &'a str,
    native: Decimal,
    amount: Decimal,
    price: Decimal,
    time: String,
    hash: String,
}

impl Market {
    /// A market of so many tokens that has traded for a while at `now`, and goes on from there.
    /// `longest_window` decides what is late.
    #[must_use]
    pub fn new(seed: u64, tokens: u32, now: WallMs, longest_window: Duration) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let burst = BURST.saturating_mul(USUAL_TOKENS) / tokens.max(USUAL_TOKENS);
        let tokens_by_rank = (1..=tokens).map(|rank| Token::new(&mut rng, rank, burst)).collect();
        let scale = (tokens / USUAL_TOKENS).clamp(1, GREATEST_SCALE);
        let start = now.minus((LONGEST_CATCH_UP / scale).max(LEAST_PAST));
        let (next_block, quiet_until) = (start, start);
        Self { rng, tokens: tokens_by_rank, next_block, quiet_until, longest_window, scale }
    }

    /// The address, symbol and name of each token that has a name.
    pub fn names(&self) -> impl Iterator<Item = (&str, String, String)> {
        (1_usize..).zip(&self.tokens).filter_map(|(rank, token)| {
            let (symbol, name) = names::of(rank)?;
            Some((&*token.address, symbol, name))
        })
    }

    /// Records that a partition of its log keeps at least: its past, and some more.
    #[must_use]
    pub fn kept_records(&self) -> usize {
        KEPT_RECORDS * usize::try_from(self.scale.min(GREATEST_KEPT)).unwrap_or(1)
    }

    /// The records of all blocks up to `now` that were not handed out yet, in order.
    pub fn until(&mut self, now: WallMs) -> Vec<(Partition, Record)> {
        self.next_block = self.next_block.max(now.minus(LONGEST_CATCH_UP));
        let mut records = Vec::new();
        while self.next_block <= now {
            self.block(self.next_block, &mut records);
            self.next_block = self.next_block.plus(BLOCK);
        }
        records
    }

    fn block(&mut self, at: WallMs, records: &mut Vec<(Partition, Record)>) {
        if at < self.quiet_until {
            return;
        }
        if self.rng.random_ratio(1, 150) {
            self.quiet_until = at.plus(Duration::from_millis(self.rng.random_range(800..3_000)));
        }
        for token in &mut self.tokens {
            token.change_mood(&mut self.rng, at);
        }
        let mut trades = self.trades(at);
        while !trades.is_empty() {
            let single = self.rng.random_ratio(1, 5);
            let count = if single { 1 } else { self.rng.random_range(2..=60) };
            let rest = trades.split_off(count.min(trades.len()));
            let elements = trades.join(",");
            let value = if single { elements } else { format!("[{elements}]") };
            records.push(self.record(at, value));
            trades = rest;
        }
        if self.rng.random_ratio(1, 100) {
            records.push(self.record(at, r#"{"Token":"#.to_owned()));
        }
    }

    fn record(&mut self, at: WallMs, value: String) -> (Partition, Record) {
        let value = Some(value.into());
        let record = Record { timestamp: Some(at), value, ..Record::default() };
        (Partition(self.rng.random_range(0..PARTITIONS)), record)
    }

    fn trades(&mut self, at: WallMs) -> Vec<String> {
        let Self { rng, tokens, longest_window, scale, .. } = self;
        let mut total = 0;
        let weigh = |token: &Token| {
            total += token.weight_now();
            total
        };
        let up_to: Vec<u32> = tokens.iter().map(weigh).collect();
        let count = rng.random_range(20..180) * usize::try_from(*scale).unwrap_or(1);
        let mut trades = Vec::with_capacity(count);
        for _ in 0..count {
            let pick = rng.random_range(0..total.max(1));
            let place = up_to.partition_point(|up_to| *up_to <= pick);
            if let Some(token) = tokens.get_mut(place) {
                trades.push(token.trade(rng, at, *longest_window));
            }
        }
        trades
    }
}

impl Token {
    fn new(rng: &mut StdRng, rank: u32, burst: u32) -> Self {
        let address = match rank % 7 {
            0 => format!("0x{}", letters(rng, 40, HEX)),
            1 => format!("{}pump", letters(rng, 40, BASE58)),
            _ => letters(rng, 44, BASE58),
        };
        // From some 10⁻⁹ to some 100 USD.
        let price = Decimal::new(rng.random_range(1_000..10_000), rng.random_range(2..13));
        Self {
            address,
            weight: (100_000 / rank).max(1),
            burst,
            mood: Mood::Usual,
            mood_until: WallMs(0),
            price,
            first_price: price,
        }
    }

    fn weight_now(&self) -> u32 {
        match self.mood {
            Mood::Usual => self.weight,
            Mood::Burst => self.weight * 3 + self.burst,
            Mood::Silent => 0,
        }
    }

    fn change_mood(&mut self, rng: &mut StdRng, at: WallMs) {
        if at < self.mood_until {
            return;
        }
        let (mood, seconds) = match rng.random_range(0..400) {
            0 => (Mood::Burst, 5..30),
            1 | 2 => (Mood::Silent, 20..180),
            _ => (Mood::Usual, 1..20),
        };
        self.mood = mood;
        self.mood_until = at.plus(Duration::from_secs(rng.random_range(seconds)));
    }

    fn trade(&mut self, rng: &mut StdRng, at: WallMs, longest_window: Duration) -> String {
        self.walk(rng);
        let side = *SIDES.choose(rng).unwrap_or(&"buy");
        let scale = *[5, 4, 4, 3, 3, 2].choose(rng).unwrap_or(&3);
        let native = Decimal::new(rng.random_range(1..3_000), scale);
        let usd = native * Decimal::from(NATIVE_USD);
        let amount = usd.checked_div(self.price).unwrap_or_default().round_dp(6);
        let behind = if rng.random_ratio(1, 50) { 10_000 } else { 2_500 };
        let late = rng.random_ratio(1, 1_000).then_some(longest_window + LATE_BY);
        let behind = late.unwrap_or(Duration::from_millis(rng.random_range(0..behind)));
        let mut written = Written {
            token: &self.address,
            wallet: letters(rng, 44, BASE58),
            side,
            native,
            amount,
            price: self.price,
            time: written(at.minus(behind)),
            hash: letters(rng, 88, BASE58),
        };
        if rng.random_ratio(1, 1_500) {
            match rng.random_range(0..5) {
                0 => written.token = "",
                1 => written.side = "swap",
                2 => written.native = -Decimal::ONE,
                3 => written.time = "yesterday".to_owned(),
                _ => written.time = written_ahead(at),
            }
        }
        written.to_string()
    }

    fn walk(&mut self, rng: &mut StdRng) {
        let bound = Decimal::from(20);
        let step = if self.mood == Mood::Burst { 90 } else { 30 };
        let steps = match self.price {
            high if high > self.first_price * bound => -step..0,
            low if low * bound < self.first_price => 1..step,
            _ => -step..step + 1,
        };
        let factor = Decimal::ONE + Decimal::new(rng.random_range(steps), 4);
        self.price = (self.price * factor).round_sf(PRICE_DIGITS).unwrap_or(self.first_price);
    }
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, wallet, side, native, amount, price, time, hash } = self;
        write!(f, r#"{{"Token":"{token}","Wallet":"{wallet}","SellBuy":"{side}","#)?;
        write!(f, r#""NativeAmount":"{native}","TokenAmount":"{amount}","#)?;
        write!(f, r#""PriceUsd":"{price}","TransTime":"{time}","TxHash":"{hash}"}}"#)
    }
}

/// RFC 3339 with milliseconds.
fn written(at: WallMs) -> String {
    let whole = Rfc3339(at.second()).to_string();
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), at.0.rem_euclid(1_000))
}

/// Further ahead than any skew that is allowed.
fn written_ahead(at: WallMs) -> String {
    written(at.plus(Duration::from_secs(2 * 86_400)))
}

fn letters(rng: &mut impl Rng, count: usize, alphabet: &[u8]) -> String {
    (0..count).filter_map(|_| alphabet.choose(rng).copied().map(char::from)).collect()
}

/// Tokens of a market whose blocks are as small as can be; a larger one trades more, so that its
/// last token still trades some times a minute.
const USUAL_TOKENS: u32 = 300;

/// Beyond 12,000 tokens it does not: some 10,000 trades a second are enough for a demo.
const GREATEST_SCALE: u32 = 40;

/// What a market has traded before it begins is at least so long.
const LEAST_PAST: Duration = Duration::from_secs(30);

/// Records of [`LONGEST_CATCH_UP`], and some more: some ten megabytes.
const KEPT_RECORDS: usize = 1_000;

/// The same for [`LEAST_PAST`] of the greatest scale.
const GREATEST_KEPT: u32 = 6;

/// Of [`USUAL_TOKENS`].
const BURST: u32 = 20_000;

const SIDES: [&str; 5] = ["buy", "sell", "Buy", "buy_exact_sol_in", "sell_exact_in"];

/// One unit of the native currency, about.
const NATIVE_USD: u32 = 150;

const PRICE_DIGITS: u32 = 8;

const LATE_BY: Duration = Duration::from_secs(60);

const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

const HEX: &[u8] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::wire::trade::{Element, decode};

    const START: WallMs = WallMs(1_700_000_000_000);
    const NOW: WallMs = WallMs(1_700_000_120_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn two_minutes(seed: u64) -> Vec<(Partition, Record)> {
        Market::new(seed, USUAL_TOKENS, NOW, HOUR).until(NOW)
    }

    #[test]
    fn the_same_seed_and_start_give_the_same_trades_whenever_it_is_asked() {
        let mut market = Market::new(7, USUAL_TOKENS, NOW, HOUR);
        let mut records = Vec::new();
        for milliseconds in (0..=120_000).step_by(90) {
            records.extend(market.until(START.plus(Duration::from_millis(milliseconds))));
        }
        records.extend(market.until(START.plus(LONGEST_CATCH_UP)));
        assert!(records == two_minutes(7));
        assert!(records != two_minutes(8));
    }

    #[test]
    fn nearly_all_trades_are_good_some_are_bad_and_some_late() {
        let (mut good, mut late) = (0, 0);
        let mut reasons = BTreeSet::new();
        let mut tokens = BTreeSet::new();
        for (_, record) in two_minutes(7) {
            let latest = START.plus(HOUR).event_time();
            decode(&record.value.unwrap(), Some(latest), &mut |element| match element {
                Element::Trade { trade, .. } => {
                    good += 1;
                    late += u32::from(trade.at.second < START.minus(HOUR).second());
                    tokens.insert(trade.token.to_owned());
                }
                Element::Rejected { reason, .. } => drop(reasons.insert(reason.name())),
            });
        }
        assert!(good > 10_000 && late > 0 && tokens.len() > 200, "{good} {late}");
        assert!(reasons.len() > 3, "{reasons:?}");
    }

    #[test]
    fn a_market_that_was_not_asked_for_an_hour_goes_on_from_now() {
        let mut market = Market::new(7, USUAL_TOKENS, NOW, HOUR);
        let records = market.until(START.plus(HOUR));
        let oldest = START.plus(HOUR).minus(LONGEST_CATCH_UP);
        assert!(records.iter().all(|(_, record)| record.timestamp >= Some(oldest)));
    }

    #[test]
    fn in_a_large_market_nearly_all_trade_within_a_minute_and_its_log_keeps_the_past() {
        let mut market = Market::new(7, 10_000, NOW, HOUR);
        let mut tokens = BTreeSet::new();
        let past = market.until(NOW);
        let (minute, first) = (NOW.plus(Duration::from_secs(60)), Partition(0));
        assert!(past.iter().filter(|(at, _)| *at == first).count() < market.kept_records());
        for (_, record) in market.until(minute) {
            decode(&record.value.unwrap(), None, &mut |element| {
                if let Element::Trade { trade, .. } = element {
                    tokens.insert(trade.token.to_owned());
                }
            });
        }
        assert!(tokens.len() > 9_000, "{} of 10,000", tokens.len());
    }

    #[test]
    fn prices_stay_near_where_they_began() {
        let mut rng = StdRng::seed_from_u64(3);
        for rank in 1..40 {
            let mut token = Token::new(&mut rng, rank, BURST);
            for _ in 0..5_000 {
                token.walk(&mut rng);
            }
            let (low, high) = (token.first_price / Decimal::from(25), Decimal::from(25));
            assert!(low < token.price && token.price < token.first_price * high);
        }
    }
}
