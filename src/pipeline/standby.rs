//! Shards of others, followed here: loaded from the checkpoint without a claim, kept up with the
//! log by the same reads as the shards of this process, and with their owners' ticks by what the
//! checkpoint says of these. Nothing is published, written or said of them. When one becomes this
//! process' it is handed over as it stands (`promote`).
//!
//! A shard whose state may differ from what its owner has is dropped and loaded anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::custody::{Custody, Stage};
use super::engine::Engine;
use super::load::load;
use super::reader::{Event, Reader};
use super::recover::Recovery;
use super::rewind::Until;
use super::steward::{Adopter, finished};
use super::worker::Worker;
use crate::domain::cover::Cover;
use crate::domain::position::{Offset, Partition};
use crate::domain::shard::Shard;
use crate::domain::time::Second;
use crate::domain::token::ShardId;
use crate::ports::group::Assignment;
use crate::ports::{Checkpoint, PartitionRange, TradeLog};

/// So many are loaded before the next ones: a take-over that needs one of them waits so long.
const GROUP: usize = 4;

/// Shards that load at the same time: there is no hurry, and others publish meanwhile.
const PARALLEL_LOADS: usize = 2;

/// After one could not be loaded, or was dropped: what is missing comes with the owner's next
/// flushes.
const PAUSE: Duration = Duration::from_secs(5);

/// Which shards are followed.
#[derive(Debug)]
pub(super) struct Standbys<L, C> {
    custody: Arc<Custody>,
    adopter: Adopter<L, C>,
    /// Those that are read for, from when they have come.
    followed: Cover,
    /// Those that are on their way in.
    coming: Cover,
    task: Option<AbortOnDropHandle<()>>,
}

impl<L: TradeLog, C: Checkpoint> Standbys<L, C> {
    pub(super) fn new(custody: Arc<Custody>, adopter: Adopter<L, C>) -> Self {
        let none = Cover::none(custody.seat().shards);
        let (followed, coming) = (none.clone(), none);
        Self { custody, adopter, followed, coming, task: None }
    }

    fn cover(&self, shards: impl IntoIterator<Item = ShardId>) -> Cover {
        Cover::of(self.custody.seat().shards, shards)
    }

    /// Returns when a step is over, and another may be due.
    pub(super) async fn stepped(&mut self) {
        finished(&mut self.task).await;
        self.task = None;
        self.followed = self.followed.with(&self.coming);
        self.coming = self.cover([]);
    }

    /// Does what an assignment asks for, one step at a time; whether it may begin to follow
    /// anything.
    pub(super) fn follow(
        &mut self,
        assignment: &Assignment,
        here: &BTreeMap<ShardId, Stage>,
        may_begin: bool,
    ) {
        if self.task.is_some() {
            return;
        }
        let Assignment { shards, standby, warm, .. } = assignment;
        let wanted = self.cover(standby.iter().copied());
        // What is this process' own by now is about to be taken in: until then it goes on.
        let stays = wanted.with(&self.cover(shards.iter().copied()));
        let kept = self.cover(self.custody.followed()).within(&stays);
        let gone = self.followed.without(&kept);
        if gone.shards().next().is_some() {
            // Not loaded, or dropped.
            let missing = gone.within(&wanted).shards().next().is_some();
            self.take_out(&gone);
            let workers = self.adopter.reader.workers.clone();
            self.task = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                drop(take(&workers, &gone).await);
                if missing {
                    tokio::time::sleep(PAUSE).await;
                }
            })));
            return;
        }
        let free = |shard: &ShardId| !here.contains_key(shard) && !self.followed.contains(*shard);
        // What is to be this process' own is waited for.
        let order = warm.iter().chain(standby.difference(warm)).copied();
        let new = self.cover(order.filter(free).take(GROUP));
        if may_begin && new.shards().next().is_some() {
            self.coming = new.clone();
            let (adopter, custody) = (self.adopter.clone(), Arc::clone(&self.custody));
            self.task = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                adopter.follow(&new, &custody).await;
            })));
        }
    }

    /// Of shards that become this process' those that are taken in first: where any are followed,
    /// these. `None` while one of them is on its way in.
    pub(super) fn first(&self, new: Cover) -> Option<Cover> {
        if self.coming.within(&new).shards().next().is_some() {
            return None;
        }
        let ready = self.cover(self.custody.followed()).within(&new);
        Some(if ready.shards().next().is_some() { ready } else { new })
    }

    /// These are followed no more: they are to be taken from the workers. Answers which were.
    pub(super) fn take_out(&mut self, shards: &Cover) -> Cover {
        let ready = self.cover(self.custody.followed()).within(shards);
        self.adopter.reader.reading.disown(&self.followed.within(shards));
        self.followed = self.followed.without(shards);
        self.custody.unfollow(shards);
        ready
    }
}

/// Takes the states of shards that are followed from the workers.
pub(super) async fn take(workers: &[mpsc::Sender<Event>], shards: &Cover) -> Vec<(ShardId, Shard)> {
    let mut taken = Vec::new();
    for worker in workers {
        let (to, told) = oneshot::channel();
        if worker.send(Event::Unfollow(shards.clone(), to)).await.is_ok() {
            taken.push(told);
        }
    }
    // A worker that has ended holds nothing.
    join_all(taken).await.into_iter().flatten().flatten().collect()
}

impl<L: TradeLog, C: Checkpoint> Adopter<L, C> {
    /// Loads shards, hands them to the workers, and reads what they have missed; those of which the
    /// checkpoint and the log have all are followed then.
    async fn follow(self, shards: &Cover, custody: &Custody) {
        let Self { checkpoint, recovery, reader } = self;
        let loads = shards.shards().map(|id| recovery.peek(&*checkpoint, id));
        let loads = stream::iter(loads).buffered(PARALLEL_LOADS);
        let mut loaded: Vec<(ShardId, Shard)> =
            loads.filter_map(std::future::ready).collect().await;
        let Reader { log, reading, workers, .. } = &reader;
        // Asked after the loads: an owner's positions lie in the log as it is by then.
        let Ok(ranges) = log.partitions().await else { return };
        let read = reading.partitions();
        if ranges.iter().any(|range| !read.contains(&range.partition)) {
            return; // a new one: its reader is about to begin
        }
        loaded.retain(|(_, shard)| {
            let stands = |range: &PartitionRange| {
                (range.first..=range.end).contains(&shard.next_offset(range.partition))
            };
            ranges.iter().all(stands)
        });
        if loaded.is_empty() {
            return;
        }
        let lowest = |partition| {
            let next = loaded.iter().map(|(_, shard)| shard.next_offset(partition));
            (partition, next.min().unwrap_or_default())
        };
        let from: BTreeMap<_, _> = ranges.iter().map(|range| lowest(range.partition)).collect();
        let followed = Cover::of(custody.seat().shards, loaded.iter().map(|(id, _)| *id));
        for (id, shard) in loaded {
            let worker = workers.get(usize::from(id.0) % workers.len().max(1));
            if let Some(worker) = worker
                && worker.send(Event::Follow(id, Box::new(shard))).await.is_err()
            {
                return; // stopping
            }
        }
        let read = reading.follow(&followed);
        if reader.rewind(behind(read, &from), &followed).await {
            debug!(shards = followed.shards().count(), "shards are followed");
            custody.follow(&followed);
        }
    }
}

/// What shards have missed that stood there in each partition when they came. One that is younger
/// is read from its begin.
pub(super) fn behind(
    read: Vec<Partition>,
    from: &BTreeMap<Partition, Offset>,
) -> impl Iterator<Item = (Partition, Offset, Until)> {
    let from = |partition| from.get(&partition).copied().unwrap_or_default();
    read.into_iter().map(move |partition| (partition, from(partition), Until::Covered))
}

impl Recovery {
    /// A shard as the checkpoint has it, whoever owns it; `None` where it cannot be had just now.
    async fn peek<C: Checkpoint>(&self, checkpoint: &C, id: ShardId) -> Option<(ShardId, Shard)> {
        let mut shard = self.empty(Second(i64::MIN), Second(i64::MIN));
        match load(id, &mut shard, |cursor| checkpoint.peek(id, cursor)).await {
            Ok(reach) => {
                shard.open(reach.published);
                Some((id, shard))
            }
            Err(cause) => {
                debug!(%cause, "a shard cannot be followed yet");
                None
            }
        }
    }
}

impl<C: Checkpoint> Worker<C> {
    /// The checkpoint may have said more of what is followed.
    pub(super) fn follow_on(&mut self) {
        if !self.followed.has_changed().unwrap_or(false) {
            return;
        }
        let published = Arc::clone(&self.followed.borrow_and_update());
        self.engine.follow_on(&published);
    }

    /// Gives shards out that were followed.
    pub(super) fn unfollow(&mut self, shards: &Cover, to: oneshot::Sender<Vec<(ShardId, Shard)>>) {
        let taken = shards.shards().filter_map(|id| Some((id, self.engine.unfollow(id)?)));
        drop(to.send(taken.collect())); // dropped, if nobody wants them
    }

    /// These may be written.
    pub(super) fn permit(&mut self, shards: &Cover) {
        for at in shards.shards().filter_map(|id| self.engine.place(id)) {
            self.flusher.permit(at);
        }
    }

    /// Drops shards that may differ from what their owners have.
    pub(super) fn spoil(&mut self, shards: &[ShardId]) {
        for id in shards {
            drop(self.engine.unfollow(*id));
            self.custody.unfollow(&Cover::of(self.custody.seat().shards, [*id]));
        }
    }
}

impl Engine {
    /// Shards that are followed go on with their owners, as far as these have published. One that
    /// is further than the checkpoint waits: whether that has lost something its claim shows.
    fn follow_on(&mut self, published: &BTreeMap<ShardId, Second>) {
        for (id, held) in self.shard_ids().zip(&mut self.held) {
            if let Some(held) = held.as_mut().filter(|held| held.followed)
                && let Some(published) = published.get(&id)
            {
                held.shard.follow(*published);
            }
        }
    }
}
