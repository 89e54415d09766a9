//! What the configuration and this host show.

use std::collections::BTreeMap;

use super::{CONFIGURATION, Findings, HOST};
use crate::config::{Config, Origin};
use crate::domain::time::WallMs;
use crate::wire::time::Rfc3339;

/// Who listens where we want to answer HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// We do not want to.
    Off,
    /// Nobody: it is ours to take.
    Free,
    /// An instance of this service.
    Ours,
    /// Somebody else.
    Taken,
    /// It cannot be listened on.
    Unusable(String),
}

/// Of the settings: what is set, and what has no meaning.
#[must_use]
pub fn configuration(config: &Config) -> Findings {
    let mut findings = Findings::of(CONFIGURATION);
    let mut set: BTreeMap<&str, usize> = BTreeMap::new();
    for shown in config.shown.iter().filter(|shown| shown.origin != Origin::Default) {
        *set.entry(origin(shown.origin)).or_default() += 1;
    }
    let set = set.into_iter().map(|(origin, count)| format!(", {count} {origin}"));
    let says = format!("{}, all accepted{}", config.shown.len(), set.collect::<String>());
    findings.ok("settings", says);
    if !config.ignored.is_empty() {
        let says = format!("have no meaning here: {}", config.ignored.join(" "));
        findings.warn("variables", says, "nothing: they tuned the Go service; remove them");
    }
    findings
}

/// Of the host.
#[must_use]
pub fn host(port: u16, listener: &Port, open_files: Option<u64>, now: WallMs) -> Findings {
    let mut findings = Findings::of(HOST);
    let about = format!("port {port}");
    match listener {
        Port::Off => findings.ok("HTTP", "off: METRICS_ENABLED is false"),
        Port::Free if port == 0 => findings.ok("HTTP", "any free port: METRICS_PORT is 0"),
        Port::Free => findings.ok(&about, "free"),
        Port::Ours => findings.ok(&about, "an instance of this service answers"),
        Port::Taken => {
            findings.fail(&about, "another program listens on it", "choose another METRICS_PORT");
        }
        Port::Unusable(cause) => {
            findings.fail(
                &about,
                format!("cannot be used: {cause}"),
                "choose another METRICS_PORT",
            );
        }
    }
    match open_files {
        Some(most) if most < MIN_OPEN_FILES => findings.warn(
            "open files",
            format!("at most {most}"),
            format!("raise the limit to {MIN_OPEN_FILES} (ulimit -n, LimitNOFILE)"),
        ),
        Some(most) => findings.ok("open files", format!("at most {most}")),
        None => findings.ok("open files", "the limit is not told"),
    }
    let shown = Rfc3339(now.second());
    if now < RELEASED {
        let todo = "set it: trades of today would be rejected as future ones";
        findings.fail("clock", format!("it is {shown}, before this program was written"), todo);
    } else {
        findings.ok("clock", shown.to_string());
    }
    findings
}

const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Default => "by default",
        Origin::File => "from the file",
        Origin::Environment => "from the environment",
        Origin::Flag => "from the command line",
    }
}

/// 64 clients over HTTP, two connections a partition, and room.
const MIN_OPEN_FILES: u64 = 512;

/// 2025-01-01T00:00:00Z.
const RELEASED: WallMs = WallMs(1_735_689_600_000);
