//! The checkpoint of a simulated process: the one in process, behind its gate, in small pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregator_service::domain::token::ShardId;
use aggregator_service::local::LocalCheckpoint;
use aggregator_service::ports::{
    Checkpoint, CheckpointError, Clock, Flush, FlushBody, Page, Verdict,
};
use aggregator_service::wire::checkpoint::decode;
use bytes::Bytes;

use crate::gate::Gate;
use crate::plan::{Outage, Weather};

/// Entries in one page.
const PAGE: usize = 3;

/// Shards that are claimed and loaded at a time.
const PARALLEL_LOADS: usize = 16;

/// Shards of others that are loaded at a time.
const PARALLEL_PEEKS: usize = 2;

pub(crate) struct SimCheckpoint {
    gate: Arc<Gate>,
    inner: Arc<LocalCheckpoint>,
    /// What is being loaded, or looked at.
    pages: Mutex<BTreeMap<ShardId, Vec<Bytes>>>,
    /// What was claimed, is in the store, and has not been begun from it.
    claimed: Mutex<BTreeSet<ShardId>>,
}

impl SimCheckpoint {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        let owner = u64::try_from(gate.process).unwrap() + 1;
        let inner = LocalCheckpoint::new(Arc::clone(&gate.world.store), owner);
        Self { gate, inner: Arc::new(inner), pages: Mutex::default(), claimed: Mutex::default() }
    }

    /// The way there, and whether the store does what it is asked.
    async fn ask(&self, writes: bool, fails: Weather) -> bool {
        self.gate.pass().await;
        let world = &self.gate.world;
        let refuses = writes && world.is_out(Outage::StoreReadOnly);
        !refuses && !world.is_out(Outage::Store) && !self.gate.roll(fails)
    }

    fn apply(&self, flushes: &[Flush], number: u64) -> Vec<Result<Verdict, CheckpointError>> {
        let world = &self.gate.world;
        for flush in flushes {
            let last = match &flush.body {
                FlushBody::Append(blob) => blob,
                FlushBody::Snapshot(parts) => {
                    world.ledger().rewrote(self.gate.process, flush.shard.0);
                    parts.last().unwrap()
                }
            };
            let writer = world.ledger().stay(self.gate.process, flush.shard.0);
            world.writes(last, writer);
        }
        flushes.iter().map(|flush| self.inner.apply(flush, number)).collect()
    }

    fn page(&self, shard: ShardId, cursor: Option<String>) -> Page {
        let from = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let pages = self.pages.lock().unwrap();
        let whole = &pages[&shard];
        let to = whole.len().min(from + PAGE);
        let cursor = (to < whole.len()).then(|| to.to_string());
        Page { blobs: whole[from..to].to_vec(), cursor }
    }

    /// A shard that was claimed goes on from this entry.
    fn begins_at(&self, shard: ShardId, last: Option<&Bytes>) {
        let Some(last) = last else { return };
        self.claimed.lock().unwrap().remove(&shard);
        let (world, entry) = (&self.gate.world, decode(last, |_| ()).unwrap());
        world.ledger().loaded(self.gate.process, shard.0, &entry, world.writer(last));
    }

    /// What was sent takes effect after all, later.
    fn apply_later(&self, flushes: &[Flush], number: u64) {
        let delay = Duration::from_millis(50 + self.gate.below(6_000));
        let (gate, inner) = (Arc::clone(&self.gate), Arc::clone(&self.inner));
        let late = Self { gate, inner, pages: Mutex::default(), claimed: Mutex::default() };
        let flushes = flushes.to_vec();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            drop(late.apply(&flushes, number));
        });
    }
}

fn failed(shard: ShardId) -> CheckpointError {
    CheckpointError::Unreachable { shard, cause: "simulated".to_owned() }
}

impl Checkpoint for SimCheckpoint {
    async fn claim(&self, shard: ShardId, tenure: u64) -> Result<u64, CheckpointError> {
        let _one = self.gate.enter("claim or load".to_owned(), PARALLEL_LOADS);
        let now = self.gate.world.now();
        if !self.ask(true, Weather::ClaimFails).await {
            return Err(failed(shard));
        }
        let claimed = self.inner.claim(shard, tenure).await?;
        self.gate.pass().await;
        if self.gate.roll(Weather::ClaimReplyLost) {
            return Err(failed(shard));
        }
        self.gate.world.ledger().claimed(self.gate.process, shard.0, now);
        if claimed > 0 {
            self.claimed.lock().unwrap().insert(shard);
        }
        Ok(claimed)
    }

    async fn load(&self, shard: ShardId, cursor: Option<String>) -> Result<Page, CheckpointError> {
        let _one = self.gate.enter("claim or load".to_owned(), PARALLEL_LOADS);
        if !self.ask(false, Weather::LoadFails).await {
            return Err(failed(shard));
        }
        if cursor.is_none() {
            tokio::time::sleep(self.gate.world.load).await;
            let whole = self.inner.load(shard, None).await?;
            self.pages.lock().unwrap().insert(shard, whole.blobs);
        }
        self.gate.pass().await;
        let page = self.page(shard, cursor);
        if let Page { blobs, cursor: None } = &page {
            self.begins_at(shard, blobs.last());
        }
        Ok(page)
    }

    async fn peek(&self, shard: ShardId, cursor: Option<String>) -> Result<Page, CheckpointError> {
        let _one = self.gate.enter("peek".to_owned(), PARALLEL_PEEKS);
        if !self.ask(false, Weather::LoadFails).await {
            return Err(failed(shard));
        }
        if cursor.is_none() {
            tokio::time::sleep(self.gate.world.load).await;
            let whole = self.inner.peek(shard, None).await?;
            self.pages.lock().unwrap().insert(shard, whole.blobs);
        }
        self.gate.pass().await;
        Ok(self.page(shard, cursor))
    }

    async fn newest(&self, shards: &[ShardId]) -> Result<Vec<Option<Bytes>>, CheckpointError> {
        if !self.ask(false, Weather::LoadFails).await {
            return Err(failed(shards[0]));
        }
        let newest = self.inner.newest(shards).await?;
        self.gate.pass().await;
        // Asked of one alone that was claimed, and not of all, is for a shard that goes on from
        // memory.
        let alone = self.gate.world.shards.count() > 1;
        if let (true, [shard], [newest]) = (alone, shards, &newest[..])
            && self.claimed.lock().unwrap().contains(shard)
        {
            self.begins_at(*shard, newest.as_ref());
        }
        Ok(newest)
    }

    async fn flush(&self, flushes: &[Flush]) -> Vec<Result<Verdict, CheckpointError>> {
        let shard = |flush: &Flush| format!("flush of shard {}", flush.shard.0);
        let _one: Vec<_> = flushes.iter().map(|flush| self.gate.enter(shard(flush), 1)).collect();
        let failed = || flushes.iter().map(|flush| Err(failed(flush.shard))).collect();
        let number = self.inner.next_try();
        if !self.ask(true, Weather::FlushFails).await {
            return failed();
        }
        if self.gate.roll(Weather::FlushTakesEffectLater) {
            self.apply_later(flushes, number);
            return failed();
        }
        let verdicts = self.apply(flushes, number);
        if self.gate.roll(Weather::FlushArrivesTwice) {
            self.apply_later(flushes, number);
        }
        self.gate.pass().await;
        if self.gate.roll(Weather::FlushReplyLost) { failed() } else { verdicts }
    }
}
