//! Extended messages in Avro and Protobuf, read by the files of `deploy/schemas` alone: they say
//! what the JSON says.

use aggregator_service::wire::extended::Chosen;
use aggregator_service::wire::registered::{Format, Registered, Writer};
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::extended::{GENERATED_AT, aggregate, windows, written};

fn bytes(format: Format, chosen: Chosen) -> Vec<u8> {
    let writer = Writer::new(Registered { format, id: 7 }, &windows(), chosen);
    let mut out = Vec::new();
    aggregate(|aggregate| {
        writer.binary(&mut out, aggregate, Default::default(), GENERATED_AT);
    });
    let mut head = Vec::new();
    writer.head(&mut head);
    assert!(out.starts_with(&head));
    out.split_off(head.len())
}

/// What JSON has of a message: of fields that were not chosen nothing.
fn expected(chosen: Chosen) -> Value {
    serde_json::from_str(&written(chosen)).unwrap()
}

/// Without what is null: there are several ways to say that nothing is known.
fn known(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let filled = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(filled.map(|(name, value)| (name, known(value))).collect())
        }
        Value::Array(values) => values.into_iter().map(known).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other @ (Value::Null | Value::Bool(_) | Value::String(_)) => other,
    }
}

const CHOICES: [&str; 3] = ["extended", "previous,vwap", "net_volume_usd"];

#[test]
fn avro_says_what_json_says() {
    let schema = include_str!("../../deploy/schemas/aggregate-extended.avsc");
    let schema = serde_json::from_str(schema).unwrap();
    for chosen in CHOICES.map(|chosen| Chosen::parse(chosen).unwrap()) {
        let bytes = bytes(Format::Avro, chosen);
        let mut reader = Avro(&bytes);
        let found = reader.value(&schema);
        assert!(reader.0.is_empty(), "{} bytes too many", reader.0.len());
        assert_eq!(known(found), known(expected(chosen)));
    }
}

struct Avro<'a>(&'a [u8]);

impl Avro<'_> {
    fn bytes(&mut self, count: usize) -> &[u8] {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    fn long(&mut self) -> i64 {
        let zigzag = varint(&mut self.0);
        i64::try_from(zigzag >> 1).unwrap() ^ -i64::try_from(zigzag & 1).unwrap()
    }

    fn length(&mut self) -> usize {
        usize::try_from(self.long()).unwrap()
    }

    fn value(&mut self, schema: &Value) -> Value {
        if let Some(union) = schema.as_array() {
            let at = self.length();
            return self.value(&union[at]);
        }
        let name = schema.as_str().or_else(|| schema["type"].as_str()).unwrap();
        match (name, schema["logicalType"].as_str()) {
            ("null", _) => Value::Null,
            ("record", _) => {
                let fields = schema["fields"].as_array().unwrap();
                let field = |field: &Value| {
                    (field["name"].as_str().unwrap().to_owned(), self.value(&field["type"]))
                };
                Value::Object(fields.iter().map(field).collect())
            }
            ("array", _) => {
                let mut items = Vec::new();
                loop {
                    let count = self.length();
                    if count == 0 {
                        return Value::Array(items);
                    }
                    (0..count).for_each(|_| items.push(self.value(&schema["items"])));
                }
            }
            ("bytes", Some("decimal")) => {
                let length = self.length();
                let units = BigInt::from_signed_bytes_be(self.bytes(length));
                plain(&BigDecimal::new(units, schema["scale"].as_i64().unwrap()))
            }
            ("string", _) => {
                let length = self.length();
                json!(String::from_utf8(self.bytes(length).to_vec()).unwrap())
            }
            ("double", _) => json!(f64::from_le_bytes(self.bytes(8).try_into().unwrap())),
            ("long", Some("timestamp-millis")) => moment(self.long() / 1_000),
            ("long", None) => json!(self.long()),
            other => panic!("{other:?}"),
        }
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn plain(value: &BigDecimal) -> Value {
    json!(support::oracle::plain(value))
}

fn moment(second: i64) -> Value {
    json!(OffsetDateTime::from_unix_timestamp(second).unwrap().format(&Rfc3339).unwrap())
}

#[test]
fn protobuf_says_what_json_says() {
    let file = include_str!("../../deploy/schemas/aggregate-extended.proto");
    for chosen in CHOICES.map(|chosen| Chosen::parse(chosen).unwrap()) {
        let found = message(file, "Aggregate", &bytes(Format::Protobuf, chosen));
        assert_eq!(known(found), known(expected(chosen)));
    }
}

/// What a message of this type says. Where proto3 leaves out what is empty, that is put in place.
fn message(file: &str, of: &str, mut bytes: &[u8]) -> Value {
    let (_, body) = file.split_once(&format!("message {of} {{\n")).unwrap();
    let lines = body.lines().take_while(|line| *line != "}").map(str::trim);
    let fields: Vec<Vec<&str>> = lines
        .filter(|line| !line.starts_with("//"))
        .map(|line| line.trim_end_matches(';').split(' ').collect())
        .collect();
    let mut said = Map::new();
    for field in &fields {
        let [kind, name, ..] = field[..] else { panic!("{field:?}") };
        let (name, empty) = match kind {
            "optional" => continue,
            "repeated" => (field[2], json!([])),
            "string" => (name, json!("")),
            "uint64" | "double" => (name, json!(0)),
            _ => continue,
        };
        said.insert(name.to_owned(), empty);
    }
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let number = (tag >> 3).to_string();
        let field = fields.iter().find(|field| *field.last().unwrap() == number).unwrap();
        let [.., kind, name, _, _] = field[..] else { panic!("{field:?}") };
        let value = match tag & 7 {
            0 => json!(varint(&mut bytes)),
            1 => {
                let (number, rest) = bytes.split_first_chunk().unwrap();
                bytes = rest;
                json!(f64::from_le_bytes(*number))
            }
            _ => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (part, rest) = bytes.split_at(length);
                bytes = rest;
                match kind {
                    "string" => json!(std::str::from_utf8(part).unwrap()),
                    "google.protobuf.Timestamp" => {
                        let mut part = part;
                        varint(&mut part);
                        moment(i64::try_from(varint(&mut part)).unwrap())
                    }
                    other => message(file, other, part),
                }
            }
        };
        match said.get_mut(name).and_then(Value::as_array_mut) {
            Some(list) => list.push(value),
            None => drop(said.insert(name.to_owned(), value)),
        }
    }
    Value::Object(said)
}
