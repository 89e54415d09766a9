//! `replay FILE`: opens what is read and written, plays line by line, shows how far it is, and says
//! at the end what was met. Messages go to stdout, everything said to people to stderr. A reader
//! of stdout that leaves early is a clean end.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal};
use std::io::{StdoutLock, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;

use crate::app::{self, SystemClock};
use crate::config::Config;
use crate::domain::reject::Reason;
use crate::ports::Clock;
use crate::replay::lines::Lines;
use crate::replay::{Counts, Player, Rejected, ReplayError};

/// Plays the lines of `file` (`-`: stdin), writes messages to stdout, and what is rejected to
/// `dead_letters`, as JSON lines.
///
/// # Errors
/// A file cannot be opened, read or written.
pub fn run(config: &Config, file: &Path, dead_letters: Option<&Path>) -> anyhow::Result<()> {
    if file == Path::new("-") {
        let letters = open_letters(dead_letters)?;
        let input = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
        return play(config, input, letters, &ProgressBar::hidden());
    }
    let name = file.display();
    let input = File::open(file).with_context(|| format!("{name} cannot be opened"))?;
    if let Some(letters) = dead_letters {
        let same = fs::canonicalize(letters).ok() == fs::canonicalize(file).ok();
        ensure!(!same, "{name} is read: the dead letters need a file of their own");
    }
    let metadata = input.metadata().with_context(|| format!("{name} cannot be read"))?;
    let length = metadata.is_file().then_some(metadata.len());
    let letters = open_letters(dead_letters)?;
    play(config, BufReader::with_capacity(BUFFER_BYTES, input), letters, &progress(length)?)
}

fn open_letters(file: Option<&Path>) -> anyhow::Result<Option<BufWriter<File>>> {
    let open = |file: &Path| {
        File::create(file).with_context(|| format!("{} cannot be written", file.display()))
    };
    Ok(file.map(open).transpose()?.map(BufWriter::new))
}

fn play(
    config: &Config,
    input: impl BufRead,
    mut letters: Option<BufWriter<File>>,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let started = SystemClock.now();
    let reject = |rejected: &Rejected<'_>| match &mut letters {
        Some(letters) => write_letter(letters, rejected).map_err(ReplayError::DeadLetters),
        None => Ok(()),
    };
    let messages = messages(progress);
    let (windows, emission) = (config.windows.clone(), config.emission());
    let player = Player::new(windows, app::budget(config), emission, messages, reject);
    let mut player = player.with(config.aggregate_fields);
    let played = play_all(Lines::new(input), &mut player, config.max_future_skew, progress);
    progress.finish_and_clear();
    let counts = *player.counts();
    // Where stdout is gone, what its buffer still holds goes with it.
    drop(player);
    if let Some(letters) = &mut letters {
        letters.flush().map_err(ReplayError::DeadLetters)?;
    }
    match played {
        Err(ReplayError::Messages(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        played => played?,
    }
    let took = SystemClock.now().since(started);
    // With stderr closed there is nobody left to tell.
    drop(writeln!(io::stderr(), "{}", Summary { counts, took }));
    Ok(())
}

fn play_all<M: Write, R: FnMut(&Rejected<'_>) -> Result<(), ReplayError>>(
    mut lines: Lines<impl BufRead>,
    player: &mut Player<M, R>,
    max_future_skew: Duration,
    progress: &ProgressBar,
) -> Result<(), ReplayError> {
    let mut shown = 0;
    while let Some(line) = lines.read().map_err(ReplayError::Lines)? {
        // History is never in the future: the bound is the wall clock, not the event clock, which
        // a gap of days may move.
        let latest = SystemClock.now().plus(max_future_skew).event_time();
        player.play(line, latest)?;
        if lines.bytes() - shown >= PROGRESS_BYTES {
            shown = lines.bytes();
            progress.set_position(shown);
            progress.set_message(rate(player.counts().trades, progress.elapsed()).to_string());
        }
    }
    player.finish()
}

/// One dead letter, as a line.
#[derive(Serialize)]
struct Letter<'a> {
    reason: &'static str,
    message: &'a str,
    /// From 1, as editors count.
    line: u64,
    index: Option<u32>,
    value: Option<std::borrow::Cow<'a, str>>,
}

fn write_letter(out: &mut impl Write, rejected: &Rejected<'_>) -> io::Result<()> {
    let letter = Letter {
        reason: rejected.reason.name(),
        message: rejected.message,
        line: rejected.line + 1,
        index: rejected.index,
        value: rejected.value.map(String::from_utf8_lossy),
    };
    serde_json::to_writer(&mut *out, &letter)?;
    out.write_all(b"\n")
}

/// Stdout. Where the bar is on the same terminal, the bar stands back for what is written.
fn messages(progress: &ProgressBar) -> Box<dyn Write> {
    let stdout = io::stdout().lock();
    if progress.is_hidden() || !stdout.is_terminal() {
        return Box::new(BufWriter::with_capacity(BUFFER_BYTES, stdout));
    }
    Box::new(AboveBar { stdout, progress: progress.clone(), lines: Vec::new() })
}

/// Is handed whole lines, so that the bar never stands in one.
struct AboveBar {
    stdout: StdoutLock<'static>,
    progress: ProgressBar,
    lines: Vec<u8>,
}

impl Write for AboveBar {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(line);
        if self.lines.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Self { stdout, progress, lines } = self;
        let written = progress.suspend(|| stdout.write_all(lines).and_then(|()| stdout.flush()));
        lines.clear();
        written
    }
}

/// Hidden by itself where stderr is no terminal.
fn progress(length: Option<u64>) -> anyhow::Result<ProgressBar> {
    let Some(length) = length else {
        return Ok(ProgressBar::hidden());
    };
    let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A bar that cannot be written is not worth an error.
        write!(out, "{} s", state.eta().as_secs()).unwrap_or_default();
    };
    let style = ProgressStyle::with_template(BAR)?.with_key("left", left);
    Ok(ProgressBar::new(length).with_style(style))
}

struct Summary {
    counts: Counts,
    took: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { lines, trades, messages, late, rejected } = &self.counts;
        let all: u64 = rejected.iter().sum();
        write!(f, "{lines} lines, {trades} trades, {messages} messages, {late} late, ")?;
        write!(f, "{all} rejected")?;
        let found = Reason::ALL.iter().zip(rejected).filter(|(_, count)| **count > 0);
        for (place, (reason, count)) in found.enumerate() {
            write!(f, "{}{count} {reason}", if place == 0 { " (" } else { ", " })?;
        }
        let end = if all > 0 { ")" } else { "" };
        let (seconds, rate) = (self.took.as_secs_f64(), rate(*trades, self.took));
        write!(f, "{end}, {seconds:.3} s, {rate} trades/s")
    }
}

/// Trades per second.
fn rate(trades: u64, took: Duration) -> u128 {
    u128::from(trades) * 1_000 / took.as_millis().max(1)
}

const BAR: &str = "{bar:30} {bytes}/{total_bytes}, {msg} trades/s, {left} left";

/// Large enough that the system calls do not show.
const BUFFER_BYTES: usize = 256 * 1_024;

/// Between two looks at the bar: some milliseconds.
const PROGRESS_BYTES: u64 = 1_024 * 1_024;
