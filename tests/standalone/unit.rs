//! The unit and its settings, as systemd's own tools read them; and that the settings file says
//! what the program does.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use aggregator_service::config::{Config, ConfigArgs, SETTINGS};
use tempfile::TempDir;

use crate::{BINARY, text};
use support::install;

/// The unit with a binary that is there.
fn unit() -> (TempDir, PathBuf) {
    install::ensure("systemd-analyze", &["systemd"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("aggregator-service.service");
    let unit = text("deploy/aggregator-service.service");
    let there = unit.replace("/usr/local/bin/aggregator-service\n", &format!("{BINARY}\n"));
    assert!(there.contains(&format!("ExecStart={BINARY}\n")), "{there}");
    fs::write(&path, there).unwrap();
    (dir, path)
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let (_dir, path) = unit();
    let done = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    assert!(done.status.success() && done.stdout.is_empty() && done.stderr.is_empty(), "{done:?}");
}

#[test]
fn the_unit_exposes_next_to_nothing() {
    let (_dir, path) = unit();
    let ask = |threshold: &str| {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=true", "--no-pager", threshold]).arg(&path);
        command.output().unwrap()
    };
    let done = ask("--threshold=15");
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{}", said.lines().last().unwrap());
    assert!(done.status.success() && said.contains("Overall exposure level"), "{done:?}");
    assert!(!ask("--threshold=1").status.success(), "it judges nothing");
}

#[test]
fn the_settings_file_names_every_setting_with_its_default() {
    let file = text("deploy/aggregator-service.env");
    let missing: Vec<_> = SETTINGS
        .iter()
        .map(|one| {
            let accepted = one.accepts;
            format!("# {}\n# Accepted: {accepted}.\n#{}={}\n", one.doc, one.name, one.default)
        })
        .filter(|block| !file.contains(block))
        .collect();
    assert!(missing.is_empty(), "not in deploy/aggregator-service.env:\n\n{}", missing.join("\n"));
    let settings = file.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let settings: Vec<_> = settings.filter(|(name, _)| !name.contains(' ')).map(owned).collect();
    assert_eq!(settings.len(), SETTINGS.len(), "one that is gone, or one twice: {settings:#?}");
    let all = Config::load(&ConfigArgs::default(), settings.into_iter()).unwrap();
    let none = Config::load(&ConfigArgs::default(), std::iter::empty()).unwrap();
    let values = |config: &Config| -> Vec<_> {
        config.shown.iter().map(|shown| (shown.name, shown.value.clone())).collect()
    };
    assert_eq!(values(&all), values(&none));
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
