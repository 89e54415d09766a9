//! Values made to hurt, measured: what reading them costs is counted by an allocator of this
//! binary's own. Memory is bounded by a small multiple of a value's length, and twice the value is
//! twice the work. Times are printed, beside those of ordinary trades of as many bytes, and not
//! judged.
#![cfg(test)]
#![allow(unsafe_code, reason = "an allocator that counts has to be one")]
#![allow(clippy::disallowed_methods, reason = "times are printed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregator_service::domain::cover::Cover;
use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::Shards;
use aggregator_service::local::{LocalLog, LocalProducer};
use aggregator_service::metrics::Metrics;
use aggregator_service::pipeline::Shared;
use aggregator_service::pipeline::dead_letters::DeadLetters;
use aggregator_service::pipeline::reader::Reader;
use aggregator_service::pipeline::reading::Reading;
use aggregator_service::pipeline::route::Router;
use aggregator_service::ports::{Clock, Message, Record};
use aggregator_service::status::Status;
use aggregator_service::wire::{checkpoint, token_info};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What this thread allocates.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static TOTAL: Cell<usize> = const { Cell::new(0) };
}

fn count(freed: usize, taken: usize) {
    LIVE.set(LIVE.get() - freed.cast_signed() + taken.cast_signed());
    PEAK.set(PEAK.get().max(LIVE.get()));
    TOTAL.set(TOTAL.get() + taken);
}

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// What one piece of work took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// The most bytes held at a time, beside what was there before.
    peak: usize,
    /// Bytes allocated in all.
    total: usize,
    /// How long it took.
    time: Duration,
}

fn cost(work: impl FnOnce()) -> Cost {
    let (live, total, begun) = (LIVE.get(), TOTAL.get(), Instant::now());
    PEAK.set(live);
    work();
    Cost {
        peak: (PEAK.get() - live).cast_unsigned(),
        total: TOTAL.get() - total,
        time: begun.elapsed(),
    }
}

/// The inside of a valid trade; a name that comes again behind it wins.
const VALID: &str = concat!(
    r#""Token":"So1","Wallet":"W","SellBuy":"buy","NativeAmount":"1.5","TokenAmount":"2","#,
    r#""PriceUsd":"0.25","TransTime":"2025-01-08T10:30:00Z","TxHash":"X""#
);

/// 2025-01-08T10:30:00Z.
const NOW: WallMs = WallMs(1_736_332_200_000);

/// What came of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    trades: usize,
    rejected: usize,
}

fn router() -> Router {
    let max_future_skew = Duration::from_secs(300);
    Router::new(Arc::from("trade-info"), Shards::DEFAULT, 2, max_future_skew)
}

fn record(value: impl Into<Bytes>) -> Record {
    let headers = vec![("trace".to_owned(), Bytes::from_static(b"x"))];
    Record { timestamp: Some(NOW), value: Some(value.into()), headers, ..Record::default() }
}

/// Reads a record to its last dead letter, as the pipeline's reader does.
fn routed(record: Record) -> (Cost, Outcome) {
    let (router, records) = (router(), Arc::new(vec![record].into()));
    let mut outcome = Outcome::default();
    let cost = cost(|| {
        let mut routing = router.route(
            Partition(0),
            &records,
            Offset(0)..Offset(1),
            &Cover::all(Shards::DEFAULT),
            NOW,
        );
        loop {
            let rejected = routing.read_on().len();
            if rejected == 0 {
                break;
            }
            outcome.rejected += rejected;
        }
        let batches = routing.finish().batches;
        outcome.trades = batches.iter().map(|batch| batch.count()).sum();
    });
    (cost, outcome)
}

fn array(element: &str, bytes: usize) -> String {
    let count = (bytes / (element.len() + 1)).max(1);
    format!("[{}{element}]", format!("{element},").repeat(count - 1))
}

fn trade(more: &str) -> String {
    format!("{{{VALID}{more}}}")
}

/// A kind of value, and one of about so many bytes.
type Kind = (&'static str, fn(usize) -> String);

/// The first is what the others are compared with.
const VALUES: &[Kind] = &[
    ("ordinary trades", |bytes| array(&trade(""), bytes)),
    ("bad elements of one byte", |bytes| array("0", bytes)),
    ("empty objects", |bytes| array("{}", bytes)),
    ("bad trades", |bytes| array(&trade(r#","PriceUsd":-1"#), bytes)),
    ("exponents of a billion", |bytes| array(&trade(r#","PriceUsd":1e1000000000"#), bytes)),
    ("one string", |bytes| trade(&format!(r#","x":"{}""#, "é\\n".repeat(bytes / 4)))),
    ("a token of escapes", |bytes| {
        trade(&format!(r#","Token":"{}""#, "\\u0041".repeat(bytes / 6)))
    }),
    ("a price of escapes", |bytes| {
        trade(&format!(r#","PriceUsd":"{}""#, "\\u0030".repeat(bytes / 6)))
    }),
    ("a name of escapes", |bytes| trade(&format!(r#","{}":1"#, "\\u0041".repeat(bytes / 6)))),
    ("nested arrays", |bytes| {
        trade(&format!(r#","x":{}{}"#, "[".repeat(bytes / 2), "]".repeat(bytes / 2)))
    }),
    ("nested objects in place of a trade", |bytes| {
        format!("[{}1{}]", r#"{"a":"#.repeat(bytes / 6), "}".repeat(bytes / 6))
    }),
    ("nesting that never closes", |bytes| "[".repeat(bytes)),
    ("a field repeated", |bytes| trade(&r#","Token":"So1""#.repeat(bytes / 14))),
    ("an unknown field repeated", |bytes| trade(&r#","a":0"#.repeat(bytes / 6))),
    ("the digits of a fraction", |bytes| trade(&format!(r#","PriceUsd":0.{}"#, "7".repeat(bytes)))),
    ("the digits of a whole number", |bytes| {
        trade(&format!(r#","PriceUsd":{}"#, "7".repeat(bytes)))
    }),
    ("the digits of an exponent", |bytes| {
        trade(&format!(r#","PriceUsd":"1e-{}""#, "7".repeat(bytes)))
    }),
    ("the digits of a time", |bytes| {
        trade(&format!(r#","TransTime":"2025-01-08T10:30:00.{}Z""#, "7".repeat(bytes)))
    }),
    ("an array cut short", |bytes| array("0", bytes).replace(']', "")),
];

const NAMES: &[Kind] = &[
    ("ordinary names", |bytes| array(r#"{"token":"So1","symbol":"SO","name":"Some"}"#, bytes)),
    ("bad elements of one byte", |bytes| array("0", bytes)),
    ("short names", |bytes| array(r#"{"token":"a"}"#, bytes)),
    ("one string", |bytes| format!(r#"{{"token":"a","name":"{}"}}"#, "x".repeat(bytes))),
    ("a name of escapes", |bytes| {
        format!(r#"{{"token":"a","name":"{}"}}"#, "\\u0041".repeat(bytes / 6))
    }),
    ("an unknown field repeated", |bytes| {
        format!(r#"{{"token":"a"{}}}"#, r#","a":0"#.repeat(bytes / 6))
    }),
    ("nested arrays", |bytes| {
        format!(r#"{{"token":"a","x":{}{}}}"#, "[".repeat(bytes / 2), "]".repeat(bytes / 2))
    }),
];

#[test]
fn a_value_made_to_hurt_costs_no_more_than_its_length() {
    compare(VALUES, |value| routed(record(value)).0);
}

#[test]
fn token_info_made_to_hurt_costs_no_more_than_its_length() {
    compare(NAMES, |value| {
        cost(|| {
            token_info::decode(value.as_bytes(), |_, _, _| {});
        })
    });
}

fn compare(kinds: &[Kind], read: impl Fn(String) -> Cost) {
    let mut ordinary = None;
    for (name, value) in kinds {
        let [once, twice] = [BYTES, 2 * BYTES].map(|bytes| read(value(bytes)));
        let ordinary = *ordinary.get_or_insert(once);
        once.assert_bounded(name, BYTES);
        twice.assert_bounded(name, 2 * BYTES);
        let linear = LINEAR * as_f64(once.total + SLACK);
        assert!(as_f64(twice.total) <= linear, "{name}: {once:?}, twice as many: {twice:?}");
        println!(
            "{name}: held {:.1} and allocated {:.1} for each byte, {:.1} of the ordinary time; \
             twice as many bytes: {:.1} of the time",
            as_f64(once.peak) / as_f64(BYTES),
            as_f64(once.total) / as_f64(BYTES),
            once.time.as_secs_f64() / ordinary.time.as_secs_f64(),
            twice.time.as_secs_f64() / once.time.as_secs_f64(),
        );
    }
}

impl Cost {
    fn assert_bounded(&self, name: &str, bytes: usize) {
        assert!(self.peak <= HELD * bytes + SLACK, "{name}: {self:?} for {bytes} bytes");
    }
}

#[test]
fn a_record_of_eight_megabytes_and_an_array_of_a_hundred_thousand_are_counted() {
    let padded = trade(&format!(r#","x":"{}""#, "x".repeat(8 << 20)));
    let many = format!("[{}{}]", format!("{},", trade("")).repeat(99_999), trade(""));
    for (value, trades) in [(padded, 1), (many, 100_000)] {
        let bytes = value.len();
        let (cost, outcome) = routed(record(value));
        assert_eq!(outcome, Outcome { trades, rejected: 0 });
        cost.assert_bounded("counted", bytes);
        println!("{trades} trades in {bytes} bytes: {cost:?}");
    }
}

/// Each dead letter has a name of its own for every header: a copy.
#[test]
fn large_headers_are_not_copied_for_more_dead_letters_than_go_out_together() {
    let mut hostile = record(array("0", 2_000));
    hostile.headers.push(("x".repeat(1 << 20), Bytes::new()));
    let (cost, outcome) = routed(hostile);
    assert_eq!(outcome, Outcome { trades: 0, rejected: 1_000 });
    assert!(cost.peak <= 4 << 20, "{cost:?}");
}

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> WallMs {
        NOW
    }
}

#[tokio::test]
async fn a_hundred_thousand_bad_elements_wait_for_the_dead_letters_before_them() {
    let log = Arc::new(LocalLog::new(1, 10));
    log.append(Partition(0), record(format!("[{}0]", "0,".repeat(99_999))));
    let (dead_letters, queue) = DeadLetters::new(Arc::new(Metrics::new().unwrap()));
    let (worker, mut events) = mpsc::channel(1);
    let shared = Arc::new(Shared {
        clock: Arc::new(Still),
        metrics: Arc::new(Metrics::new().unwrap()),
        status: Arc::new(Status::new(NOW)),
    });
    let (stop, reading) = (CancellationToken::new(), Arc::new(Reading::new(Shards::DEFAULT)));
    reading.own(&Cover::all(Shards::DEFAULT));
    reading.begin(Partition(0), Offset(0));
    let reader = Reader {
        log,
        router: Arc::new(router()),
        workers: vec![worker],
        dead_letters: Some(dead_letters.clone()),
        shared: Arc::clone(&shared),
        reading: Arc::clone(&reading),
        stop: stop.clone(),
    };
    let reading = tokio::spawn(reader.read(Partition(0), Offset(0)));
    // Room for one more group is asked for when the queue is full: nobody takes anything out.
    while dead_letters.ticket() < 64 * 500 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(dead_letters.ticket(), 64 * 500, "the queue's room");
    assert!(events.try_recv().is_err(), "the position goes on behind the last dead letter");

    let producer = Arc::new(LocalProducer::new(1));
    tokio::spawn(queue.run(Arc::clone(&producer), Arc::clone(&shared)));
    assert!(events.recv().await.is_some());
    dead_letters.acknowledged(100_000).await;
    let letters = producer.take().into_iter().flat_map(|sent| sent.messages.to_vec());
    let index = |letter: Message| {
        let mut headers = letter.headers.into_iter();
        headers.find(|(name, _)| name == "aggregator.errors.index").map(|(_, value)| value)
    };
    let expected = (0..100_000).map(|place: u32| Some(Bytes::from(place.to_string())));
    assert!(letters.map(index).eq(expected), "each once, in order");
    stop.cancel();
    reading.await.unwrap();
}

#[test]
fn a_checkpoint_entry_made_to_hurt_costs_no_more_than_its_length() {
    let sealed = |body: Vec<u8>| {
        let mut entry = [&[checkpoint::VERSION][..], &body].concat();
        let crc = crc32fast::hash(&entry);
        entry.extend_from_slice(&crc.to_le_bytes());
        entry
    };
    // A count of 2⁶³ positions, and then as many as fit; panes of the fewest bytes.
    let counted = [&[0xff; 9][..], &[1], &[0].repeat(BYTES)].concat();
    let panes =
        [&[0, 0, 0x20, 1, b'a'][..], &[0; 7], &[0x21, 0, 0, 0, 0, 0, 0, 0].repeat(BYTES / 8)];
    for (name, body) in [("positions", counted), ("panes", panes.concat())] {
        let entry = sealed(body);
        let (mut found, mut panes) = (None, 0);
        let cost = cost(|| found = Some(checkpoint::decode(&entry, |_| panes += 1)));
        cost.assert_bounded(name, entry.len());
        let read = found.is_some_and(|found| found.is_ok());
        println!("{name}: {read}, {panes} panes of {} bytes: {cost:?}", entry.len());
    }
}

fn as_f64(bytes: usize) -> f64 {
    u32::try_from(bytes).unwrap().into()
}

/// Of each kind.
const BYTES: usize = 200_000;
/// Bytes held for each byte of a value: an element has at least 2 bytes, its place in the list of
/// them 16, and the list grows to twice its size.
const HELD: usize = 18;
/// Bytes held whatever the length: one batch of dead letters, mostly.
const SLACK: usize = 1 << 20;
/// Twice the bytes, and some more.
const LINEAR: f64 = 2.6;
