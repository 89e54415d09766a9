//! What stands around an aggregate's value: its headers, and whether a tombstone follows.

use std::time::Duration;

use bytes::Bytes;

use super::aggregate::VERSION;
use super::registered::{Format, Registered};
use super::time::Rfc3339;
use crate::domain::time::{Second, WallMs};
use crate::ports::{Common, Header};

/// How messages are enveloped.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The format of the value; `None`: JSON, without a schema.
    pub registered: Option<Registered>,
    /// `AGGREGATE_TTL`: how long a reader may use a message, shown in headers.
    pub ttl: Option<Duration>,
    /// With the headers of a `CloudEvents` event in the binary mode of its Kafka binding: the
    /// event's source.
    pub cloud_events: Option<Bytes>,
    /// A tombstone follows each closing message: a compacted topic forgets the token.
    pub tombstones: bool,
}

/// The type of all our events.
const EVENT_TYPE: &[u8] = b"aggregator-service.aggregate.v1";

impl Envelope {
    /// The headers that all messages have, first.
    #[must_use]
    pub fn common(&self) -> &'static Common {
        const fn of(content_type: &'static str) -> Common {
            Common { fixed: [("content-type", content_type), ("version", VERSION)], key: "token" }
        }
        static JSON: Common = of("application/json");
        static REGISTERED: [Common; 3] = [
            of(Format::JsonSchema.content_type()),
            of(Format::Avro.content_type()),
            of(Format::Protobuf.content_type()),
        ];
        let [json_schema, avro, protobuf] = &REGISTERED;
        match self.registered.map(|it| it.format) {
            None => &JSON,
            Some(Format::JsonSchema) => json_schema,
            Some(Format::Avro) => avro,
            Some(Format::Protobuf) => protobuf,
        }
    }

    /// The other headers of a token's message whose windows end at `end`.
    #[must_use]
    pub fn headers(&self, token: &Bytes, end: Second, generated_at: WallMs) -> Vec<Header> {
        let mut headers = Vec::new();
        if let Some(ttl) = self.ttl {
            let expires_at = generated_at.plus(ttl).0;
            headers.push(("ttl".into(), ttl.as_millis().to_string().into()));
            headers.push(("expires-at".into(), expires_at.to_string().into()));
        }
        if let Some(source) = &self.cloud_events {
            let time = |second| Bytes::copy_from_slice(&Rfc3339(second).text());
            let id = [&**token, b"@", &time(end)].concat();
            headers.extend([
                ("ce_specversion".into(), Bytes::from_static(b"1.0")),
                ("ce_id".into(), id.into()),
                ("ce_source".into(), source.clone()),
                ("ce_type".into(), Bytes::from_static(EVENT_TYPE)),
                ("ce_subject".into(), token.clone()),
                ("ce_time".into(), time(generated_at.second())),
            ]);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Message;

    #[test]
    fn headers_are_those_of_the_contract_and_of_an_event_where_that_is_asked_for() {
        let text = |envelope: &Envelope| {
            let (end, now) = (Second(1_736_332_200), WallMs(1_736_332_201_250));
            let key = Bytes::from_static(b"0xabc");
            let (common, headers) = (Some(envelope.common()), envelope.headers(&key, end, now));
            let message = Message { key: Some(key), value: None, common, headers, timestamp: now };
            let line = |(name, value)| format!("{name}={}", std::str::from_utf8(value).unwrap());
            message.all_headers().map(line).collect::<Vec<_>>()
        };
        let mut expected = vec!["content-type=application/json", "version=1.0", "token=0xabc"];
        assert_eq!(text(&Envelope::default()), expected);
        expected.extend(["ttl=60000", "expires-at=1736332261250"]);
        let ttl = Some(Duration::from_secs(60));
        assert_eq!(text(&Envelope { ttl, ..Envelope::default() }), expected);
        expected.extend([
            "ce_specversion=1.0",
            "ce_id=0xabc@2025-01-08T10:30:00Z",
            "ce_source=/aggregator-service/trade-info",
            "ce_type=aggregator-service.aggregate.v1",
            "ce_subject=0xabc",
            "ce_time=2025-01-08T10:30:01Z",
        ]);
        let cloud_events = Some(Bytes::from_static(b"/aggregator-service/trade-info"));
        assert_eq!(text(&Envelope { ttl, cloud_events, ..Envelope::default() }), expected);
    }
}
