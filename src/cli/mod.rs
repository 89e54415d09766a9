//! The command line: what was asked for, and the commands that need no pipeline.

pub mod args;
pub mod config;
pub mod healthcheck;
