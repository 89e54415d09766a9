//! The unit under a real systemd, which is process 1 of namespaces of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{dist, output, process_status, repository, root_for, text, until, variables};
use support::install;
use support::redis::{RedisServer, free_port};

/// A running systemd; ends with this.
struct System {
    keeper: Child,
    init: String,
    dir: TempDir,
}

impl System {
    /// With these files in `/etc`.
    fn boot(files: &[(&str, String)]) -> Self {
        install::ensure("systemd-analyze", &["systemd"]);
        let dir = tempfile::tempdir().unwrap();
        let (root, etc) = (dir.path().join("root"), dir.path().join("etc"));
        fs::create_dir(&root).unwrap();
        for (path, text) in files {
            let path = etc.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut boot = Command::new(repository().join("tests/standalone/boot"));
        boot.arg(&root).arg(&etc).arg(dist().join("aggregator-service"));
        let mut keeper = boot.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut outer = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut outer).unwrap();
        let outer = outer.trim();
        let children = PathBuf::from(format!("/proc/{outer}/task/{outer}/children"));
        let log = || fs::read_to_string(dir.path().join("root.log")).unwrap_or_default();
        let init = || fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
        until("a process 1", || {
            assert!(children.exists(), "it did not boot: {}", log());
            !init().is_empty()
        });
        let system = Self { init: init(), keeper, dir };
        until("systemd to be up", || {
            let state = system.inside(&["systemctl", "is-system-running"]).output().unwrap();
            let state = String::from_utf8(state.stdout).unwrap();
            ["running", "degraded"].contains(&state.trim())
        });
        system
    }

    /// A command beside systemd.
    fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init, "--all", "--"]).args(words);
        command
    }

    fn systemctl(&self, words: &[&str]) -> String {
        output(&mut self.inside(&[&["systemctl"], words].concat()))
    }

    /// One property of the service.
    fn shows(&self, property: &str) -> String {
        let words = ["show", "--value", "--property", property, SERVICE];
        self.systemctl(&words).trim().to_owned()
    }

    /// Waits until the properties are these.
    fn until_shows(&self, wanted: &[(&str, &str)]) {
        until(&format!("{wanted:?}; {}", self.dir.path().display()), || {
            wanted.iter().all(|(property, value)| self.shows(property) == *value)
        });
    }

    /// Sends the service's process a signal.
    fn signal(&self, signal: &str) {
        self.systemctl(&["kill", "--signal", signal, SERVICE]);
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = self.inside(&["systemctl", "status", "--full", SERVICE]).output();
            let log = self.inside(&["cat", "/run/said"]).output();
            for said in [status, log].into_iter().flatten() {
                eprintln!("{}", String::from_utf8_lossy(&said.stdout));
            }
        }
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Whether namespaces and a cgroup tree can be had here.
fn can_boot() -> bool {
    let possible = "unshare --mount --uts --ipc --pid --cgroup --fork true \
                    && findmnt --types cgroup2 >/dev/null";
    root_for("the unit under systemd") && {
        let done = Command::new("sh").args(["-c", possible]).output().unwrap();
        if !done.status.success() {
            eprintln!("SKIPPED, not tested: the unit under systemd; {done:?}");
        }
        done.status.success()
    }
}

/// The unit's own proposal for secrets, taken up; a watchdog that bites sooner; a log without a
/// journal.
fn drop_in() -> String {
    let unit = text("deploy/aggregator-service.service");
    let proposed = unit.lines().filter_map(|line| line.strip_prefix('#'));
    let proposed: Vec<_> = proposed
        .filter(|line| line.starts_with("LoadCredential=") || line.starts_with("Environment="))
        .collect();
    assert_eq!(proposed.len(), 2, "{proposed:?}");
    let secrets = proposed.join("\n");
    format!("[Service]\n{secrets}\nStandardError=append:/run/said\nWatchdogSec=5\n")
}

#[test]
fn the_unit_waits_gets_ready_comes_back_from_kills_and_hangs_and_stops_cleanly() {
    if !can_boot() {
        return;
    }
    let redis = RedisServer::start();
    redis.command("CONFIG SET requirepass sesame");
    let mut settings = variables("systemd", &redis.addr());
    settings.push(("METRICS_PORT".to_owned(), free_port().to_string()));
    let settings: String =
        settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    redis.stop();
    let system = System::boot(&[
        ("systemd/system/aggregator-service.service", text("deploy/aggregator-service.service")),
        ("systemd/system/aggregator-service.service.d/test.conf", drop_in()),
        ("aggregator-service.env", settings.clone()),
        ("aggregator-service.secrets.toml", "redis_password = 'sesame'\n".to_owned()),
        ("passwd", "root:x:0:0:root:/:/bin/sh\n".to_owned()),
        ("group", "root:x:0:\n".to_owned()),
        ("nsswitch.conf", "passwd: files systemd\ngroup: files systemd\n".to_owned()),
        ("machine-id", "0123456789abcdef0123456789abcdef\n".to_owned()),
    ]);

    system.systemctl(&["start", "--no-block", SERVICE]);
    until("word of what is waited for", || {
        let says = system.shows("StatusText");
        says.starts_with("starting; checkpoint: waiting for it")
    });
    assert_eq!(system.shows("ActiveState"), "activating");
    redis.cont();
    let up = [("ActiveState", "active"), ("SubState", "running"), ("StatusText", "running")];
    system.until_shows(&up);
    is_confined(&system);

    system.signal("KILL");
    system.until_shows(&[("NRestarts", "1")]);
    system.until_shows(&up);
    system.signal("STOP");
    system.until_shows(&[("NRestarts", "2")]);
    system.until_shows(&up);

    system.systemctl(&["reload", SERVICE]);
    system.until_shows(&up);
    assert_eq!(system.shows("NRestarts"), "2", "a reload is no restart");

    system.systemctl(&["stop", SERVICE]);
    let ended = [("ActiveState", "inactive"), ("Result", "success"), ("ExecMainStatus", "0")];
    system.until_shows(&ended);

    let wrong = "echo LOG_LEVEL=shout >>/etc/aggregator-service.env";
    output(&mut system.inside(&["sh", "-c", wrong]));
    let start = system.inside(&["systemctl", "start", SERVICE]).output().unwrap();
    assert!(!start.status.success(), "{start:?}");
    assert_eq!(system.shows("ActiveState"), "failed", "a wrong configuration is not tried again");
    assert_eq!(system.shows("ExecMainStatus"), "64");
}

/// Nobody in particular, no capability, no way to get one.
fn is_confined(system: &System) {
    let process = system.shows("MainPID");
    let status = output(&mut system.inside(&["cat", &format!("/proc/{process}/status")]));
    assert!(!process_status(&status, "Uid").split(' ').any(|id| id == "0"), "{status}");
    let capabilities: Vec<_> = status.lines().filter(|line| line.starts_with("Cap")).collect();
    let none = |line: &&&str| line.ends_with(":\t0000000000000000");
    assert_eq!(capabilities.iter().filter(none).count(), 5, "{capabilities:?}");
    assert_eq!(process_status(&status, "NoNewPrivs"), "1");
    assert_eq!(process_status(&status, "Seccomp"), "2");
}

const SERVICE: &str = "aggregator-service.service";
