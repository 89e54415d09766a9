//! What Redis says of itself, and what stands in it of the checkpoint. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use fred::types::Value;

use super::checkpoint::{FORMAT, RedisCheckpoint};
use super::client::{Call, Client};
use super::connect::RedisError;
use crate::domain::time::WallMs;
use crate::domain::token::{ShardId, Shards};

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    info: BTreeMap<String, String>,
    /// The times at which snapshots are taken; `None` where that is not told.
    pub save: Option<String>,
    /// How often the append-only file is forced to the disk; `None` where that is not told.
    pub fsync: Option<String>,
}

/// What stands there of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// How many shards the tokens are spread over, where that is fixed.
    pub of: Option<Shards>,
    /// Shards that were claimed.
    pub shards: u16,
    /// Shards that hold something.
    pub written: u16,
    /// The highest layout.
    pub layout: u32,
    /// When those who claimed started, in milliseconds.
    pub claimed_by: BTreeSet<String>,
    /// The newest second of a trade, about.
    pub newest: Option<WallMs>,
    /// Keys that are there and are not ours.
    pub foreign: Vec<String>,
}

/// The layout of the checkpoint that this program reads and writes.
pub const LAYOUT: u32 = FORMAT;

impl Facts {
    /// Asks the server.
    ///
    /// # Errors
    /// It does not answer, or does not permit `INFO`.
    pub async fn of(client: &Client) -> Result<Self, RedisError> {
        let ask = |name, words: &[&'static str]| {
            Call::anywhere(name, words.iter().map(|word| Value::from(*word)).collect())
        };
        let calls = vec![
            ask("INFO", &[]),
            ask("CONFIG", &["GET", "save"]),
            ask("CONFIG", &["GET", "appendfsync"]),
        ];
        let mut answers = client.send(calls).await.into_iter();
        let info = match answers.next() {
            Some(answer) => answer.map_err(|error| RedisError::said(error.to_string()))?,
            None => return Err(RedisError::Unanswered("no answer".to_owned())),
        };
        let info = info.into_string().unwrap_or_default();
        let pairs = info.lines().filter_map(|line| line.trim().split_once(':'));
        // Managed servers forbid CONFIG: then it is not told.
        let mut setting = || answers.next()?.ok()?.into_array().into_iter().nth(1)?.into_string();
        Ok(Self {
            info: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            save: setting(),
            fsync: setting(),
        })
    }

    /// A line of `INFO`.
    #[must_use]
    pub fn says(&self, name: &str) -> Option<&str> {
        self.info.get(name).map(String::as_str)
    }

    /// A line of `INFO` that is a number; 0 where there is none.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.says(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> Option<WallMs> {
        let micros: i64 = self.says("server_time_usec")?.parse().ok()?;
        Some(WallMs(micros / 1_000))
    }
}

impl RedisCheckpoint {
    /// What stands there of it.
    ///
    /// # Errors
    /// Redis did not answer.
    pub async fn stored(&self) -> Result<Stored, RedisError> {
        let mut stored = Stored::default();
        // The first one says how many there are.
        self.look(&mut stored, [ShardId(0)]).await?;
        let all = stored.of.unwrap_or(self.shards);
        self.look(&mut stored, all.all().skip(1)).await?;
        Ok(stored)
    }

    async fn look(
        &self,
        stored: &mut Stored,
        shards: impl IntoIterator<Item = ShardId>,
    ) -> Result<(), RedisError> {
        let keys: Vec<_> = shards.into_iter().map(|shard| self.key(shard, "meta")).collect();
        let call = |key: &String| {
            let words = [key.as_str(), "of", "tok", "fmt", "seq", "lastid"].map(Value::from);
            Call::keyed("HMGET", 0, words.to_vec())
        };
        let answers = self.client.send(keys.iter().map(call).collect()).await;
        for (key, answer) in keys.into_iter().zip(answers) {
            match answer {
                Ok(fields) => stored.add(fields),
                Err(error) if error.says("WRONGTYPE") => stored.foreign.push(key),
                Err(error) => return Err(RedisError::said(error.to_string())),
            }
        }
        Ok(())
    }
}

impl Stored {
    fn add(&mut self, fields: Value) {
        let mut fields = fields.into_array().into_iter().map(Value::into_string);
        let mut next = || fields.next().flatten();
        let of = next().and_then(|text| text.parse().ok()).and_then(Shards::new);
        self.of = self.of.or(of);
        let Some(token) = next() else { return };
        self.of = self.of.or(Some(Shards::DEFAULT));
        self.shards += 1;
        self.layout = self.layout.max(next().and_then(|text| text.parse().ok()).unwrap_or(0));
        self.written += u16::from(next().is_some_and(|sequence| sequence != "0"));
        let newest = next().and_then(|id| id.split_once('-')?.0.parse().ok());
        self.newest = self.newest.max(newest.filter(|millis| *millis > 0).map(WallMs));
        self.claimed_by.insert(token);
    }
}
