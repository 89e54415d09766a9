//! The service between a real Kafka and a real Redis that dies, hangs, forgets, is full, refuses to
//! write, evicts, moves, or whose checkpoint was tampered with: our program as a child process,
//! under load. After each fault every message is compared with the oracle, in every field; then the
//! service is killed, and its successor goes on exactly from the checkpoint.
//!
//! `FAULTS_SEED` sets the seed; it is printed. `FAULTS_AWAY_SECONDS` sets how long Redis is away in
//! the scenario that measures the return.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the tests' own")]

use support::harness::{judge, model, notes, service, topic, workload};

mod damage;
mod network;
mod operator;
mod server;
mod servers;
mod stage;
mod topology;

use std::path::Path;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_aggregator-service"))
}

fn seed() -> u64 {
    variable("FAULTS_SEED").unwrap_or_else(|| rand::random::<u32>().into())
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
