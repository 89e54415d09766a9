//! Extended fields: their list is README's table, their bytes are the golden file's, what stands
//! before them stays, and what a checkpoint holds of them comes back.

use aggregator_service::domain::aggregate::{Aggregate, ExtendedFigures, Figures, Previous};
use aggregator_service::domain::amount::Amount;
use aggregator_service::domain::extended::{ExtendedPane, Seen, Sides, WalletHash};
use aggregator_service::domain::pane::{Flow, Mark, Pane, Sums};
use aggregator_service::domain::position::Position;
use aggregator_service::domain::price::Price;
use aggregator_service::domain::time::{Second, WallMs};
use aggregator_service::domain::token::TokenHash;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::wire::aggregate::{Form, TokenNames};
use aggregator_service::wire::checkpoint::{NEWEST, VERSION, Writer, decode};
use aggregator_service::wire::extended::{Chosen, EXTENDED, PREVIOUS};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::assert_golden;

const END: Second = Second(1_736_332_200);
const ONE: i128 = 1_000_000_000_000_000_000;

#[test]
fn readmes_table_is_the_list_of_extended_fields() {
    let readme = include_str!("../../README.md");
    let (_, table) = readme.split_once("| field | definition |\n|---|---|\n").expect("the table");
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let row = |name: String, doc: &str| format!("| `{name}` | {doc} |");
    let own = EXTENDED.iter().map(|field| row(field.name.to_owned(), field.doc));
    let before = PREVIOUS.iter().map(|field| row(format!("previous.{}", field.name), field.doc));
    let expected: Vec<_> = own.chain(before).collect();
    assert_eq!(rows, expected, "put this there:\n{}", expected.join("\n"));
}

#[test]
fn fields_are_chosen_all_none_or_by_their_names() {
    assert_eq!(Chosen::parse("standard"), Some(Chosen::STANDARD));
    assert_eq!(Chosen::parse("extended"), Some(Chosen::ALL));
    let two = Chosen::parse(" vwap, unique_buyers ").unwrap();
    let chosen: Vec<_> = EXTENDED.iter().enumerate().filter(|(place, _)| two.has(*place)).collect();
    assert_eq!(
        chosen.iter().map(|(_, field)| field.name).collect::<Vec<_>>(),
        ["unique_buyers", "vwap"]
    );
    for wrong in ["", "all", "vwap,", "vwap,open_price", "standard,vwap", "VWAP"] {
        assert_eq!(Chosen::parse(wrong), None, "{wrong:?}");
    }
}

fn price(text: &str) -> Price {
    Price::parse(text.as_bytes(), 1_000_000_000_000_000).unwrap()
}

fn figures(sells: u64, buys: u64, usd: i128, [open, close]: [&str; 2]) -> Figures {
    let flow = |count: u64| Flow { count, volume: i128::from(count) * ONE };
    let sums = Sums { sell: flow(sells), buy: flow(buys), usd };
    Figures { sums, open: price(open), close: price(close) }
}

/// Windows with all figures, with none known, and an empty one.
fn all() -> [(Figures, ExtendedFigures); 3] {
    let whole = ExtendedFigures {
        buyers: Some(2),
        sellers: Some(1),
        traders: Some(3),
        buy_usd: Some(ONE),
        tokens: Some(7 * ONE),
        high: Some(price("0.5")),
        low: Some(price("0.00000001234")),
        first: Some(END.plus(-9)),
        last: Some(END),
        previous: Some(Previous { trades: 4, usd: 0, traders: Some(2) }),
    };
    let previous = Some(Previous { trades: 0, usd: ONE / 4, traders: None });
    let unknown = ExtendedFigures {
        first: whole.first,
        last: whole.last,
        previous,
        ..ExtendedFigures::default()
    };
    let empty = ExtendedFigures {
        buyers: Some(0),
        sellers: Some(0),
        traders: Some(0),
        buy_usd: Some(0),
        tokens: Some(0),
        high: Some(price("2")),
        low: Some(price("2")),
        ..ExtendedFigures::default()
    };
    [
        (figures(1, 3, 5 * ONE / 2, ["0.25", "0.5"]), whole),
        (figures(0, 3, 5 * ONE / 2, ["0.25", "0.5"]), unknown),
        (figures(0, 0, 0, ["2", "2"]), empty),
    ]
}

pub(crate) const GENERATED_AT: WallMs = WallMs(1_736_332_200_000);

pub(crate) fn windows() -> Windows {
    let windows = [("10s", 10), ("1min", 60), ("1hour", 3_600)];
    let windows = windows.map(|(name, seconds)| Window { name: name.to_owned(), seconds });
    Windows::new(windows.into()).unwrap()
}

/// Tells an aggregate of all of them.
pub(crate) fn aggregate(tell: impl FnOnce(&Aggregate<'_>)) {
    let (figures, extended): (Vec<_>, Vec<_>) = all().into_iter().unzip();
    let (token, hash) = ("So1", TokenHash::of("So1"));
    tell(&Aggregate { token, hash, end: END, windows: &figures, extended: &extended });
}

/// As JSON.
pub(crate) fn written(chosen: Chosen) -> String {
    let (mut out, form) = (Vec::new(), Form::extended(&windows(), chosen));
    aggregate(|aggregate| form.write(&mut out, aggregate, TokenNames::default(), GENERATED_AT));
    String::from_utf8(out).unwrap()
}

#[test]
fn extended_messages_are_the_golden_files_bytes() {
    let chosen =
        ["standard", "extended", "previous", "net_volume_usd,unique_traders,last_trade_at"];
    let made = chosen.map(|chosen| written(Chosen::parse(chosen).unwrap()) + "\n");
    assert_golden("aggregates-extended.jsonl", made.concat().as_bytes());
}

/// A message without its extended fields, in the order in which it was written.
#[test]
fn what_stands_before_the_extended_fields_is_the_standard_message() {
    let said = |chosen| -> Map<String, Value> { serde_json::from_str(&written(chosen)).unwrap() };
    let (standard, all) = (said(Chosen::STANDARD), said(Chosen::ALL));
    let each = EXTENDED.map(|field| Chosen::parse(field.name).unwrap());
    let some = Chosen::parse("window_start,previous").unwrap();
    for chosen in each.into_iter().chain([Chosen::ALL, some]) {
        let mut message = said(chosen);
        let windows = message["aggregate_data"].as_array_mut().unwrap();
        for (window, all) in windows.iter_mut().zip(all["aggregate_data"].as_array().unwrap()) {
            let window = window.as_object_mut().unwrap();
            for (place, field) in EXTENDED.iter().enumerate() {
                let expected = chosen.has(place).then(|| &all[field.name]);
                assert_eq!(window.remove(field.name).as_ref(), expected, "{}", field.name);
            }
        }
        assert_eq!(message, standard);
    }
}

fn a_price() -> impl Strategy<Value = Price> {
    (0..10_u128.pow(28), any::<u8>())
        .prop_map(|(mantissa, scale)| Price::from_parts(mantissa, scale).unwrap())
}

fn pane() -> impl Strategy<Value = (Pane, Option<ExtendedPane>)> {
    let counts = prop_oneof![Just((1, 0)), Just((0, 2)), (1..9_u64, 1..9_u64)];
    let visits = prop::collection::vec((any::<u64>(), 1..4_u8), 0..6);
    let own = (0..=i128::MAX, prop::option::of(0..=i128::MAX), visits, any::<bool>());
    (counts, 0..=i128::MAX, prop::collection::vec(a_price(), 4), prop::option::of(own), 0..3_u8)
        .prop_map(|((sells, buys), usd, prices, own, kind)| {
            let flow = |count| Flow { count, volume: 0 };
            let mark = |price| Mark { nanos: 0, position: Position::default(), price };
            let sums = Sums { sell: flow(sells), buy: flow(buys), usd };
            let (first, last) = (mark(prices[0]), mark(prices[1]));
            let extended = own.map(|(buy_usd, tokens, visits, uncounted)| ExtendedPane {
                trades: sells + buys,
                usd: Amount::from_units(usd),
                buy_usd: Amount::from_units(if kind == 0 { usd } else { buy_usd.min(usd) }),
                token_volume: tokens.map(Amount::from_units),
                high: if kind == 1 { prices[0] } else { prices[2] },
                low: if kind == 1 { prices[1] } else { prices[3] },
                visits: visits
                    .iter()
                    .map(|(hash, sides)| {
                        Seen::new(WalletHash::from_bits(*hash), Sides::from_bits(*sides))
                    })
                    .collect(),
                uncounted,
                unknown: false,
            });
            (Pane { sums, first, last }, extended)
        })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_024,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_a_checkpoint_holds_of_extended_figures_comes_back(
        panes in prop::collection::vec(pane(), 0..9),
        cut: prop::sample::Index,
    ) {
        let mut entry = Writer::new([].into_iter(), END, END, 0, 0);
        for (pane, extended) in &panes {
            entry.put("t", END, pane, extended.as_ref());
        }
        let mut bytes = entry.finish();
        let any = panes.iter().any(|(_, extended)| extended.is_some());
        prop_assert_eq!(bytes[0], if any { NEWEST } else { VERSION });
        let mut read = Vec::new();
        let decoded = decode(&bytes, |at| {
            read.push((at.pane, at.extended.map(|it| it.pane(&at.pane.sums))));
        });
        prop_assert!(decoded.is_ok());
        prop_assert_eq!(read, panes);
        // Any part of it with a right checksum is an entry or an error.
        bytes.truncate(1 + cut.index(bytes.len() - 4));
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        drop(decode(&bytes, |_| ()));
    }
}

#[test]
fn what_is_unknown_is_not_written_and_the_entry_stays_one_for_older_programs() {
    let mark = Mark { nanos: 0, position: Position::default(), price: Price::ZERO };
    let pane = Pane { sums: Sums::default(), first: mark, last: mark };
    let mut entry = Writer::new([].into_iter(), END, END, 0, 0);
    entry.put("t", END, &pane, Some(&ExtendedPane::unknown(0, Amount::ZERO)));
    assert_eq!(entry.finish()[0], VERSION);
}
