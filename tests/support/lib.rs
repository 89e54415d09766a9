//! What the tests share: real servers, started and ended by the tests themselves, the naive
//! definition of every figure, and scenarios with the service between the servers. A crate of its
//! own, so that it is compiled once and not into each of the tests.
#![allow(missing_docs, missing_debug_implementations, reason = "for the tests alone")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what fails here fails a test"
)]

pub mod checkpoint;
pub mod harness;
pub mod install;
pub mod kafka;
pub mod keys;
pub mod oracle;
pub mod proxy;
pub mod redis;
pub mod signals;
