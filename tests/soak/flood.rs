//! A flood of trades whose sums are known without reading them back: records made beforehand, of
//! which only the time is written when they go out, a producer for each partition, and a note of
//! what went out in which second. A token has one price for ever.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use rskafka::client::partition::Compression;
use rskafka::record::Record;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::topic::{Topic, now};
use support::oracle::{self, Span};

/// Trades in a record, as collectors send whole blocks.
pub(crate) const ARRAY: usize = 50;

/// Batches a second and partition.
const BATCHES: u32 = 20;

/// Where the time goes.
const TIME: &str = "0000-00-00T00:00:00Z";

/// Trades that are made beforehand for each token.
const OF_EACH: usize = 2;

/// Records made beforehand.
pub(crate) struct Flood {
    pub(crate) tokens: usize,
    templates: Vec<Template>,
    /// How often each template went out, by second.
    sent: Mutex<BTreeMap<i64, BTreeMap<usize, u64>>>,
    pub(crate) trades: AtomicU64,
    pub(crate) on: AtomicBool,
    /// Held for writing, nothing is under way: what a broker that hangs may have taken or not could
    /// not be known.
    pub(crate) gate: RwLock<()>,
}

struct Template {
    value: Vec<u8>,
    times: Vec<usize>,
    trades: Vec<Made>,
}

/// One trade, its decimals in units of 10⁻⁹.
#[derive(Clone, Copy)]
struct Made {
    token: usize,
    buy: bool,
    native: u64,
    amount: u64,
}

/// Sells, buys, their native volumes and the quantity.
type Sums = [u64; 5];

impl Flood {
    /// Records of `tokens` tokens.
    pub(crate) fn new(tokens: usize) -> Self {
        let count = (tokens * OF_EACH).div_ceil(ARRAY);
        let templates = (0..count).map(|at| Template::new(at * ARRAY, tokens)).collect();
        Self {
            tokens,
            templates,
            sent: Mutex::default(),
            trades: AtomicU64::new(0),
            on: AtomicBool::new(true),
            gate: RwLock::new(()),
        }
    }

    /// Produces `rate` trades a second to one of `of` partitions until it is turned off.
    pub(crate) fn pour(&self, topic: &Topic, partition: usize, of: usize, rate: usize) {
        let begun = Instant::now();
        let records = (rate / ARRAY / of).div_ceil(BATCHES as usize).max(1);
        let mut next = partition;
        for turn in 0_u32.. {
            // A broker that was away is not flooded with what was missed.
            let due = begun + Duration::from_secs(1) * turn / BATCHES;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if !self.on.load(SeqCst) {
                return;
            }
            let _open = self.gate.read().unwrap();
            let second = now().timestamp();
            let time = OffsetDateTime::from_unix_timestamp(second).unwrap();
            let time = time.format(&Rfc3339).unwrap();
            let numbers: Vec<_> =
                (0..records).map(|at| (next + at * of) % self.templates.len()).collect();
            next = (next + records * of) % self.templates.len();
            let record = |at: &usize| Record {
                key: None,
                value: Some(self.templates[*at].at(&time)),
                headers: BTreeMap::new(),
                timestamp: now(),
            };
            topic.produce(partition, numbers.iter().map(record).collect(), Compression::Snappy);
            let mut sent = self.sent.lock().unwrap();
            let second = sent.entry(second).or_default();
            numbers.iter().for_each(|at| *second.entry(*at).or_default() += 1);
            drop(sent);
            self.trades.fetch_add(u64::try_from(records * ARRAY).unwrap(), SeqCst);
        }
    }

    /// Records that were acknowledged.
    pub(crate) fn records(&self) -> u64 {
        self.trades.load(SeqCst) / u64::try_from(ARRAY).unwrap()
    }

    /// How many trades of each token went out in these seconds.
    pub(crate) fn counts(&self, seconds: RangeInclusive<i64>) -> BTreeMap<String, u64> {
        let mut counts = vec![0; self.tokens];
        for (at, times) in self.sent.lock().unwrap().range(seconds).flat_map(|(_, sent)| sent) {
            for made in &self.templates[*at].trades {
                counts[made.token] += times;
            }
        }
        counts.into_iter().enumerate().map(|(token, count)| (address(token), count)).collect()
    }

    /// What the windows that end at `end` hold, by token.
    pub(crate) fn expected(&self, spans: &[Span], end: i64) -> BTreeMap<String, Value> {
        let sent = self.sent.lock().unwrap();
        let mut sums = vec![vec![Sums::default(); self.tokens]; spans.len()];
        for ((_, length), sums) in spans.iter().zip(&mut sums) {
            for (at, times) in sent.range(end - length + 1..=end).flat_map(|(_, sent)| sent) {
                for made in &self.templates[*at].trades {
                    let [sells, buys, sold, bought, amount] = &mut sums[made.token];
                    let (count, volume) = if made.buy { (buys, bought) } else { (sells, sold) };
                    *count += times;
                    *volume += times * made.native;
                    *amount += times * made.amount;
                }
            }
        }
        let longest = spans.iter().zip(0..).max_by_key(|((_, length), _)| length).unwrap().1;
        let active = (0..self.tokens).filter(|token| sums[longest][*token][..2] != [0, 0]);
        let item = |token: usize, at: usize| item(spans[at].0, token, &sums[at][token], end);
        let items = |token| (0..spans.len()).map(|at| item(token, at)).collect();
        active.map(|token| (address(token), items(token))).collect()
    }
}

fn item(name: &str, token: usize, sums: &Sums, end: i64) -> Value {
    let [sells, buys, sold, bought, amount] = *sums;
    let timestamp = OffsetDateTime::from_unix_timestamp(end).unwrap().format(&Rfc3339).unwrap();
    let plain = |units: u64| oracle::plain(&BigDecimal::new(BigInt::from(units), 9));
    let usd = u128::from(amount) * u128::from(price(token));
    let price = plain(price(token));
    serde_json::json!({
        "time_window": name, "sell_count": sells, "buy_count": buys, "total_trades": sells + buys,
        "sell_volume": plain(sold), "buy_volume": plain(bought),
        "total_volume": plain(sold + bought),
        "volume_usd": oracle::plain(&BigDecimal::new(BigInt::from(usd), 18)),
        "price_change": 0, "open_price": price, "close_price": price, "timestamp": timestamp,
    })
}

impl Template {
    fn new(first: usize, tokens: usize) -> Self {
        let (mut value, mut times, mut trades) = (String::from("["), Vec::new(), Vec::new());
        for number in first..first + ARRAY {
            // No order that a cache could learn.
            let token = number.wrapping_mul(2_654_435_761) % tokens;
            let (native, amount) = (number as u64 % 9_973, number as u64 % 99_991);
            let made = Made { token, buy: number % 3 > 0, native, amount };
            let side = if made.buy { "buy" } else { "sell" };
            let before = if trades.is_empty() { "" } else { "," };
            write!(
                value,
                concat!(
                    r#"{}{{"Token":"{}","Wallet":"{:B>44}","SellBuy":"{}","#,
                    r#""NativeAmount":"0.{:0>9}","TokenAmount":"0.{:0>9}","#,
                    r#""PriceUsd":"0.{:0>9}","TransTime":""#
                ),
                before,
                address(token),
                number,
                side,
                native,
                amount,
                price(token),
            )
            .unwrap();
            times.push(value.len());
            write!(value, r#"{TIME}","TxHash":"{number:C>88}"}}"#).unwrap();
            trades.push(made);
        }
        value.push(']');
        Self { value: value.into_bytes(), times, trades }
    }

    fn at(&self, time: &str) -> Vec<u8> {
        let mut value = self.value.clone();
        for place in &self.times {
            value[*place..*place + TIME.len()].copy_from_slice(time.as_bytes());
        }
        value
    }
}

fn address(token: usize) -> String {
    format!("{token:A>40}pump")
}

fn price(token: usize) -> u64 {
    1 + token as u64 % 99_991
}
