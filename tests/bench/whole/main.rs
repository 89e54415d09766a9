//! The whole service measured: the static binary as a child process between a real Kafka and a real
//! Redis, beside the least that reading the same topics costs. Prints tables; asserts nothing of
//! time, only that all that was read was counted.
//!
//! `cargo bench --bench whole`; words choose parts, `--help` names everything: `-- drain --only
//! arrays --trades 1000000`, `-- --against OLD drain`, `-- --compare tests/bench/baseline.json`.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the bench's own")]
#![allow(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod args;
mod backlog;
mod baseline;
mod drain;
mod floor;
mod follow;
mod gaps;
mod growth;
mod histogram;
mod latency;
mod machine;
mod process;
mod publish;
mod report;
mod spread;
mod start;
mod steady;
mod stream;
mod world;

use clap::{Parser, ValueEnum};

use args::{Args, Child, Part};
use report::Report;
use world::{Program, World};

/// The one of the release, for the floors too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args = Args::parse();
    match &args.child {
        Some(Child::Floor(order)) => floor::perform(order),
        Some(Child::Follow(order)) => follow::perform(order),
        None => measure(&args),
    }
}

fn measure(args: &Args) {
    assert!(args.trades.is_multiple_of(backlog::BATCH), "--trades is no multiple of 1,000");
    let program = Program::of(args);
    println!("{}", machine::describe(&program));
    let world = World::start();
    let mut report = Report::new(args.markdown, args.save.clone());
    let parts = if args.parts.is_empty() { Part::value_variants() } else { &args.parts };
    for part in parts {
        let measure = match part {
            Part::Drain => drain::run,
            Part::Publish => publish::run,
            Part::Latency => latency::run,
            Part::Start => start::run,
            Part::Growth => growth::run,
            Part::Steady => steady::run,
        };
        measure(&world, &program, args, &mut report);
    }
    if let Some(path) = &args.compare {
        println!("\nagainst {}:", path.display());
        baseline::compare(path, &report.ratios).iter().for_each(|line| println!("{line}"));
    }
}
