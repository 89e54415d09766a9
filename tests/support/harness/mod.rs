//! What every scenario with the service between real servers is made of: trades and bad ones, the
//! service as a child process, topics, the model that understands a log, and the judge of what was
//! published. Asserts, never repairs.

pub mod fields;
pub mod judge;
pub mod model;
pub mod notes;
pub mod service;
mod spoil;
pub mod topic;
pub mod workload;
