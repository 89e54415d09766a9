//! Records as large as they come: made of what the model knows, so that they are judged like all.

use std::collections::BTreeMap;

use crate::workload::{Bad, Element, Planned, token};
use support::oracle::Told;

/// One trade with a field of so many bytes beside it.
pub(crate) fn padded(at: i64, bytes: usize) -> Planned {
    let told = told(0, at);
    let mut json = told.json();
    json["Pool"] = "x".repeat(bytes).into();
    planned(json.to_string(), vec![Element::Trade(told)])
}

/// An array of so many elements, every fifth of them bad.
pub(crate) fn many(at: i64, count: usize) -> Planned {
    let elements: Vec<_> = (0..count).map(|place| element(place, at)).collect();
    let (texts, elements): (Vec<_>, Vec<_>) = elements.into_iter().unzip();
    planned(format!("[{}]", texts.join(",")), elements)
}

fn element(place: usize, at: i64) -> (String, Element) {
    if place % 5 == 3 {
        let json = place.to_string();
        let bytes = json.clone().into_bytes();
        return (json, Element::Bad(Bad { bytes, reason: "not_a_trade", whole: false }));
    }
    let told = told(place, at);
    (told.json().to_string(), Element::Trade(told))
}

fn told(place: usize, at: i64) -> Told {
    Told {
        token: token(place % 500),
        buy: place.is_multiple_of(3),
        native: format!("{place}.25"),
        amount: "1".to_owned(),
        price: format!("0.{}", place + 1),
        at_ns: i128::from(at) * 1_000_000_000,
        position: (0, 0, 0),
    }
}

fn planned(value: String, elements: Vec<Element>) -> Planned {
    Planned { key: None, value: Some(value.into_bytes()), headers: BTreeMap::new(), elements }
}
