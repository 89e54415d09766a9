//! The leader's second plan: which members follow shards that they do not own, so that one of them
//! can go on at once where an owner is gone. Deterministic and sticky as the first plan; even among
//! those that follow at all (they differ by one shard at most, once all shards have owners); and
//! what one member owns is spread over the others, as it will be when that member is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Claim, Planned, Shares};
use super::token::ShardId;

/// The shards that each member is to follow, by id, beside those that it owns by the first plan.
/// As many members follow a shard as the member asks that asks for most; those that ask for none
/// follow none but what they are to get.
#[must_use]
pub fn standbys(members: &BTreeMap<String, Claim>, planned: &Planned) -> Shares {
    let mut followed = lasting(members, &planned.owned);
    for (id, warm) in &planned.warm {
        followed.entry(id.clone()).or_default().extend(warm);
    }
    followed
}

/// Those that are followed for as long as somebody else owns them.
fn lasting(members: &BTreeMap<String, Claim>, owned: &Shares) -> Shares {
    let replicas = members.values().map(|claim| usize::from(claim.replicas)).max().unwrap_or(0);
    let owners = owned.iter().flat_map(|(id, shards)| shards.iter().map(|one| (*one, id.as_str())));
    let willing = members.iter().filter(|(_, claim)| claim.replicas > 0 && !claim.retires);
    let mut draft = Draft {
        members,
        owners: owners.collect(),
        follows: willing.map(|(id, _)| (id.as_str(), BTreeSet::new())).collect(),
    };
    draft.keep(replicas);
    draft.fill(replicas);
    while draft.level() {}
    let follows = |id: &String| draft.follows.get(id.as_str()).cloned().unwrap_or_default();
    members.keys().map(|id| (id.clone(), follows(id))).collect()
}

struct Draft<'a> {
    members: &'a BTreeMap<String, Claim>,
    /// Those that are moving have none: who follows them goes on, and nobody begins to.
    owners: BTreeMap<ShardId, &'a str>,
    follows: BTreeMap<&'a str, BTreeSet<ShardId>>,
}

impl<'a> Draft<'a> {
    /// Whoever follows a shard goes on, those first that have fewest.
    fn keep(&mut self, replicas: usize) {
        let all = self.members.values().flat_map(|claim| &claim.follows);
        for shard in all.copied().collect::<BTreeSet<_>>() {
            let claims =
                |id: &str| self.members.get(id).is_some_and(|it| it.follows.contains(&shard));
            let able = self.follows.keys().copied().filter(|id| claims(id) && self.may(id, shard));
            let mut able: Vec<&str> = able.collect();
            able.sort_by_key(|id| self.load(id));
            able.iter().take(replicas).for_each(|id| self.add(id, shard));
        }
    }

    /// Where followers are missing, those come that follow fewest of this owner's shards, then
    /// fewest at all.
    fn fill(&mut self, replicas: usize) {
        for (shard, owner) in self.owners.clone() {
            let has = self.follows.values().filter(|follows| follows.contains(&shard)).count();
            for _ in has..replicas {
                let able = self.follows.keys().filter(|id| self.may(id, shard));
                let least = able.min_by_key(|id| (self.of_owner(id, owner), self.load(id)));
                let Some(id) = least.copied() else { break };
                self.add(id, shard);
            }
        }
    }

    /// Makes the difference between two members smaller, where it is more than one; false where
    /// none is. What is too much may have to go by way of others.
    fn level(&mut self) -> bool {
        let mut order: Vec<&str> = self.follows.keys().copied().collect();
        order.sort_by_key(|id| std::cmp::Reverse(self.load(id)));
        let Some(path) = order.into_iter().find_map(|most| self.path(most)) else { return false };
        for (from, to) in path.iter().zip(path.iter().skip(1)) {
            let surplus = |shard: &ShardId| {
                let owner = self.owners.get(shard).copied().unwrap_or_default();
                (self.of_owner(from, owner) + self.members.len())
                    .saturating_sub(self.of_owner(to, owner))
            };
            let Some(shard) = self.movable(from, to).max_by_key(surplus) else { return false };
            self.follows.entry(from).or_default().remove(&shard);
            self.add(to, shard);
        }
        true
    }

    /// From a member to the nearest that follows two shards less, each able to take a shard from
    /// the one before it.
    fn path(&self, most: &'a str) -> Option<Vec<&'a str>> {
        let mut paths = vec![vec![most]];
        let mut seen = BTreeSet::from([most]);
        while !paths.is_empty() {
            let mut longer = Vec::new();
            for path in paths {
                let Some(last) = path.last().copied() else { continue };
                for next in self.follows.keys().copied() {
                    if seen.contains(next) || self.movable(last, next).next().is_none() {
                        continue;
                    }
                    seen.insert(next);
                    let path: Vec<_> = path.iter().copied().chain([next]).collect();
                    if self.load(next) + 2 <= self.load(most) {
                        return Some(path);
                    }
                    longer.push(path);
                }
            }
            paths = longer;
        }
        None
    }

    /// What one could follow in place of another.
    fn movable(&self, from: &str, to: &str) -> impl Iterator<Item = ShardId> {
        let shards = self.follows.get(from).into_iter().flatten().copied();
        shards.filter(move |shard| self.owners.contains_key(shard) && self.may(to, *shard))
    }

    /// Whether a member could begin to follow a shard: it does not have it in any way.
    fn may(&self, id: &str, shard: ShardId) -> bool {
        self.owners.get(&shard).is_none_or(|owner| *owner != id)
            && self.members.get(id).is_some_and(|claim| !claim.names(shard))
            && self.follows.get(id).is_some_and(|follows| !follows.contains(&shard))
    }

    fn load(&self, id: &str) -> usize {
        self.follows.get(id).map_or(0, BTreeSet::len)
    }

    /// How many of an owner's shards a member follows.
    fn of_owner(&self, id: &str, owner: &str) -> usize {
        let follows = self.follows.get(id).into_iter().flatten();
        follows.filter(|shard| self.owners.get(shard).is_some_and(|of| *of == owner)).count()
    }

    fn add(&mut self, id: &'a str, shard: ShardId) {
        self.follows.entry(id).or_default().insert(shard);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::plan::{Standing, plan};
    use super::*;

    const SHARDS: u16 = 40;

    /// What the members say once they have done as planned.
    fn obeyed(
        members: &BTreeMap<String, Claim>,
        owned: &Shares,
        followed: &Shares,
    ) -> BTreeMap<String, Claim> {
        let claim = |(id, before): (&String, &Claim)| {
            let (owned, follows) = (owned[id].clone(), followed[id].clone());
            let (standing, held) = (Standing { unbroken: true, generation: 9 }, owned.clone());
            let ready = follows.clone();
            (id.clone(), Claim { standing, owned, held, follows, ready, ..before.clone() })
        };
        members.iter().map(claim).collect()
    }

    /// Plans, lets everybody do as planned, and plans again until nothing changes.
    fn settled(mut members: BTreeMap<String, Claim>) -> (Shares, Shares, BTreeMap<String, Claim>) {
        for _ in 0..10 {
            let planned = plan(&members, SHARDS);
            let followed = standbys(&members, &planned);
            let then = obeyed(&members, &planned.owned, &followed);
            if then == members {
                return (planned.owned, followed, members);
            }
            members = then;
        }
        panic!("no quiet: {members:?}");
    }

    fn members(
        replicas: impl Strategy<Value = u16> + Clone,
    ) -> impl Strategy<Value = BTreeMap<String, Claim>> {
        let shards = || prop::collection::btree_set((0..SHARDS).prop_map(ShardId), 0..40);
        let parts = (any::<[bool; 2]>(), -1..4_i32, [shards(), shards(), shards()], replicas);
        let claim = parts.prop_map(|([unbroken, warms_up], generation, shares, replicas)| {
            let ([owned, held, follows], ready) = (shares, BTreeSet::new());
            let standing = Standing { unbroken, generation };
            let retires = false;
            Claim { standing, owned, held, follows, ready, warms_up, retires, replicas }
        });
        prop::collection::btree_map("[a-h]", claim, 1..8)
    }

    fn loads(followed: &Shares, members: &BTreeMap<String, Claim>) -> Vec<usize> {
        let willing = followed.iter().filter(|(id, _)| members[*id].replicas > 0);
        willing.map(|(_, follows)| follows.len()).collect()
    }

    #[test]
    fn who_retires_follows_nothing_any_more() {
        let wish = |retires| Claim { replicas: 1, retires, ..Claim::default() };
        let named = [("a", false), ("b", false), ("c", true)];
        let members = named.map(|(id, retires)| (id.to_owned(), wish(retires))).into();
        let owned = plan(&members, SHARDS).owned;
        let follows = lasting(&members, &owned).into_values().map(|shards| shards.len());
        assert_eq!(follows.collect::<Vec<_>>(), [20, 20, 0]);
    }

    proptest! {
        #[test]
        fn nobody_follows_what_it_has_and_none_is_followed_by_more_than_are_wished(
            members in members(0..4_u16),
        ) {
            let owned = plan(&members, SHARDS).owned;
            let followed = lasting(&members, &owned);
            let wished = members.values().map(|claim| claim.replicas).max().unwrap_or(0);
            for shard in (0..SHARDS).map(ShardId) {
                let followers = followed.values().filter(|follows| follows.contains(&shard));
                prop_assert!(followers.count() <= wished.into());
            }
            for (id, follows) in &followed {
                let claim = &members[id];
                prop_assert!(claim.replicas > 0 || follows.is_empty());
                prop_assert!(follows.is_disjoint(&owned[id]));
                prop_assert!(follows.is_disjoint(&claim.owned) && follows.is_disjoint(&claim.held));
            }
        }

        #[test]
        fn in_a_quiet_group_each_shard_has_its_followers_and_they_differ_by_one(
            members in members(1..4_u16),
        ) {
            let (_, followed, members) = settled(members);
            let wished = members.values().map(|claim| usize::from(claim.replicas)).max().unwrap();
            let each = wished.min(members.len() - 1);
            for shard in (0..SHARDS).map(ShardId) {
                let followers = followed.values().filter(|follows| follows.contains(&shard));
                prop_assert_eq!(followers.count(), each);
            }
            let loads = loads(&followed, &members);
            let difference = loads.iter().max().unwrap() - loads.iter().min().unwrap();
            prop_assert!(difference <= 1, "{loads:?}");
        }

        #[test]
        fn those_that_follow_none_leave_it_to_the_others(members in members(0..2_u16)) {
            let (owned, followed, members) = settled(members);
            let willing = members.iter().filter(|(_, claim)| claim.replicas > 0);
            let willing: Vec<_> = willing.map(|(id, _)| id).collect();
            let Some(first) = willing.first() else { return Ok(()) };
            for shard in (0..SHARDS).map(ShardId) {
                let alone = willing.len() == 1 && owned[*first].contains(&shard);
                let followers = followed.values().filter(|follows| follows.contains(&shard));
                prop_assert_eq!(followers.count(), usize::from(!alone));
            }
        }

        /// Of what one owned that is gone, each other takes what it has followed, but for what
        /// cannot be divided.
        #[test]
        fn a_shard_whose_owner_is_gone_goes_to_one_that_has_followed_it(
            count in 2..8_usize,
            gone in 0..8_usize,
        ) {
            let named = |at: usize| (at.to_string(), Claim { replicas: 1, ..Claim::default() });
            let mut members = BTreeMap::new();
            for at in 0..count {
                members.extend([named(at)]);
                (_, _, members) = settled(members);
            }
            let before = members.clone();
            let left = members.remove(&(gone % count).to_string()).unwrap();
            let owned = plan(&members, SHARDS).owned;
            let all = |(id, shards): (_, &BTreeSet<ShardId>)| {
                shards.iter().map(move |one| (id, *one)).collect::<Vec<(&String, ShardId)>>()
            };
            let taken = owned.iter().flat_map(all);
            let taken = taken.filter(|(_, shard)| left.owned.contains(shard));
            let loaded = taken.filter(|(id, shard)| !before[*id].follows.contains(shard)).count();
            prop_assert!(loaded <= count, "{loaded} of {}", left.owned.len());
        }
    }
}
