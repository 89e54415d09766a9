//! A real `redis-server` on a free port, in a directory of its own, ended with its test: also
//! when the test's process dies, since a shell then sees its end of the pipe close.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::install;
use super::signals::{halt, resume};

/// A running server.
pub struct RedisServer {
    port: u16,
    args: Vec<String>,
    dir: TempDir,
    process: Process,
}

struct Process {
    shell: Child,
    pid: String,
}

impl RedisServer {
    /// A server without persistence.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`RedisServer::start`], with more command line arguments.
    pub fn start_with(args: &[&str]) -> Self {
        install::ensure("redis-server", &["redis-server"]);
        let dir = tempfile::tempdir().expect("a temporary directory");
        // What comes later wins.
        let args = [&["--save", "", "--appendonly", "no"], args].concat();
        Self::launch(free_port(), dir, &args)
    }

    /// A sentinel with this configuration.
    pub fn sentinel(config: &str) -> Self {
        install::ensure("redis-server", &["redis-server"]);
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("sentinel.conf"), config).expect("its configuration");
        Self::launch(free_port(), dir, &["sentinel.conf", "--sentinel"])
    }

    fn launch(port: u16, dir: TempDir, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let process = Process::start(port, &dir, &args);
        Self { port, args, dir, process }
    }

    /// `host:port`.
    pub fn addr(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The port alone.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> &str {
        &self.process.pid
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.end();
    }

    /// Starts it again on the same port, without data.
    pub fn restart_empty(&mut self) {
        self.restart();
    }

    /// Starts it again on the same port, with what it has on its disk.
    pub fn restart(&mut self) {
        self.kill();
        self.process = Process::start(self.port, &self.dir, &self.args);
    }

    /// Makes it hang: connections are accepted by the system, nothing is answered.
    pub fn stop(&self) {
        halt(self.pid());
    }

    /// Ends the hang.
    pub fn cont(&self) {
        resume(self.pid());
    }

    /// Sends one command as plain words and gives the raw answer.
    pub fn command(&self, words: &str) -> String {
        answer(self.port, words).expect(words)
    }
}

impl Process {
    fn start(port: u16, dir: &TempDir, args: &[String]) -> Self {
        // In the background its input is not ours: the pipe closes with this process alone.
        let script = r#"trap '' INT TERM
            redis-server "$@" >log 2>&1 & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait"#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).args(args);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.current_dir(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().expect("a shell");
        let mut pid = String::new();
        let stdout = shell.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut pid).expect("the server's process id");
        let pid = pid.trim().to_owned();
        let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        // Another server could have taken the port in between: the answer must be this one's.
        let ours = format!("process_id:{pid}\r");
        let mut tries = 0..READY_POLLS;
        while !answer(port, "INFO server").is_some_and(|info| info.contains(&ours)) {
            assert!(tries.next().is_some(), "redis-server is not ready: {}", log());
            std::thread::sleep(READY_POLL);
        }
        Self { shell, pid }
    }

    fn end(&mut self) {
        // Closing its input makes the shell end the server.
        drop(self.shell.stdin.take());
        self.shell.wait().expect("the shell's end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr());
    free.expect("a free port").port()
}

fn answer(port: u16, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).ok()?;
    let (mut answer, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&answer);
        // A sentinel knows no QUIT, and does not close.
        if let Some(text) = text.strip_suffix(NO_QUIT) {
            return Some(text.to_owned());
        }
        match stream.read(&mut part).ok()? {
            0 => return text.strip_suffix("+OK\r\n").map(str::to_owned),
            length => answer.extend_from_slice(&part[..length]),
        }
    }
}

const NO_QUIT: &str = "-ERR unknown command 'QUIT', with args beginning with: \r\n";

/// A server needs some 10 ms; a machine busy with builds some seconds: 20 s in all.
const READY_POLL: Duration = Duration::from_millis(10);
const READY_POLLS: u32 = 2_000;
/// A server that is up answers far sooner; one that hangs must not hang the test.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
