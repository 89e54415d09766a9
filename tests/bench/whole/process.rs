//! What a process has cost so far, from the operating system: CPU time to the nanosecond, that of
//! threads which ended included, memory, page faults.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// What some work has cost.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// The most memory that was ever held.
    pub(crate) peak_kb: u64,
    /// Page faults that needed no disk.
    pub(crate) faults: u64,
}

/// The counters of a process at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    pub(crate) cpu: Duration,
    faults: u64,
}

impl Counters {
    pub(crate) fn of(pid: &str) -> Self {
        let number: i32 = pid.parse().unwrap();
        let clock = clock_getcpuclockid(Pid::from_raw(number)).unwrap();
        Self { cpu: now(clock), faults: faults(pid) }
    }

    /// What `pid` has cost since, in so much time.
    pub(crate) fn until_now(self, pid: &str, wall: Duration) -> Cost {
        let now = Self::of(pid);
        Cost {
            wall,
            cpu: now.cpu - self.cpu,
            peak_kb: status_kb(pid, "VmHWM"),
            faults: now.faults - self.faults,
        }
    }

    /// Those of a process at its start.
    pub(crate) const ZERO: Self = Self { cpu: Duration::ZERO, faults: 0 };
}

fn now(clock: ClockId) -> Duration {
    clock.now().unwrap().into()
}

fn faults(pid: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name stands in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(MINOR_FAULTS).unwrap().parse().unwrap()
}

/// A line of `/proc/<pid>/status` in kB.
pub(crate) fn status_kb(pid: &str, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// `minflt` behind the name.
const MINOR_FAULTS: usize = 7;
