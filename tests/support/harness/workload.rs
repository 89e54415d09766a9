//! The load: seeded trades of many tokens as today's collectors send them, and everything that can
//! be wrong with them. Knows of every record what it should come to; where it will stand in the
//! log only the log knows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use aggregator_service::domain::token::Shards;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rskafka::client::partition::Compression;
use rskafka::record::Record;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::fields::NAMES;
use super::spoil::{self, Fields};
use super::topic::{Topic, now};
use crate::oracle::Told;

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub seed: u64,
    pub trades: usize,
    pub tokens: usize,
    /// Event time of the first and the last trade, in seconds since the epoch.
    pub from: i64,
    pub to: i64,
    /// How far out of order they are, in milliseconds.
    pub disorder_ms: i64,
}

/// One record to produce.
#[derive(Clone, Debug)]
pub struct Planned {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: BTreeMap<String, Vec<u8>>,
    pub elements: Vec<Element>,
}

impl Planned {
    /// The record, stamped now.
    pub fn record(&self) -> Record {
        Record {
            key: self.key.clone(),
            value: self.value.clone(),
            headers: self.headers.clone(),
            timestamp: now(),
        }
    }
}

/// What one place in a record should come to.
#[derive(Clone, Debug)]
pub enum Element {
    /// A trade; its position is not known yet.
    Trade(Told),
    /// A dead letter.
    Bad(Bad),
}

/// A rejected thing: its bytes as they stand, and why.
#[derive(Clone, Debug)]
pub struct Bad {
    pub bytes: Vec<u8>,
    pub reason: &'static str,
    /// Not an element of an array.
    pub whole: bool,
}

/// Largest array of a record.
const MAX_ARRAY: usize = 60;
/// Of a hundred elements so many are bad.
const BAD_PERCENT: u32 = 2;
/// Of so many records in a row one is a tombstone, one an empty array, one no JSON.
const ODD_ONE_IN: usize = 200;

/// The records, in the order in which they are to be produced.
pub fn records(order: &Order) -> Vec<Planned> {
    let rng = StdRng::seed_from_u64(order.seed);
    let mut market = Market { rng, order: *order, made: 0 };
    let mut records = Vec::new();
    while market.made < order.trades {
        let record = market.record(records.len());
        records.push(record);
    }
    records
}

/// How fast records are produced.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Records a batch.
    pub batch: usize,
    /// Between two batches.
    pub pause: Duration,
}

impl Pace {
    /// As fast as it goes, in batches of some 200 kB.
    pub const FAST: Self = Self { batch: 50, pause: Duration::ZERO };
    /// So that there are always trades under way, and some in no checkpoint yet.
    pub const STEADY: Self = Self { batch: 10, pause: Duration::from_millis(6) };
}

/// Produces records in batches: each to a partition of chance, in a codec of chance. Counts in
/// `produced` the records that are acknowledged.
pub fn load(
    topic: &Topic,
    rng: &mut StdRng,
    records: &[Planned],
    pace: Pace,
    produced: &AtomicUsize,
) {
    for batch in records.chunks(pace.batch) {
        let codec = codec(rng);
        let partition = rng.random_range(0..topic.count());
        topic.produce(partition, batch.iter().map(Planned::record).collect(), codec);
        produced.fetch_add(batch.len(), SeqCst);
        std::thread::sleep(pace.pause);
    }
}

/// The address of a token: as of today's chains, and one that is no ASCII.
pub fn token(number: usize) -> String {
    match number % 50 {
        0 => format!("жетон-{number}"),
        at if at % 2 == 0 => format!("0x{number:040x}"),
        _ => format!("{:A>44}", format!("{number}pump")),
    }
}

struct Market {
    rng: StdRng,
    order: Order,
    made: usize,
}

impl Market {
    fn record(&mut self, number: usize) -> Planned {
        let plan = |value, elements| Planned {
            key: None,
            value: Some(value),
            headers: BTreeMap::new(),
            elements,
        };
        let mut record = match number % ODD_ONE_IN {
            0 => Planned { value: None, ..plan(Vec::new(), Vec::new()) },
            1 => plan(b" [ ] ".to_vec(), Vec::new()),
            2 => {
                let (value, _) = self.array();
                let value = spoil::broken(&mut self.rng, &value);
                let bad = Bad { bytes: value.clone(), reason: "not_json", whole: true };
                plan(value, vec![Element::Bad(bad)])
            }
            _ if self.rng.random_ratio(3, 10) => {
                let (json, element) = self.element(true);
                plan(json.into_bytes(), vec![element])
            }
            _ => {
                let (value, elements) = self.array();
                plan(value.into_bytes(), elements)
            }
        };
        if self.rng.random_ratio(1, 10) {
            record.key = Some(format!("key-{}", self.made).into_bytes());
            record.headers.insert("source".to_owned(), b"collector".to_vec());
        }
        record
    }

    fn array(&mut self) -> (String, Vec<Element>) {
        let length = self.rng.random_range(1..=MAX_ARRAY);
        let (texts, elements): (Vec<_>, Vec<_>) = (0..length).map(|_| self.element(false)).unzip();
        let between = [",", ", ", "\t,\r "][self.rng.random_range(0..3)];
        (format!("[{}]", texts.join(between)), elements)
    }

    fn element(&mut self, whole: bool) -> (String, Element) {
        let (fields, told) = self.trade();
        if self.rng.random_ratio(BAD_PERCENT, 100) {
            let (json, reason) = spoil::spoil(&mut self.rng, fields);
            let bytes = json.clone().into_bytes();
            return (json, Element::Bad(Bad { bytes, reason, whole }));
        }
        (spoil::object(&fields), Element::Trade(told))
    }

    fn trade(&mut self) -> (Fields, Told) {
        self.made += 1;
        let rng = &mut self.rng;
        // Some tokens are traded far more than others.
        let number = rng.random_range(0..self.order.tokens);
        let number = if rng.random() { number } else { number * number / self.order.tokens };
        let buy = rng.random();
        let told = Told {
            token: token(number),
            buy,
            native: decimal(rng, 0),
            amount: decimal(rng, 0),
            price: decimal(rng, number % 12),
            at_ns: moment(rng, &self.order, self.made),
            position: (0, 0, 0),
        };
        let side = match (buy, rng.random_range(0..3)) {
            (true, 0) => "buy",
            (true, 1) => "BUY",
            (true, _) => "buy_exact_sol_in",
            (false, 0) => "sell",
            (false, 1) => "Sell",
            (false, _) => "sell_exact_in",
        };
        let values = [
            format!(r#""{}""#, told.token),
            format!(r#""{}""#, told.wallet()),
            format!(r#""{side}""#),
            quoted_or_not(rng, &told.native),
            quoted_or_not(rng, &told.amount),
            quoted_or_not(rng, &told.price),
            format!(r#""{}""#, written(rng, told.at_ns)),
            format!(r#""tx-{}""#, self.made),
        ];
        let spelling: usize = rng.random_range(0..2);
        let names = NAMES.iter().map(|names| names[spelling]);
        let mut fields: Fields = names.zip(values).collect();
        if rng.random_ratio(1, 4) {
            fields.push(("Pool", r#"{"id":[1,"x"],"fee":null}"#.to_owned()));
        }
        (fields, told)
    }
}

/// Nanoseconds since the epoch: as event time goes on, out of order, often at the very same moment.
fn moment(rng: &mut StdRng, order: &Order, made: usize) -> i128 {
    let (made, trades) = (i64::try_from(made).unwrap(), i64::try_from(order.trades).unwrap());
    let begun_ms = (order.to - order.from) * 1_000 * made / trades;
    let at_ms = order.from * 1_000 + begun_ms - rng.random_range(0..=order.disorder_ms);
    let at_ms = if rng.random() { at_ms } else { at_ms / 1_000 * 1_000 };
    let fraction = if rng.random_ratio(1, 3) { rng.random_range(0..1_000_000) } else { 0 };
    i128::from(at_ms) * 1_000_000 + fraction
}

/// In UTC or with another offset.
fn written(rng: &mut StdRng, at_ns: i128) -> String {
    let hours = [0, 0, 2, -7][rng.random_range(0..4)];
    let offset = UtcOffset::from_hms(hours, 0, 0).unwrap();
    let at = OffsetDateTime::from_unix_timestamp_nanos(at_ns).unwrap().to_offset(offset);
    at.format(&Rfc3339).unwrap()
}

/// A decimal with zeros behind its point, of few or of many digits, with an exponent or without.
fn decimal(rng: &mut StdRng, zeros: usize) -> String {
    let digits: u32 = rng.random_range(0..1_000_000_000);
    let zeros = "0".repeat(zeros);
    match rng.random_range(0..6) {
        0 => format!("0.{zeros}{digits}{digits}{digits}"),
        1 => format!("{}e-{}", digits, 3 + zeros.len()),
        2 => format!("{}", digits % 1_000),
        3 => format!("{}.{zeros}{digits}E2", digits % 100),
        _ => format!("{}.{zeros}{}", digits % 1_000, digits % 10_007),
    }
}

fn quoted_or_not(rng: &mut StdRng, number: &str) -> String {
    if rng.random() { format!(r#""{number}""#) } else { number.to_owned() }
}

/// A record that marks a place of the log: once each partition's is seen in the output, all that
/// stood before them is counted.
pub fn mark(round: usize, at: i64) -> Planned {
    let marks = marks(round).into_iter().map(|token| Told {
        token,
        buy: true,
        native: "1".to_owned(),
        amount: "1".to_owned(),
        price: "1".to_owned(),
        at_ns: i128::from(at) * 1_000_000_000,
        position: (0, 0, 0),
    });
    let marks: Vec<_> = marks.collect();
    let json = serde_json::Value::Array(marks.iter().map(Told::json).collect());
    Planned {
        key: None,
        value: Some(json.to_string().into_bytes()),
        headers: BTreeMap::new(),
        elements: marks.into_iter().map(Element::Trade).collect(),
    }
}

/// The tokens of a mark: one in each shard, so that no worker is without.
pub fn marks(round: usize) -> Vec<String> {
    let mut by_shard = BTreeMap::new();
    for number in 0.. {
        let token = format!("mark-{round}-{number}");
        by_shard.entry(Shards::DEFAULT.of_token(&token)).or_insert(token);
        if by_shard.len() == usize::from(Shards::DEFAULT.count()) {
            break;
        }
    }
    by_shard.into_values().collect()
}

/// Any codec, Snappy as often as the others together.
pub fn codec(rng: &mut StdRng) -> Compression {
    match rng.random_range(0..8) {
        0 => Compression::Gzip,
        1 => Compression::Lz4,
        2 => Compression::Zstd,
        3 => Compression::NoCompression,
        _ => Compression::Snappy,
    }
}
