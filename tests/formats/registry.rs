//! A real schema registry: Apicurio, fetched once from Maven Central, on free ports, its schemas in
//! memory. It ends with the test process, however that ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use aggregator_service::wire::registered::Format;
use serde_json::{Value, json};

use support::install;
use support::kafka::free_ports;
use support::keys::Keys;

/// Runs the registry until our end of the pipe closes.
const KEEPER: &str = r#"exec 3<&0
"$@" >"$0" 2>&1 </dev/null & registry=$!
cat <&3 >/dev/null; kill -9 $registry"#;

/// The running registry.
pub(crate) struct Registry {
    keeper: Child,
    pub(crate) keys: Keys,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
}

impl Registry {
    /// The one of all tests: each has subjects of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Registry> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        install::ensure("java", &["openjdk-17-jre-headless"]);
        let (home, keys) = (fetched(), Keys::make());
        let [port, tls_port] = free_ports();
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("apicurio-{port}.log"));
        let brief = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(&log)
            .arg("java")
            .args(brief)
            .arg("-jar")
            .arg(home.join(format!("apicurio-registry-app-{VERSION}-runner.jar")))
            .current_dir(&home)
            .env("APICURIO_STORAGE_KIND", "sql")
            .env("QUARKUS_HTTP_HOST", "127.0.0.1")
            .env("QUARKUS_HTTP_PORT", port.to_string())
            .env("QUARKUS_HTTP_SSL_PORT", tls_port.to_string())
            .env("QUARKUS_HTTP_SSL_CERTIFICATE_FILES", keys.path("server.pem"))
            .env("QUARKUS_HTTP_SSL_CERTIFICATE_KEY_FILES", keys.path("server.key"))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let ready = || ureq::get(format!("http://127.0.0.1:{port}{PATH}/subjects")).call().is_ok();
        let mut tries = 0..READY_POLLS;
        while !ready() {
            let ended = keeper.try_wait().unwrap().is_some() || tries.next().is_none();
            assert!(!ended, "{}", fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(READY_POLL);
        }
        drop(fs::remove_file(&log));
        Self { keeper, keys, port, tls_port }
    }

    /// Where Confluent's clients find it.
    pub(crate) fn url(&self) -> String {
        url("http", self.port)
    }

    /// Registers a schema of somebody else's, and has the next ones be compatible with it.
    pub(crate) fn hold(&self, subject: &str, format: Format, schema: &str) {
        let schema = json!({"schemaType": format.schema_type(), "schema": schema});
        self.send("POST", &format!("/subjects/{subject}/versions"), &schema);
        let level = json!({"compatibility": "BACKWARD"});
        self.send("PUT", &format!("/config/{subject}"), &level);
    }

    /// What stands there under the subject.
    pub(crate) fn latest(&self, subject: &str) -> Option<Value> {
        let url = format!("{}/subjects/{subject}/versions/latest", self.url());
        let mut answer = ureq::get(url).call().ok()?;
        Some(serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap())
    }

    fn send(&self, method: &str, path: &str, body: &Value) {
        let url = format!("{}{path}", self.url());
        let request = if method == "PUT" { ureq::put(url) } else { ureq::post(url) };
        let request = request.header("content-type", "application/json");
        request.send(body.to_string()).unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

pub(crate) fn url(scheme: &str, port: u16) -> String {
    format!("{scheme}://127.0.0.1:{port}{PATH}")
}

/// The lock keeps test processes apart, the renaming keeps a fetch that broke off from being taken
/// for a whole one.
fn fetched() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let home = target.join(format!("apicurio-{VERSION}"));
    fs::create_dir_all(target).unwrap();
    let lock = File::create(target.join("apicurio.lock")).unwrap();
    lock.lock().unwrap();
    if !home.exists() {
        install::ensure("mvn", &["maven"]);
        let part = home.with_extension("part");
        let artifact = format!("io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all");
        let status = Command::new("mvn")
            .args(["-q", "-B", "dependency:unpack", &format!("-Dartifact={artifact}")])
            .arg(format!("-DoutputDirectory={}", part.display()))
            .current_dir(target)
            .stdout(Stdio::null())
            .status();
        assert!(status.is_ok_and(|status| status.success()), "the registry cannot be fetched");
        fs::rename(part, &home).unwrap();
    }
    home
}

const VERSION: &str = "3.0.9";
/// Where it speaks as Confluent's does.
const PATH: &str = "/apis/ccompat/v7";
/// It is up after some 5 s; a machine busy with builds needs longer: two minutes.
const READY_POLL: Duration = Duration::from_millis(50);
const READY_POLLS: u32 = 2_400;
