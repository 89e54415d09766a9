//! From a token's aggregate to the message that goes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::names::SharedNames;
use super::outbox::{Cause, Outgoing};
use crate::domain::aggregate::Aggregate;
use crate::domain::time::WallMs;
use crate::domain::window::Windows;
use crate::ports::Message;
use crate::wire::aggregate::{self, TokenNames};

/// How messages are made.
#[derive(Clone, Debug)]
pub struct Messages {
    /// The configured windows.
    pub windows: Windows,
    /// Symbols and names.
    pub names: Arc<SharedNames>,
    /// `AGGREGATE_TTL`, shown in headers.
    pub ttl: Option<Duration>,
}

impl Messages {
    /// The message of an aggregate, generated at `now` for `cause`.
    #[must_use]
    pub fn make(&self, aggregate: &Aggregate<'_>, cause: Cause, now: WallMs) -> Outgoing {
        let mut value = Vec::with_capacity(TYPICAL_BYTES);
        self.names.with(aggregate.token, |symbol, name| {
            let names = TokenNames { symbol, name };
            aggregate::encode(&mut value, aggregate, &self.windows, names, now);
        });
        let message = Message {
            key: Some(Bytes::copy_from_slice(aggregate.token.as_bytes())),
            value: Some(value.into()),
            headers: aggregate::headers(aggregate.token, self.ttl, now),
            timestamp: now,
        };
        Outgoing { token: Arc::from(aggregate.token), cause, message }
    }
}

/// A message of five windows is about this long.
const TYPICAL_BYTES: usize = 2_048;
