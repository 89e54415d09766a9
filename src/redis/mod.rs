//! The Redis edge: the checkpoint and the query view, each over a connection of its own.
//! It touches only keys under the configured prefix, never scans the keyspace, and decides
//! nothing: who owns a shard and whether a flush continues the chain is decided by the scripts
//! inside Redis, atomically. Needs Redis 6.2 or newer (`XTRIM MINID`).

mod admission;
mod checkpoint;
mod client;
mod connect;
mod inspect;
mod load;
mod names;
mod scripts;
mod view;

pub use admission::{Refusal, admitted};
pub use checkpoint::RedisCheckpoint;
pub use client::Client;
pub use connect::{RedisConfig, RedisError, connect};
pub use inspect::{Facts, LAYOUT, Stored};
pub use names::RedisNames;
pub use view::RedisView;
