//! JSON Schema, draft 7: every registry and AsyncAPI knows it. What goes out has no other fields,
//! for a registry takes a new field as compatible only then; what comes in may.

use aggregator_service::domain::reject::Reason;
use aggregator_service::domain::trade::MAX_TOKEN_BYTES;
use aggregator_service::wire::fields::{Field, Kind};
use serde_json::{Map, Value, json};

use super::{BEFORE, ITEM, snake_case};

pub(super) fn schema(name: &str, kind: &str, fields: &[Field], item: &[Field], doc: &str) -> Value {
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": kind,
        "description": doc,
    });
    match name {
        "trade" => {
            let one = json!({"$ref": "#/definitions/Trade"});
            schema["oneOf"] = json!([one, {"type": "array", "items": one}]);
            schema["definitions"] = json!({"Trade": trade(fields)});
        }
        "dead-letter" => merge(&mut schema, headers(fields)),
        _ => {
            merge(&mut schema, object(fields, ""));
            let described = |fields: &[Field], doc: &str| {
                let mut described = json!({"description": doc});
                merge(&mut described, object(fields, ""));
                described
            };
            schema["definitions"] = json!({ITEM.0: described(item, ITEM.1)});
            if item.iter().any(|field| field.kind == Kind::Previous) {
                schema["definitions"][BEFORE.0] = described(BEFORE.1, BEFORE.2);
            }
        }
    }
    schema
}

/// Nothing but these.
fn object(fields: &[Field], prefix: &str) -> Value {
    let name = |field: &Field| format!("{prefix}{}", field.name);
    let properties: Map<_, _> = fields.iter().map(|field| (name(field), property(field))).collect();
    let required: Vec<_> = fields.iter().filter(|field| !field.optional).map(name).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The record's own headers stay.
fn headers(fields: &[Field]) -> Value {
    let mut headers = object(fields, "aggregator.errors.");
    headers["additionalProperties"] = json!(true);
    headers
}

/// Each field under either of its names, and anything else.
fn trade(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    let mut each = Vec::new();
    for field in fields {
        let other = snake_case(field.name);
        properties.insert(field.name.to_owned(), property(field));
        let same = format!("#/definitions/Trade/properties/{}", field.name);
        properties.insert(other.clone(), json!({"$ref": same}));
        each.push(json!({"anyOf": [{"required": [field.name]}, {"required": [other]}]}));
    }
    json!({"type": "object", "properties": properties, "allOf": each})
}

/// A figure that may be missing is null where it is unknown; a header is left out.
fn property(field: &Field) -> Value {
    let mut property = json!({"description": field.doc});
    let of_kind = kind(field.kind);
    if field.kind == Kind::Previous {
        property["oneOf"] = json!([of_kind, {"type": "null"}]);
        return property;
    }
    let known = of_kind["type"].clone();
    merge(&mut property, of_kind);
    if field.optional && field.kind != Kind::Digits {
        property["type"] = json!([known, "null"]);
    }
    property
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Filled => json!({"type": "string", "minLength": 1}),
        Kind::Token => json!({"type": "string", "minLength": 1, "maxLength": MAX_TOKEN_BYTES}),
        Kind::Count => json!({"type": "integer", "minimum": 0}),
        Kind::Amount => json!({"type": "string", "pattern": "^[0-9]+\\.[0-9]{6,18}$"}),
        Kind::Net => json!({"type": "string", "pattern": "^-?[0-9]+\\.[0-9]{6,18}$"}),
        Kind::Price => json!({"type": "string", "pattern": "^[0-9]+\\.[0-9]{6,255}$"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Time => json!({
            "type": "string",
            "format": "date-time",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        }),
        Kind::Windows => json!({
            "type": "array",
            "items": {"$ref": format!("#/definitions/{}", ITEM.0)},
            "minItems": 1,
        }),
        Kind::Previous => json!({"$ref": format!("#/definitions/{}", BEFORE.0)}),
        Kind::Side => json!({
            "type": "string",
            "pattern": "^([bB][uU][yY]|[sS][eE][lL][lL])(_.*)?$",
        }),
        Kind::Decimal => json!({
            "type": ["string", "number"],
            "pattern": "^\\+?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$",
            "minimum": 0,
        }),
        Kind::Moment => json!({"type": "string", "format": "date-time"}),
        Kind::Digits => json!({"type": "string", "pattern": "^-?[0-9]+$"}),
        Kind::Reason => json!({"type": "string", "enum": Reason::ALL.map(Reason::name)}),
    }
}

fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else { panic!("an object") };
    into.as_object_mut().expect("an object").extend(from);
}
