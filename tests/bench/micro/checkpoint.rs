//! A flush's entry written and read, and a shard restored of it: by pane.

use std::sync::Arc;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::pane::{Flow, Mark, Pane, Sums};
use aggregator_service::domain::position::{Offset, Partition, Position};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::shard::Shard;
use aggregator_service::domain::time::Second;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::wire::checkpoint::{PaneAt, decode, encode};
use divan::Bencher;
use divan::counter::ItemsCount;

/// Panes of an entry.
const PANES: usize = 10_000;
/// Tokens of them; each second holds a pane of each.
const TOKENS: usize = 100;
const PUBLISHED: Second = Second(1_736_332_190);

#[divan::bench]
fn write(bencher: Bencher) {
    let panes = panes();
    bencher.counter(ItemsCount::new(PANES)).bench(|| entry(divan::black_box(&panes)));
}

#[divan::bench]
fn read(bencher: Bencher) {
    let entry = entry(&panes());
    bencher.counter(ItemsCount::new(PANES)).bench(|| {
        let mut trades = 0;
        decode(divan::black_box(&entry), |at| trades += at.pane.sums.trades()).unwrap();
        trades
    });
}

#[divan::bench]
fn restore(bencher: Bencher) {
    let entry = entry(&panes());
    let window = Window { name: "1hour".to_owned(), seconds: 3_600 };
    let windows = Windows::new(vec![window]).unwrap();
    bencher.counter(ItemsCount::new(PANES)).bench(|| {
        let budget = Arc::new(Budget::new(TOKENS, PANES));
        let mut shard = Shard::new(windows.clone(), budget, PUBLISHED, PUBLISHED);
        decode(&entry, |at| shard.restore(at.token, at.second, &at.pane, None)).unwrap();
        shard.open(PUBLISHED);
        shard
    });
}

fn entry(panes: &[(String, Second, Pane)]) -> Vec<u8> {
    let panes = panes.iter().map(|(token, second, pane)| PaneAt {
        token,
        second: *second,
        pane: *pane,
        extended: None,
    });
    encode(&[(Partition(0), Offset(1_234_567_890))], PUBLISHED, PUBLISHED, panes)
}

/// Panes of two trades with volumes of 9 decimals, half of them at one price.
fn panes() -> Vec<(String, Second, Pane)> {
    (0..u32::try_from(PANES).unwrap()).map(pane).collect()
}

fn pane(number: u32) -> (String, Second, Pane) {
    let noise = number.wrapping_mul(2_654_435_761);
    let mark = |step: u32| Mark {
        nanos: noise % 1_000 * 1_000_000,
        position: Position {
            partition: Partition((number % 3).cast_signed()),
            offset: Offset(1_234_567_890 + i64::from(noise % 400)),
            index: noise % 60 + step,
        },
        price: Price::from_parts(u128::from(noise) * 317 + u128::from(step), 15).unwrap(),
    };
    let flow = |count: u64| Flow { count, volume: i128::from(noise) * 1_000_000_000 };
    let usd = i128::from(noise) * 123_456_789_017;
    let sums = Sums { sell: flow(u64::from(noise % 2)), buy: flow(2), usd };
    let last = if noise.is_multiple_of(2) { mark(0) } else { mark(1) };
    let tokens = u32::try_from(TOKENS).unwrap();
    let token = format!("{:044}", number % tokens);
    (token, PUBLISHED.plus(i64::from(number / tokens)), Pane { sums, first: mark(0), last })
}
