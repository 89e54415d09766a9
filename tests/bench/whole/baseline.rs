//! Ratios kept in a file, and what got slower since. Ratios alone: each is of two things that were
//! measured in turns on one machine, so it means something on another one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::spread::Spread;

/// Ratios by name; less is better.
pub(crate) type Ratios = BTreeMap<String, Spread>;

/// Writes them; what the file has beside them stays, so that parts can be measured by themselves.
pub(crate) fn save(path: &Path, ratios: &Ratios) {
    let mut all: Ratios = if path.exists() { read(path) } else { Ratios::new() };
    all.extend(ratios.iter().map(|(name, ratio)| (name.clone(), *ratio)));
    fs::write(path, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
}

/// One line for each ratio that changed by more than the measurements spread.
pub(crate) fn compare(path: &Path, ratios: &Ratios) -> Vec<String> {
    let stored = read(path);
    let line = |(name, now): (&String, &Spread)| {
        let Some(before) = stored.get(name) else {
            return Some(format!("new: {name}: {now}"));
        };
        let change = if slower(before, now) {
            "SLOWER"
        } else if slower(now, before) {
            "faster"
        } else {
            return None;
        };
        Some(format!("{change}: {name}: {before} before, {now} now"))
    };
    ratios.iter().filter_map(line).collect()
}

/// The ranges do not overlap. Few measurements have a range that is too narrow: it counts as
/// `NOISE` at least.
fn slower(before: &Spread, now: &Spread) -> bool {
    let most = before.max.max(before.median * (1.0 + NOISE));
    let least = now.min.min(now.median * (1.0 - NOISE));
    least > most
}

fn read(path: &Path) -> Ratios {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// What a single measurement is off by on a quiet machine.
const NOISE: f64 = 0.05;
