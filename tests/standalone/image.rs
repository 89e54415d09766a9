//! The image: built with buildah, looked at, and run as its configuration says, in a root that
//! cannot be written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{BINARY, dist, output, process_status, repository, root_for, variables};
use support::harness::service::{PATIENCE, Service};
use support::install;
use support::redis::{RedisServer, free_port};

/// An image in a storage of its own, and a container of it that is mounted.
struct Image {
    storage: TempDir,
    config: Value,
    container: String,
    mounted: PathBuf,
}

impl Image {
    fn build() -> Self {
        install::ensure("buildah", &["buildah"]);
        let storage = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| output(buildah(&storage).args(args)).trim().to_owned();
        let (file, context) = (repository().join("deploy/Containerfile"), dist());
        let (file, context) = (file.to_str().unwrap(), context.to_str().unwrap());
        run(&["build", "--format", "docker", "--tag", NAME, "--file", file, context]);
        let inspected: Value =
            serde_json::from_str(&run(&["inspect", "--type", "image", NAME])).unwrap();
        let container = run(&["from", "--pull-never", NAME]);
        let mounted = PathBuf::from(run(&["mount", &container]));
        let config = inspected["Docker"]["config"].clone();
        Self { storage, config, container, mounted }
    }

    /// Bytes of the image as it is handed on, not compressed.
    fn size(&self) -> u64 {
        let archive = self.storage.path().join("image.tar");
        let target = format!("docker-archive:{}", archive.display());
        output(buildah(&self.storage).args(["push", NAME, &target]));
        fs::metadata(archive).unwrap().len()
    }

    /// A command line that runs in the image's root, unchangeable, as the image's user.
    fn inside(&self, words: &Value) -> String {
        let user = self.config["User"].as_str().unwrap();
        let words: Vec<_> = words.as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
        let root = self.mounted.display();
        let words = words.join(" ");
        format!(
            "exec unshare --mount sh -c 'mount --bind {root} {root}; \
             mount -o remount,bind,ro {root}; \
             exec /usr/sbin/chroot --userspec={user} --groups= {root} {words}'"
        )
    }

    /// The entry point as a program.
    fn program(&self) -> PathBuf {
        let path = self.storage.path().join("program");
        let script = format!("#!/bin/sh\n{}\n", self.inside(&self.config["Entrypoint"]));
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// What the image's own health check answers beside a service on this port.
    fn healthcheck(&self, port: u16) -> Output {
        let test = self.config["Healthcheck"]["Test"].as_array().unwrap();
        assert_eq!(test[0], "CMD", "there is no shell");
        let run = self.inside(&json!(test[1..]));
        let mut command = Command::new("sh");
        command.args(["-c", &run]).env("METRICS_PORT", port.to_string()).output().unwrap()
    }

    fn files(&self) -> Vec<String> {
        let found = output(Command::new("find").arg(&self.mounted).args(["-type", "f"]));
        let inside = |path: &str| path.replace(self.mounted.to_str().unwrap(), "");
        found.lines().map(inside).collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        for command in [["umount", "--all"], ["rm", "--all"]] {
            drop(buildah(&self.storage).args(command).output());
        }
    }
}

fn buildah(storage: &TempDir) -> Command {
    let mut command = Command::new("buildah");
    let (root, run) = (storage.path().join("storage"), storage.path().join("run"));
    command.args(["--storage-driver", "vfs", "--root"]).arg(root).arg("--runroot").arg(run);
    command.env("BUILDAH_ISOLATION", "chroot").env("TMPDIR", storage.path());
    command
}

#[test]
fn the_image_is_one_small_file_that_runs_as_nobody_in_a_root_that_cannot_be_written() {
    if !root_for("the image") {
        return;
    }
    let image = Image::build();
    let config = &image.config;
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/aggregator-service"]));
    assert_eq!(config["ExposedPorts"], json!({"8081/tcp": {}}));
    assert_eq!(config["StopSignal"], "SIGTERM");
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    assert!(config["Volumes"].as_object().is_none_or(serde_json::Map::is_empty), "{config}");
    let env = config["Env"].as_array().cloned().unwrap_or_default();
    assert!(env.iter().all(|one| one.as_str().unwrap().starts_with("PATH=")), "{env:?}");
    assert_eq!(image.files(), ["/aggregator-service"]);
    let size = image.size();
    println!("{size} bytes");
    assert!(size <= 12_120_000, "{size} bytes");

    let redis = RedisServer::start();
    let service = Service::start(&image.program(), &variables("image", &redis.addr()));
    service.ready();
    let process = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", service.pid)).unwrap();
    let status = process("status");
    assert_eq!(process_status(&status, "Uid"), "65532 65532 65532 65532");
    assert_eq!(process_status(&status, "Groups"), "");
    assert_eq!(process_status(&status, "CapEff"), "0000000000000000");
    let root = |line: &&str| line.split(' ').nth(4) == Some("/");
    let mount = process("mountinfo").lines().find(root).unwrap().to_owned();
    assert!(mount.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro"), "{mount}");

    let healthy = image.healthcheck(service.port);
    assert!(healthy.status.success() && healthy.stdout == b"alive\n", "{healthy:?}");
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0);
    let gone = image.healthcheck(service.port);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    assert!(gone.stdout.starts_with(b"nobody answers on port "), "{gone:?}");

    let mut engine = buildah(&image.storage);
    let version =
        output(engine.args(["run", &image.container, "/aggregator-service", "--version"]));
    assert_eq!(version.trim(), format!("aggregator-service {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_health_check_that_can_ask_nobody_says_why() {
    let ask = |name: &str, value: &str| {
        let mut command = Command::new(BINARY);
        let done = command.env_clear().env(name, value).arg("healthcheck").output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, said) = ask("METRICS_ENABLED", "false");
    assert_eq!((code, &*said), (Some(64), "METRICS_ENABLED is false: nobody can be asked\n"));
    let (code, said) = ask("METRICS_PORT", "0");
    assert_eq!((code, &*said), (Some(64), "METRICS_PORT is 0: it is not known whom to ask\n"));
    let port = free_port();
    let (code, said) = ask("METRICS_PORT", &port.to_string());
    assert!(said.starts_with(&format!("nobody answers on port {port}: ")), "{said}");
    assert_eq!(code, Some(1));
}

/// A health check asks the port that the image's environment names, and no other.
#[test]
fn the_health_check_follows_the_port_of_the_environment() {
    let service = Service::start(Path::new(BINARY), &variables("port", "127.0.0.1:1"));
    service.until("it to listen", || service.get("/livez").is_some());
    let mut command = Command::new(BINARY);
    let said = output(command.env("METRICS_PORT", service.port.to_string()).arg("healthcheck"));
    assert_eq!(said, "alive\n");
}

const NAME: &str = "aggregator-service";
