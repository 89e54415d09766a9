//! The service between a real Kafka that fails in every way that the field knows and a real Redis.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod weather;
