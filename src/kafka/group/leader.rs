//! What the leader brings to the sync: the plan, made from what all said at the join, as bytes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::protocol::StrBytes;

use super::GroupConfig;
use super::wire::{self, Subscription};
use crate::domain::plan::{Claim, Planned, plan};
use crate::domain::standby::standbys;
use crate::domain::token::{ShardId, Shards};
use crate::ports::group::Member;

/// A plan on its way.
#[derive(Debug)]
pub(super) struct Led {
    /// Each member's assignment.
    pub(super) plan: Vec<(StrBytes, Bytes)>,
    /// A member that says what we do not understand, if there is one. It gets nothing, and what it
    /// may hold the checkpoint fences.
    pub(super) stranger: Option<String>,
}

/// Who is to have what.
pub(super) fn plans(
    config: &GroupConfig,
    partitions: i32,
    joined: &[JoinGroupResponseMember],
) -> anyhow::Result<Led> {
    let mut stranger = None;
    // Services of one group name that read different topics share nothing but the name; nor do
    // those of different numbers of shards, as one that was killed and its successor may be.
    let mut services: BTreeMap<(String, Shards), BTreeMap<String, Claim>> = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for member in joined {
        let id = member.member_id.to_string();
        match wire::subscribed(&member.metadata) {
            Ok(Subscription { topic, shards, claim, address }) => {
                services.entry((topic, shards)).or_default().insert(id.clone(), claim);
                addresses.insert(id, address);
            }
            Err(error) => stranger = Some(format!("the member {id} is not understood: {error}")),
        }
    }
    let mut bytes = Vec::with_capacity(joined.len());
    for ((topic, shards), claims) in services {
        let planned = plan(&claims, shards.count());
        let mut followed = standbys(&claims, &planned);
        let Planned { owned, mut warm } = planned;
        let member = |(id, shards): (String, BTreeSet<ShardId>)| Member {
            address: addresses.remove(&id).unwrap_or_default(),
            standby: followed.remove(&id).unwrap_or_default(),
            warm: warm.remove(&id).unwrap_or_default(),
            retires: claims.get(&id).is_some_and(|claim| claim.retires),
            id,
            shards,
            here: false,
        };
        let members: Vec<_> = owned.into_iter().map(member).collect();
        // Of another topic nobody here knows the partitions: none are shown.
        let partitions = if topic == config.topic { partitions } else { 0 };
        for (here, member) in members.iter().enumerate() {
            let told = wire::assignment(&topic, partitions, shards, &members, here)?;
            bytes.push((StrBytes::from_string(member.id.clone()), told));
        }
    }
    Ok(Led { plan: bytes, stranger })
}

/// The shards that someone has to let go first.
pub(super) fn withheld(members: &[Member], shards: Shards) -> BTreeSet<ShardId> {
    let given: BTreeSet<_> = members.iter().flat_map(|member| &member.shards).collect();
    shards.all().filter(|shard| !given.contains(shard)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn members_of_different_topics_or_numbers_of_shards_share_nothing() {
        let said = |topic: &str, shards| Subscription {
            topic: topic.to_owned(),
            shards: Shards::new(shards).unwrap(),
            claim: Claim::default(),
            address: String::new(),
        };
        let joined = [("trades", 64), ("others", 64), ("trades", 64), ("trades", 16)];
        let joined = joined.map(|(topic, shards)| {
            let metadata = wire::subscription(&said(topic, shards)).unwrap();
            JoinGroupResponseMember::default().with_metadata(metadata)
        });
        let name = |(at, member): (usize, JoinGroupResponseMember)| {
            member.with_member_id(StrBytes::from_string(at.to_string()))
        };
        let joined: Vec<_> = joined.into_iter().enumerate().map(name).collect();
        let config = GroupConfig {
            group: "g".to_owned(),
            topic: "trades".to_owned(),
            instance: None,
            address: String::new(),
            session: Duration::from_secs(10),
            shards: Shards::DEFAULT,
            replicas: 0,
        };
        let mut shares = BTreeMap::new();
        for (id, bytes) in plans(&config, 3, &joined).unwrap().plan {
            let members = wire::assigned(&bytes).unwrap();
            let here = members.into_iter().find(|member| member.here).unwrap();
            shares.insert(id.to_string(), here.shards.len());
        }
        let expected =
            [("0", 32), ("1", 64), ("2", 32), ("3", 16)].map(|(id, own)| (id.to_owned(), own));
        assert_eq!(shares, BTreeMap::from(expected));
    }
}
