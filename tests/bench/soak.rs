//! The service for as long as one likes on real servers, under a steady load with a fault a minute:
//! every message and every dead letter is judged as it comes, in bounded memory. Ends with a table
//! in Markdown, and with an error where anything is wrong.
//!
//! A word runs a drill instead: `cargo bench --bench soak -- kill`, `stop`, `redis-away`,
//! `kafka-away`, `overload`, `members`; `DRILL_RATE`, `DRILL_TOKENS`, `DRILL_WARM` and `DRILL_AWAY`
//! (seconds) make it smaller. `DRILL_STANDBY=1` (or 0, to compare) makes `members` short: one of
//! two is killed, each of which follows what the other has.
//!
//! `cargo bench --bench soak`; `SOAK_BINARY` names another build (the static one), `SOAK_MINUTES`,
//! `SOAK_RATE` (trades a second), `SOAK_TOKENS` and `SOAK_SEED` the size.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the bench's own")]

#[path = "../soak/mod.rs"]
mod parts;

use parts::{
    auditor, drill, drills, faults, flood, ledger, load, members, overload, soak, table, world,
};
use support::harness::{judge, model, service, topic, workload};

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use drill::Size;
use support::kafka::KafkaBroker;
use world::Settings;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let met = if words.is_empty() { soak() } else { words.iter().all(|word| drill(word)) };
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn soak() -> bool {
    let settings = Settings {
        name: "soak",
        program: program(),
        lasts: Duration::from_secs(60 * number("SOAK_MINUTES", 60)),
        fault_every: Duration::from_secs(60),
        seed: number("SOAK_SEED", rand::random::<u32>().into()),
        rate: size("SOAK_RATE", 2_000),
        tokens: size("SOAK_TOKENS", 1_000),
        spans: vec![("1min", 60), ("5min", 300)],
        interval: 5,
        wave: 60,
    };
    let report = soak::run(&settings, &mut KafkaBroker::start_for_load(&[]));
    table::print(&report);
    report.clean()
}

fn drill(word: &str) -> bool {
    let of = |rate, tokens, warm, away| Size {
        rate: size("DRILL_RATE", rate),
        tokens: size("DRILL_TOKENS", tokens),
        warm: Duration::from_secs(number("DRILL_WARM", warm)),
        away: Duration::from_secs(number("DRILL_AWAY", away)),
    };
    let program = program();
    let (full, half) = (of(200_000, 50_000, 30, 60), of(50_000, 10_000, 10, 60));
    match word {
        "kill" => drills::kill(&program, full),
        "stop" => drills::stop(&program, full),
        "redis-away" => {
            [false, true].into_iter().all(|killed| drills::redis_away(&program, half, killed))
        }
        "kafka-away" => {
            [false, true].into_iter().all(|killed| drills::kafka_away(&program, half, killed))
        }
        "members" => {
            let standbys = variable("DRILL_STANDBY").map(|text| text.parse().unwrap());
            members::members(&program, of(100_000, 50_000, 30, 0), standbys)
        }
        "overload" => overload::overload(&program, of(60_000, 6_000, 10, 600)),
        _ => panic!("no drill {word}"),
    }
}

fn program() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_aggregator-service"));
    variable("SOAK_BINARY").map_or_else(built, PathBuf::from)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str, default: u64) -> u64 {
    variable(name).map_or(default, |text| text.parse().unwrap())
}

fn size(name: &str, default: u64) -> usize {
    number(name, default).try_into().unwrap()
}
