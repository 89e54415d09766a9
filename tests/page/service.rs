//! `demo` as a child process: the real program over a simulated market. It ends with the test
//! process, however that ends: a shell sees its end of the pipe close.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Runs the program, tells its process id, and kills it when our end of the pipe closes.
const KEEPER: &str = r#"exec 3<&0
"$@" </dev/null >/dev/null 2>&1 & service=$!
echo $service
{ cat <&3 >/dev/null; kill -9 $service; } & guard=$!
wait $service
kill -9 $guard"#;

/// The program on a port of its own; killed when it is dropped.
pub(crate) struct Service {
    keeper: Child,
    pid: String,
    port: u16,
}

impl Service {
    /// The one that most tests look at.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Service> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// With ten thousand tokens.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_on(free_port(), variables)
    }

    fn start_on(port: u16, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "sh", env!("CARGO_BIN_EXE_aggregator-service")]);
        command.args(["demo", "--tokens", "10000", "--seed", "7"]);
        // The interval is that of the real service: a demo publishes every second.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("AGGREGATE_PUBLISH_INTERVAL", "30s");
        command.env("METRICS_PORT", port.to_string()).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper = command.spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        let service = Self { keeper, pid: pid.trim().to_owned(), port };
        service.wait_until_it_counts();
        service
    }

    /// A page that is opened before finds it catching up; the figures are those of a full market.
    fn wait_until_it_counts(&self) {
        let began = Instant::now();
        while self.active_tokens() < MANY {
            assert!(began.elapsed() < PATIENCE, "only {} tokens are active", self.active_tokens());
            std::thread::sleep(PAUSE);
        }
    }

    fn active_tokens(&self) -> u64 {
        let Ok(mut answer) = ureq::get(self.url("/tokens?limit=1")).call() else { return 0 };
        let answer = answer.body_mut().read_to_string().unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["active"].as_u64().unwrap()
    }

    /// Where it answers.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Its answer as JSON.
    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let text = ureq::get(self.url(path)).call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Killed as a crash does it, and away until the returned port is used again.
    pub(crate) fn kill(self) -> Away {
        Away { port: self.port }
    }

    /// Seconds of a core that it has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // utime and stime in hundredths of a second, counted from behind the name.
        fields[11..=12].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }
}

/// A service that is not there.
pub(crate) struct Away {
    port: u16,
}

impl Away {
    /// Starts it again in the same place.
    pub(crate) fn start_again(self) -> Service {
        Service::start_on(self.port, &[])
    }
}

/// A port that nobody listens on at this moment.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

/// Ten thousand are traded, and each of them is within the longest window after some minutes; a
/// market that has just begun has nearly all.
const MANY: u64 = 5_000;

const PAUSE: Duration = Duration::from_millis(50);

const PATIENCE: Duration = Duration::from_secs(60);
