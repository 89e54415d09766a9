//! `demo` as its users see it: the real binary, no Kafka, no Redis, on a pipe and on a terminal.
#![cfg(test)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_aggregator-service");

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().env("METRICS_PORT", "0").arg("demo").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Sends a signal to a process, as a shell does.
fn kill(signal: &str, process: u32) {
    let kill = format!("kill -s {signal} {process}");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// The number that stands before a word.
fn number(line: &str, word: &str) -> u64 {
    let before = line.split(&format!(" {word}")).next().unwrap();
    before.rsplit([' ', '(']).next().unwrap().parse().expect(line)
}

#[test]
fn on_a_pipe_it_prints_plain_lines_whose_figures_agree() {
    let mut child = demo(&["--seconds", "60", "--seed", "7"]).spawn().unwrap();
    let mut lines: Vec<String> = Vec::new();
    let mut ticks = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        ticks += u32::from(line.contains(" trades/s, "));
        if ticks == 3 {
            ticks += 1;
            let url = lines[0].split([' ', ',']).find(|word| word.starts_with("http")).unwrap();
            let health = ureq::get(format!("{url}health"))
                .call()
                .unwrap()
                .body_mut()
                .read_to_string()
                .unwrap();
            assert!(health.contains(r#""status":"healthy""#), "{health}");
            kill("INT", child.id());
        }
        lines.push(line);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(lines.iter().all(|line| !line.contains('\x1b')), "{lines:#?}");
    assert!(lines[0].starts_with("seed 7, http://localhost:"), "{}", lines[0]);
    let closing = lines.last().unwrap();
    assert!(closing.ends_with("seed 7"), "{closing}");

    let mut lines_by_tick: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in &lines[1..lines.len() - 1] {
        let (tick, rest) = line.split_once(' ').unwrap();
        lines_by_tick.entry(tick).or_default().push(rest);
    }
    assert!(lines_by_tick.len() >= 3, "{lines:#?}");
    for told in lines_by_tick.values() {
        assert_eq!(told.len(), 11, "ten tokens and the whole");
        let trades: Vec<_> = told[..10].iter().map(|line| number(line, "trades")).collect();
        assert!(trades.is_sorted_by(|left, right| left >= right) && trades[9] > 0, "{told:#?}");
        assert!(number(told[10], "tokens,") > 100, "{told:#?}");
    }
    let figure = |word| number(closing, word);
    let sorted = figure("trades counted") + figure("late,") + figure("rejected");
    assert_eq!(sorted, figure("elements"), "{closing}");
    assert!(figure("trades counted") > 10_000 && figure("rejected") > 0, "{closing}");
    let last = told(&lines_by_tick);
    assert!(figure("messages") >= number(last, "messages"), "{closing}");
}

fn told<'a>(lines_by_tick: &BTreeMap<&str, Vec<&'a str>>) -> &'a str {
    lines_by_tick.last_key_value().unwrap().1[10]
}

#[test]
fn a_signal_ends_it_cleanly() {
    for signal in ["INT", "TERM"] {
        let mut child = demo(&[]).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        kill(signal, child.id());
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(rest.lines().last().unwrap().starts_with("demo ended after "), "{rest}");
    }
}

#[test]
fn a_reader_that_leaves_is_a_clean_end() {
    let mut child = demo(&[]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_port_that_is_taken_is_named_and_does_not_matter() {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = demo(&["--seconds", "1"]).env("METRICS_PORT", &port).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let note = format!("no HTTP: METRICS_PORT {port} cannot be used");
    assert!(String::from_utf8(output.stdout).unwrap().lines().next().unwrap().contains(&note));
}

#[test]
fn a_stop_does_not_wait_until_the_next_checkpoint_is_due() {
    let mut command = demo(&["--seconds", "1", "--set", "CHECKPOINT_INTERVAL=1m"]);
    command.args(["--set", "CHECKPOINT_MAX_AGE=2m", "--set", "SHUTDOWN_TIMEOUT=30s"]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains("deadline"), "{said}");
}

/// `script` (bsdutils, essential in Debian) gives the demo a terminal, and is its keyboard.
#[test]
fn on_a_terminal_it_redraws_a_table_until_ctrl_c_and_gives_the_terminal_back() {
    let run = format!("stty rows 20 cols 80; exec {BINARY} demo --seconds 60");
    let mut command = Command::new("script");
    command.args(["-qec", &run, "/dev/null"]).env("METRICS_PORT", "0").env("TERM", "xterm");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut chunk, mut pressed) = (String::new(), [0; 65_536], false);
    loop {
        let length = output.read(&mut chunk).unwrap();
        shown.push_str(&String::from_utf8_lossy(&chunk[..length]));
        let full = shown.split("\x1b[H").any(|frame| frame.lines().count() == 20);
        if full && !pressed {
            keys.write_all(b"\x03").unwrap();
            pressed = true;
        }
        if length == 0 {
            break;
        }
    }
    let status = child.wait().unwrap();
    assert!(status.success() && pressed, "{status} {shown:?}");
    assert!(shown.starts_with("\x1b[?1049h\x1b[?25l"), "{shown:?}");
    let (frames, closing) = shown.split_once("\x1b[?25h\x1b[?1049l").unwrap();
    assert!(closing.starts_with("demo ended after ") && closing.lines().count() == 1, "{closing}");
    for frame in frames.split("\x1b[H").skip(1) {
        assert!(frame.lines().count() <= 20);
        let plain = console::strip_ansi_codes(frame).replace("^C", ""); // the terminal's own echo
        assert!(plain.lines().all(|line| line.trim_end().chars().count() <= 80), "{plain}");
        assert!(plain.contains("trades/s") && plain.contains("buys/sells"), "{plain}");
    }
}
