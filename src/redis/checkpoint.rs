//! The checkpoint in Redis. Per shard two keys in one slot: `<prefix>{<group>:<topic>:<shard>}`
//! with `:meta` (HASH: `tok` the owner, `ten` its tenure; `seq`, `lastid` and writer `by` of the
//! last entry; `fmt`; `of` how many shards there are; `snap` and `try` of the last snapshot) and
//! `:log` (STREAM: one entry per flush, its id not older than its newest pane, in ms).
//!
//! Meta and log change together, inside one script, or not at all. A flush is applied only by the
//! owner of the moment and only onto the entry it continues. Nothing is sent again here: after an
//! error the caller sends the same flush, and the script tells a second sending from the first.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fred::types::Value;
use tokio::sync::Semaphore;

use super::client::{Call, Client, SendError};
use super::load::{Cursor, Meta, newest_blob, read_page};
use super::scripts::{APPEND, CLAIM, REPLACE, Run};
use crate::domain::time::Second;
use crate::domain::token::{ShardId, Shards};
use crate::ports::{Checkpoint, CheckpointError, Flush, FlushBody, Page, Verdict};

/// The checkpoint of one group and topic, written under one owner token.
#[derive(Debug)]
pub struct RedisCheckpoint {
    pub(super) client: Client,
    base: String,
    pub(super) shards: Shards,
    token: String,
    tries: AtomicU64,
    loads: Semaphore,
}

impl RedisCheckpoint {
    /// A checkpoint of so many shards whose keys start with `key_prefix`. `token` must never have
    /// been used before, by any process: `<generation>:<random>`.
    #[must_use]
    pub fn new(
        client: Client,
        key_prefix: &str,
        (group, topic): (&str, &str),
        shards: Shards,
        token: String,
    ) -> Self {
        // The slot is computed of what stands up to the first closing brace.
        let group = group.replace('}', "%7D");
        Self {
            client,
            base: format!("{key_prefix}{{{group}:{topic}:"),
            shards,
            token,
            tries: AtomicU64::new(1),
            loads: Semaphore::new(MAX_LOADS),
        }
    }

    /// The same checkpoint under another owner: what this one still has on its way is fenced by the
    /// other's claims.
    #[must_use]
    pub fn owned_by(&self, token: String) -> Self {
        Self {
            client: self.client.clone(),
            base: self.base.clone(),
            shards: self.shards,
            token,
            tries: AtomicU64::new(1),
            loads: Semaphore::new(MAX_LOADS),
        }
    }

    pub(super) fn key(&self, shard: ShardId, part: &str) -> String {
        format!("{}{}}}:{part}", self.base, shard.0)
    }

    /// The keys of all shards, as a pattern for Redis' `SCAN`.
    #[must_use]
    pub fn pattern(&self) -> String {
        let special = ['\\', '*', '?', '[', ']'];
        let quoted = self
            .base
            .chars()
            .flat_map(|c| special.contains(&c).then_some('\\').into_iter().chain([c]));
        quoted.chain(['*']).collect()
    }

    /// How many shards there are is fixed, where it is not yet. The first shard says it for all,
    /// and each says it again when it is claimed.
    ///
    /// # Errors
    /// It is fixed, and there are others; or as a claim.
    pub async fn fix_shards(&self) -> Result<(), CheckpointError> {
        self.claim_for("", ShardId(0), 0).await.map(|_| ())
    }

    async fn claim_for(
        &self,
        token: &str,
        shard: ShardId,
        tenure: u64,
    ) -> Result<u64, CheckpointError> {
        let shards = self.shards.count();
        let counts = [shards.to_string(), tenure.to_string()].map(Value::from);
        let args = [token.into(), FORMAT.into()].into_iter().chain(counts).collect();
        let run = Run { keys: vec![self.key(shard, "meta").into()], args };
        let answer = one(CLAIM.run(&self.client, &[run]).await).map_err(unreachable(shard))?;
        let unexpected = || unreachable(shard)(SendError::unexpected(&answer));
        let words: Vec<String> = answer.clone().convert().map_err(|_| unexpected())?;
        match words.as_slice() {
            [ok, sequence] if ok == "OK" => sequence.parse().map_err(|_| unexpected()),
            [newer, format] if newer == "NEWER" => Err(CheckpointError::NewerFormat {
                shard,
                found: format.parse().unwrap_or(u32::MAX),
                known: FORMAT,
            }),
            [other, found] if other == "OTHER" => {
                Err(CheckpointError::OtherShards { found: found.clone(), configured: shards })
            }
            _ => Err(unexpected()),
        }
    }

    fn run(&self, shard: ShardId, args: Vec<Value>) -> Run {
        let keys = vec![self.key(shard, "meta").into(), self.key(shard, "log").into()];
        Run { keys, args }
    }

    async fn flush_group(&self, flushes: &[Flush]) -> Vec<Result<Verdict, SendError>> {
        match flushes {
            [flush @ Flush { body: FlushBody::Snapshot(parts), .. }] => {
                vec![self.replace(flush, parts).await]
            }
            _ => self.append(flushes).await,
        }
    }

    async fn append(&self, flushes: &[Flush]) -> Vec<Result<Verdict, SendError>> {
        let runs: Vec<Run> = flushes.iter().map(|flush| self.append_run(flush)).collect();
        let answers = APPEND.run(&self.client, &runs).await;
        answers.into_iter().map(|answer| verdict(&answer?)).collect()
    }

    fn append_run(&self, flush: &Flush) -> Run {
        let blob = match &flush.body {
            FlushBody::Append(blob) => blob.clone(),
            FlushBody::Snapshot(_) => Bytes::new(),
        };
        let args = vec![
            Value::from(self.token.as_str()),
            Value::from(flush.previous.to_string()),
            Value::from(flush.sequence.to_string()),
            Value::from(millis(flush.newest)),
            Value::from(millis(flush.trim.plus(1))),
            Value::from(blob),
            flush.tenure.to_string().into(),
        ];
        self.run(flush.shard, args)
    }

    /// Writes the parts beside the changelog, then puts them in its place. The key is new each
    /// time, so that parts of an earlier sending that come late do not get in between.
    async fn replace(&self, flush: &Flush, parts: &[Bytes]) -> Result<Verdict, SendError> {
        let number = self.tries.fetch_add(1, Ordering::Relaxed);
        let key = self.key(flush.shard, &format!("new:{}:{number}", self.token));
        // A shard without panes is one empty part, which loading passes over.
        let empty = [Bytes::new()];
        let parts = if parts.is_empty() { &empty } else { parts };
        let written = match self.write_parts(&key, flush.newest, parts).await {
            Ok(()) => self.commit(flush, &key, parts.len(), number).await,
            Err(error) => Err(error),
        };
        if written.is_err() {
            // At worst it expires by itself.
            let unlink = Call::keyed("UNLINK", 0, vec![Value::from(key)]);
            drop(self.client.send(vec![unlink]).await);
        }
        written
    }

    async fn write_parts(
        &self,
        key: &str,
        newest: Second,
        parts: &[Bytes],
    ) -> Result<(), SendError> {
        let mut number = 0_usize;
        let mut rest = parts;
        while !rest.is_empty() {
            let (group, later) = rest.split_at(group_length(rest.iter().map(Bytes::len)));
            let mut calls = Vec::with_capacity(group.len() + 1);
            for part in group {
                number += 1;
                let id = format!("{}-{number}", millis(newest));
                let args = vec![key.into(), id.into(), "b".into(), part.clone().into()];
                calls.push(Call::keyed("XADD", 0, args));
            }
            calls.push(Call::keyed("EXPIRE", 0, vec![key.into(), PARTS_EXPIRE_SECONDS.into()]));
            for answer in self.client.send(calls).await {
                answer?;
            }
            rest = later;
        }
        Ok(())
    }

    async fn commit(
        &self,
        flush: &Flush,
        key: &str,
        parts: usize,
        number: u64,
    ) -> Result<Verdict, SendError> {
        let args = vec![
            Value::from(self.token.as_str()),
            Value::from(flush.sequence.to_string()),
            Value::from(parts.to_string()),
            Value::from(FORMAT),
            Value::from(number.to_string()),
            flush.tenure.to_string().into(),
            self.shards.count().to_string().into(),
        ];
        let mut run = self.run(flush.shard, args);
        run.keys.push(key.into());
        verdict(&one(REPLACE.run(&self.client, &[run]).await)?)
    }

    /// Where loading begins: the claim must still be ours, if we have one.
    async fn first_cursor(
        &self,
        shard: ShardId,
        claimed: bool,
    ) -> Result<Option<Cursor>, CheckpointError> {
        let fields = ["tok", "seq", "lastid", "snap"].map(Value::from);
        let mut args = vec![Value::from(self.key(shard, "meta"))];
        args.extend(fields);
        let answer = one(self.client.send(vec![Call::keyed("HMGET", 0, args)]).await);
        match Meta::of(answer.map_err(unreachable(shard))?) {
            Some(meta) if !claimed || meta.token == self.token => Ok(meta.cursor()),
            _ => Err(damaged(shard, "the claim is gone")),
        }
    }

    async fn page(
        &self,
        shard: ShardId,
        cursor: Option<String>,
        claimed: bool,
    ) -> Result<Page, CheckpointError> {
        let _slot = self.loads.acquire().await;
        let cursor = match cursor {
            Some(text) => Cursor::parse(&text).ok_or_else(|| damaged(shard, "wrong cursor"))?,
            None => match self.first_cursor(shard, claimed).await? {
                Some(cursor) => cursor,
                None => return Ok(Page::default()),
            },
        };
        let range = Call::keyed("XRANGE", 0, cursor.range(&self.key(shard, "log")));
        let fields = vec![Value::from(self.key(shard, "meta")), "snap".into()];
        let calls = vec![range, Call::keyed("HGET", 0, fields)];
        let mut answers = self.client.send(calls).await.into_iter();
        let mut next = || one(answers.next().into_iter().collect()).map_err(unreachable(shard));
        let (entries, snapshot) = (next()?, next()?);
        read_page(&cursor, entries, snapshot).map_err(|cause| damaged(shard, cause))
    }
}

impl Checkpoint for RedisCheckpoint {
    async fn claim(&self, shard: ShardId, tenure: u64) -> Result<u64, CheckpointError> {
        self.claim_for(&self.token, shard, tenure).await
    }

    async fn load(&self, shard: ShardId, cursor: Option<String>) -> Result<Page, CheckpointError> {
        self.page(shard, cursor, true).await
    }

    async fn peek(&self, shard: ShardId, cursor: Option<String>) -> Result<Page, CheckpointError> {
        self.page(shard, cursor, false).await
    }

    async fn newest(&self, shards: &[ShardId]) -> Result<Vec<Option<Bytes>>, CheckpointError> {
        let call = |shard: &ShardId| {
            let key = Value::from(self.key(*shard, "log"));
            let args = vec![key, "+".into(), "-".into(), "COUNT".into(), "1".into()];
            Call::keyed("XREVRANGE", 0, args)
        };
        let mut newest = Vec::with_capacity(shards.len());
        for group in shards.chunks(NEWEST_TOGETHER) {
            let answers = self.client.send(group.iter().map(call).collect()).await;
            for (shard, answer) in group.iter().zip(answers) {
                let answer = answer.map_err(unreachable(*shard))?;
                newest.push(newest_blob(answer).map_err(|cause| damaged(*shard, cause))?);
            }
        }
        Ok(newest)
    }

    async fn flush(&self, flushes: &[Flush]) -> Vec<Result<Verdict, CheckpointError>> {
        let mut answers = Vec::with_capacity(flushes.len());
        let mut gone: Option<SendError> = None;
        let mut rest = flushes;
        while !rest.is_empty() {
            let (group, later) = rest.split_at(flushes_together(rest));
            let said = match &gone {
                // One wait is enough: the others would wait for nothing, too.
                Some(error) => vec![Err(error.clone()); group.len()],
                None => self.flush_group(group).await,
            };
            gone = said.iter().find_map(|answer| disconnect(answer).cloned());
            let shards = group.iter().map(|flush| flush.shard);
            answers.extend(shards.zip(said).map(|(shard, said)| said.map_err(unreachable(shard))));
            rest = later;
        }
        answers
    }
}

/// How many of the next flushes go in one round trip: a snapshot goes alone.
fn flushes_together(rest: &[Flush]) -> usize {
    let appends = rest.iter().map_while(|flush| match &flush.body {
        FlushBody::Append(blob) => Some(blob.len()),
        FlushBody::Snapshot(_) => None,
    });
    group_length(appends)
}

/// How many of the next blobs go in one round trip: at least 1, at most `GROUP_BYTES` together.
fn group_length(lengths: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0_usize;
    let fits = lengths.take_while(|length| {
        bytes = bytes.saturating_add(*length);
        bytes <= GROUP_BYTES
    });
    fits.count().max(1)
}

fn disconnect(answer: &Result<Verdict, SendError>) -> Option<&SendError> {
    answer.as_ref().err().filter(|error| error.disconnected)
}

fn verdict(answer: &Value) -> Result<Verdict, SendError> {
    match answer.as_str().as_deref() {
        Some("OK") => Ok(Verdict::Ok),
        Some("DUP") => Ok(Verdict::Duplicate),
        Some("FENCED") => Ok(Verdict::Fenced),
        Some("GAP") => Ok(Verdict::Gap),
        Some("LOST") => Ok(Verdict::Lost),
        _ => Err(SendError::unexpected(answer)),
    }
}

fn one(answers: Vec<Result<Value, SendError>>) -> Result<Value, SendError> {
    let none = || Err(SendError::unexpected(&Value::Null));
    answers.into_iter().next().unwrap_or_else(none)
}

fn unreachable(shard: ShardId) -> impl Fn(SendError) -> CheckpointError {
    move |error| CheckpointError::Unreachable { shard, cause: error.to_string() }
}

fn damaged(shard: ShardId, cause: &str) -> CheckpointError {
    CheckpointError::Damaged { shard, cause: cause.to_owned() }
}

/// Stream ids have no sign: what is before 1970 is trimmed as if it were 1970.
fn millis(second: Second) -> String {
    second.0.max(0).saturating_mul(1_000).to_string()
}

/// What the keys hold and mean. A higher one in Redis is not touched.
pub(super) const FORMAT: u32 = 1;

/// One round trip's blobs: sent well within the unresponsive time on a slow network.
const GROUP_BYTES: usize = 4 << 20;

/// Newest entries in one round trip: of 400 kB at most each.
const NEWEST_TOGETHER: usize = 8;

/// Pages under way at a time, for the same reason: the last one's answer waits for the others.
const MAX_LOADS: usize = 4;

/// Parts of a snapshot that was never finished go after this time; each round trip renews it.
const PARTS_EXPIRE_SECONDS: i64 = 60;
