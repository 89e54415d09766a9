//! The ports of a simulated process: the in-process ones behind a gate that delays, fails, loses
//! replies, applies writes late or twice, and shuts for good when the process is killed.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::ShardId;
use aggregator_service::local::LocalCheckpoint;
use aggregator_service::ports::{
    Checkpoint, CheckpointError, Clock, Fetched, Flush, LogError, Message, Page, PartitionRange,
    ProduceError, Producer, Target, TradeLog, Verdict,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;

use crate::world::{Published, World};

/// What stands between a process and the world.
pub(crate) struct Gate {
    world: Arc<World>,
    process: usize,
    rng: Mutex<StdRng>,
    pub(crate) dead: AtomicBool,
    pub(crate) frozen: AtomicBool,
    pub(crate) thawed: Notify,
}

impl Gate {
    pub(crate) fn new(world: Arc<World>, process: usize, seed: u64) -> Self {
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        Self {
            world,
            process,
            rng,
            dead: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            thawed: Notify::new(),
        }
    }

    fn roll(&self, one_in: u64) -> bool {
        one_in > 0 && self.rng.lock().unwrap().random_range(0..one_in) == 0
    }

    fn fault(&self) -> bool {
        self.roll(self.world.fault_in.load(SeqCst))
    }

    /// The way there, or back: takes time; a frozen process waits, a dead one never arrives.
    async fn pass(&self) {
        let longest = if self.fault() { 2_000 } else { 10 };
        let delay = self.rng.lock().unwrap().random_range(0..longest);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        while self.frozen.load(SeqCst) {
            self.thawed.notified().await;
        }
        if self.dead.load(SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

pub(crate) struct SimLog(pub(crate) Arc<Gate>);

impl SimLog {
    fn failed(partition: Option<Partition>) -> LogError {
        LogError::Unavailable { topic: "t".to_owned(), partition, cause: "simulated".to_owned() }
    }
}

impl TradeLog for SimLog {
    async fn partitions(&self) -> Result<Vec<PartitionRange>, LogError> {
        self.0.pass().await;
        if self.0.fault() { Err(Self::failed(None)) } else { self.0.world.log.partitions().await }
    }

    async fn offset_at(&self, partition: Partition, at: WallMs) -> Result<Offset, LogError> {
        self.0.pass().await;
        if self.0.fault() {
            return Err(Self::failed(Some(partition)));
        }
        self.0.world.log.offset_at(partition, at).await
    }

    async fn fetch(&self, partition: Partition, from: Offset) -> Result<Fetched, LogError> {
        self.0.pass().await;
        if self.0.fault() {
            return Err(Self::failed(Some(partition)));
        }
        let mut fetched = self.0.world.log.fetch(partition, from).await?;
        if fetched.records.len() > 1 && self.0.roll(3) {
            fetched.records.truncate(fetched.records.len() / 2);
            fetched.next = fetched.records.last().map_or(from, |record| record.offset.next());
        }
        self.0.pass().await;
        Ok(fetched)
    }
}

pub(crate) struct SimProducer(pub(crate) Arc<Gate>);

impl Producer for SimProducer {
    fn partition_count(&self, _: Target) -> u32 {
        2
    }

    async fn produce(
        &self,
        target: Target,
        partition: Partition,
        messages: Arc<[Message]>,
    ) -> Result<(), ProduceError> {
        let failed = || ProduceError::Unavailable {
            topic: "t".to_owned(),
            partition,
            cause: "simulated".to_owned(),
        };
        self.0.pass().await;
        if target == Target::DeadLetters && self.0.world.slow_letters && self.0.fault() {
            tokio::time::sleep(Duration::from_secs(4)).await;
            self.0.pass().await;
        }
        let away = self.0.world.now().0 < self.0.world.brokers_away_until.load(SeqCst);
        if away {
            // As a time-out: the caller hears of it late.
            let patience = self.0.rng.lock().unwrap().random_range(0..3_000);
            tokio::time::sleep(Duration::from_millis(patience)).await;
        }
        if away || self.0.fault() {
            return Err(failed());
        }
        let times = if self.0.fault() { 2 } else { 1 };
        for _ in 0..times {
            let process = self.0.process;
            let messages = messages.iter().cloned();
            let published = messages.map(|message| Published { process, target, message });
            self.0.world.published.lock().unwrap().extend(published);
        }
        self.0.pass().await;
        if self.0.fault() { Err(failed()) } else { Ok(()) }
    }
}

pub(crate) struct SimCheckpoint {
    gate: Arc<Gate>,
    inner: Arc<LocalCheckpoint>,
}

impl SimCheckpoint {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        let owner = u64::try_from(gate.process).unwrap() + 1;
        let inner = LocalCheckpoint::new(Arc::clone(&gate.world.store), owner);
        Self { gate, inner: Arc::new(inner) }
    }

    fn failed(shard: ShardId) -> CheckpointError {
        CheckpointError::Unreachable { shard, cause: "simulated".to_owned() }
    }

    /// The caller gives up; the write takes effect all the same, later.
    fn apply_later(&self, flushes: &[Flush]) {
        let delay = self.gate.rng.lock().unwrap().random_range(50..6_000);
        let (inner, flushes) = (Arc::clone(&self.inner), flushes.to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            drop(inner.flush(&flushes).await);
        });
    }
}

impl Checkpoint for SimCheckpoint {
    async fn claim(&self, shard: ShardId) -> Result<u64, CheckpointError> {
        self.gate.pass().await;
        if self.gate.roll(40 * self.gate.world.fault_in.load(SeqCst)) {
            return Err(Self::failed(shard));
        }
        self.inner.claim(shard).await
    }

    async fn load(&self, shard: ShardId, _: Option<String>) -> Result<Page, CheckpointError> {
        self.gate.pass().await;
        self.inner.load(shard, None).await
    }

    async fn flush(&self, flushes: &[Flush]) -> Vec<Result<Verdict, CheckpointError>> {
        let failed = || flushes.iter().map(|flush| Err(Self::failed(flush.shard))).collect();
        self.gate.pass().await;
        if self.gate.fault() {
            return failed();
        }
        if self.gate.fault() {
            self.apply_later(flushes);
            return failed();
        }
        let verdicts = self.inner.flush(flushes).await;
        if self.gate.fault() {
            drop(self.inner.flush(flushes).await);
        }
        self.gate.pass().await;
        if self.gate.fault() { failed() } else { verdicts }
    }
}
