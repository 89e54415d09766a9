//! The seat of this process in its group: which shards are its own, until when it may publish, and
//! what it says of itself. The pipeline sits in it; the group (`kafka::group`, or the one in
//! process) serves it. Newest values only: nothing queues.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::position::{Offset, Partition};
use crate::domain::token::{ShardId, Shards};

/// What the group has agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The agreement's number; -1 before the first: the group had no member when this one came.
    pub generation: i32,
    /// Which membership of this process it is, counted from the first: one more after each time
    /// that others may have had its shards without its knowing.
    pub membership: u64,
    /// The shards of this process.
    pub shards: BTreeSet<ShardId>,
    /// Shards of others that it is to follow.
    pub standby: BTreeSet<ShardId>,
    /// Those of them that are to be its own, once it could go on with them at once.
    pub warm: BTreeSet<ShardId>,
    /// All members, this one among them, in the order of their ids. None: there is no group, this
    /// process is alone.
    pub members: Vec<Member>,
}

/// One member of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its id, as the coordinator gave it.
    pub id: String,
    /// Where its HTTP paths can be reached, `host:port`; empty where it has none.
    pub address: String,
    /// Its shards.
    pub shards: BTreeSet<ShardId>,
    /// Shards of others that it is to follow.
    pub standby: BTreeSet<ShardId>,
    /// Those of them that are to be its own.
    pub warm: BTreeSet<ShardId>,
    /// Whether it is about to end, as far as the group knows.
    pub retires: bool,
    /// Whether it is this process.
    pub here: bool,
}

/// The pipeline's side.
#[derive(Clone, Debug)]
pub struct Seat {
    /// How many shards the group shares.
    pub shards: Shards,
    /// The newest assignment; `None` until there is one.
    pub assignment: watch::Receiver<Option<Arc<Assignment>>>,
    /// Until when this process may publish; `None`: it may not.
    pub lease: watch::Receiver<Option<Instant>>,
    /// The shards that it holds: those of its assignment, and those that it has not let go yet.
    pub held: watch::Sender<BTreeSet<ShardId>>,
    /// Shards of others that it follows, each of which it could go on with at once.
    pub ready: watch::Sender<BTreeSet<ShardId>>,
    /// Whether it is about to end: the group is to give its shards to others.
    pub retires: watch::Sender<bool>,
    /// The lowest position of all shards, by partition: what is committed for lag tools.
    pub positions: watch::Sender<Vec<(Partition, Offset)>>,
}

/// The group's side.
#[derive(Debug)]
pub struct Served {
    /// See [`Seat::assignment`].
    pub assignment: watch::Sender<Option<Arc<Assignment>>>,
    /// See [`Seat::lease`].
    pub lease: watch::Sender<Option<Instant>>,
    /// See [`Seat::held`].
    pub held: watch::Receiver<BTreeSet<ShardId>>,
    /// See [`Seat::ready`].
    pub ready: watch::Receiver<BTreeSet<ShardId>>,
    /// See [`Seat::retires`].
    pub retires: watch::Receiver<bool>,
    /// See [`Seat::positions`].
    pub positions: watch::Receiver<Vec<(Partition, Offset)>>,
}

/// What a member has to say at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// See [`Seat::held`].
    pub held: BTreeSet<ShardId>,
    /// See [`Seat::ready`].
    pub ready: BTreeSet<ShardId>,
    /// See [`Seat::retires`].
    pub retires: bool,
}

impl Served {
    /// What the pipeline says now.
    pub fn here(&mut self) -> Here {
        Here {
            held: self.held.borrow_and_update().clone(),
            ready: self.ready.borrow_and_update().clone(),
            retires: *self.retires.borrow_and_update(),
        }
    }
}

/// A seat in a group that shares so many shards, and its other side.
#[must_use]
pub fn seat(shards: Shards) -> (Seat, Served) {
    let (assign, assignment) = watch::channel(None);
    let (extend, lease) = watch::channel(None);
    let (hold, held) = watch::channel(BTreeSet::new());
    let (follow, ready) = watch::channel(BTreeSet::new());
    let (retire, retires) = watch::channel(false);
    let (note, positions) = watch::channel(Vec::new());
    let served = Served { assignment: assign, lease: extend, held, ready, retires, positions };
    let (held, ready, retires, positions) = (hold, follow, retire, note);
    (Seat { shards, assignment, lease, held, ready, retires, positions }, served)
}

impl Seat {
    /// Whether this process may publish, as far as the group is concerned.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.lease.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Returns when there is a lease, or never will be again: the group has ended.
    pub async fn leased(&self) {
        let mut lease = self.lease.clone();
        while !self.has_lease() && lease.changed().await.is_ok() {}
    }
}
