//! Cuts a failing plan down: faults go, many at a time and then one by one, as long as what is left
//! still fails.

use std::cell::Cell;
use std::panic::catch_unwind;

use crate::life::live;
use crate::plan::Plan;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether the life of a plan fails. It says so nowhere.
pub(crate) fn fails(plan: &Plan) -> bool {
    quietly(|| catch_unwind(|| live(plan)).is_err())
}

/// The shortest list of faults found with which the life still fails.
pub(crate) fn shrink(plan: &Plan, fails: impl Fn(&Plan) -> bool) -> Plan {
    let mut plan = plan.clone();
    let mut chunk = plan.faults.len().div_ceil(2);
    while chunk > 0 {
        let before = plan.faults.len();
        let mut at = 0;
        while at < plan.faults.len() {
            let mut less = plan.clone();
            less.faults.drain(at..(at + chunk).min(plan.faults.len()));
            if fails(&less) {
                plan = less;
            } else {
                at += chunk;
            }
        }
        // What could not go before may go now.
        if chunk > 1 || plan.faults.len() == before {
            chunk /= 2;
        }
    }
    plan
}

/// Panics of this thread are not printed meanwhile.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    QUIET.set(true);
    let result = work();
    QUIET.set(false);
    result
}

/// From here on a panic is printed unless its thread is [`quietly`] at work.
pub(crate) fn hook() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                print(panic);
            }
        }));
    });
}
