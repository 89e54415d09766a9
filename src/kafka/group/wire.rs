//! What members say to each other through the coordinator, as bytes. The outside is the
//! `ConsumerProtocol` of Kafka's own clients, so that `kafka-consumer-groups` and lag exporters
//! show members with partitions; what is ours stands in its user data, as JSON with a version.
//! Every member reads every partition: that a partition is assigned to one is for show, it stands
//! with the owner of the shard that answers for it.

use std::collections::BTreeSet;

use anyhow::Context;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use serde::{Deserialize, Serialize};

use crate::domain::plan::{Claim, Standing};
use crate::domain::position::Partition;
use crate::domain::token::{ShardId, Shards};
use crate::kafka::raw::topic_name;
use crate::ports::group::Member;

/// Our own name of what is agreed on: members of other kinds cannot join, whatever they speak.
pub const PROTOCOL: &str = "shards-v1";

/// The kind of group; of this one alone tools decode the assignments.
pub const PROTOCOL_TYPE: &str = "consumer";

/// The version of `ConsumerProtocol` that all tools read.
const OUTER_VERSION: i16 = 0;

/// The version of what is ours; another one is not understood.
const INNER_VERSION: u8 = 1;

/// What a member brings to a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// What it reads: only members of one topic share shards.
    pub topic: String,
    /// Of how many shards its claim is.
    pub shards: Shards,
    /// Its claim.
    pub claim: Claim,
    /// Where its HTTP paths can be reached.
    pub address: String,
}

#[derive(Serialize, Deserialize)]
struct Claimed {
    version: u8,
    #[serde(default = "always")]
    shards: u16,
    unbroken: bool,
    generation: i32,
    owned: BTreeSet<u16>,
    held: BTreeSet<u16>,
    /// Members of older versions say nothing of what is followed, and pass over it.
    #[serde(default)]
    follows: BTreeSet<u16>,
    #[serde(default)]
    ready: BTreeSet<u16>,
    #[serde(default)]
    warms_up: bool,
    #[serde(default)]
    retires: bool,
    #[serde(default)]
    replicas: u16,
    address: String,
}

#[derive(Serialize, Deserialize)]
struct Agreed {
    version: u8,
    /// The place of the one who is told. Not its id: a static member that begins anew gets
    /// another id, and the assignment as it was stored.
    here: usize,
    members: Vec<Listed>,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    id: String,
    address: String,
    shards: BTreeSet<u16>,
    #[serde(default)]
    standby: BTreeSet<u16>,
    #[serde(default)]
    warm: BTreeSet<u16>,
    #[serde(default)]
    retires: bool,
}

/// A subscription as bytes.
///
/// # Errors
/// Never for what a member says; the codecs have an error for what is too long.
pub fn subscription(said: &Subscription) -> anyhow::Result<Bytes> {
    let Subscription { topic, shards, claim, address } = said;
    let inner = Claimed {
        version: INNER_VERSION,
        shards: shards.count(),
        unbroken: claim.standing.unbroken,
        generation: claim.standing.generation,
        owned: numbers(&claim.owned),
        held: numbers(&claim.held),
        follows: numbers(&claim.follows),
        ready: numbers(&claim.ready),
        warms_up: claim.warms_up,
        retires: claim.retires,
        replicas: claim.replicas,
        address: address.clone(),
    };
    let outer = ConsumerProtocolSubscription::default()
        .with_topics(vec![StrBytes::from_string(topic.clone())])
        .with_user_data(Some(serde_json::to_vec(&inner)?.into()));
    encoded(&outer)
}

/// A subscription from bytes.
///
/// # Errors
/// It is none of ours.
pub fn subscribed(bytes: &Bytes) -> anyhow::Result<Subscription> {
    let outer: ConsumerProtocolSubscription = decoded(bytes)?;
    let inner: Claimed = serde_json::from_slice(&outer.user_data.unwrap_or_default())?;
    anyhow::ensure!(inner.version == INNER_VERSION, "version {} is unknown", inner.version);
    let standing = Standing { unbroken: inner.unbroken, generation: inner.generation };
    let claim = Claim {
        standing,
        owned: ids(inner.owned),
        held: ids(inner.held),
        follows: ids(inner.follows),
        ready: ids(inner.ready),
        warms_up: inner.warms_up,
        retires: inner.retires,
        replicas: inner.replicas,
    };
    let topic = outer.topics.first().map_or_else(String::new, |topic| topic.to_string());
    let shards = Shards::new(inner.shards);
    let shards = shards.with_context(|| format!("{} shards", inner.shards))?;
    Ok(Subscription { topic, shards, claim, address: inner.address })
}

/// The assignment of the member at the place `here`, as bytes; `partitions` is how many the topic
/// has.
///
/// # Errors
/// Never for what a leader plans; the codecs have an error for what is too long.
pub fn assignment(
    topic: &str,
    partitions: i32,
    shards: Shards,
    members: &[Member],
    here: usize,
) -> anyhow::Result<Bytes> {
    let own = members.get(here).map(|member| &member.shards);
    let shown = |partition: &i32| {
        let shard = shards.answering_for(Partition(*partition));
        own.is_some_and(|own| own.contains(&shard))
    };
    let shown = TopicPartition::default()
        .with_topic(topic_name(topic))
        .with_partitions((0..partitions).filter(shown).collect());
    let listed = members.iter().map(|member| Listed {
        id: member.id.clone(),
        address: member.address.clone(),
        shards: numbers(&member.shards),
        standby: numbers(&member.standby),
        warm: numbers(&member.warm),
        retires: member.retires,
    });
    let inner = Agreed { version: INNER_VERSION, here, members: listed.collect() };
    let outer = ConsumerProtocolAssignment::default()
        .with_assigned_partitions(vec![shown])
        .with_user_data(Some(serde_json::to_vec(&inner)?.into()));
    encoded(&outer)
}

/// The members from an assignment's bytes, with the one that is `here`. No bytes are no members:
/// what the coordinator gives to one whom the leader did not list.
///
/// # Errors
/// It is none of ours.
pub fn assigned(bytes: &Bytes) -> anyhow::Result<Vec<Member>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let outer: ConsumerProtocolAssignment = decoded(bytes)?;
    let inner: Agreed = serde_json::from_slice(&outer.user_data.unwrap_or_default())?;
    anyhow::ensure!(inner.version == INNER_VERSION, "version {} is unknown", inner.version);
    let member = |(place, listed): (usize, Listed)| Member {
        id: listed.id,
        address: listed.address,
        shards: ids(listed.shards),
        standby: ids(listed.standby),
        warm: ids(listed.warm),
        retires: listed.retires,
        here: place == inner.here,
    };
    Ok(inner.members.into_iter().enumerate().map(member).collect())
}

fn encoded(outer: &impl Encodable) -> anyhow::Result<Bytes> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(OUTER_VERSION);
    outer.encode(&mut bytes, OUTER_VERSION)?;
    Ok(bytes.freeze())
}

fn decoded<T: Decodable>(bytes: &Bytes) -> anyhow::Result<T> {
    let mut bytes = bytes.clone();
    let version = bytes.try_get_i16()?;
    anyhow::ensure!(version == OUTER_VERSION, "outer version {version} is unknown");
    T::decode(&mut bytes, version)
}

/// Before it was said, there were always so many.
fn always() -> u16 {
    Shards::DEFAULT.count()
}

fn numbers(shards: &BTreeSet<ShardId>) -> BTreeSet<u16> {
    shards.iter().map(|shard| shard.0).collect()
}

fn ids(shards: BTreeSet<u16>) -> BTreeSet<ShardId> {
    shards.into_iter().map(ShardId).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(shards: [u16; 2]) -> BTreeSet<ShardId> {
        shards.map(ShardId).into()
    }

    #[test]
    fn a_subscription_comes_back_as_it_was_said() {
        let standing = Standing { unbroken: true, generation: 7 };
        let (owned, held, follows) = (some([3, 63]), some([3, 9]), some([1, 2]));
        let (ready, warms_up, retires) = (some([2, 2]), true, true);
        let claim = Claim { standing, owned, held, follows, ready, warms_up, retires, replicas: 1 };
        let (topic, address) = ("trades".to_owned(), "host:8081".to_owned());
        let said = Subscription { topic, shards: Shards::new(128).unwrap(), claim, address };
        assert_eq!(subscribed(&subscription(&said).unwrap()).unwrap(), said);
    }

    #[test]
    fn an_assignment_comes_back_and_shows_the_partitions_of_its_shards() {
        let member = |id: &str, shards, standby: BTreeSet<ShardId>| Member {
            id: id.to_owned(),
            shards,
            retires: id == "b",
            warm: standby.iter().copied().take(1).collect(),
            standby,
            ..Member::default()
        };
        let [even, odd] = [some([0, 2]), some([1, 3])];
        let members = [member("a", even.clone(), odd.clone()), member("b", odd, even.clone())];
        let bytes = assignment("trades", 6, Shards::new(4).unwrap(), &members, 1).unwrap();
        let told = assigned(&bytes).unwrap();
        assert_eq!(told.iter().map(|member| member.here).collect::<Vec<_>>(), [false, true]);
        assert_eq!((&told[1].shards, &told[1].standby), (&some([1, 3]), &even));
        assert_eq!((&told[1].warm, told[1].retires), (&some([0, 0]), true));
        let outer: ConsumerProtocolAssignment = decoded(&bytes).unwrap();
        assert_eq!(outer.assigned_partitions[0].partitions, [1, 3, 5]);
    }

    #[test]
    fn members_of_older_versions_are_understood() {
        let said =
            br#"{"version":1,"unbroken":true,"generation":7,"owned":[3],"held":[],"address":""}"#;
        let outer = ConsumerProtocolSubscription::default()
            .with_topics(vec!["trades".into()])
            .with_user_data(Some(Bytes::from_static(said)));
        let claim = subscribed(&encoded(&outer).unwrap()).unwrap().claim;
        assert_eq!((claim.owned.len(), claim.follows.len(), claim.replicas), (1, 0, 0));
        assert!(!claim.warms_up, "it is given what it is to have at once");
        assert!(!claim.retires);
        let told = br#"{"version":1,"here":0,"members":[{"id":"a","address":"","shards":[3]}]}"#;
        let outer =
            ConsumerProtocolAssignment::default().with_user_data(Some(Bytes::from_static(told)));
        let told = assigned(&encoded(&outer).unwrap()).unwrap();
        assert!(told[0].standby.is_empty() && told[0].warm.is_empty());
    }

    #[test]
    fn what_another_program_says_is_refused() {
        let foreign = ConsumerProtocolSubscription::default().with_topics(vec!["trades".into()]);
        assert!(subscribed(&encoded(&foreign).unwrap()).is_err());
        for bytes in [&b""[..], b"\0", b"\0\0", b"\0\x09\0\0\0\0"] {
            assert!(subscribed(&Bytes::from_static(bytes)).is_err());
        }
        assert!(assigned(&Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\x02{}")).is_err());
        assert_eq!(assigned(&Bytes::new()).unwrap(), []);
    }
}
