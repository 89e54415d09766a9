//! Token names in one hash, `<prefix>names`: they outlive the topic's retention. Uses the view's
//! connection; what is not stored is kept by the caller and sent again.

use bytes::Bytes;
use fred::types::Value;

use super::client::{Call, Client};
use super::connect::RedisError;

/// The stored names.
#[derive(Debug)]
pub struct RedisNames {
    client: Client,
    key: String,
}

impl RedisNames {
    /// The names under `<key_prefix>names`.
    #[must_use]
    pub fn new(client: Client, key_prefix: &str) -> Self {
        Self { client, key: format!("{key_prefix}names") }
    }

    /// Hands every stored name to `each`: token and value. One key is walked, not the keyspace.
    ///
    /// # Errors
    /// Redis did not answer; some may have been handed over.
    pub async fn load(&self, mut each: impl FnMut(&str, &[u8])) -> Result<(), RedisError> {
        let mut cursor = "0".to_owned();
        loop {
            let args: Vec<Value> =
                vec![self.key.as_str().into(), cursor.into(), "COUNT".into(), PAGE.into()];
            let answer = self.ask(Call::keyed("HSCAN", 0, args)).await?;
            let unexpected = |_| RedisError::Unanswered("an unexpected answer".to_owned());
            let (next, flat): (String, Vec<Bytes>) = answer.convert().map_err(unexpected)?;
            for pair in flat.chunks_exact(2) {
                if let [token, value] = pair
                    && let Ok(token) = std::str::from_utf8(token)
                {
                    each(token, value);
                }
            }
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Stores names by token.
    ///
    /// # Errors
    /// Redis did not answer; storing the same again does no harm.
    pub async fn save(&self, names: &[(String, String)]) -> Result<(), RedisError> {
        for chunk in names.chunks(CHUNK) {
            let mut args: Vec<Value> = vec![self.key.as_str().into()];
            for (token, value) in chunk {
                args.extend([token.as_str().into(), value.as_str().into()]);
            }
            self.ask(Call::keyed("HSET", 0, args)).await?;
        }
        Ok(())
    }

    async fn ask(&self, call: Call) -> Result<Value, RedisError> {
        let answers = self.client.send(vec![call]).await;
        let none = || Err(RedisError::Unanswered("no answer".to_owned()));
        let answer = answers.into_iter().next();
        answer.map_or_else(none, |said| said.map_err(|e| RedisError::Unanswered(e.to_string())))
    }
}

/// Names asked for in one round trip.
const PAGE: i64 = 2_000;

/// Names in one write.
const CHUNK: usize = 500;
