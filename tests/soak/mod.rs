//! The parts of the soak and of its drills: the short test and the bench use them.
#![allow(dead_code, reason = "the short soak has no drills")]

pub(crate) mod auditor;
pub(crate) mod drill;
pub(crate) mod drills;
pub(crate) mod faults;
pub(crate) mod flood;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod members;
pub(crate) mod overload;
pub(crate) mod soak;
pub(crate) mod table;
pub(crate) mod world;
