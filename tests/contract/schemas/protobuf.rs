//! Protobuf, version 3. A field's number is its place.

use std::fmt::Write;

use aggregator_service::wire::fields::{Field, Kind};

use super::{BEFORE, ITEM, snake_case};

pub(super) fn schema(kind: &str, fields: &[Field], item: &[Field], doc: &str) -> String {
    let windows = fields.iter().any(|field| field.kind == Kind::Windows);
    let timed = fields.iter().any(|field| field.kind == Kind::Time);
    let mut text = "syntax = \"proto3\";\n\npackage aggregator.v1;\n".to_owned();
    if timed {
        text.push_str("\nimport \"google/protobuf/timestamp.proto\";\n");
    }
    message(&mut text, kind, fields, doc);
    if windows {
        message(&mut text, ITEM.0, item, ITEM.1);
    }
    if item.iter().any(|field| field.kind == Kind::Previous) {
        message(&mut text, BEFORE.0, BEFORE.1, BEFORE.2);
    }
    text
}

fn message(text: &mut String, kind: &str, fields: &[Field], doc: &str) {
    text.push('\n');
    comment(text, "", doc);
    writeln!(text, "message {kind} {{").unwrap();
    for (number, field) in (1..).zip(fields) {
        comment(text, "  ", field.doc);
        let optional = if field.optional { "optional " } else { "" };
        let (name, kind) = (snake_case(field.name), type_of(field.kind));
        writeln!(text, "  {optional}{kind} {name} = {number};").unwrap();
    }
    text.push_str("}\n");
}

/// Lines of up to 100 columns.
fn comment(text: &mut String, indent: &str, doc: &str) {
    let mut line = format!("{indent}//");
    for word in doc.split(' ') {
        if line.len() + 1 + word.len() > 100 {
            writeln!(text, "{line}").unwrap();
            line = format!("{indent}//");
        }
        line = format!("{line} {word}");
    }
    writeln!(text, "{line}").unwrap();
}

fn type_of(kind: Kind) -> String {
    let name = match kind {
        Kind::Count => "uint64",
        Kind::Number => "double",
        Kind::Time => "google.protobuf.Timestamp",
        Kind::Windows => return format!("repeated {}", ITEM.0),
        Kind::Previous => BEFORE.0,
        Kind::Amount
        | Kind::Net
        | Kind::Price
        | Kind::Text
        | Kind::Filled
        | Kind::Token
        | Kind::Side
        | Kind::Decimal
        | Kind::Moment
        | Kind::Digits
        | Kind::Reason => "string",
    };
    name.to_owned()
}
