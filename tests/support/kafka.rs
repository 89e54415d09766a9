//! A real Kafka (KRaft, one node; 4, and where a test wants it 3.9) on free ports with a directory
//! of its own, and Java's own clients as the foreign ones. The broker ends, and its directory goes,
//! with the test process, however that ends.

mod foreign;
mod jars;
pub mod raw_produce;
pub mod secure;
pub mod three;
pub mod topic;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use aggregator_service::kafka::{KafkaConfig, connect};

pub use foreign::{
    Session, console_consume, console_produce, consumer_groups, ensure_compiler, foreign,
};
use jars::java_of;
pub use jars::{Release, jars};

use crate::signals::{halt, resume, signal};

/// A node listens some 5 s after its start; on a busy machine it takes longer.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Linux gives away those from 32,768 on.
const BROKER_PORTS: std::ops::Range<u16> = 12_000..32_000;

/// Runs the broker as a child and kills it when told to, or when this process is gone and its end
/// of the pipe with it. `keep` leaves the directory.
const WATCHER: &str = r#"dir=$1; shift
"$@" >>"$dir/out" 2>&1 </dev/null &
echo $!
read -r order
kill -9 $!
wait $! 2>/dev/null
[ "$order" = keep ] || rm -rf "$dir""#;

/// A running broker.
#[derive(Debug)]
pub struct KafkaBroker {
    dir: PathBuf,
    port: u16,
    release: Release,
    jvm: &'static [&'static str],
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    watcher: Child,
    orders: Option<ChildStdin>,
    broker: String,
}

/// A quick start matters more than throughput.
const BRIEF_JVM: [&str; 3] = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// Throughput matters.
const LOAD_JVM: [&str; 2] = ["-Xmx768m", "-XX:+UseSerialGC"];

impl KafkaBroker {
    /// A broker that all tests of this binary share; they must not break it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<KafkaBroker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A broker of one's own.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A broker with server properties of one's own; they win, and with a `+` before the name
    /// they are added to the value that is there.
    pub fn start_with(properties: &[(&str, &str)]) -> Self {
        Self::start_release(Release::Four, properties)
    }

    /// As [`Self::start_with`], a broker of this release.
    pub fn start_release(release: Release, properties: &[(&str, &str)]) -> Self {
        Self::launch(free_ports(), properties, release, &BRIEF_JVM)
    }

    /// As [`Self::start_with`], for a test of throughput.
    pub fn start_for_load(properties: &[(&str, &str)]) -> Self {
        Self::launch(free_ports(), properties, Release::Four, &LOAD_JVM)
    }

    fn launch(
        [port, controller]: [u16; 2],
        properties: &[(&str, &str)],
        release: Release,
        jvm: &'static [&'static str],
    ) -> Self {
        let dir = tempfile::Builder::new().prefix("kafka-").tempdir().expect("directory").keep();
        fs::write(dir.join("server.properties"), settings(&dir, port, controller, properties))
            .expect("properties");
        let mut broker = Self { dir, port, release, jvm, process: None };
        broker.format();
        broker.restart();
        broker
    }

    /// Where clients connect: `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How our own client connects.
    pub fn config(&self) -> KafkaConfig {
        KafkaConfig {
            brokers: vec![self.address()],
            client_id: "test".to_owned(),
            tls: None,
            sasl: None,
        }
    }

    /// The first log segment of a partition, as it is on the disk.
    pub fn segment(&self, topic: &str, partition: i32) -> Vec<u8> {
        let segment = format!("data/{topic}-{partition}/00000000000000000000.log");
        fs::read(self.dir.join(segment)).expect("segment")
    }

    /// Kills the broker as a crash does.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end("keep");
        }
    }

    /// Halts the broker: it keeps its connections and says nothing.
    pub fn stop(&self) {
        halt(self.pid());
    }

    /// Lets a halted broker go on.
    pub fn cont(&self) {
        resume(self.pid());
    }

    /// Kills the broker if it runs and starts it on the same ports and data; returns when it
    /// answers.
    pub fn restart(&mut self) {
        self.kill9();
        self.process = Some(self.spawn());
        let config = self.config();
        let answer = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("runtime").block_on(connect(&config, START_LIMIT)).map(drop)
        });
        if let Err(error) = answer.join().expect("thread") {
            let out = fs::read_to_string(self.dir.join("out")).unwrap_or_default();
            panic!("Kafka did not start: {error}\n{out}");
        }
        // Another one could have taken the port: the answer must be this one's.
        signal(self.pid(), "0");
    }

    fn format(&self) {
        let done = java_of(self.release, self.jvm)
            .args(["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"])
            .arg(self.dir.join("server.properties"))
            .output()
            .expect("java");
        assert!(done.status.success(), "storage cannot be formatted: {done:?}");
    }

    fn spawn(&self) -> Process {
        let mut java = java_of(self.release, self.jvm);
        java.arg(format!("-Djava.io.tmpdir={}", self.dir.display()));
        let mut watcher = Command::new("sh")
            .args(["-c", WATCHER, "sh"])
            .arg(&self.dir)
            .arg(java.get_program())
            .args(java.get_args())
            .arg("kafka.Kafka")
            .arg(self.dir.join("server.properties"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut broker = String::new();
        let out = watcher.stdout.take().expect("stdout");
        BufReader::new(out).read_line(&mut broker).expect("process id");
        Process { orders: watcher.stdin.take(), watcher, broker: broker.trim().to_owned() }
    }

    fn pid(&self) -> &str {
        &self.process.as_ref().expect("a running broker").broker
    }
}

impl Process {
    fn end(&mut self, order: &str) {
        if let Some(mut orders) = self.orders.take() {
            writeln!(orders, "{order}").expect("order");
        }
        self.watcher.wait().expect("end");
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        match self.process.take() {
            Some(mut process) => process.end("remove"),
            None => drop(fs::remove_dir_all(&self.dir)),
        }
    }
}

/// Ports that nobody listens on at this moment, below those that the system gives away itself: a
/// broker needs seconds until it listens, and in that time no connection may take one.
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let mut found = Vec::new();
    while found.len() < COUNT {
        let port = rand::random_range(BROKER_PORTS);
        if !found.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            found.push(port);
        }
    }
    found.try_into().expect("so many")
}

fn settings(dir: &Path, port: u16, controller: u16, properties: &[(&str, &str)]) -> String {
    let mut text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CONTROLLER://127.0.0.1:{controller},CLIENT://127.0.0.1:{port}
advertised.listeners=CLIENT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,CLIENT:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs={}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
log.cleaner.backoff.ms=200
log.cleaner.dedupe.buffer.size=2000000
log.initial.task.delay.ms=500
",
        dir.join("data").display()
    );
    for (name, value) in properties {
        match name.strip_prefix('+') {
            Some(name) => {
                let line = text.lines().find(|line| line.starts_with(&format!("{name}=")));
                let line = line.expect("a setting to add to").to_owned();
                text = text.replace(&line, &(line.clone() + value));
            }
            None => text.push_str(&format!("{name}={value}\n")),
        }
    }
    text
}
