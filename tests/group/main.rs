//! Membership in the group: the machine by itself, against a model of the coordinator in seeded
//! lives, and on a real Kafka.
#![cfg(test)]

mod exchanges;
mod model;
mod network;
mod real;
mod simulation;
mod stage;

use std::time::Duration;

use aggregator_service::domain::token::Shards;
use aggregator_service::kafka::group::GroupConfig;

/// A member of the group `g` that shares 64 shards.
fn config(instance: Option<&str>) -> GroupConfig {
    GroupConfig {
        group: "g".to_owned(),
        topic: "trades".to_owned(),
        instance: instance.map(str::to_owned),
        address: "here:8081".to_owned(),
        session: Duration::from_secs(10),
        shards: Shards::DEFAULT,
        replicas: 0,
    }
}
