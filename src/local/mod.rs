//! The ports in process: a log, a producer, a checkpoint and a view in memory. `demo` and the
//! simulation run the pipeline over them; they behave as the real ones do, minus the faults.

mod checkpoint;
mod group;
mod log;
mod producer;

pub use checkpoint::{LocalCheckpoint, LocalStore};
pub use group::{LocalGroup, sole};
pub use log::LocalLog;
pub use producer::{LocalProducer, LocalView, Sent};
