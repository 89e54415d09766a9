//! `completions`: what a shell has to know to complete this command line.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::args::Args;

/// Writes the script of `shell`.
///
/// # Errors
/// What `out` says.
pub fn print(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    // The generator panics where it cannot write: into memory it always can.
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "aggregator-service", &mut script);
    out.write_all(&script)
}
