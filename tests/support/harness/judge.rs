//! The judge: knows the log and what came out, nothing of how.
//!
//! - Each message is what a neighbour of the service may rely on: key, headers, partition, times.
//! - No message ever counts more than the log holds, nor less than it held when the process
//!   started that sent it.
//! - Once the load is over, every whole tick has exactly the expected messages, with the oracle's
//!   figures in every field.
//! - Dead letters are the bad ones, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use aggregator_service::domain::token::TokenHash;
use rskafka::record::Record;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::model::{Model, Place};
use super::topic::{PARTITIONS, Stored};
use super::workload::Bad;
use crate::oracle;

/// A process that published: since when, and where the log ended then.
#[derive(Clone, Debug)]
pub struct Life {
    pub since_ms: i64,
    pub ends: Vec<i64>,
}

/// A message, read.
#[derive(Debug)]
pub struct Said {
    pub token: String,
    pub end: i64,
    pub at_ms: i64,
    pub bytes: usize,
    pub data: Value,
}

impl Said {
    /// Trades in the longest window.
    pub fn trades(&self) -> u64 {
        let items = self.data.as_array().unwrap().iter();
        items.filter_map(|item| item["total_trades"].as_u64()).max().unwrap()
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub messages: usize,
    /// Ticks of which every message was compared in every field.
    pub whole_ticks: usize,
}

/// Reads a message, and checks all that does not depend on trades.
pub fn said(stored: &Stored, interval: i64) -> Said {
    let Record { key, value, headers, .. } = &stored.record;
    let value = value.as_deref().expect("a value");
    let mut message: Value = serde_json::from_slice(value).unwrap();
    let data = message["aggregate_data"].take();
    let token = message["token"].as_str().unwrap().to_owned();
    assert_eq!(key.as_deref(), Some(token.as_bytes()), "the key is the token");
    let expected = [("content-type", "application/json"), ("token", &token), ("version", "1.0")];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
    assert_eq!(headers, expected.map(|(name, value)| (name, value.as_bytes())));
    let partition = TokenHash::of(&token).partition(PARTITIONS.cast_unsigned());
    assert_eq!(stored.partition, partition.cast_signed(), "Kafka's own partition of {token}");
    let names: BTreeSet<_> = message.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["aggregate_data", "generated_at", "name", "symbol", "token", "version"];
    assert_eq!(names, expected.into());
    assert_eq!(message["version"], "1.0");
    let generated_at = second(&message["generated_at"]);
    assert_eq!(generated_at, stored.timestamp_ms.div_euclid(1_000), "stamped when generated");
    let end = second(&data[0]["timestamp"]);
    assert!(end <= generated_at && end % interval == 0, "at multiples of the interval: {end}");
    Said { token, end, at_ms: stored.timestamp_ms, bytes: value.len(), data }
}

/// Judges all messages; `quiet` is the first tick's second by which the whole load was counted.
pub fn messages(model: &Model<'_>, said: &[Said], lives: &[Life], quiet: i64) -> Verdict {
    let mut by_life: BTreeMap<usize, BTreeMap<i64, Vec<&Said>>> = BTreeMap::new();
    for one in said {
        let life = lives.partition_point(|life| life.since_ms <= one.at_ms) - 1;
        bounds(model, one, &lives[life].ends);
        by_life.entry(life).or_default().entry(one.end).or_default().push(one);
    }
    let mut whole_ticks = 0;
    for ticks in by_life.values() {
        let ends: Vec<_> = ticks.keys().copied().collect();
        // A life's first and last tick may be of one worker alone.
        for of in ends.windows(3).filter(|of| of[1] >= quiet) {
            tick(model, &ticks[&of[1]], of[0], of[1]);
            whole_ticks += 1;
        }
    }
    Verdict { messages: said.len(), whole_ticks }
}

fn bounds(model: &Model<'_>, said: &Said, ends: &[i64]) {
    let most = model.counts(&said.token, said.end, None);
    let least = model.counts(&said.token, said.end, Some(ends));
    for (item, (least, most)) in said.data.as_array().unwrap().iter().zip(least.iter().zip(most)) {
        let trades = item["total_trades"].as_u64().unwrap();
        assert!(
            (*least..=most).contains(&trades),
            "{} at {}: {trades} trades, not {least} to {most}, in {item}",
            said.token,
            said.end,
        );
    }
}

/// Each active token once, and once more each that was active at the tick before.
fn tick(model: &Model<'_>, said: &[&Said], before: i64, end: i64) {
    let expected: BTreeSet<_> = model.active(before).union(&model.active(end)).copied().collect();
    let found: BTreeSet<_> = said.iter().map(|one| one.token.as_str()).collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty(), "no message at {end} of {} tokens: {missing:?}", missing.len());
    assert!(surplus.is_empty(), "messages at {end} of silent tokens {surplus:?}");
    assert_eq!(said.len(), found.len(), "one message of each token at {end}");
    for one in said {
        let expected = model.windows(&one.token, end);
        let same = oracle::same(&one.data, &expected);
        assert!(same, "{} at {end}:\n{}\nis not\n{expected}", one.token, one.data);
    }
}

/// How many messages came more than once: each time with the same snapshot.
pub fn doubled(said: &[Said]) -> usize {
    let mut first: BTreeMap<(&str, i64), &Said> = BTreeMap::new();
    let again = said.iter().filter(|one| {
        let known = first.entry((&one.token, one.end)).or_insert(one);
        assert_eq!(known.data, one.data, "one snapshot of {} at {}", one.token, one.end);
        !std::ptr::eq(*known, *one)
    });
    again.count()
}

/// Judges the dead letters of `topic`: each bad element has one; more than one only after a crash.
pub fn dead_letters(model: &Model<'_>, topic: &str, letters: &[Stored], crashed: bool) {
    let mut found: BTreeSet<Place> = BTreeSet::new();
    for letter in letters {
        let place = place(&letter.record);
        let rejected = model.rejected.get(&place);
        let rejected = rejected.unwrap_or_else(|| panic!("nothing bad at {place:?}"));
        assert!(found.insert(place) || crashed, "two dead letters of {place:?}");
        dead_letter(&letter.record, topic, rejected.bad, rejected.stored);
    }
    let missing: Vec<_> = model.rejected.keys().filter(|place| !found.contains(place)).collect();
    assert!(missing.is_empty(), "no dead letters of {missing:?}");
}

/// Judges one dead letter of a bad thing in a record of `topic`.
pub fn dead_letter(letter: &Record, topic: &str, bad: &Bad, stored: &Stored) {
    let place = place(letter);
    let original = &stored.record;
    assert_eq!(letter.value.as_ref(), Some(&bad.bytes), "at {place:?}");
    assert_eq!(letter.key, original.key);
    assert_eq!(header(letter, "topic"), Some(topic));
    assert_eq!(header(letter, "reason"), Some(bad.reason), "at {place:?}");
    let timestamp = stored.timestamp_ms.to_string();
    assert_eq!(header(letter, "timestamp"), Some(timestamp.as_str()));
    assert!(header(letter, "message").is_some_and(|text| text.contains("expected")));
    let own = letter.headers.iter().filter(|(name, _)| !name.starts_with(PREFIX));
    assert!(own.eq(&original.headers), "the record's own headers stay");
}

/// Where the thing stood that a dead letter is of.
pub fn place(letter: &Record) -> Place {
    let number = |name| header(letter, name).map(|text| text.parse::<i64>().unwrap());
    let index = number("index").map(|index| index.try_into().unwrap());
    (number("partition").unwrap().try_into().unwrap(), number("offset").unwrap(), index)
}

fn header<'a>(letter: &'a Record, name: &str) -> Option<&'a str> {
    let value = letter.headers.get(&format!("{PREFIX}{name}"))?;
    Some(std::str::from_utf8(value).unwrap())
}

fn second(text: &Value) -> i64 {
    let text = text.as_str().unwrap();
    assert_eq!(text.len(), "2025-01-08T10:30:00Z".len(), "{text}: whole seconds in UTC");
    OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp()
}

const PREFIX: &str = "aggregator.errors.";
