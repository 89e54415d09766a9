//! What a published message costs until it is on the connection: its text, the message, its way
//! through the outbox, its share of a batch. Five windows, all of them different or all the same.

use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::aggregate::{Aggregate, Figures};
use aggregator_service::domain::pane::{Flow, Sums};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::time::{Second, WallMs};
use aggregator_service::domain::token::TokenHash;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::kafka::Encoder;
use aggregator_service::pipeline::messages::Messages;
use aggregator_service::pipeline::names::SharedNames;
use aggregator_service::pipeline::outbox::{Batching, Next, Outbox};
use aggregator_service::pipeline::outgoing::{Cause, Outgoing};
use aggregator_service::ports::Message;
use aggregator_service::wire::aggregate::{Form, TokenNames};
use aggregator_service::wire::envelope::Envelope;
use aggregator_service::wire::extended::Chosen;
use aggregator_service::wire::registered::{Format, Registered, Writer};
use divan::{Bencher, black_box, counter::ItemsCount};
use hashbrown::DefaultHashBuilder;

/// Messages in a batch, and tokens of the outbox.
const BATCH: usize = 50;
const TOKENS: usize = 10_000;

const NOW: WallMs = WallMs(1_736_332_215_999);
const CAUSE: Cause = Cause { tick: Some(Second(1_736_332_200)), order: None };

/// How many of the five windows hold different trades.
const KINDS: [u64; 3] = [1, 3, 5];

#[divan::bench(args = KINDS)]
fn text(bencher: Bencher, kinds: u64) {
    let (form, tokens) = (Form::new(&windows()), tokens(BATCH, kinds));
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for (token, figures) in &tokens {
            out.clear();
            let aggregate = aggregate(token, figures);
            form.write(&mut out, black_box(&aggregate), TokenNames::default(), NOW);
        }
        out.len()
    });
}

#[divan::bench(args = KINDS)]
fn message(bencher: Bencher, kinds: u64) {
    let (messages, tokens) = (messages(), tokens(BATCH, kinds));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| made(&messages, &tokens));
}

/// As [`message`], in the formats with a schema; prints how long one is.
#[divan::bench(args = ["json-schema", "avro", "protobuf"])]
fn format(bencher: Bencher, name: &str) {
    let formats = [Format::JsonSchema, Format::Avro, Format::Protobuf];
    let format = formats.into_iter().find(|format| format.name() == name).unwrap();
    let writer = Writer::new(Registered { format, id: 7 }, &windows(), Chosen::STANDARD);
    let messages = Messages { writer: Some(writer), ..messages() };
    let tokens = tokens(BATCH, 5);
    let length = |one: &Outgoing| one.message.value.as_ref().unwrap().len();
    let bytes: usize = made(&messages, &tokens).iter().map(length).sum();
    println!("{name}: {} bytes", bytes / BATCH);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| made(&messages, &tokens));
}

/// Push, next and acknowledge.
#[divan::bench]
fn outbox(bencher: Bencher) {
    let made = made(&messages(), &tokens(TOKENS, 1));
    let batching = Batching { size: BATCH, timeout: Duration::from_millis(100) };
    let mut outbox = Outbox::new(3, 1, batching, Second(0));
    let all = bencher.counter(ItemsCount::new(TOKENS)).with_inputs(|| made.clone());
    all.bench_local_values(|made| {
        for outgoing in made {
            outbox.push(outgoing.hash.partition(3), outgoing, NOW);
        }
        CAUSE.tick.into_iter().for_each(|tick| outbox.end_tick(tick));
        for lane in 0..3 {
            while let Next::Send(batch) = outbox.next(lane, NOW.plus(Duration::from_secs(1))) {
                outbox.acknowledge(&batch);
            }
        }
        assert_eq!(outbox.waiting(), 0);
    });
}

#[divan::bench(args = KINDS)]
fn batch(bencher: Bencher, kinds: u64) {
    let made = made(&messages(), &tokens(BATCH, kinds));
    let batch: Vec<Message> = made.into_iter().map(|outgoing| outgoing.message).collect();
    let mut encoder = Encoder::new();
    let batches = bencher.counter(ItemsCount::new(BATCH));
    batches.bench_local(|| encoder.encode(black_box(&batch)).unwrap().len());
}

fn messages() -> Messages {
    let names = Arc::new(SharedNames::new(0));
    Messages {
        form: Form::new(&windows()),
        writer: None,
        names,
        envelope: Envelope::default(),
        marks: DefaultHashBuilder::default(),
    }
}

fn made(messages: &Messages, tokens: &[(String, Vec<Figures>)]) -> Vec<Outgoing> {
    let mut making = messages.begin(CAUSE, NOW);
    tokens.iter().map(|(token, figures)| making.make(&aggregate(token, figures))).collect()
}

fn aggregate<'a>(token: &'a str, windows: &'a [Figures]) -> Aggregate<'a> {
    let (hash, end) = (TokenHash::of(token), Second(1_736_332_200));
    Aggregate { token, hash, end, windows, extended: &[] }
}

fn windows() -> Windows {
    let names = ["1min", "5min", "15min", "30min", "1hour"];
    let window = |name: &str| Window { name: name.to_owned(), seconds: 60 };
    Windows::new(names.map(window).into()).unwrap()
}

/// Tokens with the figures of their five windows: amounts with nine digits as on Solana, products
/// with all eighteen.
fn tokens(count: usize, kinds: u64) -> Vec<(String, Vec<Figures>)> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut figures = move || {
        let mut flow = || {
            let volume = i128::from(random(100_000_000_000)) * 1_000_000_000;
            Flow { count: random(300), volume }
        };
        let (sell, buy) = (flow(), flow());
        let usd = i128::from(random(u64::MAX)) * 97;
        let mut price = || Price::from_parts(random(1_000_000_000).into(), 13).unwrap();
        Figures { sums: Sums { sell, buy, usd }, open: price(), close: price() }
    };
    let token = |number: usize| {
        let hash = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let different: Vec<_> = (0..kinds).map(|_| figures()).collect();
        let last = *different.last().unwrap();
        let windows = different.into_iter().chain(std::iter::repeat(last)).take(5);
        (format!("{hash:x}{:x}{hash:x}pump", hash.rotate_left(7)), windows.collect())
    };
    (0..count).map(token).collect()
}
