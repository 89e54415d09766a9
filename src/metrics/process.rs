//! What the system knows of this process, read when the figures are gathered. Where there is no
//! `/proc`, there are no such figures.
//!
//! Own code, because the crate's collector wants `procfs` and libc for the same few numbers, and
//! knows no prefix of ours.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Error, Gauge, IntGauge};

/// Memory, processor time, open files, start.
pub(super) struct Process {
    descs: Vec<Desc>,
}

/// The figures, made anew for each look.
struct Figures {
    memory: IntGauge,
    cpu: Counter,
    files: IntGauge,
    start: Gauge,
}

/// What stands in `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// Since the system's start.
    start_seconds: f64,
}

impl Process {
    pub(super) fn new() -> Result<Self, Error> {
        let figures = Figures::new()?;
        let descs = figures.all().into_iter().flat_map(|figure| figure.desc());
        Ok(Self { descs: descs.cloned().collect() })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let read = Figures::new().ok().and_then(Figures::read);
        read.map(|figures| figures.all().iter().flat_map(|figure| figure.collect()).collect())
            .unwrap_or_default()
    }
}

impl Figures {
    fn new() -> Result<Self, Error> {
        Ok(Self {
            memory: IntGauge::new("process_resident_memory_bytes", "Memory in use.")?,
            cpu: Counter::new("process_cpu_seconds_total", "Processor time, user and system.")?,
            files: IntGauge::new("process_open_fds", "Open files and sockets.")?,
            start: Gauge::new("process_start_time_seconds", "Start, in seconds since the epoch.")?,
        })
    }

    fn all(&self) -> [&dyn Collector; 4] {
        [&self.memory, &self.cpu, &self.files, &self.start]
    }

    fn read(self) -> Option<Self> {
        let text = |path: &str| fs::read_to_string(path).ok();
        let Stat { cpu_seconds, start_seconds } = stat(&text("/proc/self/stat")?)?;
        let booted: f64 = field(&text("/proc/stat")?, "btime ")?.parse().ok()?;
        let status = text("/proc/self/status")?;
        let resident_kb = field(&status, "VmRSS:")?.strip_suffix(" kB")?;
        let resident_kb: i64 = resident_kb.trim().parse().ok()?;
        // The look itself has one open.
        let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
        self.memory.set(resident_kb.saturating_mul(1_024));
        self.cpu.inc_by(cpu_seconds);
        self.files.set(i64::try_from(open).unwrap_or(i64::MAX));
        self.start.set(booted + start_seconds);
        Some(self)
    }
}

/// The line that begins so, without its begin.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The name of the program, in brackets, may itself hold blanks and brackets.
fn stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let seconds = |number: usize| {
        let ticks: f64 = fields.get(number.checked_sub(FIRST_FIELD)?)?.trim().parse().ok()?;
        Some(ticks / TICKS_PER_SECOND)
    };
    Some(Stat {
        cpu_seconds: seconds(USER_TIME)? + seconds(SYSTEM_TIME)?,
        start_seconds: seconds(START_TIME)?,
    })
}

/// Numbers of fields, as `proc(5)` counts them, and of the first behind the name.
const FIRST_FIELD: usize = 3;
const USER_TIME: usize = 14;
const SYSTEM_TIME: usize = 15;
const START_TIME: usize = 22;

/// `USER_HZ`: what the kernel shows to programs is counted so on every architecture of today.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        let text = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 250 50 0 0 20 0 3 0 12345 1 2\n";
        let found = stat(text).unwrap();
        assert_eq!(found, Stat { cpu_seconds: 3.0, start_seconds: 123.45 });
        assert_eq!(stat("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_memory_files_and_a_past() {
        let figures = Figures::new().unwrap().read().unwrap();
        assert!(figures.memory.get() > 1 << 20, "{}", figures.memory.get());
        assert!(figures.files.get() >= 3, "{}", figures.files.get());
        assert!(figures.start.get() > 1_600_000_000.0, "{}", figures.start.get());
    }
}
