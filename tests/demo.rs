//! `demo` as its users see it: the real binary, no Kafka, no Redis, on a pipe and on a terminal.
#![cfg(test)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_aggregator-service");

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().env("METRICS_PORT", "0").arg("demo").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The lines of a demo that ended as it should.
fn lines(mut command: Command) -> Vec<String> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The number that stands before a word.
fn number(line: &str, word: &str) -> u64 {
    let before = line.split(&format!(" {word}")).next().unwrap();
    before.rsplit([' ', '(']).next().unwrap().parse().expect(line)
}

#[test]
fn on_a_pipe_it_prints_plain_lines_whose_figures_agree() {
    let lines = lines(demo(&["--seconds", "4", "--seed", "7"]));
    assert!(lines.iter().all(|line| !line.contains('\x1b')), "{lines:#?}");
    assert!(lines[0].starts_with("seed 7, http://localhost:"), "{}", lines[0]);
    let closing = lines.last().unwrap();
    assert!(closing.ends_with("seed 7"), "{closing}");

    let mut lines_by_tick: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in &lines[1..lines.len() - 1] {
        let (tick, rest) = line.split_once(' ').unwrap();
        lines_by_tick.entry(tick).or_default().push(rest);
    }
    assert!(lines_by_tick.len() >= 2, "{lines:#?}");
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
        let kill = format!("kill -s {signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
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
    let mut command = demo(&["--seconds", "1"]);
    command.env("METRICS_PORT", &port);
    let lines = lines(command);
    assert!(lines[0].contains(&format!("no HTTP: METRICS_PORT {port} cannot be used")));
}

/// `script` (bsdutils, essential in Debian) gives the demo a terminal.
#[test]
fn on_a_terminal_it_redraws_a_table_and_gives_the_terminal_back() {
    let run = format!("stty rows 20 cols 80; {BINARY} demo --seconds 3 --seed 7");
    let mut command = Command::new("script");
    command.args(["-qec", &run, "/dev/null"]).env("METRICS_PORT", "0").env("TERM", "xterm");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.starts_with("\x1b[?1049h\x1b[?25l"), "{shown:?}");
    let (frames, closing) = shown.split_once("\x1b[?25h\x1b[?1049l").unwrap();
    assert!(closing.starts_with("demo ended after ") && closing.lines().count() == 1);
    let frames: Vec<_> = frames.split("\x1b[H").skip(1).collect();
    assert!(frames.len() > 4);
    for frame in &frames {
        assert!(frame.lines().count() <= 20);
        let plain = console::strip_ansi_codes(frame);
        assert!(plain.lines().all(|line| line.trim_end().chars().count() <= 80), "{plain}");
    }
    let last = console::strip_ansi_codes(frames.last().unwrap());
    assert!(last.contains("buys/sells") && last.lines().count() == 20, "{last}");
}
