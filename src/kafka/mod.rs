//! The Kafka edge: the input log, the producer, topics. Metadata and offsets go over `rskafka`;
//! records are fetched and produced, and topics made, on connections of our own (`raw`; why, say
//! `log`, `producer` and `admin`). Never decides anything about trades, commits offsets for tools
//! alone.
//!
//! What it promises and what not:
//! - A record is never skipped in silence: it is delivered, or its offset is in `unreadable`.
//! - Nothing of an open transaction is delivered, and nothing of an aborted one.
//! - With `message.timestamp.type=LogAppendTime` a record shows the timestamp that the broker gave.
//! - A produce is repeated after a lost answer or a throttle, so it can be appended twice.

mod admin;
mod batch;
mod connect;
mod encoder;
mod fetch;
pub mod group;
mod isolate;
mod leader;
mod log;
mod login;
mod producer;
mod raw;
mod release;
mod slots;
mod topics;
mod unpack;
mod wanted;

pub use admin::{ANSWER_LIMIT, Admin, Found, Member, Topic};
pub use connect::{Cluster, KafkaConfig, KafkaError, Refusal, connect};
pub use encoder::Encoder;
pub use isolate::Batches;
pub use log::KafkaLog;
pub use login::{Mechanism, Sasl, token};
pub use producer::KafkaProducer;
pub use topics::{alter, create, ensure_topics, settled};
pub use wanted::{Lack, NEW_PARTITIONS, Wanted, kept};
