//! Keeps the shards that are here in step with the group's assignment: takes in those that are this
//! process' now, lets those go that are not. One that has come is claimed and loaded, what it
//! missed is read, and only then can it go again.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::backoff::Backoff;
use super::custody::{Custody, Stage};
use super::mailbox::Mailbox;
use super::promote::unheard;
use super::reader::{Event, Reader, Release};
use super::recover::{Recovered, Recovery};
use super::run::{Ended, StartError};
use super::standby::{Standbys, behind, take};
use crate::domain::cover::Cover;
use crate::domain::position::{Offset, Partition};
use crate::domain::time::WallMs;
use crate::domain::token::{ShardId, Shards};
use crate::ports::group::Assignment;
use crate::ports::{Checkpoint, PartitionRange, TradeLog};
use crate::sabotage::Bug;
use crate::status::{Component, Phase, WHOLE};

/// How often a shard is taken back that is this process' by the group's word, in one membership.
/// Beyond, somebody shares the checkpoint but not the group. Without a group, the newer claim wins.
const TAKEN_BACK: u32 = 3;

/// What the steward works with.
#[derive(Debug)]
pub(super) struct Steward<L, C> {
    custody: Arc<Custody>,
    mailbox: Arc<Mailbox>,
    standbys: Standbys<L, C>,
    adopter: Adopter<L, C>,
    /// Where the partitions' readers begin, told once.
    starts: Option<oneshot::Sender<BTreeMap<Partition, Offset>>>,
    /// In which membership each shard that is here was claimed, and assigned last.
    since: BTreeMap<ShardId, Since>,
    /// The membership in which it publishes.
    membership: u64,
    /// How often a shard was taken from this process in a membership.
    taken: BTreeMap<(u64, ShardId), u32>,
    /// Shards that another owner had: claimed anew only with a lease.
    fenced: Cover,
    adoptions: JoinSet<Result<Adopted, StartError>>,
    /// Shards that are on their way in.
    coming: Cover,
    release: Option<AbortOnDropHandle<()>>,
    began: WallMs,
}

/// What takes shards in.
#[derive(Debug)]
pub(super) struct Adopter<L, C> {
    pub(super) checkpoint: Arc<C>,
    pub(super) recovery: Recovery,
    pub(super) reader: Reader<L>,
}

/// Memberships, by their numbers.
#[derive(Debug)]
struct Since {
    claimed: u64,
    assigned: u64,
    /// In a later one it was another's: it has to go before it can be here again.
    lost: bool,
}

/// Shards that were taken in.
#[derive(Debug)]
pub(super) struct Adopted(Cover);

impl<L, C> Clone for Adopter<L, C> {
    fn clone(&self) -> Self {
        Self {
            checkpoint: Arc::clone(&self.checkpoint),
            recovery: self.recovery.clone(),
            reader: self.reader.clone(),
        }
    }
}

impl<L: TradeLog, C: Checkpoint> Steward<L, C> {
    pub(super) fn new(
        custody: Arc<Custody>,
        mailbox: Arc<Mailbox>,
        adopter: Adopter<L, C>,
        starts: oneshot::Sender<BTreeMap<Partition, Offset>>,
    ) -> Self {
        let none = Cover::none(custody.seat().shards);
        Self {
            began: adopter.reader.shared.clock.now(),
            standbys: Standbys::new(Arc::clone(&custody), adopter.clone()),
            custody,
            mailbox,
            adopter,
            starts: Some(starts),
            since: BTreeMap::new(),
            membership: 0,
            taken: BTreeMap::new(),
            fenced: none.clone(),
            adoptions: JoinSet::new(),
            coming: none,
            release: None,
        }
    }

    /// Runs until another owner has a shard that is this process' by the group's word.
    ///
    /// # Errors
    /// The checkpoint was written by a newer version.
    pub(super) async fn run(mut self) -> Result<Ended, StartError> {
        let seat = self.custody.seat().clone();
        let (mut assignment, mut lease) = (seat.assignment, seat.lease);
        loop {
            let newest = assignment.borrow_and_update().clone();
            if let Some(newest) = newest
                && self.follow(&newest)
            {
                return Ok(Ended::Fenced);
            }
            tokio::select! {
                Ok(()) = assignment.changed() => {}
                Ok(()) = lease.changed() => {}
                () = self.custody.changed() => {}
                Some(adopted) = self.adoptions.join_next() => match adopted {
                    Ok(adopted) => self.coming = self.coming.without(&adopted?.0),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => return std::future::pending().await, // the runtime is shutting down
                },
                () = finished(&mut self.release) => self.release = None,
                () = self.standbys.stepped() => {}
            }
        }
    }

    /// Does what an assignment asks for. True where another owner has a shard again and again that
    /// is this process' by it.
    fn follow(&mut self, assignment: &Assignment) -> bool {
        let membership = assignment.membership;
        let permitted = self.custody.has_lease();
        // In this order: a shard that is lost in between is known to have been here.
        let here = self.custody.shards();
        let fenced = self.custody.take_fenced();
        self.taken.retain(|(of, _), _| *of == membership);
        // A member that hung may wake and claim what is not its own any more: it is taken back.
        let takes = if assignment.members.is_empty() { 0 } else { TAKEN_BACK };
        for shard in fenced.intersection(&assignment.shards) {
            let since = self.since.get(shard);
            if permitted && since.is_some_and(|since| since.claimed == membership) {
                let times = self.taken.entry((membership, *shard)).or_default();
                *times += 1;
                if *times > takes {
                    return true;
                }
            }
        }
        self.fenced = self.fenced.with(&Cover::of(self.all(), fenced));
        let wanted = Cover::of(self.all(), assignment.shards.iter().copied());
        for (shard, since) in &mut self.since {
            since.lost |= since.assigned != membership && !wanted.contains(*shard);
            if wanted.contains(*shard) && !since.lost {
                since.assigned = membership;
            }
        }
        self.since.retain(|shard, _| here.contains_key(shard));
        // Others may have shards that are still here. Nothing is published until they are gone, and
        // what waits of them comes too late.
        let lost = self.since.values().any(|since| since.lost);
        if !lost {
            if std::mem::replace(&mut self.membership, membership) != membership {
                self.mailbox.forget(|hash| !wanted.has(hash));
            }
            self.custody.saw(assignment);
        }
        self.let_go(&wanted, &here);
        self.take_in(&wanted, &here, membership, permitted);
        self.note_ready(assignment);
        // Own shards come first; a newcomer has none before it follows what it is to get.
        let here = self.custody.shards();
        let begun = self.starts.is_none() && self.adoptions.is_empty();
        let may_begin = self.custody.is_ready() || begun && here.is_empty();
        self.standbys.follow(assignment, &here, may_begin);
        false
    }

    fn all(&self) -> Shards {
        self.custody.seat().shards
    }

    fn let_go(&mut self, wanted: &Cover, here: &BTreeMap<ShardId, Stage>) {
        let lost = |shard: &ShardId| self.since.get(shard).is_some_and(|since| since.lost);
        let gone = here.iter().filter(|(shard, stage)| {
            let stays = wanted.contains(**shard) && !lost(shard);
            **stage == Stage::Open && !stays && !self.coming.contains(**shard)
        });
        let (lost, given): (Vec<_>, Vec<_>) = gone.map(|(shard, _)| *shard).partition(lost);
        if self.release.is_some() || (lost.is_empty() && given.is_empty()) {
            return;
        }
        // Those that are lost go first: nothing of theirs may be published.
        let (shards, lost) = if lost.is_empty() { (given, false) } else { (lost, true) };
        info!(shards = shards.len(), lost, "shards go");
        self.custody.set(shards.iter().copied(), Stage::Leaving);
        let cover = Cover::of(self.all(), shards);
        let Reader { reading, workers, .. } = &self.adopter.reader;
        reading.disown(&cover);
        let workers = workers.clone();
        let release = async move {
            let mut gone = Vec::new();
            for worker in workers {
                let (done, told) = oneshot::channel();
                let release = Release { shards: cover.clone(), lost, done };
                if worker.send(Event::Release(release)).await.is_ok() {
                    gone.push(told);
                }
            }
            drop(join_all(gone).await); // a worker that has ended holds nothing
        };
        self.release = Some(AbortOnDropHandle::new(tokio::spawn(release)));
    }

    fn take_in(
        &mut self,
        wanted: &Cover,
        here: &BTreeMap<ShardId, Stage>,
        membership: u64,
        permitted: bool,
    ) {
        if !self.adoptions.is_empty() {
            return; // one after the other: each reads every partition
        }
        let free = |shard: &ShardId| {
            !here.contains_key(shard)
                && !self.coming.contains(*shard)
                && (permitted || !self.fenced.contains(*shard))
        };
        let new = Cover::of(self.all(), wanted.shards().filter(free));
        let Some(new) = self.standbys.first(new) else { return };
        let starts = self.starts.take_if(|_| here.is_empty());
        let shared = &self.adopter.reader.shared;
        if new.shards().next().is_none() && starts.is_none() {
            return;
        }
        for shard in new.shards() {
            let since = Since { claimed: membership, assigned: membership, lost: false };
            self.since.insert(shard, since);
        }
        let count = new.shards().count();
        // What a start says, its last line does.
        if count > 0 && self.custody.is_ready() {
            info!(shards = count, "shards come");
        }
        shared.metrics.shards_taken.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        self.custody.set(new.shards(), Stage::Joining);
        self.fenced = self.fenced.without(&new);
        self.coming = self.coming.with(&new);
        let (adopter, followed) = (self.adopter.clone(), self.standbys.take_out(&new));
        self.adoptions.spawn(async move { adopter.adopt(new, followed, starts).await });
    }

    /// Ready when the first shards are open. Where a newcomer has none yet, it may follow its share
    /// first, and others have to let go of it.
    fn note_ready(&mut self, assignment: &Assignment) {
        let given = assignment.members.iter().map(|member| member.shards.len()).sum::<usize>();
        let moving = given < usize::from(self.all().count()) || !assignment.warm.is_empty();
        let withheld = !assignment.members.is_empty() && moving;
        let shards = self.custody.shards();
        let shared = &self.adopter.reader.shared;
        let all_open = shards.values().all(|stage| *stage != Stage::Joining);
        if self.custody.is_ready()
            || self.starts.is_some()
            || !self.adoptions.is_empty()
            || !all_open
            || (shards.is_empty() && withheld)
        {
            return;
        }
        self.custody.make_ready();
        shared.status.enter(Phase::Running);
        let took = shared.clock.now().since(self.began).as_millis();
        let took_ms = u64::try_from(took).unwrap_or(u64::MAX);
        info!(took_ms, shards = shards.len(), "ready: caught up with the log");
    }
}

impl<L: TradeLog, C: Checkpoint> Adopter<L, C> {
    /// Claims, loads or takes what was `followed`, hands to the workers, and reads what was missed;
    /// `starts` begins the reading of all partitions, where nothing is read yet.
    async fn adopt(
        self,
        shards: Cover,
        followed: Cover,
        starts: Option<oneshot::Sender<BTreeMap<Partition, Offset>>>,
    ) -> Result<Adopted, StartError> {
        let followed = take(&self.reader.workers, &followed).await;
        let recovered = self.recovery.shards(&self.checkpoint, &shards, followed).await?;
        let (recovered, ranges, expected) = self.positions(recovered).await;
        let unheard = unheard(&recovered, &ranges);
        let Self { reader, .. } = self;
        let Reader { reading, shared, workers, .. } = &reader;
        let targets = Arc::new(ranges.iter().map(|range| (range.partition, range.end)).collect());
        let workers_count = u16::try_from(workers.len()).unwrap_or(u16::MAX).max(1);
        for one in recovered {
            let worker = workers.get(usize::from(one.id.0 % workers_count));
            let event = Event::Adopt(Box::new(one), Arc::clone(&targets));
            if let Some(worker) = worker
                && worker.send(event).await.is_err()
            {
                return Ok(Adopted(shards)); // stopping
            }
        }
        let read = reading.own(&shards);
        if let Some(starts) = starts {
            shared.status.enter(Phase::CatchingUp);
            shared.note_ends(&ranges, shared.clock.now());
            drop(starts.send(expected)); // stopping, if nobody hears it
            return Ok(Adopted(shards));
        }
        let read = reader.rewind(behind(read, &expected), &shards).await;
        let forgotten = Bug::FollowedLettersForgotten.on();
        if read && (forgotten || reader.rewind(unheard, &shards).await) {
            for worker in workers {
                drop(worker.send(Event::Heard(shards.clone())).await); // stopping, if nobody hears
            }
        }
        Ok(Adopted(shards))
    }

    /// Sets every shard's position of every partition; the partitions, and where each is to be read
    /// from for these shards.
    async fn positions(
        &self,
        mut recovered: Vec<Recovered>,
    ) -> (Vec<Recovered>, Vec<PartitionRange>, BTreeMap<Partition, Offset>) {
        let Reader { log, shared, .. } = &self.reader;
        let mut backoff = Backoff::new();
        // Asked after the claim: nobody else moves the positions any more, so one beyond the end
        // means a new log. Nothing is published before all up to here is read.
        let ranges = loop {
            match log.partitions().await {
                Ok(ranges) => break ranges,
                Err(cause) => shared.start_waits(Component::Kafka, &cause, &mut backoff).await,
            }
        };
        let mut backoff = Backoff::new();
        let starts = loop {
            match self.recovery.positions(&**log, &mut recovered, &ranges).await {
                Ok(starts) => break starts,
                Err(cause) => shared.start_waits(Component::Kafka, &cause, &mut backoff).await,
            }
        };
        shared.status.works(Component::Kafka, WHOLE);
        let starts = ranges.iter().map(|range| range.partition).zip(starts).collect();
        (recovered, ranges, starts)
    }
}

/// Returns when a release is over; never where there is none.
pub(super) async fn finished(release: &mut Option<AbortOnDropHandle<()>>) {
    let Some(release) = release else { return std::future::pending().await };
    if let Err(error) = release.await
        && error.is_panic()
    {
        warn!(%error, action = "report it with the lines before this one", "a hand-over failed");
    }
}
