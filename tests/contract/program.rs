//! The rows of the program table: commands, what they print where, and how they end.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use aggregator_service::config::SETTINGS;
use serde_json::{Value, json};

use crate::ask::{ask, ask_with};
use crate::document;
use crate::service::PATIENCE;
use crate::stage::{QUIET, Stage, command, second, until};
use support::oracle;
use support::redis::free_port;
use support::signals::signal;

/// Every command of the contract.
const COMMANDS: [&str; 8] =
    ["run", "demo", "replay", "check", "topics", "config", "completions", "healthcheck"];

/// Exit code, stdout, stderr.
fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    ended(command(arguments).output().unwrap())
}

/// A child that goes away with its test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Sends SIGTERM; what it said to the end.
    fn stop(mut self) -> (i32, String, String) {
        let pid = self.0.id().to_string();
        signal(&pid, "TERM");
        let mut text = [String::new(), String::new()];
        let (mut out, mut err) = (self.0.stdout.take().unwrap(), self.0.stderr.take().unwrap());
        std::io::Read::read_to_string(&mut out, &mut text[0]).unwrap();
        std::io::Read::read_to_string(&mut err, &mut text[1]).unwrap();
        let [out, err] = text;
        (self.0.wait().unwrap().code().expect("an exit code"), out, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is waited for already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) fn logs(stage: &Stage) {
    let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|it| it.is_object());
    let cases = [("", "auto", true), ("run", "json", true), ("run", "text", false)];
    for (name, format, json) in cases {
        let port = free_port();
        let variables = stage.variables_of(&format!("logs-{format}"), &[("LOG_FORMAT", format)]);
        let mut command = command(name.split_whitespace().collect::<Vec<_>>().as_slice());
        command.envs(variables).env("METRICS_PORT", port.to_string());
        let running = Running::start(&mut command);
        until("it to be ready", || {
            crate::ask::ask_if_up(port, "GET /readyz").is_some_and(|answer| answer.status == 200)
        });
        let (code, out, err) = running.stop();
        assert_eq!((code, &*out), (0, ""), "{err}");
        assert!(err.lines().count() >= 4, "{err}");
        assert!(err.contains("aggregator-service starts") && err.contains("stopped"), "{err}");
        assert!(err.lines().all(|line| is_json(line) == json), "{err}");
        assert!(!err.contains('\x1b'), "colours are for terminals: {err}");
    }
}

pub(crate) fn fenced(stage: &Stage) {
    let first = stage.start("rivals", &[]);
    first.ready();
    let second = stage.start("rivals", &[]);
    assert_eq!(first.exit_code(PATIENCE), 75, "{}", first.log());
    second.ready();
    second.terminate();
    assert_eq!(second.exit_code(PATIENCE), 0, "{}", second.log());
}

pub(crate) fn failed(stage: &Stage) {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let variables = stage.variables_of("failed", &[("METRICS_PORT", &port)]);
    let (code, out, err) = ended(command(&["run"]).envs(variables).output().unwrap());
    assert_eq!((code, &*out), (1, ""), "{err}");
    let complaints: Vec<_> = err.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(complaints.len(), 1, "{err}");
    assert!(complaints[0].contains(&format!("METRICS_PORT {port}")), "{err}");
}

pub(crate) fn demo(_: &Stage) {
    let port = free_port();
    let mut command = command(&["demo", "--seed", "7"]);
    let mut running = Running::start(command.env("METRICS_PORT", port.to_string()));
    let mut out = BufReader::new(running.0.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert!(first.contains("seed 7") && first.contains(&port.to_string()), "{first}");
    let reader = std::thread::spawn(move || out.lines().map_while(Result::ok).count());
    until("it to be ready", || ask(port, "GET /readyz").status == 200);
    for path in ["/health", "/livez", "/metrics", "/stats", "/tokens", "/events", "/version"] {
        assert_eq!(ask(port, &format!("GET {path}")).status, 200, "{path}");
    }
    document::conform(port);
    // What is in force, not what `run` would do.
    let config = ask(port, "GET /config").json();
    let interval = json!({
        "name": "AGGREGATE_PUBLISH_INTERVAL", "value": "1s", "origin": "default",
    });
    assert!(config["settings"].as_array().unwrap().contains(&interval), "{config}");
    // Without ADMIN_TOKEN over loopback.
    let json = ["Content-Type: application/json"];
    let published = ask_with(port, "POST /publish", &json, r#"{"all":true}"#).json();
    assert!(published["published"].as_u64().unwrap() > 100, "{published}");
    let pid = running.0.id().to_string();
    signal(&pid, "TERM");
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert!(reader.join().unwrap() > 10, "what it shows");
}

pub(crate) fn replay(stage: &Stage) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines");
    let line = Value::Array(stage.trades.iter().map(|told| told.json()).collect());
    std::fs::write(&file, format!("{line}\nno trade\n")).unwrap();
    let settings =
        ["--set", "TIME_WINDOWS=10s,1min,1hour", "--set", "AGGREGATE_PUBLISH_INTERVAL=1h"];
    let named = [&["replay", file.to_str().unwrap()][..], &settings].concat();
    let (code, out, said) = run(&named);
    assert_eq!(code, 0, "{said}");
    let last = out.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let message = last.into_iter().find(|message| message["token"] == QUIET).expect(&out);
    let end = second(&message["aggregate_data"][0]["timestamp"]);
    let expected = stage.expected(QUIET, end);
    assert!(oracle::same(&message["aggregate_data"], &expected), "{message}\nnot\n{expected}");

    let mut command = command(&[&["replay", "-"][..], &settings].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut piped = command.spawn().unwrap();
    let mut input = piped.stdin.take().unwrap();
    input.write_all(&std::fs::read(&file).unwrap()).unwrap();
    drop(input);
    let (code, same, _) = ended(piped.wait_with_output().unwrap());
    assert_eq!((code, timeless(&same)), (0, timeless(&out)));

    let (code, out, err) = run(&["replay", "no-such-file"]);
    assert_eq!((code, &*out), (1, ""), "{err}");
    assert!(err.contains("no-such-file"), "{err}");
}

/// Lines without when they were made.
fn timeless(lines: &str) -> Vec<Value> {
    let parsed = |line| {
        let mut message: Value = serde_json::from_str(line).unwrap();
        message["generated_at"] = Value::Null;
        message
    };
    lines.lines().map(parsed).collect()
}

pub(crate) fn config(_: &Stage) {
    let mut command = command(&["config", "--set", "KAFKA_TOPIC=mine"]);
    command.env("ADMIN_TOKEN", "hush").env("MAX_WORKERS", "8");
    let (code, out, err) = ended(command.output().unwrap());
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains("hush") && !err.contains("hush"), "{out}{err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), SETTINGS.len(), "{out}");
    for (line, setting) in lines.iter().zip(SETTINGS) {
        let (value, origin) = match setting.name {
            "KAFKA_TOPIC" => ("mine", "flag"),
            "ADMIN_TOKEN" => ("***", "environment"),
            _ => (setting.default, "default"),
        };
        let (told, from) = line.rsplit_once("  # ").expect(line);
        assert_eq!((told.trim_end(), from), (&*format!("{}={value}", setting.name), origin));
    }
}

pub(crate) fn healthcheck(stage: &Stage) {
    let check = |port: u16| run(&["healthcheck", "--set", &format!("METRICS_PORT={port}")]);
    assert_eq!(check(stage.port), (0, "alive\n".to_owned(), String::new()));
    let nobody = free_port();
    let (code, out, _) = check(nobody);
    assert_eq!(code, 1);
    assert!(out.contains(&nobody.to_string()), "{out}");
}

pub(crate) fn help(_: &Stage) {
    let (code, told, err) = run(&["--help"]);
    assert_eq!((code, &*err), (0, ""));
    let commands = told.split("Commands:\n").nth(1).expect(&told).split("\n\n").next().unwrap();
    let named = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let named: BTreeSet<_> = named.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(named, COMMANDS.into_iter().chain(["help"]).collect());
    let version = run(&["--version"]).1;
    for name in COMMANDS {
        let (code, out, err) = run(&[name, "--help"]);
        assert_eq!((code, &*err), (0, ""), "{name}");
        assert!(out.contains("Usage:") && out.contains("--set"), "{name}: {out}");
        let (code, out, err) = run(&[name, "--version"]);
        assert_eq!((code, &*err), (0, ""), "{name}");
        assert_eq!(out.rsplit(' ').next(), version.rsplit(' ').next(), "{name}: {out}");
    }
}

pub(crate) fn wrong(_: &Stage) {
    for usage in [&["fly"][..], &["--fly"], &["run", "x"], &["replay", "a", "b"], &["--set", "X"]] {
        let (code, out, err) = run(usage);
        assert_eq!((code, &*out), (64, ""), "{usage:?}: {err}");
        assert!(err.contains("error:") && err.contains("--help"), "{usage:?}: {err}");
    }
    // A shell is asked for its completions wherever it is.
    for name in COMMANDS.into_iter().filter(|name| *name != "completions") {
        let mut command = command(&[name]);
        command.env("METRICS_PORT", "many").env("LOG_LEVEL", "LOUD").env("REDIS_DB", "-1");
        let (code, out, err) = ended(command.output().unwrap());
        assert_eq!((code, &*out), (64, ""), "{name}: {err}");
        let lines: Vec<_> = err.lines().collect();
        assert_eq!(lines.len(), 3, "{name}: all at once, a line each: {err}");
        for (variable, value) in
            [("METRICS_PORT", "many"), ("LOG_LEVEL", "LOUD"), ("REDIS_DB", "-1")]
        {
            let line = lines.iter().find(|line| line.contains(variable)).expect(variable);
            assert!(line.contains(value) && line.contains("accepted"), "{line}");
        }
    }
}

pub(crate) fn check(stage: &Stage) {
    let variables = stage.variables_of("contract", &[("METRICS_PORT", &stage.port.to_string())]);
    let before = stage.redis.command("DBSIZE");
    let (code, out, err) = ended(command(&["check"]).envs(variables).output().unwrap());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&stage.kafka.address()) && out.contains("contract-trades"), "{out}");
    assert_eq!(stage.redis.command("DBSIZE"), before);
    let nobody = format!("127.0.0.1:{}", free_port());
    let variables = stage.variables_of("contract", &[("KAFKA_BROKERS", &nobody)]);
    let (code, out, _) = ended(command(&["check"]).envs(variables).output().unwrap());
    assert_eq!(code, 1, "{out}");
    assert!(out.contains(&nobody), "{out}");
}

pub(crate) fn topics(stage: &Stage) {
    let topics = |arguments: &[&str]| {
        let variables = stage.variables_of("made", &[]);
        ended(command(&[&["topics"][..], arguments].concat()).envs(variables).output().unwrap())
    };
    let (code, out, _) = topics(&[]);
    assert_eq!(code, 1, "all are missing: {out}");
    for kind in ["trades", "aggregates", "letters", "names"] {
        assert!(out.contains(&format!("made-{kind}")), "{out}");
    }
    let (code, out, err) = topics(&["--create"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(topics(&[]).0, 0, "nothing is left to do");
}

pub(crate) fn completions(_: &Stage) {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, err) = run(&["completions", shell]);
        assert_eq!((code, &*err), (0, ""), "{shell}");
        assert!(out.contains("healthcheck"), "{shell}: {out}");
    }
    assert_eq!(run(&["completions", "tcsh"]).0, 64);
}
