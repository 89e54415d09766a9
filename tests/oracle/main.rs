//! Shards against the naive definition: whatever the trades, the windows, the order of arrival and
//! the moments of looking, every figure of every message is the oracle's: standard or extended.
#![cfg(test)]

mod bounds;
mod many;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::position::{Offset, Partition, Position};
use aggregator_service::domain::shard::{Outcome, Shard};
use aggregator_service::domain::time::{Second, WallMs};
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::wire::aggregate::{Form, TokenNames};
use aggregator_service::wire::checkpoint::{self, PaneAt, Writer};
use aggregator_service::wire::extended::Chosen;
use aggregator_service::wire::trade::{Element, Elements};
use proptest::prelude::*;
use serde_json::Value;
use support::oracle::{self, Span, Told};

const START: i64 = 1_700_000_000;
const ALWAYS: Second = Second(i64::MIN);

/// A shard and the oracle's notes, side by side.
struct Pair {
    shard: Shard,
    windows: Windows,
    extended: bool,
    spans: Vec<Span>,
    told: Vec<Told>,
    /// Each token's newest second that a closing message has told of.
    closed: BTreeMap<String, i64>,
}

impl Pair {
    fn new(spans: &[Span], extended: bool) -> Self {
        let list = spans.iter().map(|(name, seconds)| Window {
            name: (*name).to_owned(),
            seconds: u32::try_from(*seconds).unwrap(),
        });
        let windows = Windows::new(list.collect()).unwrap();
        let shard = Shard::new(windows.clone(), budget(extended), Second(START), ALWAYS);
        let (spans, told, closed) = (spans.to_vec(), Vec::new(), BTreeMap::new());
        Self { shard, windows, extended, spans, told, closed }
    }

    fn longest(&self) -> i64 {
        self.spans.iter().map(|(_, length)| *length).max().unwrap()
    }

    fn absorb(&mut self, told: &Told) -> Outcome {
        let outcome = absorb(&mut self.shard, told);
        let late = told.second() <= self.shard.end().0 - self.longest();
        assert_eq!(outcome, if late { Outcome::Late } else { Outcome::Counted });
        if !late {
            self.told.push(told.clone());
        }
        outcome
    }

    /// Looks at a moment, and compares everything.
    fn tick(&mut self, end: i64) {
        self.shard.advance(Second(end));
        let published = published(&mut self.shard, &self.windows);
        let mut by_token: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
        for told in &self.told {
            by_token.entry(&told.token).or_default().push(told);
        }
        let mut expected = BTreeMap::new();
        for (token, trades) in by_token {
            let Some(newest) =
                trades.iter().map(|told| told.second()).filter(|at| *at <= end).max()
            else {
                continue;
            };
            let active = newest > end - self.longest();
            let closed = self.closed.get(token).is_some_and(|closed| *closed == newest);
            if active || !closed {
                let oracle = if self.extended { oracle::windows_extended } else { oracle::windows };
                let data = Value::Array(oracle(&trades, &self.spans, end));
                expected.insert(token.to_owned(), data);
            }
            if !active {
                self.closed.insert(token.to_owned(), newest);
            }
        }
        assert_eq!(published.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (token, data) in &published {
            let expected = &expected[token];
            assert!(oracle::same(data, expected), "{token} at {end}:\n{data}\nis not\n{expected}");
        }
    }
}

fn budget(extended: bool) -> Arc<Budget> {
    let budget = Budget::new(1_000, 1_000_000);
    Arc::new(if extended { budget.with_wallets(1_000_000) } else { budget })
}

fn absorb(shard: &mut Shard, told: &Told) -> Outcome {
    let (partition, offset, index) = told.position;
    let position = Position { partition: Partition(partition), offset: Offset(offset), index };
    let value = told.json().to_string();
    let mut elements = Elements::of(value.as_bytes(), None).extended(shard.is_extended());
    match elements.read_next(None).unwrap().unwrap() {
        Element::Trade { trade, .. } => shard.absorb(position, &trade),
        Element::Rejected { message, .. } => panic!("{message}"),
    }
}

fn published(shard: &mut Shard, windows: &Windows) -> BTreeMap<String, Value> {
    let mut messages = BTreeMap::new();
    let chosen = if shard.is_extended() { Chosen::ALL } else { Chosen::STANDARD };
    let form = Form::extended(windows, chosen);
    shard.due(|aggregate| {
        let mut out = Vec::new();
        form.write(&mut out, aggregate, TokenNames::default(), WallMs(0));
        let mut message: Value = serde_json::from_slice(&out).unwrap();
        messages.insert(aggregate.token.to_owned(), message["aggregate_data"].take());
    });
    messages
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let all: [Span; 6] =
        [("1s", 1), ("2s", 2), ("5s", 5), ("10s", 10), ("1min", 60), ("24hour", 86_400)];
    proptest::sample::subsequence(all.to_vec(), 1..=6).prop_shuffle()
}

fn decimal() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u64..1_000_000).prop_map(|whole| whole.to_string()),
        (0_u64..30_000_000, 1_u32..20).prop_map(|(digits, scale)| format!("{digits}e-{scale}")),
        "[0-9]{1,6}\\.[0-9]{1,26}",
    ]
}

fn told() -> impl Strategy<Value = Told> {
    let token = (0_u8..4).prop_map(|token| format!("token-{token}"));
    let at = (-30_i64..40, 0_u32..4).prop_map(|(second, quarter)| {
        i128::from(START + second) * 1_000_000_000 + i128::from(quarter) * 250_000_000
    });
    let position = (0_i32..3, 0_i64..50, 0_u32..3);
    (token, any::<bool>(), decimal(), decimal(), decimal(), at, position).prop_map(
        |(token, buy, native, amount, price, at_ns, position)| Told {
            token,
            buy,
            native,
            amount,
            price,
            at_ns,
            position,
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Trade(Told),
    Tick(i64),
    Advance(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => told().prop_map(Step::Trade),
        1 => (0_i64..12).prop_map(Step::Tick),
        1 => (0_i64..4).prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 0..80)
}

/// No two trades stand at the same place of the log.
fn distinct(steps: Vec<Step>) -> Vec<Step> {
    let mut seen = BTreeSet::new();
    let fresh = |step: &Step| !matches!(step, Step::Trade(told) if !seen.insert(told.position));
    steps.into_iter().filter(fresh).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_figure_of_every_tick_is_the_oracles(
        spans in spans(), steps in steps(), extended: bool,
    ) {
        let mut pair = Pair::new(&spans, extended);
        let mut end = START;
        for step in distinct(steps) {
            match step {
                Step::Trade(told) => { pair.absorb(&told); }
                Step::Tick(seconds) => { end += seconds; pair.tick(end); }
                Step::Advance(seconds) => {
                    end += seconds;
                    pair.shard.advance(Second(end));
                }
            }
        }
        for _ in 0..4 {
            end += pair.longest() / 2 + 11;
            pair.tick(end);
        }
        prop_assert_eq!(pair.shard.live_panes(), 0, "everything has expired");
        pair.shard.acknowledge(Second(end));
        prop_assert_eq!(pair.shard.panes().count(), 0, "nothing is owed");
    }

    #[test]
    fn a_checkpoint_taken_at_any_moment_continues_as_if_nothing_had_happened(
        spans in spans(), before in steps(), after in steps(), extended: bool,
    ) {
        let mut pair = Pair::new(&spans, extended);
        let mut blobs = Vec::new();
        let mut end = START;
        let mut published = START;
        let steps = distinct(before.into_iter().chain(after).collect());
        let half = steps.len() / 2;
        for (at, step) in steps.into_iter().enumerate() {
            if at == half {
                blobs.push(changes(&mut pair.shard, published));
                pair.shard = restored(&pair.windows, &blobs, extended);
            }
            match step {
                Step::Trade(told) => { pair.absorb(&told); }
                Step::Tick(seconds) => { end += seconds; published = end; pair.tick(end); }
                // Only ticks move what is published, so only they may move the end here.
                Step::Advance(_) => blobs.push(changes(&mut pair.shard, published)),
            }
        }
        for _ in 0..3 {
            end += pair.longest() / 2 + 11;
            pair.tick(end);
        }
    }

    #[test]
    fn a_trade_below_the_expected_position_changes_nothing(
        trades in proptest::collection::vec(told(), 1..20),
    ) {
        let mut pair = Pair::new(&[("1min", 60), ("5s", 5)], true);
        let trades = distinct(trades.into_iter().map(Step::Trade).collect());
        let all = || trades.iter().filter_map(|step| match step {
            Step::Trade(told) => Some(told),
            Step::Tick(_) | Step::Advance(_) => None,
        });
        for told in all() {
            pair.absorb(told);
        }
        for partition in 0..3 {
            pair.shard.pass(Partition(partition), Offset(50));
        }
        for told in all() {
            prop_assert_eq!(absorb(&mut pair.shard, told), Outcome::Duplicate);
        }
        pair.tick(START + 3);
    }
}

fn changes(shard: &mut Shard, published: i64) -> Vec<u8> {
    let mut entry = Writer::new(shard.positions(), Second(published), Second(published), 0, 0);
    shard.take_changes(|token, second, pane, beside| {
        entry.put(token, second, pane, beside);
    });
    entry.finish()
}

fn restored(windows: &Windows, blobs: &[Vec<u8>], extended: bool) -> Shard {
    let mut shard = Shard::new(windows.clone(), budget(extended), Second(START), ALWAYS);
    let mut published = Second(START);
    for blob in blobs {
        let restore = |at: &PaneAt<'_>| {
            let beside = at.extended.map(|beside| beside.pane(&at.pane.sums));
            shard.restore(at.token, at.second, &at.pane, beside);
        };
        published = checkpoint::decode(blob, restore).unwrap().published;
    }
    shard.open(published);
    shard
}

#[test]
fn five_trades_round_a_windows_edge_give_the_same_in_every_order_of_arrival() {
    let trade = |second: i64, nanos: i128, offset: i64, price: &str| Told {
        token: "t".to_owned(),
        buy: offset % 2 == 0,
        native: "1.5".to_owned(),
        amount: "2".to_owned(),
        price: price.to_owned(),
        at_ns: i128::from(START + second) * 1_000_000_000 + nanos,
        position: (0, offset, 0),
    };
    let trades = [
        trade(-5, 0, 3, "1"),
        trade(-4, 0, 9, "2"),
        trade(-4, 0, 1, "3"),
        trade(0, 999_999_999, 4, "4"),
        trade(1, 0, 2, "5"),
    ];
    for order in orders(&[0, 1, 2, 3, 4]) {
        for ticks_before in 0..=5 {
            let mut pair = Pair::new(&[("5s", 5), ("1s", 1), ("1min", 60)], ticks_before % 2 == 0);
            for (at, trade) in order.iter().enumerate() {
                if at == ticks_before {
                    pair.tick(START);
                }
                pair.absorb(&trades[*trade]);
            }
            for end in START..START + 7 {
                pair.tick(end);
            }
        }
    }
}

fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let first = |first: &usize| {
        let rest: Vec<_> = of.iter().copied().filter(|other| other != first).collect();
        orders(&rest)
            .into_iter()
            .map(move |mut order| {
                order.insert(0, *first);
                order
            })
            .collect::<Vec<_>>()
    };
    of.iter().flat_map(first).collect()
}
