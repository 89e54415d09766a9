//! What a process has cost so far, from the operating system: CPU time to the nanosecond, that of
//! threads which ended included, and memory.

use std::fs;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// What some work has cost.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// The most memory that was ever held.
    pub(crate) peak_kb: u64,
}

impl Cost {
    /// What `pid` has cost since its CPU time was `before`, in so much time.
    pub(crate) fn since(before: Duration, pid: &str, wall: Duration) -> Self {
        Self { wall, cpu: cpu(pid) - before, peak_kb: status_kb(pid, "VmHWM") }
    }
}

/// CPU time of a process so far.
pub(crate) fn cpu(pid: &str) -> Duration {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.parse().unwrap())).unwrap();
    clock.now().unwrap().into()
}

/// A line of `/proc/<pid>/status` in kB.
pub(crate) fn status_kb(pid: &str, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}
