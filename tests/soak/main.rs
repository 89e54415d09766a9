//! The soak in short, as an ordinary test; `cargo bench --bench soak` runs it for an hour.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the tests' own")]

#[path = "mod.rs"]
mod parts;

use parts::{auditor, drill, faults, flood, ledger, load, soak, table, world};
use support::harness::{judge, model, service, topic, workload};

use std::time::Duration;

use support::kafka::KafkaBroker;
use world::Settings;

#[test]
fn a_fault_every_six_seconds_loses_nothing_and_doubles_nothing() {
    let settings = Settings {
        name: "soak",
        program: env!("CARGO_BIN_EXE_aggregator-service").into(),
        lasts: Duration::from_secs(24),
        fault_every: Duration::from_secs(6),
        seed: rand::random::<u32>().into(),
        rate: 2_000,
        tokens: 300,
        spans: vec![("10s", 10), ("1min", 60)],
        interval: 1,
        wave: 3,
    };
    let report = soak::run(&settings, &mut KafkaBroker::start_for_load(&[]));
    table::print(&report);
    assert!(report.clean(), "{:?}", report.tally);
}
