//! `config`: every setting, its value and where it came from. Secrets arrive here hidden already.

use std::io::{self, Write};

use crate::config::Config;

/// Writes one line a setting: `NAME=value`, then the origin as a comment, in columns.
///
/// # Errors
/// What `out` says.
pub fn print(config: &Config, out: &mut impl Write) -> io::Result<()> {
    for shown in &config.shown {
        let setting = format!("{}={}", shown.name, shown.value);
        writeln!(out, "{setting:<WIDTH$}  # {}", shown.origin)?;
    }
    Ok(())
}

/// Holds the longest default; longer lines only push their comment to the right.
const WIDTH: usize = 46;
