//! What must hold of any bytes whatever: one check for each fuzz target, used by the targets and by
//! the test that replays the corpus. A check panics where the product is wrong. What the product
//! should have said comes from readings of our own, slow and plain, that share no code with it.
#![allow(unreachable_pub, reason = "a library for the targets, a module of the test")]

mod checkpoint;
mod config;
mod dead_letter;
mod decimal;
mod http;
mod json;
mod numbers;
mod rfc3339;
mod scan;
mod token_info;
mod trade;

pub use checkpoint::checkpoint;
pub use config::config;
pub use dead_letter::dead_letter;
pub use http::http;
pub use numbers::numbers;
pub use token_info::token_info;
pub use trade::trade;

/// Panics where the product is wrong about these bytes.
pub type Check = fn(&[u8]);

/// Every check by the name of its target and of its corpus.
pub const CHECKS: [(&str, Check); 7] = [
    ("checkpoint", checkpoint),
    ("config", config),
    ("dead_letter", dead_letter),
    ("http", http),
    ("numbers", numbers),
    ("token_info", token_info),
    ("trade", trade),
];
