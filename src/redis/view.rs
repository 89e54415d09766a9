//! The query view: each token's last published message under `<prefix>view:<address>`, expiring
//! when it would be out of date. Derived and unfenced; the next tick writes it anew, so nothing
//! is sent again here. Uses a connection of its own, apart from the checkpoint's.

use std::iter;

use bytes::{Bytes, BytesMut};
use fred::types::Value;

use super::client::Client;
use super::scripts::{Run, VIEW};
use crate::ports::{View, ViewError};

/// The view over one Redis.
#[derive(Debug)]
pub struct RedisView {
    client: Client,
    prefix: String,
    ttl_seconds: i64,
}

impl RedisView {
    /// A view whose keys start with `<key_prefix>view:` and live for `ttl_seconds` (at least 1).
    #[must_use]
    pub fn new(client: Client, key_prefix: &str, ttl_seconds: u32) -> Self {
        Self {
            client,
            prefix: format!("{key_prefix}view:"),
            ttl_seconds: i64::from(ttl_seconds.max(1)),
        }
    }

    fn run(&self, entries: &[(Bytes, Bytes)]) -> Run {
        // One piece of memory for all of them.
        let length = |(address, _): &(Bytes, Bytes)| self.prefix.len() + address.len();
        let mut keys = BytesMut::with_capacity(entries.iter().map(length).sum());
        for (address, _) in entries {
            keys.extend_from_slice(self.prefix.as_bytes());
            keys.extend_from_slice(address);
        }
        let mut keys = keys.freeze();
        let keys = entries.iter().map(|entry| Value::Bytes(keys.split_to(length(entry)))).collect();
        let messages = entries.iter().map(|(_, message)| Value::from(message.clone()));
        let args = iter::once(Value::from(self.ttl_seconds)).chain(messages).collect();
        Run { keys, args }
    }
}

impl View for RedisView {
    async fn store(&self, entries: &[(Bytes, Bytes)]) -> Result<(), ViewError> {
        // All keys of a run lie in one slot, and each address has its own.
        let together = if self.client.is_clustered() { 1 } else { TOGETHER };
        for sent in entries.chunks(SENT_ENTRIES) {
            let runs: Vec<_> = sent.chunks(together).map(|entries| self.run(entries)).collect();
            let answers = VIEW.run(&self.client, &runs).await;
            if let Some(error) = answers.into_iter().find_map(Result::err) {
                return Err(ViewError(error.to_string()));
            }
        }
        Ok(())
    }
}

/// Messages in one round trip: more gains nothing and makes neighbours wait.
const SENT_ENTRIES: usize = 500;

/// Messages in one run of the script, during which Redis does nothing else: a fifth of a
/// millisecond.
const TOGETHER: usize = 100;
