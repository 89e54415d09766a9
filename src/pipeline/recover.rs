//! The start: claim every shard, load what the checkpoint holds, and find the position that each
//! shard expects next of each partition.
//!
//! With the checkpoint out of reach the start waits: what it holds may be all that is left of
//! trades that retention has removed, and a window without them would be wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use super::Shared;
use super::backoff::Backoff;
use super::chain::Chain;
use super::load::{Reach, load};
use super::promote::promote;
use super::shared::CLOCK_WAIT;
use crate::domain::budget::Budget;
use crate::domain::cover::Cover;
use crate::domain::position::{Offset, Partition, StartFrom};
use crate::domain::shard::Shard;
use crate::domain::time::{Second, WallMs};
use crate::domain::token::ShardId;
use crate::domain::window::Windows;
use crate::ports::group::Seat;
use crate::ports::{Checkpoint, CheckpointError, LogError, PartitionRange, TradeLog};
use crate::sabotage::Bug;
use crate::status::{Component, WHOLE};

/// Shards that load at the same time.
const PARALLEL_LOADS: usize = 16;

/// Partitions whose begin is asked for at the same time: one after the other 64 take 0.2 s.
const PARALLEL_QUESTIONS: usize = 16;

/// A shard as it starts.
#[derive(Debug)]
pub struct Recovered {
    /// Which it is.
    pub id: ShardId,
    /// Its state.
    pub shard: Shard,
    /// Its changelog's state.
    pub chain: Chain,
    /// The last tick that was published, where the checkpoint says so.
    pub published: Option<Second>,
    /// When it was claimed: ticks of later moments are its new owner's.
    pub claimed: WallMs,
    /// How far the clock had gone when the checkpoint was written.
    pub latest: Second,
    /// Positions of a checkpoint that cannot be used: all before them has its dead letters.
    pub(super) handled: BTreeMap<Partition, Offset>,
    /// It was followed here, and has not told what was rejected from these positions on.
    pub(super) unheard: Option<BTreeMap<Partition, Offset>>,
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
    /// How often shards were claimed: each time with a shard has a number of its own.
    pub tenures: Arc<AtomicU64>,
    /// Where the group's lease is said.
    pub seat: Seat,
}

impl Recovery {
    /// Claims and loads shards, in the order of their ids. Those that were followed here are taken
    /// as they are, if they can be.
    ///
    /// # Errors
    /// The checkpoint was written by a newer version.
    pub async fn shards<C: Checkpoint>(
        &self,
        checkpoint: &Arc<C>,
        shards: &Cover,
        followed: Vec<(ShardId, Shard)>,
    ) -> Result<Vec<Recovered>, CheckpointError> {
        let mut followed: BTreeMap<_, _> = followed.into_iter().collect();
        let first = shards.shards().next();
        // A task each: decoding is work for all cores.
        let start = |shard| {
            let (recovery, checkpoint) = (self.clone(), Arc::clone(checkpoint));
            let (speaks, followed) = (first == Some(shard), followed.remove(&shard));
            let load = async move { recovery.shard(&*checkpoint, shard, followed, speaks).await };
            AbortOnDropHandle::new(tokio::spawn(load))
        };
        let loads = stream::iter(shards.shards()).map(start).buffered(PARALLEL_LOADS);
        let recovered = loads.collect::<Vec<_>>().await;
        self.shared.status.works(Component::Checkpoint, WHOLE);
        recovered.into_iter().map(|loaded| loaded.unwrap_or_else(fail)).collect()
    }

    /// One that holds nothing.
    pub(super) fn empty(&self, end: Second, floor: Second) -> Shard {
        Shard::new(self.windows.clone(), Arc::clone(&self.budget), end, floor)
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
        let fresh = stream::iter(ranges.iter().copied()).map(|range| self.fresh(log, range));
        let fresh: Vec<_> = fresh.buffered(PARALLEL_QUESTIONS).try_collect().await?;
        let mut starts = Vec::with_capacity(ranges.len());
        for (range, fresh) in ranges.iter().zip(fresh) {
            self.note_loss(recovered, range);
            for one in recovered.iter_mut() {
                position(one, range, fresh);
            }
            let expected = recovered.iter().map(|one| one.shard.next_offset(range.partition));
            let highest = Bug::ReadFromTheHighestPosition.on();
            let start = if highest { expected.max() } else { expected.min() };
            starts.push(start.unwrap_or(range.end));
        }
        Ok(starts)
    }

    /// Where a partition is read from without a checkpoint.
    async fn fresh<L: TradeLog>(&self, log: &L, range: PartitionRange) -> Result<Offset, LogError> {
        match self.start_from {
            StartFrom::Earliest => Ok(range.first),
            StartFrom::Latest => Ok(range.end),
            StartFrom::Window => {
                let longest = Duration::from_secs(u64::from(self.windows.longest()));
                let now = self.shared.clock.now();
                let begin = now.minus(longest).minus(self.max_future_skew);
                log.offset_at(range.partition, begin).await
            }
        }
    }

    /// Says what the shards' positions have to do with the log as it is. Once for all shards: it is
    /// the same log, and a lost offset is lost once.
    fn note_loss(&self, recovered: &[Recovered], range: &PartitionRange) {
        let PartitionRange { partition, first, end } = *range;
        let known = recovered.iter().filter(|one| one.published.is_some());
        let stored = || known.clone().map(|one| one.shard.next_offset(partition));
        if let Some(expected) = stored().max().filter(|expected| *expected > end) {
            self.shared.new_log(partition, expected, first, end);
        }
        if let Some(from) = stored().min().filter(|from| *from < first) {
            self.shared.offsets_lost(partition, from, first);
        }
    }

    async fn shard<C: Checkpoint>(
        &self,
        checkpoint: &C,
        id: ShardId,
        mut followed: Option<Shard>,
        speaks: bool,
    ) -> Result<Recovered, CheckpointError> {
        let mut backoff = Backoff::new();
        loop {
            let now = self.shared.clock.now();
            match self.attempt(checkpoint, id, &mut followed, now).await {
                // All shards wait for the same thing: the first of them says so.
                Err(cause) if !cause.is_final() && speaks => {
                    self.shared.start_waits(Component::Checkpoint, &cause, &mut backoff).await;
                }
                Err(cause) if !cause.is_final() => backoff.wait().await,
                answer => return answer,
            }
            // Each attempt claims. Without a lease the shard may be another member's by now.
            self.seat.leased().await;
        }
    }

    async fn attempt<C: Checkpoint>(
        &self,
        checkpoint: &C,
        id: ShardId,
        followed: &mut Option<Shard>,
        now: WallMs,
    ) -> Result<Recovered, CheckpointError> {
        let tenure = self.tenures.fetch_add(1, Relaxed);
        let sequence = checkpoint.claim(id, tenure).await?;
        // Where the longest window begins now. Without a checkpoint nothing older is of use; with
        // one, what was active since its last tick still owes a closing message.
        let oldest = now.second().plus(-i64::from(self.windows.longest()));
        let chain = Chain::new(id, tenure, sequence, now);
        let fresh = |chain| Recovered {
            id,
            claimed: now,
            shard: self.empty(oldest, oldest),
            chain,
            published: None,
            latest: now.second(),
            handled: BTreeMap::new(),
            unheard: None,
        };
        if sequence == 0 {
            return Ok(fresh(chain));
        }
        if let Some((shard, newest)) = promote(checkpoint, id, followed, (now, oldest)).await? {
            let chain = if Bug::FollowedTakenForWritten.on() { chain } else { chain.rewriting() };
            let unheard = Some(newest.positions.into_iter().collect());
            let (published, latest) = (Some(newest.published), newest.latest.max(now.second()));
            return Ok(Recovered { shard, published, latest, unheard, ..fresh(chain) });
        }
        let mut loaded = self.empty(oldest, Second(i64::MIN));
        match load(id, &mut loaded, |cursor| checkpoint.load(id, cursor)).await {
            Ok(reach) if ahead(reach.latest, now) => {
                error!(
                    shard = id.0,
                    latest = reach.latest.0,
                    action = "look at the time synchronisation of the hosts that ran this",
                    "checkpoint of a clock that was ahead: this shard is rebuilt from the log"
                );
                let handled = loaded.positions().collect();
                Ok(Recovered { handled, ..fresh(chain.rewriting()) })
            }
            Ok(Reach { published, latest }) => {
                loaded.open(published);
                loaded.advance(oldest);
                // The clock may be set back before the first tick: its windows end here already.
                let latest = latest.max(now.second());
                Ok(Recovered { shard: loaded, published: Some(published), latest, ..fresh(chain) })
            }
            Err(CheckpointError::Damaged { cause, .. }) => {
                self.shared.metrics.checkpoint_damaged.inc();
                error!(
                    shard = id.0,
                    cause,
                    action = "look at Redis: its disk, its memory, who else writes to it",
                    "checkpoint damaged: this shard is rebuilt from the log"
                );
                drop(loaded);
                Ok(fresh(chain.rewriting()))
            }
            Err(other) => {
                if Bug::FailedLoadKeepsItsBudget.on() {
                    std::mem::forget(loaded);
                }
                Err(other)
            }
        }
    }
}

/// A load that panics takes the start with it, as if it had run there.
fn fail<T>(error: JoinError) -> T {
    std::panic::resume_unwind(error.into_panic())
}

/// Whether a checkpoint was written by a clock too far ahead to be waited for: it may have dropped
/// what the windows of now hold.
pub(super) fn ahead(latest: Second, now: WallMs) -> bool {
    latest > now.plus(CLOCK_WAIT).second_after() && !Bug::ClockTrusted.on()
}

/// Sets a shard's position of one partition: where the checkpoint says, as far as that still
/// stands in the log. Each shard by itself: after a log was made anew some may know of it already,
/// and what they have counted of it must not be read again.
fn position(one: &mut Recovered, range: &PartitionRange, fresh: Offset) {
    let PartitionRange { partition, first, end } = *range;
    let stored = one.shard.next_offset(partition);
    let damaged_at_end = one.chain.wants_everything() && Bug::DamagedShardStartsAtTheEnd.on();
    let next = if Bug::RecoveredAtTheEnd.on() || damaged_at_end {
        end
    } else if one.published.is_none() {
        let handled = one.handled.get(&partition).copied().unwrap_or(fresh);
        handled.min(fresh).max(first)
    } else if stored > end {
        if Bug::RemadeLogReadFromItsEnd.on() { end } else { first }
    } else {
        stored.max(first)
    };
    one.shard.restart(partition, next);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::Partition;
    use crate::domain::token::Shards;
    use crate::domain::window::Window;
    use crate::local::LocalLog;
    use crate::metrics::Metrics;
    use crate::ports::group::seat;
    use crate::ports::{Clock, Record};
    use crate::status::Status;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> WallMs {
            WallMs(0)
        }
    }

    /// Where two shards go on whose checkpoints expect these offsets, and what was counted as lost
    /// and as new, over a log that holds `first..end`.
    async fn recovered(expected: [i64; 2], first: i64, end: i64) -> ([Offset; 2], [u64; 2]) {
        let partition = Partition(0);
        let log = LocalLog::new(1, usize::try_from(end - first).expect("length"));
        for _ in 0..end {
            log.append(partition, Record::default());
        }
        let windows = vec![Window { name: "1min".to_owned(), seconds: 60 }];
        let shared = Shared {
            clock: Arc::new(Still),
            metrics: Arc::new(Metrics::new().expect("metrics")),
            status: Arc::new(Status::new(WallMs(0))),
        };
        let recovery = Recovery {
            windows: Windows::new(windows).expect("windows"),
            budget: Arc::new(Budget::new(1, 1)),
            max_future_skew: Duration::ZERO,
            start_from: StartFrom::Earliest,
            shared: Arc::new(shared),
            tenures: Arc::default(),
            seat: seat(Shards::DEFAULT).0,
        };
        let mut recovered = expected.map(|offset| {
            let (windows, budget) = (recovery.windows.clone(), Arc::clone(&recovery.budget));
            let mut shard = Shard::new(windows, budget, Second(0), Second(0));
            shard.restart(partition, Offset(offset));
            let chain = Chain::new(ShardId(0), 1, 1, WallMs(0));
            Recovered {
                id: ShardId(0),
                claimed: WallMs(0),
                shard,
                chain,
                published: Some(Second(0)),
                latest: Second(0),
                handled: BTreeMap::new(),
                unheard: None,
            }
        });
        let ranges = log.partitions().await.expect("ranges");
        let starts = recovery.positions(&log, &mut recovered, &ranges).await.expect("starts");
        let next = recovered.map(|one| one.shard.next_offset(partition));
        assert_eq!(starts, next.iter().min().copied().into_iter().collect::<Vec<_>>());
        let metrics = &recovery.shared.metrics;
        let counted = [&metrics.offset_lost, &metrics.new_logs]
            .map(|figure| figure.with_label_values(&["0"]).get());
        (next, counted)
    }

    #[tokio::test]
    async fn a_log_that_was_made_anew_is_told_once_and_is_new_for_whoever_does_not_know_it() {
        assert_eq!(recovered([30, 40], 0, 10).await, ([Offset(0); 2], [0, 1]));
        assert_eq!(recovered([3, 30], 0, 10).await, ([Offset(3), Offset(0)], [0, 1]));
        assert_eq!(recovered([3, 10], 0, 10).await, ([Offset(3), Offset(10)], [0, 0]));
    }

    #[tokio::test]
    async fn what_retention_removed_is_counted_once_and_not_for_each_shard() {
        assert_eq!(recovered([3, 4], 5, 10).await, ([Offset(5); 2], [2, 0]));
        assert_eq!(recovered([3, 8], 5, 10).await, ([Offset(5), Offset(8)], [2, 0]));
    }
}
