//! Our program as a child process: started with an environment, asked over HTTP, stopped, killed.
//! It ends with the test process, however that ends: a shell sees its end of the pipe close.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::redis::free_port;
use crate::signals::{halt, halting, resume, signal};

/// Runs the service and tells its process id, then its exit code; kills it when our end of the
/// pipe closes.
const KEEPER: &str = r#"exec 3<&0
"$@" </dev/null >/dev/null 2>log & service=$!
echo $service
{ cat <&3 >/dev/null; kill -9 $service; } & guard=$!
wait $service; code=$?
kill -9 $guard; echo $code"#;

/// Whoever starts a service of a topic anew, on another port, means the same instance of its group.
pub fn instance(variables: &[(String, String)]) -> &str {
    let topic = variables.iter().find(|(name, _)| name == "KAFKA_TOPIC");
    topic.map_or("one", |(_, topic)| topic)
}

/// A running service.
pub struct Service {
    keeper: Child,
    words: Receiver<String>,
    pub pid: String,
    dir: TempDir,
    pub port: u16,
}

impl Service {
    /// Starts `program` with these variables and no others.
    pub fn start(program: &Path, variables: &[(String, String)]) -> Self {
        Self::start_command(program, &[], variables)
    }

    /// As [`start`](Self::start), with arguments.
    pub fn start_command(
        program: &Path,
        arguments: &[&str],
        variables: &[(String, String)],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            // It runs in a folder of its own.
            .arg(std::path::absolute(program).unwrap())
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("METRICS_PORT", port.to_string())
            .env("KAFKA_GROUP_INSTANCE_ID", instance(variables))
            .envs(variables.iter().cloned())
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(keeper.stdout.take().unwrap());
        let (say, words) = channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).all(|word| say.send(word).is_ok())
        });
        let pid = words.recv_timeout(PATIENCE).unwrap();
        Self { keeper, words, pid, dir, port }
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        signal(&self.pid, "TERM");
    }

    /// Kills it as a crash does.
    pub fn kill9(self) {
        signal(&self.pid, "KILL");
        assert_eq!(self.exit_code(PATIENCE), 128 + 9, "killed");
    }

    /// While `meanwhile` lasts it stands still.
    pub fn halted(&self, meanwhile: impl FnOnce()) {
        halt(&self.pid);
        meanwhile();
        resume(&self.pid);
    }

    /// While `meanwhile` lasts it gets a few milliseconds of every fifth of a second.
    pub fn starved(&self, meanwhile: impl FnOnce()) {
        halting(&[(&self.pid, STARVED)], meanwhile);
    }

    /// Its exit code, once it has ended.
    pub fn exit_code(&self, within: Duration) -> i32 {
        let code = self.words.recv_timeout(within);
        code.unwrap_or_else(|_| panic!("it still runs:\n{}", self.log())).parse().unwrap()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// For what each of its threads waits in the kernel; what has ended has none.
    fn waits_in(&self) -> String {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid));
        let paths = threads.into_iter().flatten().flatten().map(|thread| thread.path());
        let told = paths.map(|path| {
            let [name, place] = ["comm", "wchan"].map(|file| fs::read_to_string(path.join(file)));
            format!("{} {}", name.unwrap_or_default().trim(), place.unwrap_or_default())
        });
        told.collect::<Vec<_>>().join(", ")
    }

    /// The most memory that it ever held, in kB.
    pub fn most_memory_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Asks over HTTP: status and body; `None` where nobody listens yet.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut answer = ureq::Agent::new_with_config(config).get(url).call().ok()?;
        let body = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), body))
    }

    /// Asks for JSON that is there.
    pub fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until it is ready; answers how often it said that it was not.
    pub fn ready(&self) -> usize {
        let mut not_yet = 0;
        self.until("it to be ready", || match self.get("/readyz") {
            Some((200, _)) => true,
            Some((status, body)) => {
                assert_eq!(status, 503, "{body}");
                assert!(body.contains("reasons"), "{body}");
                not_yet += 1;
                false
            }
            None => false,
        });
        not_yet
    }

    /// A figure of `/metrics`, `name` or `name{label="value"}`; of all its labels where none is
    /// named.
    pub fn figure(&self, name: &str) -> f64 {
        self.figure_if_up(name).unwrap()
    }

    /// As [`figure`](Self::figure); `None` where nobody listens yet.
    pub fn figure_if_up(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics")?;
        let value = |line: &str| {
            let rest = line.strip_prefix("aggregator_")?.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let ours = labels.is_empty() || labels.starts_with('{');
            ours.then(|| value.parse::<f64>().unwrap())
        };
        let values: Vec<_> = text.lines().filter_map(value).collect();
        assert!(!values.is_empty(), "{name} is not in\n{text}");
        Some(values.iter().sum())
    }

    /// Polls until `done`, within a bound.
    pub fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..POLLS {
            if done() {
                return;
            }
            std::thread::sleep(POLL);
        }
        panic!("waited for {what} in vain");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last = log.lines().count().saturating_sub(SHOWN_LINES);
            let lines: Vec<_> = log.lines().skip(last).collect();
            eprintln!("the service's log ended:\n{}", lines.join("\n"));
            eprintln!("its threads wait in: {}", self.waits_in());
        }
        // The keeper sees its input close.
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// How long a starved service is halted, and runs.
const STARVED: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(1)];
const POLL: Duration = Duration::from_millis(10);
/// Two minutes: far above what anything here takes on a busy machine.
const POLLS: u32 = 12_000;
pub const PATIENCE: Duration = Duration::from_secs(120);
const SHOWN_LINES: usize = 40;
