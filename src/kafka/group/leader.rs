//! What the leader brings to the sync: the plan, made from what all said at the join, as bytes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::protocol::StrBytes;

use super::GroupConfig;
use super::wire::{self, Subscription};
use crate::domain::plan::plan;
use crate::domain::token::ShardId;
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
    let mut claims = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for member in joined {
        let id = member.member_id.to_string();
        match wire::subscribed(&member.metadata) {
            Ok(Subscription { claim, address }) => {
                claims.insert(id.clone(), claim);
                addresses.insert(id, address);
            }
            Err(error) => stranger = Some(format!("the member {id} is not understood: {error}")),
        }
    }
    let planned = plan(&claims, config.shards).into_iter().map(|(id, shards)| Member {
        address: addresses.remove(&id).unwrap_or_default(),
        id,
        shards,
        here: false,
    });
    let members: Vec<_> = planned.collect();
    let assignment = |(here, member): (usize, &Member)| {
        let bytes = wire::assignment(&config.topic, partitions, config.shards, &members, here)?;
        Ok((StrBytes::from_string(member.id.clone()), bytes))
    };
    let plan = members.iter().enumerate().map(assignment).collect::<anyhow::Result<_>>()?;
    Ok(Led { plan, stranger })
}

/// The shards that someone has to let go first.
pub(super) fn withheld(members: &[Member], shards: u16) -> BTreeSet<ShardId> {
    let given: BTreeSet<_> = members.iter().flat_map(|member| &member.shards).collect();
    (0..shards).map(ShardId).filter(|shard| !given.contains(shard)).collect()
}
