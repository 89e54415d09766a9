//! Extended figures over a market as it is: many trades, tokens and wallets, out of order; through
//! checkpoints, at the bound, and where they begin to be wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::shard::{Outcome, Shard};
use aggregator_service::domain::time::Second;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::wire::checkpoint;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::{ALWAYS, START, absorb, budget, changes, published, restored};
use support::oracle::{self, Known, Span, Told};

const TRADES: i64 = 200_000;
const TOKENS: usize = 500;
/// How long they trade, in seconds.
const DURING: i64 = 7_200;
const TICK: i64 = 720;
const SPANS: [Span; 5] =
    [("1min", 60), ("5min", 300), ("15min", 900), ("30min", 1_800), ("1hour", 3_600)];

fn windows() -> Windows {
    let list = SPANS.map(|(name, seconds)| Window {
        name: name.to_owned(),
        seconds: u32::try_from(seconds).unwrap(),
    });
    Windows::new(list.into()).unwrap()
}

/// The second after the begin in which a trade arrives.
const fn arrival(place: i64) -> i64 {
    place * DURING / TRADES
}

/// The trades in the order of their arrival: some are late, some ahead.
fn trades(rng: &mut StdRng) -> Vec<Told> {
    let mut tell = |place: i64| {
        let late = match rng.random_range(0..20) {
            0 => rng.random_range(0..3_000),
            1..5 => rng.random_range(0..20),
            _ => -rng.random_range(0..2),
        };
        let token = rng.random_range(0..TOKENS).min(rng.random_range(0..TOKENS));
        let at_ms = (START + arrival(place) - late) * 1_000 + rng.random_range(0..1_000);
        Told {
            token: format!("token-{token}"),
            buy: rng.random(),
            native: place.to_string(),
            amount: format!("{}e-{}", rng.random_range(0..100_000), rng.random_range(0..9)),
            price: format!("0.00{}", rng.random_range(1..1_000_000)),
            at_ns: i128::from(at_ms) * 1_000_000,
            position: (0, place, 0),
        }
    };
    (0..TRADES).map(&mut tell).collect()
}

/// The extended fields of a message's window.
fn extended(window: &Value) -> Value {
    let names = aggregator_service::wire::extended::EXTENDED.map(|field| field.name);
    let window = window.as_object().unwrap();
    names.iter().map(|name| ((*name).to_owned(), window[*name].clone())).collect()
}

#[test]
fn every_extended_figure_of_200_000_trades_is_the_oracles_through_a_checkpoint() {
    let mut rng = StdRng::seed_from_u64(8);
    let (windows, mut blobs, mut compared) = (windows(), Vec::new(), 0);
    let mut shard = Shard::new(windows.clone(), budget(true), Second(START), ALWAYS);
    let mut known: BTreeMap<String, Vec<Known>> = BTreeMap::new();
    let mut wallets = BTreeSet::new();
    let (mut tick, mut number) = (START + TICK, 0);
    for told in trades(&mut rng) {
        while START + arrival(told.position.1) > tick {
            shard.advance(Second(tick));
            let messages = published(&mut shard, &windows);
            assert!(messages.len() > TOKENS * 9 / 10, "{} at {tick}", messages.len());
            for (token, data) in &messages {
                let expected = oracle::extended(&known[token], &SPANS, tick);
                for (window, expected) in data.as_array().unwrap().iter().zip(&expected) {
                    let found = extended(window);
                    let same = oracle::same(&found, expected);
                    assert!(same, "{token} at {tick}:\n{found}\nis not\n{expected}");
                    compared += 1;
                }
            }
            tick += TICK;
            number += 1;
            blobs.push(changes(&mut shard, tick - TICK));
            if number % 3 == 0 {
                shard = restored(&windows, &blobs, true);
            }
        }
        if absorb(&mut shard, &told) == Outcome::Counted {
            let one = told.known();
            wallets.insert(one.wallet.clone());
            known.entry(told.token.clone()).or_default().push(one);
        }
    }
    assert!(compared > 5 * 9 * TOKENS * 9 / 10, "{compared} windows");
    println!("{compared} windows of {} wallets", wallets.len());
    assert!(wallets.len() > 19_000, "{}", wallets.len());
}

fn minutes() -> Windows {
    let window = |(name, seconds): (&str, u32)| Window { name: name.to_owned(), seconds };
    Windows::new([("10s", 10), ("1min", 60)].map(window).into()).unwrap()
}

/// Trades of one token, one a second, mostly each of another wallet.
fn one_a_second(seconds: std::ops::Range<i64>) -> impl Iterator<Item = Told> {
    seconds.map(|second| Told {
        token: "a".to_owned(),
        buy: second % 2 == 0,
        native: second.to_string(),
        amount: "3".to_owned(),
        price: "0.5".to_owned(),
        at_ns: i128::from(START + second) * 1_000_000_000,
        position: (0, second, 0),
    })
}

#[test]
fn at_max_wallets_what_cannot_be_known_is_null_until_it_has_left_and_the_rest_is_exact() {
    let budget = Arc::new(Budget::new(10, 1_000).with_wallets(20));
    let mut shard = Shard::new(minutes(), Arc::clone(&budget), Second(START), ALWAYS);
    for told in one_a_second(1..61) {
        assert_eq!(absorb(&mut shard, &told), Outcome::Counted, "it counts all the same");
    }
    let mut told = |end: i64| {
        shard.advance(Second(START + end));
        published(&mut shard, &minutes()).remove("a").unwrap()
    };
    let data = told(60);
    assert!(data[0]["total_trades"] == 10 && data[1]["total_trades"] == 60, "{data}");
    assert!(data[1]["unique_traders"].is_null() && data[1]["unique_buyers"].is_null(), "{data}");
    assert_eq!([&data[1]["token_volume"], &data[1]["vwap"]], ["180.000000", "0.500000"]);
    assert_eq!(data[0]["previous"]["traders_change"], Value::Null, "{data}");
    let wallets = budget.wallets().unwrap();
    assert!(wallets.held() <= 20 && wallets.refused() >= 10, "{wallets:?}");
    let gone = told(130);
    assert_eq!([&gone[1]["total_trades"], &gone[1]["unique_traders"]], [0, 0]);
    assert!(gone[0]["high_price"] == "0.500000" && gone[0]["vwap"].is_null(), "{gone}");
    assert_eq!(wallets.held(), 0, "their room is free again");
}

#[test]
fn figures_that_begin_to_be_wanted_are_null_until_windows_hold_nothing_older() {
    let mut standard = Shard::new(minutes(), budget(false), Second(START), ALWAYS);
    let take = |shard: &mut Shard, seconds| {
        for told in one_a_second(seconds) {
            assert_eq!(absorb(shard, &told), Outcome::Counted);
        }
    };
    take(&mut standard, 1..31);
    let blob = changes(&mut standard, START + 20);
    assert_eq!(blob[0], checkpoint::VERSION, "an older program reads it");
    let mut shard = restored(&minutes(), &[blob], true);
    take(&mut shard, 31..46);
    shard.advance(Second(START + 45));
    let data = published(&mut shard, &minutes()).remove("a").unwrap();
    let wallets: BTreeSet<_> = one_a_second(36..46).map(|told| told.wallet()).collect();
    assert_eq!(data[0]["unique_traders"], wallets.len(), "{data}");
    assert_eq!(data[0]["high_price"], "0.500000", "{data}");
    assert_eq!(data[0]["previous"]["trades"], 10, "{data}");
    assert_eq!(data[0]["previous"]["traders"], Value::Null, "of both times: {data}");
    let unknown =
        ["unique_sellers", "buy_volume_usd", "net_volume_usd", "token_volume", "low_price"];
    for unknown in unknown {
        assert_eq!(data[1][unknown], Value::Null, "{unknown}");
    }
    assert_eq!(data[1]["total_trades"], 45);
    // And back: what was written so is read without it.
    let blob = changes(&mut shard, START + 45);
    assert_eq!(blob[0], checkpoint::NEWEST);
    let mut standard = restored(&minutes(), &[blob], false);
    standard.advance(Second(START + 46));
    let data = published(&mut standard, &minutes()).remove("a").unwrap();
    assert_eq!(data[1]["total_trades"], 15, "of the changes: {data}");
}
