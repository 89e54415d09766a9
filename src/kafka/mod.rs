//! The Kafka edge: the input log, the producer, topics. Metadata, offsets and topics go over
//! `rskafka`; records are fetched and produced on connections of our own (`raw`, why, say `log`
//! and `producer`). Never decides anything about trades, never commits an offset.
//!
//! What it promises and what not:
//! - A record is never skipped in silence: it is delivered, or its offset is in `unreadable`.
//! - Nothing of an open transaction is delivered, and nothing of an aborted one.
//! - With `message.timestamp.type=LogAppendTime` a record shows the timestamp that the broker gave.
//! - A produce is repeated after a lost answer or a throttle, so it can be appended twice.

mod batch;
mod connect;
mod isolate;
mod leader;
mod log;
mod login;
mod producer;
mod raw;
mod slots;
mod topics;

pub use connect::{Cluster, KafkaConfig, KafkaError, Refusal, connect};
pub use log::KafkaLog;
pub use login::{Mechanism, Sasl, token};
pub use producer::KafkaProducer;
pub use topics::ensure_topic;
