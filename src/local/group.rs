//! Groups in process: one of a single member for `demo` and `replay`, and one of several for the
//! simulation. They decide by the same plan, in the same two steps, as members of a real one. There
//! is no coordinator and no network: who comes, goes or is cut off, the caller says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::domain::plan::{Claim, Planned, Shares, Standing, plan};
use crate::domain::standby::standbys;
use crate::domain::token::{ShardId, Shards};
use crate::domain::warmup::{WARM_UP_LIMIT, WarmUp};
use crate::ports::group::{Assignment, Here, Member, Seat, Served, seat};

/// The group of one: all shards, for ever. The group's side is to be kept as long as the seat.
///
/// # Panics
/// Outside a runtime: time passes there alone.
#[must_use]
pub fn sole(shards: Shards) -> (Seat, Served) {
    let (seat, served) = seat(shards);
    let shards: BTreeSet<_> = shards.all().collect();
    let told = Assignment { generation: 1, membership: 1, shards, ..Assignment::default() };
    served.assignment.send_replace(Some(Arc::new(told)));
    served.lease.send_replace(Some(end_of_time()));
    (seat, served)
}

/// A group whose members are all in this process.
#[derive(Debug)]
pub struct LocalGroup {
    shards: Shards,
    /// How many members follow each shard.
    replicas: u16,
    /// Whether its members warm up.
    warms_up: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    generation: i32,
    members: BTreeMap<String, Seated>,
}

#[derive(Debug)]
struct Seated {
    address: String,
    served: Served,
    /// Whether it is a member now; one that was cut off keeps its seat, without a lease.
    present: bool,
    standing: Standing,
    membership: u64,
    /// Itself, with what it was told last.
    own: Member,
    /// What it claimed and was not given: once it has let go of that, there is a second step.
    leaving: BTreeSet<ShardId>,
    /// As the group's.
    warms_up: bool,
    warm_up: WarmUp<Instant>,
}

/// What one member is told, and says.
struct News {
    assignment: watch::Receiver<Option<Arc<Assignment>>>,
    held: watch::Receiver<BTreeSet<ShardId>>,
    ready: watch::Receiver<BTreeSet<ShardId>>,
    retires: watch::Receiver<bool>,
}

impl News {
    /// Returns when there are any, or it is late; false once the seat is gone.
    async fn come(&mut self, until: Instant) -> bool {
        let told = tokio::select! {
            told = self.assignment.changed() => told,
            told = self.held.changed() => told,
            told = self.ready.changed() => told,
            told = self.retires.changed() => told,
            () = sleep_until(until) => Ok(()),
        };
        self.held.mark_unchanged();
        self.ready.mark_unchanged();
        self.retires.mark_unchanged();
        told.is_ok()
    }
}

impl LocalGroup {
    /// A group without members.
    #[must_use]
    pub fn new(shards: Shards) -> Arc<Self> {
        Self::with_standbys(shards, 0)
    }

    /// As [`new`](Self::new), with so many members that follow each shard beside its owner.
    #[must_use]
    pub fn with_standbys(shards: Shards, replicas: u16) -> Arc<Self> {
        Arc::new(Self { shards, replicas, warms_up: true, state: Mutex::default() })
    }

    /// As [`with_standbys`](Self::with_standbys), of members of a version that knows of no warm-up.
    #[must_use]
    pub fn cold(shards: Shards, replicas: u16) -> Arc<Self> {
        Arc::new(Self { shards, replicas, warms_up: false, state: Mutex::default() })
    }

    /// A new member. A process that begins anew under the same id is a new member, too.
    ///
    /// # Panics
    /// Outside a runtime: what a member lets go is waited for there.
    #[must_use]
    pub fn join(self: &Arc<Self>, id: &str, address: &str) -> Seat {
        let (seat, served) = seat(self.shards);
        let news = News {
            assignment: served.assignment.subscribe(),
            held: served.held.clone(),
            ready: served.ready.clone(),
            retires: served.retires.clone(),
        };
        let seated = Seated {
            address: address.to_owned(),
            served,
            present: true,
            standing: Standing::default(),
            membership: 1,
            own: Member::default(),
            leaving: BTreeSet::new(),
            warms_up: self.warms_up,
            warm_up: WarmUp::default(),
        };
        let mut state = self.lock();
        state.members.insert(id.to_owned(), seated);
        state.rebalance(self.shards, self.replicas);
        drop(state);
        tokio::spawn(Arc::clone(self).follow(id.to_owned(), news));
        seat
    }

    /// A member goes and says so.
    pub fn leave(&self, id: &str) {
        let mut state = self.lock();
        if let Some(gone) = state.members.remove(id) {
            gone.served.lease.send_replace(None);
            state.rebalance(self.shards, self.replicas);
        }
    }

    /// A member is cut off, or hangs: its lease is over, then the others take what it had. Its last
    /// assignment stays with it.
    pub fn evict(&self, id: &str) {
        let mut state = self.lock();
        if let Some(gone) = state.members.get_mut(id) {
            gone.present = false;
            gone.standing.unbroken = false;
            gone.served.lease.send_replace(None);
            state.rebalance(self.shards, self.replicas);
        }
    }

    /// A member that was cut off comes back, with whatever it still holds.
    pub fn return_of(&self, id: &str) {
        let mut state = self.lock();
        if let Some(back) = state.members.get_mut(id) {
            back.present = true;
            back.membership += 1;
            state.rebalance(self.shards, self.replicas);
        }
    }

    /// Agrees anew once a member has let go, or has warmed up, or waits for that no longer, or
    /// retires. Ends with the seat.
    async fn follow(self: Arc<Self>, id: String, mut news: News) {
        let mut until = end_of_time();
        while news.come(until).await {
            let mut state = self.lock();
            let same = |seated: &&mut Seated| seated.served.held.same_channel(&news.held);
            if state.members.get_mut(&id).filter(same).is_none() {
                return;
            }
            if state.has_let_go() || state.has_news() {
                state.rebalance(self.shards, self.replicas);
            }
            let waits = state.members.get(&id).and_then(|seated| seated.warm_up.until());
            until = waits.filter(|until| *until > now()).unwrap_or_else(end_of_time);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Agrees anew, and again at once where somebody never held what it has to let go.
    fn rebalance(&mut self, shards: Shards, replicas: u16) {
        self.agree(shards, replicas);
        while self.has_let_go() {
            self.agree(shards, replicas);
        }
    }

    /// Whether a member holds nothing any more of what it claimed and was not given.
    fn has_let_go(&mut self) -> bool {
        let mut any = false;
        for seated in self.members.values_mut().filter(|seated| seated.present) {
            if seated.leaving.is_disjoint(&seated.served.held.borrow()) {
                any |= !std::mem::take(&mut seated.leaving).is_empty();
            }
        }
        any
    }

    /// Whether a member retires, or has something to say of its warm-up.
    fn has_news(&self) -> bool {
        let news = |it: &Seated| {
            let retires = it.own.retires != *it.served.retires.borrow();
            retires || it.warm_up.is_due(now(), &it.served.ready.borrow())
        };
        self.members.values().any(|it| it.present && news(it))
    }

    fn agree(&mut self, shards: Shards, replicas: u16) {
        self.generation += 1;
        let present = self.members.iter_mut().filter(|(_, seated)| seated.present);
        let claims: BTreeMap<String, Claim> =
            present.map(|(id, seated)| (id.clone(), seated.claim(replicas))).collect();
        let planned = plan(&claims, shards.count());
        let followed = standbys(&claims, &planned);
        for (id, claim) in &claims {
            let members = self.members_of(&claims, &planned, &followed, id);
            let own = members.iter().find(|member| member.here).cloned();
            let Some(seated) = self.members.get_mut(id) else { continue };
            seated.own = own.unwrap_or_default();
            let Member { shards, standby, warm, .. } = seated.own.clone();
            let claimed = claim.held.union(&claim.owned);
            seated.leaving = claimed.filter(|shard| !shards.contains(shard)).copied().collect();
            seated.warm_up.told(&warm, now() + WARM_UP_LIMIT);
            seated.standing = Standing { unbroken: true, generation: self.generation };
            let (generation, membership) = (self.generation, seated.membership);
            let told = Assignment { generation, membership, shards, standby, warm, members };
            seated.served.assignment.send_replace(Some(Arc::new(told)));
            seated.served.lease.send_replace(Some(end_of_time()));
        }
    }

    fn members_of(
        &self,
        claims: &BTreeMap<String, Claim>,
        planned: &Planned,
        followed: &Shares,
        here: &str,
    ) -> Vec<Member> {
        let member = |(id, shards): (&String, &BTreeSet<ShardId>)| Member {
            id: id.clone(),
            address: self.members.get(id).map(|seated| seated.address.clone()).unwrap_or_default(),
            shards: shards.clone(),
            standby: followed.get(id).cloned().unwrap_or_default(),
            warm: planned.warm.get(id).cloned().unwrap_or_default(),
            retires: claims.get(id).is_some_and(|claim| claim.retires),
            here: id == here,
        };
        planned.owned.iter().map(member).collect()
    }
}

impl Seated {
    fn claim(&mut self, replicas: u16) -> Claim {
        let Here { held, ready, retires } = self.served.here();
        Claim {
            standing: self.standing,
            owned: self.own.shards.clone(),
            held,
            follows: self.own.standby.clone(),
            warms_up: self.warm_up.says(now(), &ready) && self.warms_up,
            ready,
            retires,
            replicas,
        }
    }
}

/// When a sleep ends that has no length.
fn now() -> Instant {
    sleep(Duration::ZERO).deadline()
}

/// When a sleep ends that has no end.
fn end_of_time() -> Instant {
    sleep(Duration::MAX).deadline()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows what it is to follow, and lets go of all that was not assigned, as a pipeline does
    /// after its last flush.
    async fn obey(seats: &[&Seat]) {
        // A warm-up, two steps, and what follows from them.
        for _ in 0..4 {
            for seat in seats {
                let told = seat.assignment.borrow().clone().unwrap();
                seat.held.send_replace(told.shards.clone());
                seat.ready.send_replace(told.standby.clone());
            }
            tokio::task::yield_now().await;
        }
    }

    fn sizes(seats: &[&Seat]) -> Vec<usize> {
        let told = seats.iter().map(|seat| seat.assignment.borrow().clone().unwrap());
        told.map(|told| told.shards.len()).collect()
    }

    fn may_publish(seat: &Seat) -> bool {
        seat.lease.borrow().is_some_and(|until| until > Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn the_group_of_one_has_all_shards_and_never_loses_them() {
        let (seat, _group) = sole(Shards::DEFAULT);
        let told = seat.assignment.borrow().clone().unwrap();
        assert_eq!((told.shards.len(), told.members.len()), (64, 0));
        tokio::time::advance(Duration::from_secs(86_400 * 365)).await;
        assert!(may_publish(&seat));
    }

    #[tokio::test(start_paused = true)]
    async fn shards_stay_until_the_next_owner_could_go_on_with_them_and_not_for_ever() {
        for can in [true, false] {
            let group = LocalGroup::new(Shards::DEFAULT);
            let [a, b] = ["a", "b"].map(|id| group.join(id, ""));
            let warm = b.assignment.borrow().clone().unwrap().warm.clone();
            assert_eq!((sizes(&[&a, &b]), warm.len()), (vec![64, 0], 32));
            if can {
                b.ready.send_replace(warm);
            } else {
                tokio::time::sleep(WARM_UP_LIMIT - Duration::from_secs(1)).await;
                assert_eq!(sizes(&[&a, &b]), [64, 0]);
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(sizes(&[&a, &b]), [32, 32], "and what was never held moves at once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn shards_move_once_they_are_let_go_and_not_before() {
        let group = LocalGroup::new(Shards::DEFAULT);
        let a = group.join("a", "a:1");
        obey(&[&a]).await;
        let b = group.join("b", "b:1");
        b.ready.send_replace(b.assignment.borrow().clone().unwrap().warm.clone());
        tokio::task::yield_now().await;
        assert_eq!(sizes(&[&a, &b]), [32, 0]);
        obey(&[&a, &b]).await;
        assert_eq!(sizes(&[&a, &b]), [32, 32]);
        let c = group.join("c", "c:1");
        obey(&[&a, &b, &c]).await;
        assert_eq!(sizes(&[&a, &b, &c]), [22, 21, 21]);
        let told = c.assignment.borrow().clone().unwrap();
        let said: Vec<_> = told.members.iter().map(|one| (&*one.address, one.here)).collect();
        assert_eq!(said, [("a:1", false), ("b:1", false), ("c:1", true)]);
        group.leave("b");
        obey(&[&a, &c]).await;
        assert_eq!(sizes(&[&a, &c]), [32, 32]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_retires_is_relieved_and_the_last_one_keeps_what_it_has() {
        let group = LocalGroup::new(Shards::DEFAULT);
        let [a, b] = ["a", "b"].map(|id| group.join(id, ""));
        obey(&[&a, &b]).await;
        for retiring in [&a, &b] {
            retiring.retires.send_replace(true);
            tokio::task::yield_now().await;
            obey(&[&a, &b]).await;
            assert_eq!(sizes(&[&a, &b]), [0, 64]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_cut_off_keeps_what_it_was_told_without_a_lease_until_it_is_back() {
        let group = LocalGroup::new(Shards::DEFAULT);
        let [a, b] = ["a", "b"].map(|id| group.join(id, ""));
        obey(&[&a, &b]).await;
        group.evict("a");
        assert!(!may_publish(&a) && may_publish(&b));
        assert_eq!(sizes(&[&a, &b]), [32, 64]);
        obey(&[&b]).await;
        group.return_of("a");
        assert!(may_publish(&a));
        obey(&[&a, &b]).await;
        assert_eq!(sizes(&[&a, &b]), [32, 32]);
    }
}
