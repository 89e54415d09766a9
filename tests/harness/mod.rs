//! What every scenario with the service between real servers is made of: trades and bad ones, the
//! service as a child process, topics, the model that understands a log, and the judge of what was
//! published. Asserts, never repairs.
#![allow(dead_code, reason = "no test binary uses all of it")]

mod fields;
pub(crate) mod judge;
pub(crate) mod model;
pub(crate) mod notes;
pub(crate) mod service;
mod spoil;
pub(crate) mod topic;
pub(crate) mod workload;
