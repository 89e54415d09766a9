//! AsyncAPI 3.0: the three topics under their default names, what is in them, and who sends it.

use aggregator_service::wire::extended::Chosen;
use aggregator_service::wire::registered::Format;
use serde_json::{Value, json};

pub(super) fn document() -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "aggregator-service",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Trades of tokens in, exact sliding-window aggregates out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "trades": channel("trade-info", "KAFKA_TOPIC: trades, in any order.", &["trade"]),
            "aggregates": channel(
                "aggregate-info",
                "AGGREGATE_TOPIC: every AGGREGATE_PUBLISH_INTERVAL a message for each active \
                 token, in AGGREGATE_FORMAT. With AGGREGATE_FIELDS they are as the files \
                 aggregate-extended say. With AGGREGATE_TOMBSTONES a record without a value \
                 follows each closing one.",
                &["aggregate", "aggregateJsonSchema", "aggregateAvro", "aggregateProtobuf"],
            ),
            "deadLetters": channel(
                "trade-info-dlq", "DLQ_TOPIC: what could not be counted.", &["deadLetter"],
            ),
        },
        "operations": {
            "readTrades": operation("receive", "trades"),
            "publishAggregates": operation("send", "aggregates"),
            "publishDeadLetters": operation("send", "deadLetters"),
        },
        "components": {"messages": {
            "trade": {
                "title": "Trades",
                "summary": "One trade, or an array of them. Key and partition say nothing.",
                "payload": json_schema("trade.json"),
                "examples": [{"payload": super::examples::of("trade.json")}],
            },
            "aggregate": aggregate("json", None),
            "aggregateJsonSchema": aggregate("json-schema", Some(Format::JsonSchema)),
            "aggregateAvro": aggregate("avro", Some(Format::Avro)),
            "aggregateProtobuf": aggregate("protobuf", Some(Format::Protobuf)),
            "deadLetter": {
                "title": "Dead letter",
                "summary": "The rejected bytes with their record's key and headers.",
                "headers": json_schema("dead-letter.json"),
                "payload": {"description": "The bytes as they came; none where nobody could read \
                            them."},
                "examples": [{"headers": super::examples::of("dead-letter.json")}],
            },
        }},
    })
}

fn channel(address: &str, description: &str, messages: &[&str]) -> Value {
    let reference = |name: &&str| {
        ((*name).to_owned(), json!({"$ref": format!("#/components/messages/{name}")}))
    };
    let messages: serde_json::Map<_, _> = messages.iter().map(reference).collect();
    json!({"address": address, "description": description, "messages": messages})
}

fn operation(action: &str, channel: &str) -> Value {
    json!({"action": action, "channel": {"$ref": format!("#/channels/{channel}")}})
}

fn json_schema(file: &str) -> Value {
    json!({
        "schemaFormat": "application/schema+json;version=draft-07",
        "schema": {"$ref": format!("./{file}")},
    })
}

/// The message of one `AGGREGATE_FORMAT`.
fn aggregate(name: &str, format: Option<Format>) -> Value {
    let content_type = format.map_or("application/json", Format::content_type);
    let payload = match format {
        None | Some(Format::JsonSchema) => json_schema("aggregate.json"),
        Some(Format::Avro) => json!({
            "schemaFormat": "application/vnd.apache.avro;version=1.9.0",
            "schema": {"$ref": "./aggregate.avsc"},
        }),
        // A reference leads to JSON or YAML alone.
        Some(format @ Format::Protobuf) => json!({
            "schemaFormat": "application/vnd.google.protobuf;version=3",
            "schema": format.schema(Chosen::STANDARD),
        }),
    };
    let front = match format {
        None => "",
        Some(Format::Protobuf) => {
            " Before the message stand a byte 0, four bytes with the schema's id, and a byte 0."
        }
        Some(_) => " Before the message stand a byte 0 and four bytes with the schema's id.",
    };
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "title": format!("Aggregate, AGGREGATE_FORMAT={name}"),
        "summary": format!("One token's windows at one end.{front}"),
        "contentType": content_type,
        "headers": {
            "type": "object",
            "required": ["content-type", "version", "token"],
            "properties": {
                "content-type": {"const": content_type},
                "version": {"const": "1.0"},
                "token": text("The token's address."),
                "ttl": text("With AGGREGATE_TTL: for how many milliseconds it may be used."),
                "expires-at": text("With AGGREGATE_TTL: until which millisecond of the epoch."),
                "ce_id": text("With AGGREGATE_CLOUDEVENTS: token@end, and the other ce_ headers."),
            },
        },
        "payload": payload,
        "bindings": {"kafka": {"key": text("The token's address.")}},
        "examples": [{"payload": super::examples::of("aggregate.json")}],
    })
}
