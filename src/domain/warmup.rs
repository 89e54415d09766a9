//! How long a member warms up, and when the group is to hear of it: once everything that it is to
//! get is ready here, so that a join or a leave costs one more agreement and not one for each
//! shard; or when that takes too long. Then what is ready moves from memory, and the rest is loaded
//! while it is away.

use std::collections::BTreeSet;
use std::time::Duration;

use super::token::ShardId;

/// For so long a member warms up: some times the load of the largest shards that fit in memory.
/// Beyond, a pause of some ticks is better than shares that stay uneven.
pub const WARM_UP_LIMIT: Duration = Duration::from_secs(120);

/// The warm-up of one member; `T` is a moment of whatever clock it goes by.
#[derive(Clone, Debug)]
pub struct WarmUp<T> {
    /// What it is to get.
    wanted: BTreeSet<ShardId>,
    /// Until when it waits for that.
    until: Option<T>,
    /// Of these the group knows.
    said: BTreeSet<ShardId>,
}

impl<T> Default for WarmUp<T> {
    fn default() -> Self {
        Self { wanted: BTreeSet::new(), until: None, said: BTreeSet::new() }
    }
}

impl<T: Copy + Ord> WarmUp<T> {
    /// It was told what it is to get; a warm-up that begins with that ends at `limit`.
    pub fn told(&mut self, wanted: &BTreeSet<ShardId>, limit: T) {
        self.wanted.clone_from(wanted);
        self.until = self.until.or(Some(limit)).filter(|_| !wanted.is_empty());
    }

    /// Until when it waits, if it does.
    #[must_use]
    pub const fn until(&self) -> Option<T> {
        self.until
    }

    /// Whether it waits no longer.
    #[must_use]
    pub fn is_over(&self, now: T) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether there is something to be said: all is ready, or it waits no longer.
    #[must_use]
    pub fn is_due(&self, now: T, ready: &BTreeSet<ShardId>) -> bool {
        let news = !self.wanted.is_subset(&self.said);
        news && (self.is_over(now) || self.wanted.is_subset(ready))
    }

    /// The group hears what is ready; whether more is to be waited for.
    pub fn says(&mut self, now: T, ready: &BTreeSet<ShardId>) -> bool {
        let over = self.is_over(now);
        self.said.clone_from(ready);
        if over {
            self.said.extend(&self.wanted);
        }
        !over
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::plan::tests::{claim, fewest_moves, group, quiet, sizes};
    use super::super::plan::{Claim, Planned, Standing, plan};
    use super::*;

    fn shards<const N: usize>(shards: [u16; N]) -> BTreeSet<ShardId> {
        shards.map(ShardId).into()
    }

    #[test]
    fn it_is_said_once_that_all_is_ready() {
        let mut warm = WarmUp::default();
        assert!(warm.says(1, &shards([])) && !warm.is_due(1, &shards([])), "there is none");
        warm.told(&shards([1, 2]), 10);
        assert!(!warm.is_due(2, &shards([2, 3])) && warm.is_due(3, &shards([1, 2, 3])));
        assert!(warm.says(3, &shards([1, 2, 3])));
        assert!(!warm.is_due(4, &shards([1, 2, 3])));
        warm.told(&shards([1, 2]), 14);
        assert!(!warm.is_due(11, &shards([1, 2, 3])), "they are on their way");
        warm.told(&shards([]), 15);
        warm.told(&shards([4]), 16);
        assert!(!warm.is_due(15, &shards([])) && warm.is_due(15, &shards([4])), "another one");
    }

    #[test]
    fn one_that_takes_too_long_is_said_to_be_over_once() {
        let mut warm = WarmUp::default();
        warm.told(&shards([1, 2]), 10);
        warm.told(&shards([1, 2, 3]), 20);
        assert!(!warm.is_due(9, &shards([1])) && warm.is_due(10, &shards([1])));
        assert!(!warm.says(10, &shards([1])) && !warm.is_due(11, &shards([1])));
        warm.told(&shards([1, 2]), 21);
        assert!(!warm.is_due(12, &shards([1])), "they are on their way");
        warm.told(&shards([]), 22);
        assert!(warm.says(13, &shards([])), "the next is waited for");
    }

    /// What all say once they have done as planned; these shards become ready wherever they are
    /// followed.
    fn warmed(
        members: &BTreeMap<String, Claim>,
        planned: &Planned,
        can_be: &BTreeSet<ShardId>,
        warms_up: bool,
    ) -> BTreeMap<String, Claim> {
        let then = |(id, before): (&String, &Claim)| {
            let (owned, follows) = (planned.owned[id].clone(), planned.warm[id].clone());
            let (held, ready) = (owned.clone(), &follows & can_be);
            let warms_up = before.warms_up && warms_up;
            (id.clone(), Claim { owned, held, follows, ready, warms_up, ..before.clone() })
        };
        members.iter().map(then).collect()
    }

    /// What two have and follow, plan after plan, and everything becomes ready.
    fn course(mut members: BTreeMap<String, Claim>) -> Vec<[Vec<usize>; 2]> {
        let all = (0..64).map(ShardId).collect();
        let mut seen = Vec::new();
        for _ in 0..4 {
            let planned = plan(&members, 64);
            seen.push([&planned.owned, &planned.warm].map(sizes));
            members = warmed(&members, &planned, &all, true);
        }
        seen
    }

    #[test]
    fn a_newcomer_follows_its_share_before_it_gets_it() {
        let newcomer = Claim { warms_up: true, ..Claim::default() };
        let all = |owned: [usize; 2], warm: [usize; 2]| [owned, warm].map(Vec::from);
        let [before, between, after] = [
            all([64, 0], [0, 32]),
            // It is followed until it is let go.
            all([32, 0], [0, 32]),
            all([32, 32], [0, 0]),
        ];
        let members = group([("a", claim(1, 0..64)), ("b", newcomer)]);
        assert_eq!(course(members), [before, between, after.clone(), after]);
    }

    #[test]
    fn who_retires_keeps_its_shards_until_another_follows_them() {
        let retiring = Claim { retires: true, ..claim(1, 0..32) };
        let staying = Claim { warms_up: true, ..claim(1, 32..64) };
        let all = |owned: [usize; 2], warm: [usize; 2]| [owned, warm].map(Vec::from);
        let [before, between, after] =
            [all([32, 32], [0, 32]), all([0, 32], [0, 32]), all([0, 64], [0, 0])];
        let members = group([("a", retiring), ("b", staying)]);
        assert_eq!(course(members), [before, between, after.clone(), after]);
    }

    #[test]
    fn what_was_cut_off_or_is_gone_is_not_waited_for() {
        let stale = Standing { unbroken: false, generation: -1 };
        let stale = Claim { standing: stale, held: BTreeSet::new(), ..claim(0, 0..64) };
        let newcomer = Claim { warms_up: true, ..Claim::default() };
        let planned = plan(&group([("a", stale), ("b", newcomer.clone())]), 64);
        assert_eq!(sizes(&planned.warm), [0, 0], "one that begins alone has loaded nothing yet");
        let planned = plan(&group([("b", newcomer)]), 64);
        assert_eq!((sizes(&planned.owned), sizes(&planned.warm)), (vec![64], vec![0]));
    }

    proptest! {
        /// Some members never learn to warm up, some shards never become ready.
        #[test]
        fn what_a_member_has_moves_when_it_is_ready_and_in_the_end_whether_it_is_or_not(
            before in quiet(),
            retiring in prop::option::of("[a-e]"),
            warming in prop::collection::btree_set("[a-e]", 0..5),
            can_be in prop::collection::btree_set((0..40_u16).prop_map(ShardId), 0..40),
            patience in 1..5_usize,
        ) {
            let mut members = before.clone();
            members.iter_mut().for_each(|(id, claim)| claim.warms_up = warming.contains(id));
            let retiring = retiring.and_then(|id| members.get_mut(&id));
            retiring.into_iter().for_each(|claim| claim.retires = true);
            let had = |shard: &&ShardId| before.values().any(|claim| claim.owned.contains(*shard));
            for generation in 0.. {
                prop_assert!(generation < patience + 4, "no quiet: {:?}", members);
                let planned = plan(&members, 40);
                for (id, claim) in members.iter().filter(|(_, claim)| claim.warms_up) {
                    let loaded = planned.owned[id].difference(&claim.owned).filter(had);
                    let loaded = loaded.filter(|shard| !claim.ready.contains(shard)).count();
                    prop_assert_eq!(loaded, 0, "{} has to load", id);
                }
                let then = warmed(&members, &planned, &can_be, generation + 1 < patience);
                let quiet = std::mem::replace(&mut members, then) == members;
                // Before, it may be one that waits in vain.
                if quiet && generation >= patience {
                    break;
                }
            }
            members.retain(|id, claim| {
                let stays = !claim.retires;
                assert!(stays || claim.owned.is_empty(), "{id} has {claim:?}");
                stays
            });
            let owned = || members.values().map(|claim| claim.owned.len());
            prop_assert_eq!(owned().sum::<usize>(), 40);
            prop_assert!(owned().max().unwrap() - owned().min().unwrap() <= 1);
            let staying = before.into_iter().filter(|(id, _)| members.contains_key(id));
            let staying: BTreeMap<_, _> = staying.collect();
            let kept =
                |(id, claim): (_, &Claim)| claim.owned.intersection(&members[id].owned).count();
            prop_assert_eq!(staying.iter().map(kept).sum::<usize>(), fewest_moves(&staying));
        }
    }
}
