//! The leader's plan: which member of a group owns which shard. The same claims give the same plan,
//! in whatever order they come. It is even (members differ by one shard at most), and sticky (no
//! shard moves that need not, so that a join or a leave moves a member's share and no more).
//!
//! A shard moves in two steps: while another member still claims it, it is nobody's; once that one
//! has let go, the next plan gives it away. So two members never own one shard, not even while one
//! knows the plan and the other does not.
//!
//! Before the first step the member that is to get it *warms up*: it follows the shard, which its
//! owner keeps, until it could go on with it at once. So a move costs no load, be it to one that
//! joins or from one that retires. What no living member has is given at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::token::ShardId;

/// What a member says of itself when it joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// How well founded its claim is.
    pub standing: Standing,
    /// What it was assigned last.
    pub owned: BTreeSet<ShardId>,
    /// What it holds, which may be more: what it has not let go yet keeps others out, and counts
    /// for nothing else.
    pub held: BTreeSet<ShardId>,
    /// What it follows without owning it, as it was told last.
    pub follows: BTreeSet<ShardId>,
    /// What it follows in truth: it could go on with these at once.
    pub ready: BTreeSet<ShardId>,
    /// Whether it is to get nothing that another has before it is ready here. False of members
    /// that know of no warm-up, and of those whose warm-up takes too long.
    pub warms_up: bool,
    /// Whether it is about to end: it is to have nothing, as long as others stay.
    pub retires: bool,
    /// How many members it wishes to follow each shard; 0: it follows none itself.
    pub replicas: u16,
}

/// Of two that own one shard the one of the higher standing counts; the other must let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// It has been a member since it was assigned what it claims. One that was cut off claims what
    /// may be another's by now, and generations begin anew with a group that was deleted.
    pub unbroken: bool,
    /// The generation in which it was assigned what it claims.
    pub generation: i32,
}

/// Shards of each member, by its id.
pub type Shares = BTreeMap<String, BTreeSet<ShardId>>;

/// What is planned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Who owns what. Those are missing that someone has to let go first.
    pub owned: Shares,
    /// Who is to get what it does not own yet, and follows it until then.
    pub warm: Shares,
}

/// Who is to have which of `shards` shards.
#[must_use]
pub fn plan(members: &BTreeMap<String, Claim>, shards: u16) -> Planned {
    let mut candidates: Vec<Candidate<'_>> =
        members.iter().map(|(id, claim)| Candidate { id, claim, owned: BTreeSet::new() }).collect();
    let free: Vec<ShardId> =
        (0..shards).map(ShardId).filter(|shard| !settle(&mut candidates, *shard)).collect();
    let even = even(&candidates, shards, free);
    let none = || members.keys().map(|id| (id.clone(), BTreeSet::new())).collect();
    let mut planned = Planned { owned: none(), warm: none() };
    for (to, shards) in candidates.iter().zip(even) {
        for shard in shards {
            let owner = candidates.iter().find(|one| one.owned.contains(&shard));
            planned.step(shard, to, owner, members);
        }
    }
    planned
}

/// Where each shard is to be in the end, member by member; `free` are those that nobody owns.
fn even(candidates: &[Candidate<'_>], shards: u16, mut free: Vec<ShardId>) -> Vec<Given> {
    let quotas = quotas(shards, candidates);
    let mut places = Vec::with_capacity(candidates.len());
    for (candidate, quota) in candidates.iter().zip(&quotas) {
        // Those go that others follow who lack some: a warm-up that has begun goes on.
        let wished = |shard: &ShardId| {
            let lacking =
                candidates.iter().zip(&quotas).filter(|(it, most)| it.owned.len() < **most);
            let claims = lacking.map(|(it, _)| it.claim).filter(|it| it.follows.contains(shard));
            claims.map(|it| it.ready.contains(shard)).max()
        };
        let mut owned: Vec<ShardId> = candidate.owned.iter().copied().collect();
        owned.sort_by_key(wished);
        let mut kept = owned.into_iter();
        places.push((kept.by_ref().take(*quota).collect::<Given>(), *quota));
        free.extend(kept);
    }
    // What is nobody's goes first, to those that it was let go for.
    free.sort_unstable_by_key(|shard| {
        (candidates.iter().any(|it| it.owned.contains(shard)), *shard)
    });
    free.retain(|shard| !prefer(*shard, &mut places, candidates));
    let mut free = free.into_iter();
    let fill = |(mut given, quota): (Given, usize)| {
        let lacking = quota.saturating_sub(given.len());
        given.extend(free.by_ref().take(lacking));
        given
    };
    places.into_iter().map(fill).collect()
}

/// Gives a shard to the one that lacks most shards of those that follow it already, if there is
/// any, and of these to one where it is ready: its take-over needs no load.
fn prefer(shard: ShardId, places: &mut [(Given, usize)], candidates: &[Candidate<'_>]) -> bool {
    let able = candidates.iter().zip(places).enumerate().filter_map(|(at, (one, place))| {
        let lacking = place.1.saturating_sub(place.0.len());
        let follows = lacking > 0 && one.claim.follows.contains(&shard);
        follows.then(|| ((one.claim.ready.contains(&shard), lacking, Reverse(at)), place))
    });
    let best = able.max_by_key(|(rank, _)| *rank);
    best.is_some_and(|(_, (given, _))| given.insert(shard))
}

impl Planned {
    /// What is done now about a shard that is to be with one member in the end.
    fn step(
        &mut self,
        shard: ShardId,
        to: &Candidate<'_>,
        owner: Option<&Candidate<'_>>,
        members: &BTreeMap<String, Claim>,
    ) {
        let own = owner.is_some_and(|owner| owner.id == to.id);
        let warms_up = to.claim.warms_up && !to.claim.ready.contains(&shard);
        let lasting = owner.filter(|owner| owner.claim.standing.unbroken && !own && warms_up);
        let mut others = members.iter().filter(|(id, _)| *id != to.id);
        let withheld = !own && others.any(|(_, claim)| claim.names(shard));
        let (owner, warm) = match lasting {
            Some(owner) => (Some(owner), true),
            // It goes on following what is on its way, and begins with nothing.
            None if withheld => (None, to.claim.follows.contains(&shard)),
            None => (Some(to), false),
        };
        if let Some(owner) = owner {
            self.owned.entry(owner.id.clone()).or_default().insert(shard);
        }
        if warm {
            self.warm.entry(to.id.clone()).or_default().insert(shard);
        }
    }
}

type Given = BTreeSet<ShardId>;

struct Candidate<'a> {
    id: &'a String,
    claim: &'a Claim,
    /// Where its claim counts.
    owned: BTreeSet<ShardId>,
}

impl Claim {
    /// Whether it has a shard in any way.
    pub(super) fn names(&self, shard: ShardId) -> bool {
        self.owned.contains(&shard) || self.held.contains(&shard)
    }
}

/// Gives a shard to the one whose claim counts, if there is any: among equals to the one that has
/// fewest, so that two that come to an empty group at once divide it without a move. Who was cut
/// off has nothing that a lasting member still holds: that one publishes it until it has let go.
fn settle(candidates: &mut [Candidate<'_>], shard: ShardId) -> bool {
    let lasting = |claim: &Claim| claim.standing.unbroken && claim.names(shard);
    let lasts = candidates.iter().any(|it| lasting(it.claim));
    let claimants = candidates
        .iter_mut()
        .filter(|it| it.claim.owned.contains(&shard) && (it.claim.standing.unbroken || !lasts));
    let owner = claimants.min_by_key(|it| (Reverse(it.claim.standing), it.owned.len()));
    owner.is_some_and(|candidate| candidate.owned.insert(shard))
}

/// How many shards each member is to have: those that own more than an even share keep one of the
/// shards that cannot be divided. Who retires is to have none; where all do, each keeps its own.
fn quotas(shards: u16, candidates: &[Candidate<'_>]) -> Vec<usize> {
    let staying = candidates.iter().enumerate().filter(|(_, candidate)| !candidate.claim.retires);
    let mut order: Vec<usize> = staying.map(|(place, _)| place).collect();
    let Some(share) = usize::from(shards).checked_div(order.len()) else {
        return candidates.iter().map(|candidate| candidate.owned.len()).collect();
    };
    let extra = usize::from(shards) - share * order.len();
    // Beyond one more it does not count: who lets go slowly gets no more for it.
    let kept = |place: &usize| {
        candidates.get(*place).map(|candidate| candidate.owned.len().min(share + 1))
    };
    order.sort_by_key(|place| Reverse(kept(place)));
    let ranks: BTreeMap<usize, usize> = order.into_iter().zip(0..).collect();
    let quota = |rank: &usize| share + usize::from(*rank < extra);
    (0..candidates.len()).map(|place| ranks.get(&place).map_or(0, quota)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Who owns what by the plan.
    fn plan(members: &BTreeMap<String, Claim>, shards: u16) -> Shares {
        super::plan(members, shards).owned
    }

    pub(in crate::domain) fn claim(
        generation: i32,
        shards: impl IntoIterator<Item = u16>,
    ) -> Claim {
        let standing = Standing { unbroken: true, generation };
        let owned: BTreeSet<_> = shards.into_iter().map(ShardId).collect();
        Claim { standing, held: owned.clone(), owned, ..Claim::default() }
    }

    pub(in crate::domain) fn group<const N: usize>(
        members: [(&str, Claim); N],
    ) -> BTreeMap<String, Claim> {
        members.into_iter().map(|(id, claim)| (id.to_owned(), claim)).collect()
    }

    pub(in crate::domain) fn sizes(plan: &Shares) -> Vec<usize> {
        plan.values().map(BTreeSet::len).collect()
    }

    /// Plans, lets everybody do as planned, and plans again until nothing changes.
    fn settled(mut members: BTreeMap<String, Claim>, shards: u16) -> Shares {
        for generation in 100..104 {
            let planned = plan(&members, shards);
            let done = members
                .iter()
                .all(|(id, claim)| claim.owned == planned[id] && claim.held == planned[id]);
            if done {
                return planned;
            }
            members = planned
                .into_iter()
                .map(|(id, shards)| (id, claim(generation, shards.iter().map(|shard| shard.0))))
                .collect();
        }
        panic!("no quiet: {members:?}");
    }

    #[test]
    fn three_that_come_one_after_the_other_share_64_as_64_then_32_then_22_21_21() {
        let one = plan(&group([("a", Claim::default())]), 64);
        assert_eq!(sizes(&one), [64]);
        let two = group([("a", claim(1, 0..64)), ("b", Claim::default())]);
        assert_eq!(sizes(&plan(&two, 64)), [32, 0], "nothing moves before it is let go");
        assert_eq!(sizes(&settled(two, 64)), [32, 32]);
        let three =
            group([("a", claim(2, 0..32)), ("b", claim(2, 32..64)), ("c", Claim::default())]);
        assert_eq!(sizes(&plan(&three, 64)), [22, 21, 0]);
        assert_eq!(sizes(&settled(three, 64)), [22, 21, 21]);
    }

    #[test]
    fn who_retires_has_nothing_in_the_end_and_where_all_do_each_keeps_what_it_has() {
        let retiring = |generation, shards| Claim { retires: true, ..claim(generation, shards) };
        let some =
            group([("a", retiring(1, 0..22)), ("b", claim(1, 22..43)), ("c", claim(1, 43..64))]);
        assert_eq!(sizes(&plan(&some, 64)), [0, 21, 21], "nothing moves before it is let go");
        let gone =
            group([("a", retiring(2, 0..0)), ("b", claim(2, 22..43)), ("c", claim(2, 43..64))]);
        assert_eq!(sizes(&plan(&gone, 64)), [0, 32, 32]);
        let all = group([("a", retiring(1, 0..0)), ("b", retiring(1, 22..64))]);
        assert_eq!(sizes(&plan(&all, 64)), [0, 42]);
    }

    #[test]
    fn what_a_member_that_is_gone_had_is_given_away_at_once() {
        let left = group([("a", claim(3, 0..22)), ("c", claim(3, 43..64))]);
        assert_eq!(sizes(&plan(&left, 64)), [32, 32]);
    }

    #[test]
    fn who_was_cut_off_has_to_let_go_whatever_its_generation() {
        let stale = Claim {
            standing: Standing { unbroken: false, generation: 900 },
            ..claim(0, [0, 1, 2, 3])
        };
        let back = plan(&group([("a", stale), ("b", claim(2, [0, 1, 2, 3]))]), 4);
        assert_eq!(back["b"], claim(0, [0, 1]).owned);
        assert_eq!(back["a"], BTreeSet::new(), "b has not let go yet");
        let stale = Claim { standing: Standing::default(), ..claim(0, [0, 1, 2, 3]) };
        let letting_go = Claim { held: [2, 3].map(ShardId).into(), ..claim(9, [0, 1]) };
        let back = plan(&group([("a", stale), ("b", letting_go)]), 4);
        assert_eq!(back["a"], BTreeSet::new(), "b lets go for somebody, and publishes until then");
    }

    #[test]
    fn who_lets_go_slowly_moves_nothing_of_the_others() {
        let slow =
            group([("a", claim(3, 0..22)), ("b", claim(3, 32..64)), ("c", Claim::default())]);
        let planned = plan(&slow, 64);
        assert_eq!((planned["a"].len(), planned["b"].len()), (22, 21));
        assert_eq!(planned["c"].len(), 10, "what a has let go is c's at once");
    }

    #[test]
    fn who_has_still_to_let_go_of_a_shard_does_not_own_it() {
        let slow = Claim { held: [0, 1, 2, 3].map(ShardId).into(), ..claim(2, [0, 1]) };
        let planned = plan(&group([("a", slow), ("b", claim(2, [2, 3]))]), 4);
        assert_eq!(planned["b"], claim(0, [2, 3]).owned);
    }

    fn members() -> impl Strategy<Value = BTreeMap<String, Claim>> {
        let shards = || prop::collection::btree_set((0..40_u16).prop_map(ShardId), 0..40);
        let parts = (any::<bool>(), -1..4_i32, shards(), shards());
        let claim = parts.prop_map(|(unbroken, generation, owned, held)| {
            let standing = Standing { unbroken, generation };
            Claim { standing, owned, held, ..Claim::default() }
        });
        prop::collection::btree_map("[a-h]", claim, 1..8)
    }

    /// Members whose claims do not overlap, as they are in a quiet group, possibly uneven.
    pub(in crate::domain) fn quiet() -> impl Strategy<Value = BTreeMap<String, Claim>> {
        prop::collection::vec(0..6_usize, 40).prop_map(|owners| {
            let names = ["a", "b", "c", "d", "e"];
            let owned = |at: usize| {
                let mine = owners.iter().zip(0..).filter(move |(owner, _)| **owner == at);
                claim(1, mine.map(|(_, shard)| shard))
            };
            names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), owned(at))).collect()
        })
    }

    /// How many of 40 shards can stay where they are: each member keeps what it has up to its
    /// share, and the larger shares are where they keep something.
    pub(in crate::domain) fn fewest_moves(members: &BTreeMap<String, Claim>) -> usize {
        let [share, extra] = [40 / members.len(), 40 % members.len()];
        let owned = || members.values().map(|claim| claim.owned.len());
        owned().map(|owned| owned.min(share)).sum::<usize>()
            + owned().filter(|owned| *owned > share).count().min(extra)
    }

    proptest! {
        #[test]
        fn no_shard_is_given_to_two_nor_to_one_while_a_better_or_equal_claim_of_another_stands(
            members in members(),
        ) {
            let planned = plan(&members, 40);
            let mut seen = BTreeSet::new();
            let given = planned.iter().flat_map(|(id, all)| all.iter().map(move |s| (id, *s)));
            for (id, shard) in given
            {
                prop_assert!(seen.insert(shard), "{shard:?} twice");
                let own = &members[id];
                for (_, other) in members.iter().filter(|(other, _)| *other != id) {
                    let owns = own.owned.contains(&shard);
                    let better = other.owned.contains(&shard) && other.standing > own.standing
                        || other.standing.unbroken && !own.standing.unbroken;
                    prop_assert!(!other.names(shard) || owns && !better, "{shard:?} of {id}");
                }
            }
        }

        #[test]
        fn every_shard_has_an_owner_within_two_plans_and_shares_differ_by_one(
            members in members(),
        ) {
            let planned = settled(members, 40);
            let sizes = sizes(&planned);
            prop_assert_eq!(sizes.iter().sum::<usize>(), 40);
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }

        #[test]
        fn as_few_shards_move_as_any_even_division_moves(members in quiet()) {
            let planned = settled(members.clone(), 40);
            let kept: usize = members
                .iter()
                .map(|(id, claim)| claim.owned.intersection(&planned[id]).count())
                .sum();
            prop_assert_eq!(kept, fewest_moves(&members));
        }

        #[test]
        fn a_quiet_group_stays_as_it_is(members in members()) {
            let planned = settled(members, 40);
            let again = planned
                .iter()
                .map(|(id, shards)| (id.clone(), claim(7, shards.iter().map(|shard| shard.0))))
                .collect();
            prop_assert_eq!(plan(&again, 40), planned);
        }
    }
}
