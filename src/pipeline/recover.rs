//! The start: claim every shard, load what the checkpoint holds, and find the position that each
//! shard expects next of each partition.
//!
//! With the checkpoint out of reach the start waits: what it holds may be all that is left of
//! trades that retention has removed, and a window without them would be wrong.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use super::Shared;
use super::backoff::Backoff;
use super::chain::Chain;
use crate::domain::budget::Budget;
use crate::domain::position::{Offset, StartFrom};
use crate::domain::shard::Shard;
use crate::domain::time::{Second, WallMs};
use crate::domain::token::{SHARDS, ShardId};
use crate::domain::window::Windows;
use crate::ports::{Checkpoint, CheckpointError, LogError, PartitionRange, TradeLog};
use crate::sabotage::Bug;
use crate::wire::checkpoint::{self, CodecError};

/// Shards that load at the same time.
const PARALLEL_LOADS: usize = 16;

/// A shard as it starts.
#[derive(Debug)]
pub struct Recovered {
    /// Its state.
    pub shard: Shard,
    /// Its changelog's state.
    pub chain: Chain,
    /// The last tick that was published, where the checkpoint says so.
    pub published: Option<Second>,
}

/// How shards are recovered.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The configured windows.
    pub windows: Windows,
    /// What all shards together may hold.
    pub budget: Arc<Budget>,
    /// How far ahead a trade may be.
    pub max_future_skew: Duration,
    /// Where to read from without a checkpoint.
    pub start_from: StartFrom,
    /// Clock, metrics, status.
    pub shared: Arc<Shared>,
}

impl Recovery {
    /// Claims and loads all shards, in the order of their ids.
    ///
    /// # Errors
    /// The checkpoint was written by a newer version.
    pub async fn shards<C: Checkpoint>(
        &self,
        checkpoint: &Arc<C>,
    ) -> Result<Vec<Recovered>, CheckpointError> {
        // A task each: decoding is work for all cores.
        let start = |shard| {
            let (recovery, checkpoint) = (self.clone(), Arc::clone(checkpoint));
            let load = async move { recovery.shard(&*checkpoint, shard).await };
            AbortOnDropHandle::new(tokio::spawn(load))
        };
        let loads = stream::iter((0..SHARDS).map(ShardId)).map(start).buffered(PARALLEL_LOADS);
        let recovered = loads.collect::<Vec<_>>().await;
        self.shared.status.set_component("checkpoint", Ok(()));
        recovered.into_iter().map(|loaded| loaded.unwrap_or_else(fail)).collect()
    }

    /// Sets every shard's position of every partition; answers where each partition is read from.
    ///
    /// # Errors
    /// The log cannot say where the longest window begins.
    pub async fn positions<L: TradeLog>(
        &self,
        log: &L,
        recovered: &mut [Recovered],
        ranges: &[PartitionRange],
    ) -> Result<Vec<Offset>, LogError> {
        let mut starts = Vec::with_capacity(ranges.len());
        for range in ranges {
            let fresh = match self.start_from {
                StartFrom::Earliest => range.first,
                StartFrom::Latest => range.end,
                StartFrom::Window => {
                    let longest = Duration::from_secs(u64::from(self.windows.longest()));
                    let now = self.shared.clock.now();
                    let begin = now.minus(longest).minus(self.max_future_skew);
                    log.offset_at(range.partition, begin).await?
                }
            };
            for one in recovered.iter_mut() {
                self.position(one, range, fresh);
            }
            let expected = recovered.iter().map(|one| one.shard.next_offset(range.partition));
            starts.push(expected.min().unwrap_or(fresh));
        }
        Ok(starts)
    }

    fn position(&self, one: &mut Recovered, range: &PartitionRange, fresh: Offset) {
        let PartitionRange { partition, first, end } = *range;
        let stored = one.shard.next_offset(partition);
        let next = if Bug::RecoveredAtTheEnd.on() {
            end
        } else if one.published.is_none() {
            fresh
        } else if stored > end {
            warn!(%partition, expected = %stored, %end, "a new log: shorter than before");
            first
        } else if stored < first {
            let lost = first.0.saturating_sub(stored.0);
            self.shared.offsets_lost(partition, lost);
            error!(%partition, from = %stored, to = %first, lost, "unread records removed");
            first
        } else {
            stored.max(first)
        };
        one.shard.restart(partition, next);
    }

    async fn shard<C: Checkpoint>(
        &self,
        checkpoint: &C,
        id: ShardId,
    ) -> Result<Recovered, CheckpointError> {
        let mut backoff = Backoff::new();
        loop {
            let now = self.shared.clock.now();
            match self.attempt(checkpoint, id, now).await {
                Err(cause) if !cause.is_final() => {
                    self.shared.status.progressed(now);
                    let says = Err(format!("waiting for it: {cause}"));
                    self.shared.status.set_component("checkpoint", says);
                    // One line for all shards: they wait for the same thing.
                    if id == ShardId(0) && backoff.worth_a_line() {
                        warn!(%cause, "the start waits for the checkpoint");
                    }
                    backoff.wait().await;
                }
                answer => return answer,
            }
        }
    }

    async fn attempt<C: Checkpoint>(
        &self,
        checkpoint: &C,
        id: ShardId,
        now: WallMs,
    ) -> Result<Recovered, CheckpointError> {
        let sequence = checkpoint.claim(id).await?;
        // Where the longest window begins now. Without a checkpoint nothing older is of use; with
        // one, what was active since its last tick still owes a closing message.
        let oldest = now.second().plus(-i64::from(self.windows.longest()));
        let shard = |floor| Shard::new(self.windows.clone(), self.budget.clone(), oldest, floor);
        let chain = Chain::new(id, sequence, now);
        if sequence == 0 {
            return Ok(Recovered { shard: shard(oldest), chain, published: None });
        }
        let mut loaded = shard(Second(i64::MIN));
        match load(checkpoint, id, &mut loaded).await {
            Ok(published) => {
                loaded.open(published);
                loaded.advance(oldest);
                Ok(Recovered { shard: loaded, chain, published: Some(published) })
            }
            Err(CheckpointError::Damaged { cause, .. }) => {
                error!(
                    shard = id.0,
                    cause, "checkpoint damaged: this shard is rebuilt from the log"
                );
                drop(loaded);
                let chain = chain.rewriting();
                Ok(Recovered { shard: shard(oldest), chain, published: None })
            }
            Err(other) => Err(other),
        }
    }
}

/// A load that panics takes the start with it, as if it had run there.
fn fail<T>(error: JoinError) -> T {
    std::panic::resume_unwind(error.into_panic())
}

/// Loads a shard's changelog into it; answers the last published tick.
async fn load<C: Checkpoint>(
    checkpoint: &C,
    id: ShardId,
    shard: &mut Shard,
) -> Result<Second, CheckpointError> {
    let mut cursor = None;
    let mut published = None;
    loop {
        let page = checkpoint.load(id, cursor).await?;
        for blob in &page.blobs {
            let entry = checkpoint::decode(blob).map_err(|cause| match cause {
                CodecError::UnknownVersion(found) => CheckpointError::NewerFormat {
                    shard: id,
                    found: u32::from(found),
                    known: u32::from(checkpoint::VERSION),
                },
                CodecError::Checksum | CodecError::Truncated | CodecError::Malformed(_) => {
                    CheckpointError::Damaged { shard: id, cause: cause.to_string() }
                }
            })?;
            for pane in entry.panes() {
                shard.restore(pane.token, pane.second, &pane.pane);
            }
            for (partition, next) in &entry.positions {
                shard.restart(*partition, *next);
            }
            published = published.max(Some(entry.published));
        }
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    published.ok_or_else(|| CheckpointError::Damaged { shard: id, cause: "no entry".to_owned() })
}
