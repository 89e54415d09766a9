//! Confluent's client for Python with its own deserializers, in a virtual environment that is made
//! once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use crate::registry::Registry;
use support::install;
use support::kafka::KafkaBroker;

/// A record as it was decoded.
#[derive(Debug, Deserialize)]
pub(crate) struct Decoded {
    pub(crate) format: String,
    pub(crate) key: String,
    /// The schema's, where the format has one.
    pub(crate) id: u32,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: Value,
}

/// What stands in topics, each with the name of its format; in Protobuf by this schema.
pub(crate) fn decoded(topics: &[(&str, String)], protobuf: &str) -> Vec<Decoded> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let done = Command::new(python())
        .arg(root.join("tests/formats/decode.py"))
        .args([KafkaBroker::shared().address(), Registry::shared().url()])
        .arg(root.join("deploy/schemas").join(protobuf))
        .args(topics.iter().map(|(format, topic)| format!("{format}={topic}")))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Makes sure that it is there.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = target.join("confluent");
        let done = folder.join("installed");
        fs::create_dir_all(target).unwrap();
        let lock = File::create(target.join("confluent.lock")).unwrap();
        lock.lock().unwrap();
        if fs::read_to_string(&done).ok() != Some(PACKAGES.concat()) {
            install::ensure("virtualenv", &["virtualenv"]);
            let python = ["--quiet", "--clear", "--python", "/usr/bin/python3"];
            run(Command::new("virtualenv").args(python).arg(&folder));
            let mut pip = Command::new(folder.join("bin/pip"));
            run(pip.args(["install", "--quiet"]).args(PACKAGES));
            fs::write(&done, PACKAGES.concat()).unwrap();
        }
        folder.join("bin/python")
    })
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

const PACKAGES: [&str; 2] = ["confluent-kafka[avro,json,protobuf]==2.16.1", "grpcio-tools==1.85.1"];
