//! The pipeline: readers, workers, publishers, dead letters, and the order in which they start and
//! stop. Generic over the ports, so that the same code runs over real brokers and in process.
//!
//! ```text
//! reader per partition ─► worker per core ─► mailbox ─► publisher per output partition ─► view
//!          └─► dead letters ◄──┘   └─► flusher ─► checkpoint
//! ```
//!
//! The steward keeps the workers' shards in step with what the group assigns.

pub mod absorb;
pub mod backoff;
mod batch;
pub mod chain;
mod commits;
pub mod custody;
pub mod dead_letters;
pub mod engine;
pub mod entries;
pub mod flusher;
pub mod hand_over;
mod load;
pub mod mailbox;
pub mod messages;
pub mod names;
mod newest;
pub mod orders;
pub mod outbox;
pub mod outgoing;
mod produce;
mod promote;
pub mod queries;
pub mod reader;
pub mod reading;
pub mod recover;
pub mod rewind;
pub mod route;
pub mod run;
mod shard_flush;
pub mod shared;
mod standby;
mod steward;
mod tasks;
pub mod tick;
pub mod view_queue;
pub mod worker;

pub use run::{Ended, Pipeline, Settings, StartError};
pub use shared::Shared;
