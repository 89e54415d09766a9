//! What the integration tests share: real servers, started and ended by the tests themselves.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "every test binary uses its own part of this"
)]

pub mod checkpoint;
pub mod install;
pub mod kafka;
pub mod oracle;
pub mod proxy;
pub mod redis;
