//! The command line: what was asked for, and the commands that print.

pub mod args;
pub mod check;
pub mod completions;
pub mod config;
pub mod demo;
pub mod healthcheck;
pub mod replay;
pub mod topics;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use crate::app::Exit;

/// Says on stderr what is wrong; the exit code to end with.
pub fn complain(problem: &impl Display, exit: Exit) -> ExitCode {
    // With stderr closed there is nobody left to tell.
    drop(writeln!(std::io::stderr(), "aggregator-service: {problem}"));
    ExitCode::from(exit as u8)
}
