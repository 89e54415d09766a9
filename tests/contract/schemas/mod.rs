//! The contracts as files: made from the fields of `wire::fields`, compared with `deploy/schemas`,
//! and held against what is really read and written.

mod asyncapi;
mod avro;
mod examples;
mod json;
mod protobuf;

use std::fs;
use std::path::{Path, PathBuf};

use aggregator_service::wire::extended::{EXTENDED, PREVIOUS};
use aggregator_service::wire::fields::{AGGREGATE, DEAD_LETTER, Field, TRADE, WINDOW};
use serde_json::Value;

pub(crate) use examples::{judged, valid};

/// What is described, with the name of its files, its type, and what it is.
const RECORDS: [(&str, &str, &[Field], &str); 4] = [
    ("trade", "Trade", &TRADE, "One trade: a record of KAFKA_TOPIC is one, or an array of them."),
    ("aggregate", "Aggregate", &AGGREGATE, "A message of AGGREGATE_TOPIC: one token's windows."),
    (
        "aggregate-extended",
        "Aggregate",
        &AGGREGATE,
        "A message of AGGREGATE_TOPIC with AGGREGATE_FIELDS: one token's windows.",
    ),
    (
        "dead-letter",
        "DeadLetter",
        &DEAD_LETTER,
        "The headers of a record of DLQ_TOPIC, each named aggregator.errors.NAME; its value is \
         what was rejected, as it came.",
    ),
];

/// The type of an aggregate's items, and what it is.
const ITEM: (&str, &str) = ("Window", "The figures of one window.");

/// The type of a preceding window, its fields, and what it is.
const BEFORE: (&str, &[Field], &str) =
    ("PreviousWindow", &PREVIOUS, "The figures of the preceding window of the same length.");

/// The fields of an aggregate's items.
fn item(name: &str) -> Vec<Field> {
    let extended: &[Field] = if name.ends_with("-extended") { &EXTENDED } else { &[] };
    [&WINDOW, extended].concat()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/schemas")
}

/// A file of the folder.
fn file(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The other spelling of a trade's field; of all else the only one.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

pub(crate) fn files() {
    let mut made = examples::all();
    for (name, kind, fields, doc) in RECORDS {
        let (file, item) = (|kind| format!("{name}.{kind}"), item(name));
        made.push((file("json"), pretty(&json::schema(name, kind, fields, &item, doc))));
        made.push((file("avsc"), pretty(&avro::schema(kind, fields, &item, doc))));
        made.push((file("proto"), protobuf::schema(kind, fields, &item, doc)));
    }
    made.push(("asyncapi.json".to_owned(), pretty(&asyncapi::document())));
    let wrong = |(name, text): &&(String, String)| {
        fs::read_to_string(folder().join(name)).ok().as_ref() != Some(text)
    };
    let wrong: Vec<_> = made.iter().filter(wrong).map(|(name, _)| name).collect();
    if !wrong.is_empty() {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemas");
        for (name, text) in &made {
            let path = new.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        panic!("{wrong:?} are not what the fields say: cp -r {}/. deploy/schemas", new.display());
    }
}
