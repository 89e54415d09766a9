//! The whole pipeline in a seeded simulation: a paused clock, ports in process that delay, fail,
//! lose replies, apply writes late or twice; processes that are killed or freeze and wake after
//! their successor; a checkpoint that loses its last entries or everything. A judge that knows only
//! the trades says whether every message was right.
//!
//! Each seed is a life of its own. A failing run prints its seed; `SIMULATION_SEED=<seed>` replays
//! that one alone, `SIMULATION_SEEDS=<count>` runs so many fresh ones.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "the seed comes from the environment")]

#[path = "../support/oracle.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the other tests")]
mod oracle;

mod judge;
mod ports;
mod world;

use std::sync::Arc;
use std::time::Duration;

use aggregator_service::ports::Clock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use world::{Process, World};

/// Fresh seeds that the ordinary test run lives through.
const FRESH_SEEDS: u64 = 400;

/// Seeds that once failed.
const KEPT_SEEDS: &[u64] = &[];

#[test]
fn every_life_ends_with_the_oracles_figures() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SIMULATION_SEED") {
        println!("{}", live(seed));
        return;
    }
    let first = rand::random::<u32>().into();
    let fresh = first..first + number("SIMULATION_SEEDS").unwrap_or(FRESH_SEEDS);
    let mut messages = 0;
    for seed in KEPT_SEEDS.iter().copied().chain(fresh.clone()) {
        let lived = std::panic::catch_unwind(|| live(seed));
        let Ok(lived) = lived else {
            panic!("replay with SIMULATION_SEED={seed} cargo test --test simulation");
        };
        messages += lived.messages;
    }
    println!("seeds {fresh:?}: {messages} messages, all as the oracle has them");
}

#[test]
fn a_seed_replays_to_the_very_same_messages() {
    let (first, second) = (live(11), live(11));
    assert_eq!(first.digest, second.digest);
}

/// Dead letters cannot go, and every trade is one: reading waits, and none is lost.
#[test]
fn refused_trades_wait_for_the_brokers_and_the_ticks_go_on() {
    runtime().block_on(async {
        let mut rng = StdRng::seed_from_u64(5);
        let mut world = World::new(&mut rng);
        world.max_tokens = 0;
        let world = Arc::new(world);
        world.heal();
        let mut process = Process::start(&world, rng.random());
        process.caught_up(&world, &mut rng).await;
        world.lose_brokers(Duration::from_secs(9));
        world.clone().trade(Duration::from_secs(8), rng.random()).await;
        assert!(process.ticks() >= 3, "{} ticks", process.ticks());
        tokio::time::sleep(Duration::from_secs(20)).await;
        process.stop().await;
        world.call_all_bad();
        judge::dead_letters(&world);
        judge::nothing_to_read_again(&world);
    });
}

/// The judge is worth its name if it finds every bug that is put in on purpose.
#[cfg(feature = "sabotage")]
#[test]
fn every_deliberate_bug_is_caught() {
    use aggregator_service::sabotage::Bug;
    const ENOUGH_SEEDS: u64 = 1_000;
    std::panic::set_hook(Box::new(|_| {})); // each of them panics, that is the point
    let mut escaped = Vec::new();
    for bug in Bug::ALL {
        Bug::switch(Some(bug));
        let caught =
            (0..ENOUGH_SEEDS).find(|seed| std::panic::catch_unwind(|| live(*seed)).is_err());
        Bug::switch(None);
        match caught {
            Some(seed) => println!("{bug:?}: caught by seed {seed}"),
            None => escaped.push(bug),
        }
    }
    drop(std::panic::take_hook());
    println!("{} of {} deliberate bugs caught", Bug::ALL.len() - escaped.len(), Bug::ALL.len());
    assert!(escaped.is_empty(), "not caught within {ENOUGH_SEEDS} lives: {escaped:?}");
}

fn live(seed: u64) -> judge::Lived {
    runtime().block_on(life(seed))
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// Trade for a while under faults, then in peace until every window is empty, then judge.
async fn life(seed: u64) -> judge::Lived {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = Arc::new(World::new(&mut rng));
    let trading = Duration::from_secs(rng.random_range(8..25));
    let market = tokio::spawn(world.clone().trade(trading, rng.random()));
    let mut process = Process::start(&world, rng.random());
    let faults = rng.random_range(0..6);
    for _ in 0..faults {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..6_000))).await;
        process.supervise(&world, rng.random());
        match rng.random_range(0..8) {
            0 | 1 => {
                process.kill();
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..3_000))).await;
                process = Process::start(&world, rng.random());
            }
            2 => {
                process.freeze();
                let mut successor = Process::start(&world, rng.random());
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..4_000))).await;
                process.thaw();
                process.ends_fenced_or_dies().await;
                successor.supervise(&world, rng.random());
                process = successor;
            }
            5 | 6 => {
                world.lose_brokers(Duration::from_millis(rng.random_range(1_000..7_000)));
            }
            everything @ 3..=4 => world.lose(everything == 3),
            _ => {
                process.stop().await;
                process = Process::start(&world, rng.random());
            }
        }
    }
    market.await.unwrap();
    world.heal();
    // By then every write that was delayed has landed.
    tokio::time::sleep(Duration::from_secs(7)).await;
    process.caught_up(&world, &mut rng).await;
    world.clone().trade(Duration::from_secs(5), rng.random()).await;
    let healed = world.now();
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_eq!(process.ready(&world), Ok(()), "in peace it is ready again");
    process.stop().await;
    assert!(!process.was_fenced(), "nobody else is there any more");
    judge::judge(&world, healed)
}
