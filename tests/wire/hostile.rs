//! Values made to hurt: what they cost is bounded by their length.

use std::fmt::Write;

use aggregator_service::domain::reject::Reason;
use aggregator_service::wire::trade::{Element, decode};

use crate::VALID;

const DEPTH: usize = 100_000;

/// How many trades, and the reasons of the others with the longest message's length.
fn outcome(value: &str) -> (usize, Vec<Reason>, usize) {
    let (mut trades, mut reasons, mut longest) = (0, Vec::new(), 0);
    decode(value.as_bytes(), None, &mut |element| match element {
        Element::Trade { .. } => trades += 1,
        Element::Rejected { reason, message, .. } => {
            reasons.push(reason);
            longest = longest.max(message.len());
        }
    });
    (trades, reasons, longest)
}

fn nested(open: &str, close: &str) -> String {
    [open.repeat(DEPTH), close.repeat(DEPTH)].concat()
}

#[test]
fn an_unknown_field_may_be_nested_as_deep_as_it_likes() {
    let arrays = nested("[", "]");
    let objects = nested("{\"a\":[", "]}");
    let value = format!("{{{VALID},\"x\":{arrays},\"y\":{objects}}}");
    assert_eq!(outcome(&value), (1, vec![], 0));
}

#[test]
fn nesting_where_a_trade_or_a_field_should_be_is_rejected_alone() {
    let arrays = nested("[", "]");
    let value = format!("[{arrays},{{{VALID},\"Token\":{arrays}}},{{{VALID}}}]");
    let (trades, reasons, longest) = outcome(&value);
    assert_eq!(trades, 1);
    assert_eq!(reasons, [Reason::NotATrade, Reason::InvalidToken]);
    assert!(longest < 300);
}

#[test]
fn nesting_that_never_closes_is_no_json() {
    assert_eq!(outcome(&"[".repeat(DEPTH)).1, [Reason::NotJson]);
    assert_eq!(outcome(&"{\"a\":".repeat(DEPTH)).1, [Reason::NotJson]);
}

#[test]
fn numbers_of_ten_thousand_digits_are_read_or_named() {
    let digits = "7".repeat(10_000);
    let value = format!(
        "[{{{VALID},\"NativeAmount\":0.{digits}}},{{{VALID},\"NativeAmount\":{digits}}},\
         {{{VALID},\"PriceUsd\":\"1e-{digits}\"}},{{{VALID},\"PriceUsd\":1e{digits}}}]"
    );
    let (trades, reasons, longest) = outcome(&value);
    assert_eq!((trades, reasons), (1, vec![Reason::OutOfRange; 3]));
    assert!(longest < 300);
}

#[test]
fn eight_megabytes_in_one_string_are_one_trade() {
    let value = format!("{{{VALID},\"x\":\"{}\"}}", "é\\n".repeat(2_000_000));
    assert_eq!(outcome(&value), (1, vec![], 0));
    let value = format!("{{{VALID},\"Token\":\"{}\"}}", "x".repeat(8_000_000));
    let (trades, reasons, longest) = outcome(&value);
    assert_eq!((trades, reasons), (0, vec![Reason::InvalidToken]));
    assert!(longest < 300);
}

#[test]
fn an_array_of_a_hundred_thousand_elements_keeps_its_places() {
    let mut value = String::from("[");
    for place in 0..100_000 {
        let side = if place % 10 == 3 { "hold" } else { "sell_x" };
        write!(value, "{{{VALID},\"SellBuy\":\"{side}\"}},").expect("memory");
    }
    value.push_str("0]");
    let mut next = 0;
    decode(value.as_bytes(), None, &mut |element| {
        let (place, trade) = match element {
            Element::Trade { index, .. } => (index, true),
            Element::Rejected { index, .. } => (index.expect("a place"), false),
        };
        assert_eq!(place, next);
        assert_eq!(trade, place % 10 != 3 && place < 100_000);
        next += 1;
    });
    assert_eq!(next, 100_001);
}
