//! Avro. What may be missing is a union with null, so that it may be added later.

use aggregator_service::wire::fields::{Field, Kind};
use serde_json::{Value, json};

use super::ITEM;

/// Names are unique in it.
const NAMESPACE: &str = "aggregator";

pub(super) fn schema(kind: &str, fields: &[Field], doc: &str) -> Value {
    let mut schema = record(kind, fields, doc);
    schema["namespace"] = json!(NAMESPACE);
    schema
}

fn record(kind: &str, fields: &[Field], doc: &str) -> Value {
    let fields: Vec<_> = fields.iter().map(field).collect();
    json!({"type": "record", "name": kind, "doc": doc, "fields": fields})
}

fn field(field: &Field) -> Value {
    let mut made = json!({"name": field.name, "doc": field.doc, "type": type_of(field.kind)});
    if field.optional {
        made["type"] = json!(["null", made["type"]]);
        made["default"] = Value::Null;
    }
    made
}

fn type_of(kind: Kind) -> Value {
    let decimal = |precision: u32, scale: u32| {
        json!({
            "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale,
        })
    };
    match kind {
        Kind::Count => json!("long"),
        // A sum has 128 bits.
        Kind::Amount => decimal(39, 18),
        // Up to 10^15, and as fine as a price can be.
        Kind::Price => decimal(16 + 255, 255),
        Kind::Number => json!("double"),
        Kind::Time => json!({"type": "long", "logicalType": "timestamp-millis"}),
        Kind::Windows => json!({"type": "array", "items": record(ITEM.0, ITEM.1, ITEM.2)}),
        Kind::Text
        | Kind::Filled
        | Kind::Token
        | Kind::Side
        | Kind::Decimal
        | Kind::Moment
        | Kind::Digits
        | Kind::Reason => json!("string"),
    }
}
