//! A record's value, read: one trade object or an array of them, each element a trade or a
//! rejection with its reason. One bad element never costs its neighbours; a value that is not
//! JSON to its last byte gives nothing but that rejection.

use serde_json::value::RawValue;

use crate::domain::reject::Reason;
use crate::domain::time::EventTime;
use crate::domain::trade::Trade;

use super::trade_fields::{Rejection, Shown, element};

/// One thing that stands in a record's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// A trade that keeps every rule.
    Trade {
        /// Place in the record's array; 0 for a single object.
        index: u32,
        /// The element as it stands in the value.
        bytes: &'a [u8],
        /// What it says.
        trade: Trade<'a>,
    },
    /// Anything else.
    Rejected {
        /// Place in the record's array; `None` where it is no element of one.
        index: Option<u32>,
        /// The element as it stands in the value, or the whole value.
        bytes: &'a [u8],
        /// Why, for headers and metrics.
        reason: Reason,
        /// Field, value and what was expected, for people.
        message: String,
    },
}

/// Hands every element of `value` to `each`, in order. A trade after `latest` is rejected.
pub fn decode(value: &[u8], latest: Option<EventTime>, each: &mut impl FnMut(Element<'_>)) {
    match parse(value) {
        Ok(Parsed::Array(elements)) => {
            for (index, raw) in (0_u32..).zip(elements) {
                let bytes = raw.get().as_bytes();
                hand_over(raw.get(), bytes, Some(index), latest, each);
            }
        }
        Ok(Parsed::Single(raw)) => hand_over(raw.get(), value, None, latest, each),
        Err(cause) => {
            let start = value.get(..SHOWN_BYTES).unwrap_or(value);
            let text = String::from_utf8_lossy(start);
            each(Element::Rejected {
                index: None,
                bytes: value,
                reason: Reason::NotJson,
                message: format!("value: expected JSON, found {} ({cause})", Shown(&text)),
            });
        }
    }
}

/// More bytes of a value than are ever shown.
const SHOWN_BYTES: usize = 512;

enum Parsed<'a> {
    Single(&'a RawValue),
    Array(Vec<&'a RawValue>),
}

fn parse(value: &[u8]) -> Result<Parsed<'_>, String> {
    let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
    let parsed = if text.trim_ascii_start().starts_with('[') {
        serde_json::from_str(text).map(Parsed::Array)
    } else {
        serde_json::from_str(text).map(Parsed::Single)
    };
    parsed.map_err(|error| error.to_string())
}

fn hand_over(
    json: &str,
    bytes: &[u8],
    index: Option<u32>,
    latest: Option<EventTime>,
    each: &mut impl FnMut(Element<'_>),
) {
    let mut token = String::new();
    each(match element(json, latest, &mut token) {
        Ok(trade) => Element::Trade { index: index.unwrap_or(0), bytes, trade },
        Err(Rejection { reason, message }) => Element::Rejected { index, bytes, reason, message },
    });
}
