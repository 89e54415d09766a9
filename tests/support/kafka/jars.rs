//! Java and the broker's jars: from `KAFKA_HOME/libs`, or fetched once from Maven Central. Those of
//! an older release are always fetched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::install;

/// What the broker is.
#[derive(Clone, Copy, Debug)]
pub enum Release {
    /// The newest one; of this one are all tools and clients.
    Four,
    /// The last one before it.
    Three,
}

/// `java` with the jars of Java's tools and clients on its class path.
pub(crate) fn java(jvm: &[&str]) -> Command {
    java_of(Release::Four, jvm)
}

/// `java` with a release's jars on its class path. What its libraries unpack, a kill leaves behind:
/// not in the system's folder.
pub(crate) fn java_of(release: Release, jvm: &[&str]) -> Command {
    install::ensure("java", &["openjdk-17-jre-headless"]);
    let mut command = Command::new("java");
    let unpacked = format!("-Djava.io.tmpdir={}", kept().display());
    command.args(jvm).arg(unpacked).arg("-cp").arg(jars(release).join("*"));
    command
}

/// The folder of a release's jars.
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the service")]
pub fn jars(release: Release) -> &'static Path {
    static FOUR: OnceLock<PathBuf> = OnceLock::new();
    static THREE: OnceLock<PathBuf> = OnceLock::new();
    match release {
        Release::Four => FOUR.get_or_init(|| match std::env::var("KAFKA_HOME") {
            Ok(home) => Path::new(&home).join("libs"),
            Err(_) => fetched_jars("kafka"),
        }),
        Release::Three => THREE.get_or_init(|| fetched_jars("kafka-3")),
    }
}

/// The folder of Cargo's target that tests may use; their programs stand in `<profile>/deps` beside
/// it.
fn kept() -> PathBuf {
    let program = std::env::current_exe().expect("a program");
    let target = program.ancestors().nth(3).expect("Cargo's target").join("tmp");
    fs::create_dir_all(&target).expect("directory");
    target
}

/// The jars named by `pom.xml`, of the version that a property of it has, fetched once: the lock
/// keeps test processes apart, the renaming keeps a fetch that broke off from being taken for a
/// whole one.
fn fetched_jars(property: &str) -> PathBuf {
    let target = kept();
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/pom.xml");
    let text = fs::read_to_string(&pom).expect("pom.xml");
    let version =
        text.split(&format!("<{property}>")).nth(1).and_then(|rest| rest.split('<').next());
    let version = version.expect("a version");
    let jars = target.join(format!("kafka-{version}"));
    let lock = File::create(target.join("kafka.lock")).expect("lock");
    lock.lock().expect("lock");
    if !jars.exists() {
        install::ensure("mvn", &["maven"]);
        let part = jars.with_extension("part");
        let status = Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(&pom)
            .arg("dependency:copy-dependencies")
            .arg(format!("-Dkafka={version}"))
            .arg(format!("-DoutputDirectory={}", part.display()))
            .stdout(Stdio::null())
            .status();
        assert!(status.is_ok_and(|status| status.success()), "the jars cannot be fetched");
        fs::rename(part, &jars).expect("rename");
    }
    jars
}
