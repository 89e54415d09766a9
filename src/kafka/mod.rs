//! The Kafka edge: the input log, the producer, topics. Built over `rskafka`; what that cannot
//! read is read on a connection of our own (`raw`, `isolate`). Never decides anything about
//! trades, never commits an offset.
//!
//! What it promises and what not:
//! - A record is never skipped in silence: it is delivered, or its offset is in `unreadable`.
//! - Nothing of an open transaction is delivered, but the records of an *aborted* one are: the
//!   fetch protocol leaves them in the log, and `rskafka` does not say which ones they are.
//! - With `message.timestamp.type=LogAppendTime` a record still shows the timestamp that its
//!   producer gave, on either way of reading it; a search by time uses the broker's.
//! - A produce is repeated after a lost answer or a throttle, so it can be appended twice.

mod batch;
mod connect;
mod isolate;
mod log;
mod login;
mod pool;
mod producer;
mod raw;
mod topics;

pub use connect::{Cluster, KafkaConfig, KafkaError, Refusal, connect};
pub use log::KafkaLog;
pub use login::{Mechanism, Sasl, token};
pub use producer::KafkaProducer;
pub use topics::ensure_topic;
