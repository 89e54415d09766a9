//! The scanner for usual values: it takes what producers write, and whatever it takes is exactly
//! what the general reader says.

use aggregator_service::domain::cover::Cover;
use aggregator_service::domain::time::{EventTime, Second};
use aggregator_service::domain::token::{ShardId, Shards, TokenHash};
use aggregator_service::domain::trade::Trade;
use aggregator_service::wire::trade::{Element, Elements};
use aggregator_service::wire::trade_scan::Scanner;
use proptest::prelude::*;

use crate::VALID;
use support::harness::fields::NAMES;

/// 2025-01-08T10:35:00.5Z.
const LATEST: EventTime = EventTime { second: Second(1_736_332_500), nanos: 500_000_000 };

/// Whether `scanner` takes the value. Panics where it takes it for something else than the general
/// reader does: trades, places and bytes. Of two members that share the shards each takes it too.
fn takes(scanner: &mut Scanner, value: &[u8]) -> bool {
    let taken = takes_of(scanner, value, None, false);
    assert_eq!(taken, takes_of(scanner, value, None, true), "{}", String::from_utf8_lossy(value));
    for member in 0..2 {
        let half = Cover::of(
            Shards::DEFAULT,
            (0..Shards::DEFAULT.count()).filter(|id| id % 2 == member).map(ShardId),
        );
        let taken_of_half = takes_of(scanner, value, Some(&half), member == 0);
        assert!(taken_of_half || !taken, "{}", String::from_utf8_lossy(value));
    }
    taken
}

/// As `takes`, of wanted shards alone: what the others' tokens say is not looked at. `extended`:
/// with wallets and quantities.
fn takes_of(scanner: &mut Scanner, value: &[u8], wanted: Option<&Cover>, extended: bool) -> bool {
    *scanner = scanner.clone().extended(extended);
    let mut scanned: Vec<(u32, &[u8], Trade<'_>)> = Vec::new();
    let taken = scanner.scan(value, Some(LATEST), wanted, &mut |index, bytes, trade| {
        scanned.push((index, bytes, trade));
    });
    if taken {
        let is_wanted =
            |hash: TokenHash| wanted.is_none_or(|cover| cover.contains(Shards::DEFAULT.of(hash)));
        let mut scanned = scanned.into_iter();
        assert!(scanned.clone().all(|(_, _, trade)| trade.more.is_some() == extended));
        let mut elements = Elements::of(value, Some(LATEST)).extended(extended);
        let mut each = |element: Element<'_>| match element {
            Element::Trade { trade, .. } if !is_wanted(trade.hash) => {}
            Element::Rejected { hash: Some(hash), .. } if !is_wanted(hash) => {}
            Element::Trade { index, bytes, trade } => {
                let (place, element, found) = scanned.next().expect("as many trades");
                assert_eq!((place, found), (index, trade));
                assert_eq!(element.as_ptr_range(), bytes.as_ptr_range());
            }
            Element::Rejected { .. } => {
                panic!("{}: taken, and {element:?}", String::from_utf8_lossy(value))
            }
        };
        while let Some(element) = elements.read_next(None) {
            element.map(&mut each);
        }
        assert_eq!(scanned.next(), None, "no more trades");
    }
    taken
}

fn usual(value: impl AsRef<[u8]>) -> bool {
    takes(&mut Scanner::new(), value.as_ref())
}

/// A trade whose fields stand in this order, each with its JSON.
pub(crate) fn object(
    order: &[usize],
    spelling: usize,
    values: &[String],
    between: [&str; 2],
) -> String {
    let [comma, colon] = between;
    let field = |&field: &usize| format!("\"{}\"{colon}{}", NAMES[field][spelling], values[field]);
    format!("{{{}}}", order.iter().map(field).collect::<Vec<_>>().join(comma))
}

fn decimal() -> impl Strategy<Value = String> {
    let plain = "(0|[1-9][0-9]{0,5})(\\.[0-9]{1,30})?";
    prop_oneof![
        plain.prop_map(|text| format!("\"{text}\"")),
        plain,
        "[1-9](\\.[0-9]{1,17})?[eE](-[0-9]{1,2}|[+]?[0-3])",
        "\"[0-9](\\.[0-9]{1,17})?e-[1-9]\"",
    ]
}

fn moment() -> impl Strategy<Value = String> {
    let zone = "(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])";
    let zone = proptest::string::string_regex(zone).expect("a pattern");
    (
        "20(0[0-9]|1[0-9]|2[0-4])-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])",
        0..24,
        0..60,
        0..60,
        "(\\.[0-9]{1,12})?",
        zone,
    )
        .prop_map(|(date, hour, minute, second, fraction, zone)| {
            format!("\"{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}\"")
        })
}

pub(crate) fn values() -> impl Strategy<Value = Vec<String>> {
    let address = || {
        prop_oneof!["[1-9A-HJ-NP-Za-km-z]{32,44}", "0x[0-9a-f]{40}", "[ -!#-\\[\\]-~é-я]{1,40}",]
            .prop_map(|text| format!("\"{text}\""))
    };
    let side =
        prop::sample::select(vec!["buy", "sell", "BUY", "Sell", "buy_exact_sol_in", "sell_"])
            .prop_map(|side| format!("\"{side}\""));
    let hash = "[0-9a-f]{1,90}".prop_map(|text| format!("\"{text}\""));
    (address(), address(), side, decimal(), decimal(), decimal(), moment(), hash)
        .prop_map(|(a, b, c, d, e, f, g, h)| vec![a, b, c, d, e, f, g, h])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_048,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn usual_values_are_taken_in_any_order_of_fields(
        orders in prop::collection::vec(Just((0..8).collect::<Vec<_>>()).prop_shuffle(), 1..3),
        trades in prop::collection::vec((values(), 0..2_usize, 0..2_usize), 0..6),
        between in prop::sample::select(vec![[",", ":"], [", ", ": "], ["\n\t,\r\n", ":\t"]]),
    ) {
        let objects: Vec<_> = trades
            .iter()
            .map(|(values, spelling, order)| {
                object(&orders[order % orders.len()], *spelling, values, between)
            })
            .collect();
        let mut scanner = Scanner::new();
        let array = format!("[{}]", objects.join(between[0]));
        prop_assert!(takes(&mut scanner, array.as_bytes()), "{array}");
        let array = format!(" [\n{}\t] \r\n", objects.join(" , "));
        prop_assert!(takes(&mut scanner, array.as_bytes()), "{array}");
        for object in &objects {
            prop_assert!(takes(&mut scanner, object.as_bytes()), "{object}");
            prop_assert!(takes(&mut scanner, format!(" {object}\n").as_bytes()), "{object}");
        }
    }

    #[test]
    fn what_is_taken_of_spoilt_values_is_what_they_say(
        trades in prop::collection::vec((values(), 0..2_usize), 1..4),
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
        cut: prop::sample::Index,
    ) {
        let order: Vec<_> = (0..8).collect();
        let objects: Vec<_> = trades
            .iter()
            .map(|(values, spelling)| object(&order, *spelling, values, [",", ":"]))
            .collect();
        let mut value = format!("[{}]", objects.join(",")).into_bytes();
        prop_assert!(!usual(&value[..cut.index(value.len())]));
        for (place, byte) in spoilt {
            let place = place.index(value.len());
            value[place] = byte;
        }
        usual(&value);
        usual(&value[..value.len() - 1]);
    }
}

/// Each place of a value in turn: another byte, a byte more, a byte less.
#[test]
fn no_single_byte_makes_a_scan_differ_from_the_general_reader() {
    const BYTES: &[u8] = b"\0\t\n\x1f !\"'+,-./0159:;AEZ[\\]_`bentuyz{|}~\x7f\x80\xbf\xc3\xe2\xff";
    let numbers = concat!(
        r#"{"token":"0xAé","wallet":"w","sell_buy":"sell_x","native_amount":1.5e-8,"#,
        r#""token_amount":0.120,"price_usd":20,"trans_time":"2024-02-29T23:59:59.25+01:30","#,
        r#""tx_hash":"t"}"#
    );
    let single = format!("{{{VALID}}}");
    for value in [&*single, &format!("[{single},{numbers}]"), &format!(" [ {numbers} ]\n")] {
        assert!(usual(value));
        let mut scanner = Scanner::new();
        for place in 0..value.len() {
            let (before, behind) = value.as_bytes().split_at(place);
            takes(&mut scanner, &[before, &behind[1..]].concat());
            takes(&mut scanner, before);
            for &byte in BYTES {
                takes(&mut scanner, &[before, &[byte], &behind[1..]].concat());
                takes(&mut scanner, &[before, &[byte], behind].concat());
            }
        }
    }
}

#[test]
fn what_only_the_general_reader_knows_is_left_to_it() {
    for value in [
        "",
        " ",
        "null",
        "{}",
        "[null]",
        "[{}]",
        "[[]]",
        "[],",
        "[ ",
        &format!("{{{VALID},\"Pool\":1}}"),
        &format!("{{{VALID},\"Token\":\"So2\"}}"),
        &format!("{{{VALID}}}{{{VALID}}}"),
        &format!("[{{{VALID}}},]"),
        &format!("[{{{VALID}}} {{{VALID}}}]"),
        &format!("{{{}}}", VALID.replace("So1", "S\\u006f1")),
        &format!("{{{}}}", VALID.replace("\"Token\"", "\"T\\u006fken\"")),
        &format!("{{{}}}", VALID.replace("\"So1\"", "null")),
        &format!("{{{}}}", VALID.replace("\"So1\"", "\"\"")),
        &format!("{{{}}}", VALID.replace("So1", &"s".repeat(129))),
        &format!("{{{}}}", VALID.replace("\"1.5\"", "-0")),
        &format!("{{{}}}", VALID.replace("\"1.5\"", "01")),
        &format!("{{{}}}", VALID.replace("\"1.5\"", "1.")),
        &format!("{{{}}}", VALID.replace("\"1.5\"", "\"1e16\"")),
        &format!("{{{}}}", VALID.replace("10:30:00Z", "10:35:01Z")),
    ] {
        assert!(!usual(value), "{value}");
    }
}
