//! One thing that goes wrong, and what belongs to it: faults that lead somewhere only together.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::plan::{Fault, Key, LARGE_STEP_MS, Outage, SMALL_STEP_MS, What, fault};

/// Faults from a moment on, in any order.
pub(crate) fn misfortune(rng: &mut StdRng, at: u32) -> Vec<Fault> {
    match rng.random_range(0..28) {
        0..10 => of_processes(rng, at),
        10..16 => of_retention(rng, at),
        16..20 => of_the_topics(rng, at),
        20..25 => of_the_store(rng, at),
        _ => of_the_clock(rng, at),
    }
}

fn of_processes(rng: &mut StdRng, at: u32) -> Vec<Fault> {
    let later = at + rng.random_range(0..3_500);
    match rng.random_range(0..10) {
        0..4 => vec![fault(at, restart(rng)), fault(later, What::Start)],
        4 | 5 => vec![fault(at, What::KillAtCall(rng.random_range(1..800)))],
        // It dies again as it starts.
        6 => vec![
            fault(at, What::Kill),
            fault(later, What::Start),
            fault(later, What::KillAtCall(rng.random_range(1..500))),
        ],
        // It stands still, and wakes after its successor, or that one's.
        7 | 8 => {
            let mut faults = vec![
                fault(at, What::Freeze),
                fault(at + rng.random_range(0..500), What::Start),
                fault(later + rng.random_range(0..1_000), What::Thaw),
            ];
            if rng.random_bool(0.2) {
                faults.push(fault(later, What::Kill));
                faults.push(fault(later + 100, What::Start));
            }
            faults
        }
        _ => {
            let rivals = rng.random_range(1..3);
            (0..rivals).map(|_| fault(at + rng.random_range(0..800), What::Start)).collect()
        }
    }
}

fn of_retention(rng: &mut StdRng, at: u32) -> Vec<Fault> {
    let partition = rng.random_range(0..4);
    let keep = if rng.random() { 0 } else { rng.random_range(0..60) };
    let truncate = |at, partition| fault(at, What::Truncate { partition, keep });
    match rng.random_range(0..6) {
        // It overtakes a process that is away.
        0..2 => vec![
            fault(at, restart(rng)),
            truncate(at + rng.random_range(0..3_000), partition),
            truncate(at + rng.random_range(0..3_000), 0),
            fault(at + 3_000, What::Start),
        ],
        // It overtakes a reader that waits.
        2 => vec![
            fault(at, What::Out(Outage::Leader(partition), rng.random_range(500..7_000))),
            truncate(at + rng.random_range(0..3_500), partition),
        ],
        // So it does one that has just been started, whose shards have come to different ends.
        3 | 4 => vec![
            fault(at, What::Kill),
            fault(at, What::Out(Outage::Fetches(partition), 5_000)),
            fault(at + 300, What::Start),
            fault(at + 2_000, What::Truncate { partition, keep: rng.random_range(20..60) }),
        ],
        _ => vec![truncate(at, partition)],
    }
}

fn of_the_topics(rng: &mut StdRng, at: u32) -> Vec<Fault> {
    let mut faults = match rng.random_range(0..4) {
        // Ticks are made that nobody hears of.
        0 => {
            return vec![
                fault(at, What::Out(Outage::Producing, 9_000)),
                fault(at + rng.random_range(5_000..8_500), restart(rng)),
                fault(at + 9_000, What::Start),
            ];
        }
        1 => {
            let outages =
                [Outage::Producing, Outage::Throttled, Outage::Leader(rng.random_range(0..4))];
            let outage = outages[rng.random_range(0..outages.len())];
            return vec![fault(at, What::Out(outage, rng.random_range(500..7_000)))];
        }
        2 => vec![fault(at, What::Remake(rng.random_range(0..1_500)))],
        _ => vec![fault(at, What::AddPartition)],
    };
    if rng.random() {
        faults.push(fault(at.saturating_sub(200), restart(rng)));
        faults.push(fault(at + rng.random_range(0..3_500), What::Start));
    }
    faults
}

fn of_the_store(rng: &mut StdRng, at: u32) -> Vec<Fault> {
    let during = rng.random_range(500..7_000);
    let mut faults = vec![match rng.random_range(0..6) {
        0 => fault(at, What::Out(Outage::Store, during)),
        1 => fault(at, What::Out(Outage::StoreReadOnly, during)),
        2 => fault(at, What::StoreEmpty),
        3 => fault(at, What::StoreBehind { claims: rng.random_bool(0.3) }),
        _ => {
            let key = if rng.random() { Key::Meta } else { Key::Log };
            fault(at, What::Evict { key, every: rng.random_range(1..20) })
        }
    }];
    if rng.random_bool(0.4) {
        faults.push(fault(at + 10, restart(rng)));
        faults.push(fault(at + 10 + rng.random_range(0..3_500), What::Start));
    }
    faults
}

fn of_the_clock(rng: &mut StdRng, at: u32) -> Vec<Fault> {
    let by = match rng.random_range(0..3) {
        0 => rng.random_range(500..30_000),
        1 => -rng.random_range(100..SMALL_STEP_MS),
        _ => -LARGE_STEP_MS - rng.random_range(1..90_000),
    };
    let mut faults = vec![fault(at, What::ClockStep(by))];
    if rng.random_bool(0.4) {
        faults.push(fault(at + rng.random_range(0..3_000), restart(rng)));
        faults.push(fault(at + 3_000, What::Start));
    }
    faults
}

fn restart(rng: &mut StdRng) -> What {
    if rng.random_bool(0.7) { What::Kill } else { What::Stop }
}
