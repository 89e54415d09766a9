//! Signals to the programs that the tests start.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// Between two looks whether a process stands still.
const LOOK: Duration = Duration::from_millis(1);
/// Twenty seconds: threads of a busy machine stop within milliseconds.
const LOOKS: u32 = 20_000;

/// Sends a signal by its name, such as `TERM`; `0` only asks whether the process is there.
pub fn signal(pid: &str, name: &str) {
    let status = Command::new("kill").args(["-s", name, pid]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -s {name} {pid}");
}

/// Halts a process: it keeps its connections and says nothing. Returns when each of its threads
/// stands still: `kill` returns before that, and a thread that still runs may answer once more.
pub fn halt(pid: &str) {
    signal(pid, "STOP");
    let mut looks = 0..LOOKS;
    while !stands_still(pid) {
        assert!(looks.next().is_some(), "process {pid} goes on after SIGSTOP");
        std::thread::sleep(LOOK);
    }
}

/// Lets a halted process go on.
pub fn resume(pid: &str) {
    signal(pid, "CONT");
}

/// Halts processes in turns while `meanwhile` lasts: each with how long it is halted, and runs.
pub fn halting<T>(processes: &[(&str, [Duration; 2])], meanwhile: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (pid, [halted, runs]) in processes {
            let over = &over;
            scope.spawn(move || {
                while !over.load(SeqCst) {
                    halt(pid);
                    std::thread::sleep(*halted);
                    resume(pid);
                    std::thread::sleep(*runs);
                }
            });
        }
        let _over = Over(&over);
        meanwhile()
    })
}

/// Ends the halting, also where what was waited for did not come.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Whether each thread is stopped. The state follows the name, which is in parentheses and may
/// hold anything (`man 5 proc_pid_stat`); a thread that ends meanwhile is none any more.
fn stands_still(pid: &str) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    let stats = threads.flatten().filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
    let mut states = stats.filter_map(|stat| stat.rsplit(')').next()?.trim_start().chars().next());
    states.all(|state| matches!(state, 'T' | 'X' | 'Z'))
}
