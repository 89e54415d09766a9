//! Many lives, on every core. The first that fails is cut down and told so that it can be lived
//! again.

use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use aggregator_service::domain::token::Shards;

use crate::life::live;
use crate::plan::{Plan, What, fault};
use crate::shrink::{fails, hook, quietly, shrink};

/// Lives a plan of every seed.
pub(crate) fn live_all(seeds: Range<u64>) {
    let began = Instant::now();
    let (faults, messages, lost) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = each(seeds.clone(), |seed| {
        let plan = Plan::of(seed);
        let Ok(lived) = catch_unwind(|| live(&plan)) else { return false };
        faults.fetch_add(plan.faults.len(), SeqCst);
        messages.fetch_add(lived.messages, SeqCst);
        lost.fetch_add(lived.lost, SeqCst);
        true
    });
    if let Some(seed) = failed {
        let plan = Plan::of(seed);
        println!("replay with SIMULATION_SEED={seed} cargo test --test simulation every_life_ends");
        let short = shrink(&plan, fails);
        println!("{} of its {} faults are enough:", short.faults.len(), plan.faults.len());
        println!("{short:?}");
        live(&short);
        panic!("the life of seed {seed} fails");
    }
    let took = began.elapsed().as_secs_f64();
    let count = seeds.end - seeds.start;
    println!(
        "seeds {seeds:?}: {:.1} lives/s; {} faults, {} messages, {} trades overtaken by retention, \
         all figures as the oracle has them",
        f64::from(u32::try_from(count).unwrap()) / took,
        faults.into_inner(),
        messages.into_inner(),
        lost.into_inner(),
    );
}

/// Lives a short life once for each of its steps, and is killed there.
pub(crate) fn kill_at_every_step(seed: u64) {
    let plan = |kill: Option<u64>| {
        let kill = kill.map(|step| fault(0, What::KillAtCall(step)));
        let restart = [fault(2_000, What::Stop), fault(2_300, What::Start)];
        let faults = kill.into_iter().chain(restart).collect();
        Plan { seed, shards: Shards::DEFAULT, trading_ms: 2_500, faults }
    };
    let steps = live(&plan(None)).steps;
    let failed = each(1..steps + 1, |step| catch_unwind(|| live(&plan(Some(step)))).is_ok());
    println!("seed {seed}: killed at each of {steps} steps");
    if let Some(step) = failed {
        println!("{:?}", plan(Some(step)));
        live(&plan(Some(step)));
        panic!("the life of seed {seed} fails when it is killed at step {step}");
    }
}

/// Does something for each number, on every core; the first for which it is not done.
pub(crate) fn each(numbers: Range<u64>, done: impl Fn(u64) -> bool + Sync) -> Option<u64> {
    hook();
    let next = AtomicU64::new(numbers.start);
    let failed = Mutex::new(None);
    let work = || {
        while failed.lock().unwrap().is_none() {
            let number = next.fetch_add(1, SeqCst);
            if number >= numbers.end {
                break;
            }
            if !quietly(|| done(number)) {
                failed.lock().unwrap().get_or_insert(number);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(work);
        }
    });
    failed.into_inner().unwrap()
}
