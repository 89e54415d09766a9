//! A record's value, read: one trade object or an array of them, each element a trade or a
//! rejection with its reason. One bad element never costs its neighbours; a value that is not
//! JSON to its last byte gives nothing but that rejection.

use std::iter::Zip;
use std::ops::RangeFrom;
use std::vec::IntoIter;

use serde_json::value::RawValue;

use crate::domain::cover::Cover;
use crate::domain::reject::Reason;
use crate::domain::time::EventTime;
use crate::domain::token::TokenHash;
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
        /// Its token's hash, if that much could be read.
        hash: Option<TokenHash>,
        /// Why, for headers and metrics.
        reason: Reason,
        /// Field, value and what was expected, for people.
        message: String,
    },
}

/// The elements of a value, read one after the other.
#[derive(Debug)]
pub struct Elements<'a> {
    value: &'a [u8],
    latest: Option<EventTime>,
    extended: bool,
    rest: Rest<'a>,
    /// Where a token with escapes is written out.
    token: String,
}

#[derive(Debug)]
enum Rest<'a> {
    Array(Zip<RangeFrom<u32>, IntoIter<&'a RawValue>>),
    Single(&'a RawValue),
    NotJson(String),
    Nothing,
}

/// Hands every element of `value` to `each`, in order. A trade after `latest` is rejected.
pub fn decode(value: &[u8], latest: Option<EventTime>, each: &mut impl FnMut(Element<'_>)) {
    let mut elements = Elements::of(value, latest);
    while let Some(element) = elements.read_next(None) {
        element.map(&mut *each);
    }
}

impl<'a> Elements<'a> {
    /// The elements of `value`, in order. A trade after `latest` is rejected.
    #[must_use]
    pub fn of(value: &'a [u8], latest: Option<EventTime>) -> Self {
        Self {
            value,
            latest,
            extended: false,
            rest: parse(value).unwrap_or_else(Rest::NotJson),
            token: String::new(),
        }
    }

    /// Whether trades come with what the extended figures need.
    #[must_use]
    pub const fn extended(mut self, extended: bool) -> Self {
        self.extended = extended;
        self
    }

    /// The next one; nothing where it has a token of a shard that is not `wanted`, whatever else it
    /// says.
    pub fn read_next(&mut self, wanted: Option<&Cover>) -> Option<Option<Element<'_>>> {
        if let Rest::Array(elements) = &mut self.rest {
            let (index, raw) = elements.next()?;
            return Some(self.read(raw, raw.get().as_bytes(), Some(index), wanted));
        }
        match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::Single(raw) => Some(self.read(raw, self.value, None, wanted)),
            Rest::NotJson(cause) => Some(Some(self.not_json(&cause))),
            Rest::Array(_) | Rest::Nothing => None,
        }
    }

    fn read<'s>(
        &'s mut self,
        raw: &'s RawValue,
        bytes: &'s [u8],
        index: Option<u32>,
        wanted: Option<&Cover>,
    ) -> Option<Element<'s>> {
        let how = (self.latest, self.extended);
        match element(raw.get(), how, wanted, &mut self.token) {
            Ok(trade) => {
                trade.map(|trade| Element::Trade { index: index.unwrap_or(0), bytes, trade })
            }
            Err(Rejection { reason, message, hash }) => {
                Some(Element::Rejected { index, bytes, hash, reason, message })
            }
        }
    }

    fn not_json(&self, cause: &str) -> Element<'a> {
        let start = self.value.get(..SHOWN_BYTES).unwrap_or(self.value);
        let text = String::from_utf8_lossy(start);
        Element::Rejected {
            index: None,
            bytes: self.value,
            hash: None,
            reason: Reason::NotJson,
            message: format!("value: expected JSON, found {} ({cause})", Shown(&text)),
        }
    }
}

/// More bytes of a value than are ever shown.
const SHOWN_BYTES: usize = 512;

fn parse(value: &[u8]) -> Result<Rest<'_>, String> {
    let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
    let parsed = if text.trim_ascii_start().starts_with('[') {
        serde_json::from_str(text).map(|list: Vec<_>| Rest::Array((0..).zip(list)))
    } else {
        serde_json::from_str(text).map(Rest::Single)
    };
    parsed.map_err(|error| error.to_string())
}
