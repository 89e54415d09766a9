//! Replay: record values as lines in, messages out, by event time. Synchronous, and the same bytes
//! for the same lines: nothing here reads a clock. Holds one line, the live panes and the messages
//! of one tick, however long the input is.

pub mod due;
pub mod lines;
pub mod player;

use std::io;

pub use player::{Counts, Player, Rejected};

/// Why a replay ended before its input did.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The lines cannot be read.
    #[error("the lines cannot be read: {0}")]
    Lines(#[source] io::Error),
    /// The messages cannot be written.
    #[error("the messages cannot be written: {0}")]
    Messages(#[source] io::Error),
    /// The dead letters cannot be written.
    #[error("the dead letters cannot be written: {0}")]
    DeadLetters(#[source] io::Error),
}
