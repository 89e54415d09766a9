//! Messages whose schema stands in a registry: the formats, their schemas, and the values as
//! Confluent's clients write and read them: a byte 0, the schema's id, then the message.

use super::aggregate::TokenNames;
use super::extended::Chosen;
use super::{avro, protobuf};
use crate::domain::aggregate::Aggregate;
use crate::domain::time::WallMs;
use crate::domain::window::Windows;

/// A format with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, as without a schema.
    JsonSchema,
    /// Avro.
    Avro,
    /// Protobuf.
    Protobuf,
}

/// A format, and under which id its schema is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The format.
    pub format: Format,
    /// The schema's id.
    pub id: u32,
}

/// Writes the values of messages of the configured windows.
#[derive(Clone, Debug)]
pub struct Writer {
    registered: Registered,
    windows: Windows,
    chosen: Chosen,
}

impl Format {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonSchema => "json-schema",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
        }
    }

    /// What the registry calls it.
    #[must_use]
    pub const fn schema_type(self) -> &'static str {
        match self {
            Self::JsonSchema => "JSON",
            Self::Avro => "AVRO",
            Self::Protobuf => "PROTOBUF",
        }
    }

    /// The schema of `AGGREGATE_TOPIC`, where these extended fields are written. That without any
    /// stays as it was.
    #[must_use]
    pub const fn schema(self, chosen: Chosen) -> &'static str {
        match (self, chosen.any()) {
            (Self::JsonSchema, false) => include_str!("../../deploy/schemas/aggregate.json"),
            (Self::Avro, false) => include_str!("../../deploy/schemas/aggregate.avsc"),
            (Self::Protobuf, false) => include_str!("../../deploy/schemas/aggregate.proto"),
            (Self::JsonSchema, true) => {
                include_str!("../../deploy/schemas/aggregate-extended.json")
            }
            (Self::Avro, true) => include_str!("../../deploy/schemas/aggregate-extended.avsc"),
            (Self::Protobuf, true) => include_str!("../../deploy/schemas/aggregate-extended.proto"),
        }
    }

    /// The header `content-type`: the value is more than the message.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::JsonSchema => "application/vnd.confluent.json",
            Self::Avro => "application/vnd.confluent.avro",
            Self::Protobuf => "application/vnd.confluent.protobuf",
        }
    }
}

impl Writer {
    /// The writer of these windows, with these extended fields.
    #[must_use]
    pub fn new(registered: Registered, windows: &Windows, chosen: Chosen) -> Self {
        Self { registered, windows: windows.clone(), chosen }
    }

    /// The format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.registered.format
    }

    /// Appends what stands before the message.
    pub fn head(&self, out: &mut Vec<u8>) {
        let Registered { format, id } = self.registered;
        out.push(MAGIC);
        out.extend_from_slice(&id.to_be_bytes());
        if format == Format::Protobuf {
            out.push(FIRST_MESSAGE);
        }
    }

    /// Appends the message with its head where it is none in JSON, which [`Form`] writes.
    ///
    /// [`Form`]: super::aggregate::Form
    pub fn binary(
        &self,
        out: &mut Vec<u8>,
        aggregate: &Aggregate<'_>,
        names: TokenNames<'_>,
        generated_at: WallMs,
    ) {
        debug_assert_eq!(aggregate.windows.len(), self.windows.count());
        let write = match self.registered.format {
            Format::JsonSchema => return,
            Format::Avro => avro::write,
            Format::Protobuf => protobuf::write,
        };
        self.head(out);
        write(out, (&self.windows, self.chosen), aggregate, names, generated_at);
    }
}

/// What every value begins with.
const MAGIC: u8 = 0;

/// Which message of a Protobuf file it is: the list of indices `[0]`, which has a short form.
const FIRST_MESSAGE: u8 = 0;
