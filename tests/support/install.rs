//! Programs that the tests need, from the distribution's packages.

use std::process::Command;

/// Makes sure that `binary` can be run, installing `packages` where it is missing.
pub fn ensure(binary: &str, packages: &[&str]) {
    let found = Command::new("which").arg(binary).output();
    if found.is_ok_and(|found| found.status.success()) {
        return;
    }
    let run = |arguments: &[&str]| {
        let status = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status();
        status.is_ok_and(|status| status.success())
    };
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    assert!(
        run(&install) || (run(&["update"]) && run(&install)),
        "{binary} is missing and {packages:?} cannot be installed"
    );
}
