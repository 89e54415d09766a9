//! The query view: each token's last published message under `<prefix>view:<address>`, expiring
//! when it would be out of date. Derived and unfenced; the next tick writes it anew, so nothing
//! is sent again here. Uses a connection of its own, apart from the checkpoint's.

use bytes::Bytes;
use fred::types::Value;

use super::client::{Call, Client};
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

    fn set(&self, (address, message): &(Bytes, Bytes)) -> Call {
        let key = [self.prefix.as_bytes(), address].concat();
        let args = vec![
            Value::Bytes(key.into()),
            Value::from(message.clone()),
            Value::from("EX"),
            Value::from(self.ttl_seconds),
        ];
        Call::keyed("SET", 0, args)
    }
}

impl View for RedisView {
    async fn store(&self, entries: &[(Bytes, Bytes)]) -> Result<(), ViewError> {
        for chunk in entries.chunks(CHUNK_ENTRIES) {
            let calls = chunk.iter().map(|entry| self.set(entry)).collect();
            let answers = self.client.send(calls).await;
            if let Some(error) = answers.into_iter().find_map(Result::err) {
                return Err(ViewError(error.to_string()));
            }
        }
        Ok(())
    }
}

/// Messages in one round trip: more gains nothing and makes neighbours wait.
const CHUNK_ENTRIES: usize = 500;
