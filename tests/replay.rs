//! `replay` as its users see it: files in, lines out, against the naive definition.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use support::oracle::{self, Span, Told};

/// 2023-11-14T22:13:20Z.
const START: i64 = 1_700_000_000;
const SPANS: [Span; 3] = [("10s", 10), ("1min", 60), ("30s", 30)];
const LONGEST: i64 = 60;
const INTERVAL: i64 = 7;

fn replay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aggregator-service"));
    command.env_clear().arg("replay").args(arguments);
    command.args(["--set", "TIME_WINDOWS=10s,1min,30s", "--set", "AGGREGATE_PUBLISH_INTERVAL=7s"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn replayed(arguments: &[&str]) -> (Vec<Value>, String) {
    let output = replay(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{said}");
    (messages(&output), said)
}

fn messages(output: &Output) -> Vec<Value> {
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// A folder of its own, and a file with these lines in it.
fn file(lines: &[String]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trades.jsonl");
    fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    (folder, file)
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn told(token: &str, second: i64) -> Told {
    Told {
        token: token.to_owned(),
        buy: true,
        native: "1".to_owned(),
        amount: "2".to_owned(),
        price: "3".to_owned(),
        at_ns: i128::from(second) * 1_000_000_000,
        position: (0, 0, 0),
    }
}

fn line(told: &Told) -> String {
    told.json().to_string()
}

/// The naive replay: the rules in words, the figures by the oracle. Messages by tick and token.
#[derive(Default)]
struct Expected {
    told: Vec<Told>,
    next: Option<i64>,
    /// Each token's newest second that a closing message has told of.
    closed: BTreeMap<String, i64>,
    messages: Vec<(i64, String, Value)>,
    late: usize,
}

impl Expected {
    fn of(trades: &[Told]) -> Self {
        let mut expected = Self::default();
        for told in trades {
            let first = || (told.second() + INTERVAL - 1).div_euclid(INTERVAL) * INTERVAL;
            let mut next = expected.next.unwrap_or_else(first);
            while told.second() > next {
                expected.tick(next);
                next += INTERVAL;
            }
            expected.next = Some(next);
            if told.second() <= next - INTERVAL - LONGEST {
                expected.late += 1;
            } else {
                expected.told.push(told.clone());
            }
        }
        if let Some(next) = expected.next {
            expected.tick(next);
        }
        expected
    }

    fn tick(&mut self, end: i64) {
        let mut by_token: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
        for told in &self.told {
            by_token.entry(&told.token).or_default().push(told);
        }
        for (token, trades) in by_token {
            let newest = trades.iter().map(|told| told.second()).max().unwrap();
            let active = newest > end - LONGEST;
            if active || self.closed.get(token) != Some(&newest) {
                let data = Value::Array(oracle::windows(&trades, &SPANS, end));
                self.messages.push((end, token.to_owned(), data));
            }
            if !active {
                self.closed.insert(token.to_owned(), newest);
            }
        }
    }
}

/// Trades out of order by seconds, some of them by minutes, with gaps of minutes and hours.
fn random_trades(rng: &mut StdRng) -> (Vec<Told>, Vec<String>) {
    let mut now = START + rng.random_range(0..20);
    let (mut trades, mut lines) = (Vec::new(), Vec::new());
    for offset in 0..150 {
        now += match rng.random_range(0..60) {
            0 => rng.random_range(30..400),
            1 => 50_000,
            _ => rng.random_range(0..3),
        };
        let single = rng.random_bool(0.5);
        let count = if single { 1 } else { rng.random_range(0..6) };
        let elements = (0..count).map(|index| {
            let behind = if rng.random_ratio(1, 12) { 150 } else { 8 };
            let second = now - rng.random_range(0..behind);
            let told = Told {
                token: format!("token-{}", rng.random_range(0..7)),
                buy: rng.random(),
                native: format!("{}.{}", rng.random_range(0..100), rng.random_range(0..1_000)),
                amount: format!("{}e-{}", rng.random_range(0..10_000), rng.random_range(0..18)),
                price: format!("0.000{}", rng.random_range(1..1_000_000)),
                at_ns: i128::from(second) * 1_000_000_000 + rng.random_range(0..4) * 250_000_000,
                position: (0, offset, index),
            };
            trades.push(told.clone());
            line(&told)
        });
        let elements = elements.collect::<Vec<_>>().join(",");
        lines.push(if single { elements } else { format!("[{elements}]") });
    }
    (trades, lines)
}

#[test]
fn every_message_is_the_oracles_whatever_the_trades() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..6 {
        let (trades, lines) = random_trades(&mut rng);
        let (_folder, file) = file(&lines);
        let expected = Expected::of(&trades);
        let (found, said) = replayed(&[name(&file)]);
        assert_eq!(found.len(), expected.messages.len(), "{said}");
        for (found, (end, token, data)) in found.iter().zip(&expected.messages) {
            let at = time::OffsetDateTime::from_unix_timestamp(*end).unwrap();
            let at = at.format(&time::format_description::well_known::Rfc3339).unwrap();
            assert_eq!((&found["generated_at"], &found["token"]), (&json!(at), &json!(token)));
            assert!(oracle::same(&found["aggregate_data"], data), "{found}\nis not\n{data}");
        }
        let (trades, messages, late) = (trades.len(), found.len(), expected.late);
        let summary =
            format!("150 lines, {trades} trades, {messages} messages, {late} late, 0 rejected, ");
        assert!(said.starts_with(&summary), "{said}\nis not\n{summary}");
    }
}

#[test]
fn what_says_nothing_new_is_left_out_where_that_is_asked_for() {
    let lines = [(0, "a"), (1, "b"), (9, "a"), (80, "c"), (100, "c")];
    let lines: Vec<_> =
        lines.iter().map(|(second, token)| line(&told(token, START + second))).collect();
    let (_folder, file) = file(&lines);
    let (all, _) = replayed(&[name(&file)]);
    let emission = ["--set", "AGGREGATE_EMIT=changed", "--set", "AGGREGATE_FULL_EVERY=5"];
    let (said, _) = replayed(&[&[name(&file)][..], &emission].concat());
    let figures = |message: &Value| {
        let mut windows = message["aggregate_data"].clone();
        windows.as_array_mut().unwrap().iter_mut().for_each(|one| one["timestamp"] = Value::Null);
        windows
    };
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    let mut whole = 0;
    let expected = all.into_iter().filter(|message| {
        let end = message["generated_at"].as_str().unwrap();
        let end = time::OffsetDateTime::parse(end, &time::format_description::well_known::Rfc3339);
        let is_whole = end.unwrap().unix_timestamp() % (5 * INTERVAL) == 0;
        whole += usize::from(is_whole);
        let token = message["token"].as_str().unwrap().to_owned();
        let before = last.insert(token, figures(message));
        is_whole || before != Some(figures(message))
    });
    let expected: Vec<_> = expected.collect();
    assert_eq!(said, expected);
    assert!(whole > 2 && said.len() > whole);
}

#[test]
fn the_same_lines_give_the_same_bytes_from_a_file_and_from_stdin() {
    let (_, lines) = random_trades(&mut StdRng::seed_from_u64(5));
    let (_folder, file) = file(&lines);
    let bytes = |mut command: Command| command.output().unwrap().stdout;
    let first = bytes(replay(&[name(&file)]));
    assert!(first.len() > 10_000);
    assert!(first == bytes(replay(&[name(&file)])));
    let mut piped = replay(&["-"]);
    piped.stdin(fs::File::open(&file).unwrap());
    assert!(first == bytes(piped));
}

#[test]
fn what_is_bad_is_named_counted_and_costs_nobody_else() {
    let good = line(&told("a", START));
    let mut nameless = told("", START).json();
    let mut ahead = told("a", START).json();
    ahead["TransTime"] = json!("2999-01-01T00:00:00Z");
    nameless["Wallet"] = json!("é");
    let lines = [
        good.clone(),
        String::new(),
        "{".to_owned(),
        format!("[{good},{nameless},7,{good}]"),
        "  \t".to_owned(),
        ahead.to_string(),
        "x".repeat(16 * 1024 * 1024 + 1),
        "[]".to_owned(),
        format!("{good}\r"),
    ];
    let (folder, file) = file(&lines);
    let mut bytes = fs::read(&file).unwrap();
    bytes.extend_from_slice(b"\"\xff");
    fs::write(&file, bytes).unwrap();
    let letters = folder.path().join("bad.jsonl");
    let (found, said) = replayed(&[name(&file), "--dead-letters", name(&letters)]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["aggregate_data"][0]["total_trades"], 4);
    assert!(said.starts_with("10 lines, 4 trades, 1 messages, 0 late, 6 rejected ("), "{said}");
    let reasons = ["2 not_json", "1 not_a_trade", "1 missing_field", "1 future", "1 too_large"];
    assert!(reasons.iter().all(|reason| said.contains(reason)), "{said}");

    let letters = fs::read_to_string(letters).unwrap();
    let letters: Vec<Value> =
        letters.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<_> = letters
        .iter()
        .map(|letter| json!([letter["line"], letter["index"], letter["reason"], letter["value"]]))
        .collect();
    let expected = [
        json!([3, null, "not_json", "{"]),
        json!([4, 1, "missing_field", nameless.to_string()]),
        json!([4, 2, "not_a_trade", "7"]),
        json!([6, null, "future", ahead.to_string()]),
        json!([7, null, "too_large", null]),
        json!([10, null, "not_json", "\"\u{fffd}"]),
    ];
    assert_eq!(places, expected);
    assert!(letters.iter().all(|letter| letter["message"].as_str().unwrap().len() > 5));
}

#[test]
fn a_new_token_beyond_the_bound_is_refused_and_the_known_go_on() {
    let lines = [told("a", START), told("b", START), told("a", START)].map(|told| line(&told));
    let (_folder, file) = file(&lines);
    let (found, said) = replayed(&[name(&file), "--set", "MAX_TOKENS=1"]);
    assert_eq!(found[0]["aggregate_data"][0]["total_trades"], 2);
    assert!(said.contains("2 trades, 1 messages, 0 late, 1 rejected (1 capacity)"), "{said}");
}

#[test]
fn windows_slide_through_a_gap_to_one_closing_message_and_the_rest_of_it_is_jumped() {
    let tick = START.div_euclid(INTERVAL) * INTERVAL;
    let year = 365 * 86_400;
    let lines = [told("a", tick), told("b", tick + 100 * year)].map(|told| line(&told));
    let (_folder, file) = file(&lines);
    // By the wall clock, the second is in the future: it does not move the event clock.
    let (found, said) = replayed(&[name(&file)]);
    assert_eq!(found.len(), 1);
    assert!(said.contains("1 rejected (1 future)"), "{said}");

    let lines = [told("a", tick - 40 * year), told("b", tick)].map(|told| line(&told));
    fs::write(&file, lines.join("\n")).unwrap();
    let (found, _) = replayed(&[name(&file)]);
    // Ticks 0, 7, …, 56 hold the trade, 63 closes; then the one of the second trade.
    assert_eq!(found.len(), 11);
    let trades = |message: &Value, window: usize| {
        message["aggregate_data"][window]["total_trades"].as_u64().unwrap()
    };
    let seen: Vec<_> = found.iter().map(|one| (trades(one, 0), trades(one, 1))).collect();
    assert_eq!(seen[..2], [(1, 1); 2]);
    assert_eq!(seen[2..9], [(0, 1); 7]);
    assert_eq!(seen[9..], [(0, 0), (1, 1)]);
    assert_eq!(found[9]["aggregate_data"][1]["close_price"], "3.000000");
    assert_eq!(found[10]["token"], "b");
}

#[test]
fn a_reader_that_leaves_is_a_clean_end() {
    let trades = (0..20_000).map(|at| line(&told(&format!("token-{}", at % 40), START + at)));
    let (_folder, file) = file(&trades.collect::<Vec<_>>());
    let mut child = replay(&[name(&file)]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with(r#"{"token":"token-"#));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(" trades/s") && said.lines().count() == 1, "{said}");
}

#[test]
fn whoever_pipes_trades_in_sees_a_tick_as_soon_as_it_fires() {
    let mut child = replay(&["-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut trades = child.stdin.take().unwrap();
    writeln!(trades, "{}\n{}", line(&told("a", START)), line(&told("a", START + 10))).unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with(r#"{"token":"a""#));
    drop(trades);
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_cannot_be_opened_ends_in_1_and_says_which_file() {
    let (folder, file) = file(&[line(&told("a", START))]);
    let missing = folder.path().join("missing.jsonl");
    let folder = name(folder.path());
    let cases = [
        vec![name(&missing)],
        vec![folder],
        vec![name(&file), "--dead-letters", folder],
        vec![name(&file), "--dead-letters", name(&file)],
    ];
    for arguments in cases {
        let output = replay(&arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty() && said.lines().count() == 1, "{said}");
    }
    assert!(fs::metadata(&file).unwrap().len() > 0, "the input was overwritten");
}

#[test]
fn nothing_to_read_gives_nothing_and_a_summary() {
    let (found, said) = replayed(&["-"]);
    assert!(found.is_empty());
    assert!(said.starts_with("0 lines, 0 trades, 0 messages, 0 late, 0 rejected, "), "{said}");
}
