//! The overload drill: more trades than the service can take, and more tokens than it may hold,
//! with a Redis that is slow. Its memory is compared with a bound derived from its settings.

use std::path::Path;
use std::time::{Duration, Instant};

use support::signals::halting;

use crate::drill::{Drill, Size};
use crate::service::Service;
use crate::topic::PARTITIONS;

/// Of four tokens three may be held.
const HELD_PARTS: (usize, usize) = (3, 4);

/// How long the service, and Redis, is halted and runs, in turn: so it can take a tenth of what
/// comes, and every flush has to wait.
const SERVICE_TURNS: [Duration; 2] = [Duration::from_millis(190), Duration::from_millis(10)];
const REDIS_TURNS: [Duration; 2] = [Duration::from_millis(1_200), Duration::from_millis(300)];

/// Between two looks at the service.
const LOOK: Duration = Duration::from_secs(5);

/// Bytes of a token at most: its state (some 500), its message in the outbox, in flight, and on
/// its way to the view (1.7 kB each with its key and headers).
const OF_A_TOKEN: usize = 500 + 3 * 1_700;

/// Bytes of a pane at most: itself in a second that is open (2 × 84), its places in the list of its
/// token and among the changes (4 × 8), its checkpoint entry and that entry's copy on its way
/// (2 × 110).
const OF_A_PANE: usize = 2 * 84 + 4 * 8 + 2 * 110;

/// Bytes of one fetch at most: 1 MB of Snappy, and five times as much unpacked.
const UNPACKED: usize = 1024 * 1024 * 6;

/// Fetches in memory at most: of each partition one that waits to be handed on and the next one,
/// and in each of two workers' queues eight. Each again as large with what was read of it.
const FETCHES: usize = (2 * PARTITIONS as usize + 2 * 8) * 2;

/// Dead letters of one fetch, where all of it is rejected, are four times as large: of each
/// partition and each worker one waits for room.
const REJECTED: usize = (PARTITIONS as usize + 2) * 4;

/// Dead letters in the queue: 64 batches of half a megabyte, as much again for their headers.
const LETTERS: usize = 64 * 1024 * 1024;

/// The program and its allocator's reserve.
const OF_ITSELF: usize = 64 * 1024 * 1024;

/// The bound that follows from the settings, in bytes.
fn bound(tokens: usize, panes: usize) -> usize {
    let panes = panes + panes / 8;
    let queues = (FETCHES + REJECTED) * UNPACKED + LETTERS;
    OF_ITSELF + tokens * OF_A_TOKEN + panes * OF_A_PANE + queues
}

/// Overloads the service for `size.away`.
pub(crate) fn overload(program: &Path, size: Size) -> bool {
    let mut drill = Drill::set("overload", program.to_owned(), size);
    let tokens = size.tokens * HELD_PARTS.0 / HELD_PARTS.1;
    let seconds = usize::try_from((size.warm + size.away).as_secs()).unwrap() + 200;
    let panes = tokens * seconds.min(960);
    drill.more.push(("MAX_TOKENS", tokens.to_string()));
    drill.more.push(("MAX_PANES", panes.to_string()));
    let bound = bound(tokens, panes);
    println!("MAX_TOKENS {tokens}, MAX_PANES {panes}: {} MB at most", bound / 1_000_000);
    drill.flooded(|drill, service| {
        let (redis, written) = (drill.redis.pid().to_owned(), written(&service));
        let peak = halting(&[(&service.pid, SERVICE_TURNS), (&redis, REDIS_TURNS)], || {
            watch(drill, &service, size.away)
        });
        let written = self::written(&service) - written;
        println!("peak {} MB, {written} bytes written to disk", peak / 1_000);
        drill.check(peak * 1_000 < bound, || format!("{peak} kB resident"));
        let files = files(&service);
        drill.check(files.is_empty(), || format!("open files: {files:?}"));
        let (log, refused) = (service.log(), service.figure("rejected_total{reason=\"capacity\"}"));
        drill.check(refused > 0.0 && log.contains("MAX_TOKENS or MAX_PANES is reached"), || log);
        // Its log is a file of ours.
        let log = service.log().len();
        drill.check(written <= log + 1_000_000, || format!("{written} bytes, {log} of log"));
        let begun = Instant::now();
        let lag = service.figure("lag_records");
        service.until("it to have caught up", || service.figure("lag_records") < 10_000.0);
        println!("from a lag of {lag} records it recovered in {:.1?}", begun.elapsed());
        service
    });
    drill.met()
}

/// Looks at memory and lag until the time is over; the largest resident memory, in kB.
fn watch(drill: &mut Drill, service: &Service, lasts: Duration) -> usize {
    let (begun, mut lags) = (Instant::now(), Vec::new());
    while begun.elapsed() < lasts {
        std::thread::sleep(LOOK);
        lags.push(service.figure("lag_records"));
        if lags.len() % 12 == 1 {
            let [tokens, panes] = ["tokens", "panes"].map(|name| service.figure(name));
            println!(
                "{:>4} s: lag {} records, {} MB resident, {tokens} tokens, {panes} panes",
                begun.elapsed().as_secs(),
                lags.last().unwrap(),
                resident(service, "VmRSS:") / 1_000,
            );
        }
    }
    let (first, last) = (lags[0], lags[lags.len() - 1]);
    drill.check(last > first, || format!("the lag went from {first} to {last} records"));
    resident(service, "VmHWM:")
}

fn resident(service: &Service, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Bytes that it wrote to disks.
fn written(service: &Service) -> usize {
    let io = std::fs::read_to_string(format!("/proc/{}/io", service.pid)).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

/// Files that it holds open, but for its log, which is ours.
fn files(service: &Service) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{}/fd", service.pid)).unwrap();
    let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let names = links.map(|link| link.to_string_lossy().into_owned());
    let file = |name: &String| {
        name.starts_with('/') && !name.starts_with("/dev/") && !name.ends_with("/log")
    };
    names.filter(file).collect()
}
