//! The domain: trades, panes, windows, shards. Pure: no clock, no I/O, no async, no logging.
//! Time comes in as an argument, results go out as values; the same input gives the same output.

mod address;
pub mod aggregate;
pub mod amount;
pub mod budget;
mod changes;
mod chunks;
mod compact;
pub mod cover;
pub(crate) mod decimal;
pub(crate) mod digits;
pub mod emission;
pub mod extended;
mod held;
pub mod history;
mod index;
mod look;
pub mod name;
mod near;
mod owed;
pub mod pane;
pub mod plan;
pub mod position;
pub mod price;
pub mod ranking;
pub mod ratio;
pub mod reject;
mod restore;
pub mod shard;
pub mod standby;
mod store;
mod table;
pub mod time;
pub mod token;
pub mod trade;
mod wide;
pub mod window;
