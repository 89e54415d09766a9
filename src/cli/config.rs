//! `config`: every setting, its value and where it came from. Secrets arrive here hidden already.

use std::io::{self, Write};

use serde_json::json;

use crate::config::{Config, Shown};

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

/// Writes one JSON object: `settings`, each with its name, value and origin.
///
/// # Errors
/// What `out` says.
pub fn print_json(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let setting = |shown: &Shown| {
        let Shown { name, value, origin } = shown;
        json!({ "name": name, "value": value, "origin": origin.to_string() })
    };
    let settings: Vec<_> = config.shown.iter().map(setting).collect();
    writeln!(out, "{}", json!({ "settings": settings }))
}

/// Holds the longest default; longer lines only push their comment to the right.
const WIDTH: usize = 46;
