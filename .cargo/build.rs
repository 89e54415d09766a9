//! Tells the program by what and for what it was built: `/version` says it. Nothing of the machine
//! and no time gets in, so the same sources give the same bytes. Makes the static one smaller.
#![allow(clippy::print_stdout, reason = "cargo listens there")]

use std::env::var_os;
use std::error::Error;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let rustc = var_os("RUSTC").ok_or("cargo names the compiler")?;
    let version = String::from_utf8(Command::new(rustc).arg("--version").output()?.stdout)?;
    println!("cargo::rustc-env=BUILD_RUST={}", version.trim());
    let target = var_os("TARGET").ok_or("cargo names the target")?;
    println!("cargo::rustc-env=BUILD_TARGET={}", target.display());
    // What is moved when a static PIE starts, in bits: 0.25 MB less. musl knows them since 1.2.4.
    if var_os("CARGO_CFG_TARGET_ENV").is_some_and(|libc| libc == "musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    println!("cargo::rerun-if-changed=.cargo/build.rs");
    Ok(())
}
