//! From a token's aggregate to the message that goes out.

use std::hash::BuildHasher;
use std::sync::{Arc, RwLockReadGuard};

use bytes::{Bytes, BytesMut};
use hashbrown::DefaultHashBuilder;

use super::names::SharedNames;
use super::outgoing::{Cause, Outgoing};
use crate::domain::aggregate::Aggregate;
use crate::domain::name::Names;
use crate::domain::time::WallMs;
use crate::ports::Message;
use crate::wire::aggregate::{self, Form, TokenNames};
use crate::wire::envelope::Envelope;
use crate::wire::registered::{Format, Writer};

/// How messages are made.
#[derive(Clone, Debug)]
pub struct Messages {
    /// How they are written.
    pub form: Form,
    /// What makes the values of them; `None`: they are the JSON as it is.
    pub writer: Option<Writer>,
    /// Symbols and names.
    pub names: Arc<SharedNames>,
    /// What stands around them.
    pub envelope: Envelope,
    /// Makes marks.
    pub marks: DefaultHashBuilder,
}

/// Memory that messages share: some ten of them.
const CHUNK: usize = 16 << 10;

/// Messages that are made one after the other: the names are locked once, and messages share
/// memory. One that waits keeps all of its chunk, until the next tick replaces it; so a closing
/// message, which nothing replaces, has its own.
#[derive(Debug)]
pub struct Making<'a> {
    form: &'a Form,
    writer: Option<&'a Writer>,
    marks: &'a DefaultHashBuilder,
    names: RwLockReadGuard<'a, Names>,
    envelope: &'a Envelope,
    cause: Cause,
    now: WallMs,
    text: Vec<u8>,
    chunk: BytesMut,
}

impl Messages {
    /// Begins to make messages, generated at `now` for `cause`.
    #[must_use]
    pub fn begin(&self, cause: Cause, now: WallMs) -> Making<'_> {
        let Self { form, writer, names, envelope, marks } = self;
        let (writer, names, text) = (writer.as_ref(), names.read(), Vec::new());
        Making { form, writer, marks, names, envelope, cause, now, text, chunk: BytesMut::new() }
    }
}

impl Making<'_> {
    /// What two messages of a token have in common that say the same, besides their times; any
    /// others differ in it but by a chance of 2⁻⁶⁴, until the next tick of all tokens.
    #[must_use]
    pub fn mark(&self, aggregate: &Aggregate<'_>) -> u64 {
        let known = self.names.get(aggregate.token);
        let names = known.map(|known| (&known.symbol, &known.name));
        self.marks.hash_one((aggregate.windows, aggregate.extended, names))
    }

    /// The message of an aggregate.
    pub fn make(&mut self, aggregate: &Aggregate<'_>) -> Outgoing {
        let Self { form, writer, names, envelope, cause, now, text, chunk, .. } = self;
        let known = names.get(aggregate.token);
        let names = known.map(|known| TokenNames { symbol: &known.symbol, name: &known.name });
        let names = names.unwrap_or_default();
        text.clear();
        let is_json = writer.is_none_or(|it| it.format() == Format::JsonSchema);
        if let Some(writer) = writer
            && is_json
        {
            writer.head(text);
        }
        let begin = text.len();
        form.write(text, aggregate, names, *now);
        let end = text.len();
        if let Some(writer) = writer {
            writer.binary(text, aggregate, names, *now);
        }
        let all = if aggregate.is_closing() {
            Bytes::copy_from_slice(text)
        } else {
            if chunk.capacity() < text.len() {
                *chunk = BytesMut::with_capacity(CHUNK.max(text.len()));
            }
            chunk.extend_from_slice(text);
            chunk.split().freeze()
        };
        let (value, view) = if writer.is_none() {
            (all, None)
        } else {
            let json = all.slice(begin..end);
            (if is_json { all } else { all.slice(end..) }, Some(Box::new(json)))
        };
        let key = aggregate::key(view.as_deref().unwrap_or(&value), aggregate.token);
        let (common, headers) =
            (Some(envelope.common()), envelope.headers(&key, aggregate.end, *now));
        let tombstone = envelope.tombstones && aggregate.is_closing();
        let message =
            Message { key: Some(key), value: Some(value), common, headers, timestamp: *now };
        Outgoing { hash: aggregate.hash, cause: *cause, message, view, tombstone }
    }
}
