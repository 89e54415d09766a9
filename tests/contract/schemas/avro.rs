//! Avro. What may be missing is a union with null, so that it may be added later.

use aggregator_service::wire::fields::{Field, Kind};
use serde_json::{Value, json};

use super::{BEFORE, ITEM};

/// Names are unique in it.
const NAMESPACE: &str = "aggregator";

pub(super) fn schema(kind: &str, fields: &[Field], item: &[Field], doc: &str) -> Value {
    let mut schema = record(kind, fields, item, doc);
    schema["namespace"] = json!(NAMESPACE);
    schema
}

fn record(kind: &str, fields: &[Field], item: &[Field], doc: &str) -> Value {
    let fields: Vec<_> = fields.iter().map(|one| field(one, item)).collect();
    json!({"type": "record", "name": kind, "doc": doc, "fields": fields})
}

fn field(field: &Field, item: &[Field]) -> Value {
    let kind = type_of(field.kind, item);
    let mut made = json!({"name": field.name, "doc": field.doc, "type": kind});
    if field.optional {
        made["type"] = json!(["null", made["type"]]);
        made["default"] = Value::Null;
    }
    made
}

fn type_of(kind: Kind, item: &[Field]) -> Value {
    let decimal = |precision: u32, scale: u32| {
        json!({
            "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale,
        })
    };
    match kind {
        Kind::Count => json!("long"),
        // A sum has 128 bits.
        Kind::Amount | Kind::Net => decimal(39, 18),
        // Up to 10^15, and as fine as a price can be.
        Kind::Price => decimal(16 + 255, 255),
        Kind::Number => json!("double"),
        Kind::Time => json!({"type": "long", "logicalType": "timestamp-millis"}),
        Kind::Windows => json!({"type": "array", "items": record(ITEM.0, item, &[], ITEM.1)}),
        Kind::Previous => record(BEFORE.0, BEFORE.1, &[], BEFORE.2),
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
