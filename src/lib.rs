//! aggregator-service: a Kafka stream of token trades in, exact sliding-window aggregates out.
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod local;
pub mod metrics;
pub mod pipeline;
pub mod ports;
pub mod redis;
pub mod status;
pub mod telemetry;
pub mod wire;
