//! Debian packages that the tests need, installed by the tests themselves where they may.

use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Makes sure that `binary` is in the path, installing `packages` where it is not. Panics with
/// the command to run by hand where that is not allowed.
pub fn ensure(binary: &str, packages: &[&str]) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _thread = ONE_AT_A_TIME.lock();
    if succeeds("sh", &["-c", &format!("command -v {binary}")]) {
        return;
    }
    // Another test binary may be at the same thing.
    let lock = File::create(std::env::temp_dir().join("aggregator-service-apt.lock"));
    let _process = lock.and_then(|file| file.lock().map(|()| file));
    let by_hand = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    let installed = ["", "sudo -n "].iter().any(|sudo| {
        let wait = "-o DPkg::Lock::Timeout=300";
        let update = format!("{sudo}apt-get update -q {wait}");
        let install = by_hand.replace("apt-get", &format!("{sudo}apt-get {wait}"));
        let script = format!("export DEBIAN_FRONTEND=noninteractive; {update} && {install}");
        succeeds("sh", &["-c", &script])
    });
    let there = succeeds("sh", &["-c", &format!("command -v {binary}")]);
    assert!(installed && there, "{binary} is missing; run as root: {by_hand}");
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
