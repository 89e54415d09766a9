//! Record values: every rule of the contract's table in a golden file, and the law that an array
//! says what each of its elements says alone.

use std::fmt::Write;

use aggregator_service::domain::reject::Reason;
use aggregator_service::domain::time::{EventTime, Second};
use aggregator_service::wire::trade::{Element, decode};
use proptest::prelude::*;

use crate::{VALID, assert_golden};

/// 2025-01-08T10:35:00.5Z.
const LATEST: EventTime = EventTime { second: Second(1_736_332_500), nanos: 500_000_000 };

fn elements(value: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    decode(value, Some(LATEST), &mut |element| lines.push(line(&element)));
    lines
}

fn line(element: &Element<'_>) -> String {
    match element {
        Element::Trade { index, trade, .. } => format!(
            "{index} {:?} {:?} native {} usd {} price {} at {}+{}",
            trade.token,
            trade.side,
            trade.native,
            trade.usd,
            trade.price,
            trade.at.second.0,
            trade.at.nanos
        ),
        Element::Rejected { index, bytes, reason, message, .. } => {
            let index = index.map_or("-".to_owned(), |index| index.to_string());
            let bytes = String::from_utf8_lossy(bytes).replace(VALID, "$");
            format!("{index} {reason} | {bytes} | {message}")
        }
    }
}

/// Lines that begin with `>` are values, what follows each is what it says.
#[test]
fn values_say_what_the_golden_file_says() {
    let golden = include_str!("../golden/trades.txt");
    let mut made = String::new();
    for line in golden.lines().filter(|line| line.starts_with(['>', '#'])) {
        writeln!(made, "{line}").expect("memory");
        if let Some(value) = line.strip_prefix("> ") {
            for element in elements(value.replace('$', VALID).as_bytes()) {
                writeln!(made, "    {element}").expect("memory");
            }
        }
    }
    assert_golden("trades.txt", made.as_bytes());
}

#[test]
fn the_golden_file_shows_every_reason_that_a_value_can_have_twice() {
    let golden = include_str!("../golden/trades.txt");
    for reason in Reason::ALL {
        let shown = golden.matches(&format!(" {reason} | ")).count();
        let made_elsewhere =
            matches!(reason, Reason::TooLarge | Reason::Capacity | Reason::UnreadableBatch);
        assert!(shown >= 2 || made_elsewhere, "{reason}: {shown}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_rejected_whole() {
    let value = [b"[{".as_slice(), VALID.as_bytes(), b"},\"\xff\"]"].concat();
    let mut seen = Vec::new();
    decode(&value, None, &mut |element| match element {
        Element::Rejected { index, bytes, reason, .. } => {
            seen.push((index, bytes.to_vec(), reason))
        }
        Element::Trade { .. } => panic!("a trade"),
    });
    assert_eq!(seen, [(None, value, Reason::NotJson)]);
}

#[test]
fn every_element_comes_with_its_own_bytes() {
    let good = format!("{{{VALID}}}");
    let bad = "{ \"Token\" : 5,\t\"é\":[1, {}] }";
    let value = format!(" [ {good} ,\n{bad},{good}] ");
    let mut seen = Vec::new();
    decode(value.as_bytes(), None, &mut |element| match element {
        Element::Trade { index, bytes, .. } => seen.push((Some(index), bytes.to_vec())),
        Element::Rejected { index, bytes, .. } => seen.push((index, bytes.to_vec())),
    });
    let expected = [&*good, bad, &*good].map(|bytes| bytes.as_bytes().to_vec());
    assert_eq!(seen, (0..).map(Some).zip(expected).collect::<Vec<_>>());
}

#[test]
fn a_trade_is_in_the_future_from_one_nanosecond_on() {
    let at = |fraction: &str| {
        let time = format!("{{{VALID},\"TransTime\":\"2025-01-08T10:35:00.{fraction}Z\"}}");
        elements(time.as_bytes()).remove(0)
    };
    assert!(at("500000000").starts_with("0 \"So1\""));
    assert!(at("500000001").starts_with("- future"));
}

fn field() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "Token",
        "token",
        "Wallet",
        "SellBuy",
        "sell_buy",
        "NativeAmount",
        "TokenAmount",
        "PriceUsd",
        "price_usd",
        "TransTime",
        "TxHash",
        "Other",
        "\\u0054oken",
        "\\ud800",
    ]);
    let values = prop_oneof![
        prop::sample::select(vec![
            "null",
            "\"\"",
            "true",
            "[[]]",
            "{\"a\":{}}",
            "\"sell\"",
            "\"BUY_x\"",
            "\"\\u0041\"",
            "\"\\udfff\"",
            "\"2025-01-08T10:30:00+01:00\"",
            "\"2026-01-08T10:30:00Z\"",
            "-0",
        ])
        .prop_map(str::to_owned),
        "[1-9][0-9]{0,18}(\\.[0-9]{1,20})?(e-?[1-9])?",
        "\"[0-9]{1,3}\\.[0-9]{1,3}\"",
    ];
    (names, values).prop_map(|(name, value)| format!("\"{name}\":{value}"))
}

fn element() -> impl Strategy<Value = String> {
    let fields = |most| prop::collection::vec(field(), 0..most);
    let others = vec!["null", "5", "\"x\"", "[]", "[{}]", "{}"];
    prop_oneof![
        4 => fields(4).prop_map(|fields| {
            let valid = std::iter::once(VALID.to_owned());
            format!("{{{}}}", valid.chain(fields).collect::<Vec<_>>().join(","))
        }),
        1 => fields(9).prop_map(|fields| format!("{{{}}}", fields.join(" , "))),
        1 => prop::sample::select(others).prop_map(str::to_owned),
    ]
}

/// What an array of this one element says, without the index.
fn alone(json: &str) -> String {
    let said = elements(format!("[{json}]").as_bytes());
    assert_eq!(said.len(), 1);
    said[0].strip_prefix("0 ").expect("its index").to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_024,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_array_says_what_each_of_its_elements_says_alone(
        list in prop::collection::vec(element(), 0..9)
    ) {
        let together = elements(format!("[{}]", list.join(",")).as_bytes());
        let said = |(index, json): (usize, &String)| format!("{index} {}", alone(json));
        prop_assert_eq!(together, list.iter().enumerate().map(said).collect::<Vec<_>>());
    }

    #[test]
    fn an_object_says_what_an_array_of_it_says(json in element()) {
        prop_assume!(json.starts_with('{'));
        let said = elements(json.as_bytes());
        prop_assert_eq!(said.len(), 1);
        prop_assert!(said[0].starts_with(['0', '-']));
        prop_assert_eq!(&said[0][2..], alone(&json));
    }

    #[test]
    fn no_bytes_make_decoding_panic(
        bytes: Vec<u8>,
        list in prop::collection::vec(element(), 1..4),
        place: prop::sample::Index,
        byte: u8,
    ) {
        elements(&bytes);
        let mut value = format!("[{}]", list.join(",")).into_bytes();
        let place = place.index(value.len());
        elements(&value[..place]);
        value[place] = byte;
        let said = elements(&value);
        let whole = |line: &String| line.starts_with("- not_json");
        prop_assert!(said.len() == 1 || !said.iter().any(whole));
    }
}
