//! A real Prometheus with `deploy/`'s own configuration and rules, pointed at one service and in a
//! hurry; it ends with its test, however that ends. And its tool, `promtool`.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::files;
use crate::topic::now;
use support::install;
use support::redis::free_port;

/// Runs the server until our end of the pipe closes.
const KEEPER: &str = r#"trap '' INT TERM
"$@" >log 2>&1 </dev/null & cat >/dev/null; kill -9 $! 2>/dev/null; wait"#;

/// A running server.
pub(crate) struct Prometheus {
    keeper: Child,
    dir: TempDir,
    port: u16,
}

/// Runs `promtool` in `deploy/`; answers what it says, and whether it is content.
pub(crate) fn promtool(args: &[&str]) -> (bool, String) {
    install::ensure("promtool", &["prometheus"]);
    let done = Command::new("promtool").args(args).current_dir(files::folder()).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}

impl Prometheus {
    /// A server that scrapes the service on `port` every second.
    pub(crate) fn start(port: u16) -> Self {
        install::ensure("prometheus", &["prometheus"]);
        let dir = tempfile::tempdir().unwrap();
        let mut config = files::text("prometheus.yml");
        for (from, to) in [
            ("aggregator:8081", format!("127.0.0.1:{port}").as_str()),
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ] {
            assert_eq!(config.matches(from).count(), 1, "{from} in prometheus.yml");
            config = config.replace(from, to);
        }
        fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        fs::write(dir.path().join("alerts.yml"), files::text("alerts.yml")).unwrap();
        let port = free_port();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh", "prometheus", "--config.file=prometheus.yml"])
            .args(["--storage.tsdb.path=data", &format!("--web.listen-address=127.0.0.1:{port}")])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { keeper, dir, port }
    }

    /// The values of a query at this moment, or of its last seconds.
    ///
    /// # Errors
    /// What Prometheus has against it.
    pub(crate) fn values(&self, expr: &str, instant: bool) -> Result<Vec<f64>, String> {
        let end = now().timestamp();
        let (start, end) = ((end - SHOWN_SECONDS).to_string(), end.to_string());
        let data = if instant {
            self.ask("query", &[("query", expr)])?
        } else {
            let over = [("query", expr), ("start", &start), ("end", &end), ("step", "1")];
            self.ask("query_range", &over)?
        };
        let of = |series: &Value| {
            let values = series["values"].as_array().cloned();
            values.unwrap_or_else(|| vec![series["value"].clone()])
        };
        let points = files::list(&data["result"]).iter().flat_map(of);
        Ok(points.map(|point| point[1].as_str().unwrap().parse().unwrap()).collect())
    }

    /// The values that a label has in the series of `selector`.
    pub(crate) fn label(&self, label: &str, selector: &str) -> Result<Vec<String>, String> {
        let data = self.ask(&format!("label/{label}/values"), &[("match[]", selector)])?;
        Ok(files::list(&data).iter().map(files::word).collect())
    }

    /// Every alert with its state, those that were evaluated; a rule that fails is an error.
    pub(crate) fn states(&self) -> Result<Vec<(String, String)>, String> {
        let data = self.ask("rules", &[("type", "alert")])?;
        let rules =
            files::list(&data["groups"]).iter().flat_map(|group| files::list(&group["rules"]));
        let mut states = Vec::new();
        for rule in rules {
            match rule["health"].as_str() {
                Some("ok") => {
                    states.push((files::word(&rule["name"]), files::word(&rule["state"])))
                }
                Some("unknown") => {}
                _ => return Err(rule.to_string()),
            }
        }
        Ok(states)
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = ureq::Agent::new_with_config(config.timeout_global(Some(PATIENCE)).build());
        let request = agent.get(url).query_pairs(parameters.iter().copied());
        let answer = request.call().and_then(|mut answer| answer.body_mut().read_to_string());
        let answer = answer.map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&answer).map_err(|_| answer)?;
        if answer["status"] == "success" {
            Ok(answer["data"].take())
        } else {
            Err(answer.to_string())
        }
    }

    /// Polls until nothing is left of what `missing` finds, within a bound.
    pub(crate) fn until_none(&self, what: &str, mut missing: impl FnMut() -> Vec<String>) {
        let mut left = missing();
        for _ in 0..POLLS {
            if left.is_empty() {
                return;
            }
            std::thread::sleep(POLL);
            left = missing();
        }
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        panic!("{what}:\n{}\nPrometheus says:\n{log}", left.join("\n"));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // The keeper sees its input close.
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// What a range query looks back: some scrapes.
const SHOWN_SECONDS: i64 = 10;
const PATIENCE: Duration = Duration::from_secs(60);
/// Two minutes and more: far above what a scrape takes on a busy machine.
const POLL: Duration = Duration::from_millis(250);
const POLLS: u32 = 480;
