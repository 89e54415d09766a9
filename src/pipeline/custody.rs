//! Which shards this process has, as the steward and the workers share it, and whether it may
//! publish: only while its seat in the group says so, and only by the assignment that the steward
//! has looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::domain::cover::Cover;
use crate::domain::time::Second;
use crate::domain::token::ShardId;
use crate::metrics::{Metrics, STAGES, STANDBY};
use crate::ports::group::{Assignment, Seat};
use crate::sabotage::Bug;

/// How a shard is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is claimed, loaded, and read up to now.
    Joining,
    /// It is published.
    Open,
    /// It is written once more, then let go.
    Leaving,
}

/// No generation: the steward looks at none any more.
const SEALED: Option<i32> = Some(i32::MIN);

/// The shards that are here, and the seat.
#[derive(Debug)]
pub struct Custody {
    seat: Seat,
    metrics: Arc<Metrics>,
    shards: Mutex<BTreeMap<ShardId, Stage>>,
    /// Shards of others that are followed here: any of them could be opened at once.
    followed: Mutex<BTreeSet<ShardId>>,
    /// The last ticks that were published of all shards, as the checkpoint says.
    published: watch::Sender<Arc<BTreeMap<ShardId, Second>>>,
    /// Shards that another owner was found to have.
    fenced: Mutex<BTreeSet<ShardId>>,
    changed: Notify,
    /// The first shards are open.
    ready: AtomicBool,
    /// The newest generation that the steward has looked at; `None` before the first.
    seen: watch::Sender<Option<i32>>,
}

impl Custody {
    /// Nothing is here yet.
    #[must_use]
    pub fn new(seat: Seat, metrics: Arc<Metrics>) -> Self {
        seat.held.send_replace(BTreeSet::new());
        seat.ready.send_replace(BTreeSet::new());
        Self {
            seat,
            metrics,
            shards: Mutex::default(),
            followed: Mutex::default(),
            published: watch::Sender::default(),
            fenced: Mutex::default(),
            changed: Notify::new(),
            ready: AtomicBool::new(false),
            seen: watch::Sender::new(None),
        }
    }

    /// The seat.
    #[must_use]
    pub const fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Whether there is a group at all.
    #[must_use]
    pub fn is_grouped(&self) -> bool {
        self.seat.assignment.borrow().as_ref().is_some_and(|told| !told.members.is_empty())
    }

    /// The shards that are here.
    #[must_use]
    pub fn shards(&self) -> BTreeMap<ShardId, Stage> {
        locked(&self.shards).clone()
    }

    /// These are in this stage from now on.
    pub fn set(&self, shards: impl IntoIterator<Item = ShardId>, stage: Stage) {
        locked(&self.shards).extend(shards.into_iter().map(|shard| (shard, stage)));
        self.tell();
    }

    /// These are gone.
    pub fn let_go(&self, gone: impl IntoIterator<Item = ShardId>) {
        let mut shards = locked(&self.shards);
        for shard in gone {
            shards.remove(&shard);
        }
        drop(shards);
        self.tell();
    }

    /// The shards of others that are followed here.
    #[must_use]
    pub fn followed(&self) -> BTreeSet<ShardId> {
        locked(&self.followed).clone()
    }

    /// These are followed from now on.
    pub fn follow(&self, shards: &Cover) {
        self.set_followed(|followed| followed.extend(shards.shards()));
    }

    /// These are not followed any more.
    pub fn unfollow(&self, shards: &Cover) {
        self.set_followed(|followed| followed.retain(|shard| !shards.contains(*shard)));
    }

    fn set_followed(&self, change: impl FnOnce(&mut BTreeSet<ShardId>)) {
        let mut followed = locked(&self.followed);
        change(&mut followed);
        let count = i64::try_from(followed.len()).unwrap_or(i64::MAX);
        self.metrics.shards.with_label_values(&[STANDBY]).set(count);
        // Kept: what is told last is what is newest.
        self.seat.ready.send_if_modified(|before| {
            let differs = *before != *followed;
            before.clone_from(&followed);
            differs
        });
        drop(followed);
        self.changed.notify_one();
    }

    /// The last ticks that were published of all shards, as the checkpoint says.
    #[must_use]
    pub const fn published(&self) -> &watch::Sender<Arc<BTreeMap<ShardId, Second>>> {
        &self.published
    }

    /// Another owner has this one.
    pub fn fenced(&self, shard: ShardId) {
        locked(&self.fenced).insert(shard);
        self.let_go([shard]);
    }

    /// Those that another owner was found to have, since last asked.
    pub fn take_fenced(&self) -> BTreeSet<ShardId> {
        std::mem::take(&mut locked(&self.fenced))
    }

    /// Returns when anything has changed since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The steward has looked at this assignment.
    pub fn saw(&self, told: &Assignment) {
        if self.seen.send_replace(Some(told.generation)) != Some(told.generation) {
            let here = told.members.iter().find(|member| member.here);
            let member = here.map(|member| &*member.id);
            self.metrics.agreed(told.generation, told.members.len(), member);
        }
    }

    /// The first shards are open: ticks begin.
    pub fn make_ready(&self) {
        self.ready.store(true, SeqCst);
    }

    /// Whether the first shards are open.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(SeqCst)
    }

    /// Whether the group permits this process to publish.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.seat.has_lease() || Bug::LeaseIgnored.on()
    }

    /// Asks the group to give all shards to others, which follow them before they move. Returns
    /// once that is done, or will not be: nobody else is there, or takes any, or this process is
    /// cut off. Else it waits as long as it takes the others.
    pub async fn retire(&self) {
        self.seat.retires.send_replace(true);
        let (mut assignment, mut lease) = (self.seat.assignment.clone(), self.seat.lease.clone());
        let mut held = self.seat.held.subscribe();
        while self.is_giving_away() {
            let told = tokio::select! {
                told = assignment.changed() => told,
                told = lease.changed() => told,
                told = held.changed() => told,
            };
            if told.is_err() {
                return;
            }
        }
    }

    /// Whether what is held here is on its way to others.
    fn is_giving_away(&self) -> bool {
        let told = self.seat.assignment.borrow();
        let told = told.as_ref().filter(|told| told.members.len() > 1);
        let Some(told) = told else { return false };
        let heard = told.members.iter().any(|member| member.here && member.retires);
        let taken = |shard| told.members.iter().any(|member| member.warm.contains(shard));
        let going = !heard || told.shards.is_empty() || told.shards.iter().any(taken);
        going && self.has_lease() && !self.seat.held.borrow().is_empty()
    }

    /// The steward has ended: what is here stays, and goes out, whatever is assigned.
    pub fn seal(&self) {
        self.seen.send_replace(SEALED);
    }

    /// Whether this process may publish.
    #[must_use]
    pub fn may_publish(&self) -> bool {
        let seen = *self.seen.borrow();
        self.has_lease() && (seen == SEALED || self.generation() == seen)
    }

    /// Returns when this process may publish; false if it never may again: the group has ended.
    pub async fn permitted(&self) -> bool {
        let (mut lease, mut seen) = (self.seat.lease.clone(), self.seen.subscribe());
        while !self.may_publish() {
            let told = tokio::select! {
                told = lease.changed() => told,
                told = seen.changed() => told,
            };
            if told.is_err() {
                return false;
            }
        }
        true
    }

    /// Which membership of this process it is; 0 before the first.
    #[must_use]
    pub fn membership(&self) -> u64 {
        self.seat.assignment.borrow().as_ref().map_or(0, |assignment| assignment.membership)
    }

    fn generation(&self) -> Option<i32> {
        self.seat.assignment.borrow().as_ref().map(|assignment| assignment.generation)
    }

    fn tell(&self) {
        // Kept: what is told last is what is newest.
        let shards = locked(&self.shards);
        for (name, stage) in STAGES.into_iter().zip([Stage::Joining, Stage::Open, Stage::Leaving]) {
            let count = shards.values().filter(|one| **one == stage).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.metrics.shards.with_label_values(&[name]).set(count);
        }
        let held = shards.keys().copied().collect();
        self.seat.held.send_if_modified(|before| {
            let differs = *before != held;
            *before = held;
            differs
        });
        drop(shards);
        self.changed.notify_one();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
