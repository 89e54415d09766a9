//! aggregator-service: a Kafka stream of token trades in, exact sliding-window aggregates out.
pub mod domain;
pub mod local;
pub mod metrics;
pub mod pipeline;
pub mod ports;
pub mod status;
pub mod wire;
