//! Membership in the consumer group, by Kafka's classic protocol: the coordinator says who is
//! there, one member (the leader) plans who owns which shard. What is decided is decided
//! without I/O in `machine`; `task` asks and waits for it.
//!
//! What it promises:
//! - Of the shards that two members were told, at most one may publish: a shard moves once it was
//!   let go, or once the lease of the one who had it is over.
//! - A lease ends before the coordinator can have given the shards away. It is counted from when
//!   the last answered request was sent, by this host's own clock.
//! - A member that is cut off keeps its last assignment, without a lease, until it is told another.
//!
//! With a `group.instance.id` a process that comes back within the session time-out gets its shards
//! back and nobody else notices. Two processes with one id fence each other: the older one ends at
//! its next word from the group. It asks twice a second, and no process that stood still publishes
//! before it has asked again; so the newer one publishes nothing until then (`Timing::quiet`).

mod calls;
mod leader;
mod machine;
mod part;
mod permit;
mod task;
mod timing;
mod wire;

use std::time::Duration;

use kafka_protocol::ResponseError;

use crate::domain::token::Shards;

pub use calls::{Answer, Call, Next};
pub use machine::Machine;
pub use permit::Permit;
pub use task::Group;
pub use timing::{LEASE_MARGIN, REBALANCE_LIMIT};
pub use wire::{
    PROTOCOL, PROTOCOL_TYPE, Subscription, assigned, assignment, subscribed, subscription,
};

/// Who joins what.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// The group.
    pub group: String,
    /// The topic that it reads.
    pub topic: String,
    /// The name that outlives a restart, if there is one.
    pub instance: Option<String>,
    /// Where this process' HTTP paths can be reached, `host:port`; empty where it has none.
    pub address: String,
    /// After so long without a word a member is cut off.
    pub session: Duration,
    /// How many shards are shared.
    pub shards: Shards,
    /// How many members are to follow each shard beside its owner.
    pub replicas: u16,
}

/// Where the membership stands, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStatus {
    /// What it does.
    pub state: State,
    /// Its id, once the coordinator gave one.
    pub member: String,
    /// The number of the last agreement; -1 before the first.
    pub generation: i32,
    /// The broker that coordinates the group; empty while it is looked for.
    pub coordinator: String,
    /// What does not work at the moment.
    pub trouble: Option<String>,
}

/// What a member does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It asks whether anybody is there.
    #[default]
    Arriving,
    /// It waits until all have joined.
    Joining,
    /// It waits for the plan.
    Syncing,
    /// It is a member.
    Member,
    /// It has left.
    Left,
}

/// Why the group cannot be joined: asking again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// There is a newer process of the same name.
    #[error(
        "another process has joined the group {group} as {instance}; \
         KAFKA_GROUP_INSTANCE_ID must differ between processes"
    )]
    Fenced {
        /// The group.
        group: String,
        /// The name that both have.
        instance: String,
    },
    /// The members are of another kind.
    #[error(
        "another program is in the group {group}; KAFKA_CONSUMER_GROUP must be this service's own"
    )]
    Foreign {
        /// The group.
        group: String,
    },
    /// The brokers take no such session time-out.
    #[error(
        "KAFKA_SESSION_TIMEOUT: {session:?} is not between the brokers' \
         group.min.session.timeout.ms (6 s by default) and group.max.session.timeout.ms (30 min)"
    )]
    Session {
        /// What is configured.
        session: Duration,
    },
    /// It may not be joined.
    #[error("the group {group} may not be joined: the right to read it is missing")]
    Forbidden {
        /// The group.
        group: String,
    },
    /// It may not be called so.
    #[error("KAFKA_CONSUMER_GROUP: {group:?} is no name that the brokers take")]
    Name {
        /// The group.
        group: String,
    },
}

impl GroupError {
    /// What an error code means, where asking again does not help.
    fn of(code: i16, config: &GroupConfig) -> Option<Self> {
        let group = config.group.clone();
        match ResponseError::try_from_code(code) {
            Some(ResponseError::FencedInstanceId) => {
                let instance = config.instance.clone().unwrap_or_default();
                Some(Self::Fenced { group, instance })
            }
            Some(ResponseError::InconsistentGroupProtocol) => Some(Self::Foreign { group }),
            Some(ResponseError::InvalidSessionTimeout) => {
                Some(Self::Session { session: config.session })
            }
            Some(ResponseError::GroupAuthorizationFailed) => Some(Self::Forbidden { group }),
            Some(ResponseError::InvalidGroupId) => Some(Self::Name { group }),
            Some(_) | None => None,
        }
    }
}

/// An error code as people read it.
fn said(code: i16) -> String {
    ResponseError::try_from_code(code)
        .map_or_else(String::new, |error| format!("the broker says {error}"))
}
