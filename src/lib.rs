//! aggregator-service: a Kafka stream of token trades in, exact sliding-window aggregates out.
pub mod domain;
pub mod kafka;
pub mod ports;
pub mod wire;
