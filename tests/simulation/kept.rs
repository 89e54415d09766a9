//! Lives that failed once, each with what was wrong then. They are written out: what a seed makes
//! changes with the plans' generator.

use crate::plan::Plan;

pub(crate) fn plans() -> Vec<(&'static str, Plan)> {
    Vec::new()
}
