//! The judge is worth its name if it finds every bug that is put in on purpose; and a life that
//! fails by one is cut down to few faults.

use std::sync::Mutex;

use aggregator_service::sabotage::Bug;

use crate::crowd::each;
use crate::group;
use crate::kept;
use crate::plan::Plan;
use crate::shrink::{fails, hook, quietly, shrink};

/// Lives in which each bug must be found.
const ENOUGH_SEEDS: u64 = 1_000;

/// Groups in which each bug must be found that only they have: a third of them follows nothing.
const ENOUGH_GROUPS: u64 = 3_000;

/// Of bugs that few lives show: a seed that did, tried first. What a seed makes changes with the
/// plans' generator; then the search finds another, within a minute or two.
const SHOWN_BY: [(Bug, u64); 6] = [
    (Bug::BatchDropped, 110),
    (Bug::OldMessageWins, 374),
    (Bug::LostRangeMovesBack, 174),
    (Bug::NewPartitionAtItsEnd, 291),
    (Bug::LostIgnored, 87),
    (Bug::FollowedLettersNotAwaited, 2270),
];

#[test]
fn every_deliberate_bug_is_caught() {
    let escaped = Mutex::new(Vec::new());
    each(0..Bug::ALL.len() as u64, |number| {
        let bug = Bug::ALL[usize::try_from(number).unwrap()];
        let shown = SHOWN_BY.iter().filter(|(of, _)| *of == bug).map(|(_, seed)| *seed);
        if bug.is_of_groups() {
            // Not by a group that would fail without it.
            let caught = |seed: &u64| with(bug, || quietly_dies(*seed)) && !quietly_dies(*seed);
            match shown.chain(0..ENOUGH_GROUPS).find(caught) {
                Some(seed) => println!("{bug:?}: caught by group {seed}"),
                None => escaped.lock().unwrap().push(bug),
            }
            return true;
        }
        let kept = kept::plans().into_iter().map(|(_, plan)| plan);
        let mut lives = shown.map(Plan::of).chain(kept).chain((0..ENOUGH_SEEDS).map(Plan::of));
        match with(bug, || lives.find(fails)) {
            // Not by a life that would fail without it.
            Some(plan) if !fails(&plan) => println!("{bug:?}: caught by life {}", plan.seed),
            _ => escaped.lock().unwrap().push(bug),
        }
        true
    });
    let escaped = escaped.into_inner().unwrap();
    println!("{} of {} deliberate bugs caught", Bug::ALL.len() - escaped.len(), Bug::ALL.len());
    assert!(escaped.is_empty(), "not caught within {ENOUGH_SEEDS} lives: {escaped:?}");
}

#[test]
fn a_life_that_fails_by_a_deliberate_bug_is_cut_down_to_few_faults() {
    hook();
    let bug = Bug::GapIgnored;
    let short = with(bug, || {
        let failing = (0..ENOUGH_SEEDS).map(Plan::of).find(fails).expect("one life fails");
        let short = shrink(&failing, fails);
        println!("{} of {} faults: {short:?}", short.faults.len(), failing.faults.len());
        assert!(fails(&short), "it fails still");
        short
    });
    assert!(short.faults.len() <= 4, "{:?}", short.faults);
    assert!(!fails(&short), "without the bug it does not");
}

fn quietly_dies(seed: u64) -> bool {
    quietly(|| std::panic::catch_unwind(|| group::live(seed)).is_err())
}

fn with<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
    Bug::switch(Some(bug));
    let result = work();
    Bug::switch(None);
    result
}
