//! Publishing: what a message costs, how long a tick takes to its last acknowledgement, alone and
//! beside a steady load, and whether fetching goes on meanwhile, at a thousand to a hundred
//! thousand active tokens.

use std::time::Duration;

use crate::args::Args;
use crate::backlog::Backlog;
use crate::histogram::Histogram;
use crate::process::cpu;
use crate::report::Report;
use crate::spread::Spread;
use crate::stream::Stream;
use crate::world::{Program, World, figures, trades, until_counted};
use support::harness::service::Service;
use support::harness::topic::now;

/// Active tokens, and seconds between ticks: half of that is more than a tick takes.
const SIZES: [(usize, u64); 3] = [(1_000, 2), (10_000, 2), (100_000, 5)];
/// Ticks that are measured at least.
const TICKS: u64 = 4;
/// No tick while it is measured.
const NEVER: &str = "24h";
/// The steady load.
const RATE: f64 = 50_000.0;
/// *µs CPU a message* is all that a tick costs the process, beyond what it takes when nothing
/// happens: folding, the message's text, Snappy, the requests to the broker, the view's write.
const COLUMNS: [&str; 12] = [
    "cell",
    "interval",
    "messages",
    "µs CPU a message",
    "tick → acknowledged: mean ms",
    "p99",
    "loaded: mean ms",
    "p99",
    "longest pause of fetching ms",
    "999 of 1,000",
    "without ticks ms",
    "999 of 1,000",
];

pub(crate) fn run(world: &World, program: &Program, args: &Args, report: &mut Report) {
    report.table("Publishing, alone and at 50,000 trades/s:", &COLUMNS);
    for (tokens, seconds) in SIZES {
        let name = format!("publish-{tokens}");
        if args.wants(&name) {
            eprintln!("{name}");
            let ticks = args.seconds.div_ceil(seconds).max(TICKS);
            size(world, program, &name, (tokens, seconds, ticks), report);
        }
    }
    changed(world, program, args, report);
}

/// Ticks of what changed, each second, some of them of all: whether one is missed.
fn changed(world: &World, program: &Program, args: &Args, report: &mut Report) {
    let name = "changed-100k";
    if !args.wants(name) {
        return;
    }
    eprintln!("{name}");
    let topic = trades(name);
    // Long windows: a trade changes its token when it comes, and not again while this lasts.
    let more = [
        ("AGGREGATE_EMIT", "changed"),
        ("AGGREGATE_PUBLISH_INTERVAL", "1s"),
        ("TIME_WINDOWS", "1hour,2hour"),
    ];
    let backlog = Backlog { tokens: CHANGED_TOKENS, ..Backlog::usual(CHANGED_TOKENS * 2) };
    backlog.fill(&world.kafka, &topic);
    let service = world.service(program, name, &more);
    service.ready();
    until_counted(&service, backlog.trades);
    let read = || {
        let read = figures(&service).unwrap();
        ["ticks_total", "ticks_skipped_total", "messages_published_total", UNCHANGED]
            .map(|name| read[name])
    };
    let (before, began, busy) = (read(), Histogram::of(&service, TICK), cpu(&service.pid));
    let lasts = Duration::from_secs(args.seconds.max(10));
    Stream::of(CHANGED_TOKENS).pour(&world.kafka, &topic, CHANGED_RATE, || {
        std::thread::sleep(lasts);
    });
    let busy = (cpu(&service.pid) - busy).as_secs_f64() / lasts.as_secs_f64();
    let acknowledged = Histogram::of(&service, TICK).since(&began);
    let [ticks, skipped, messages, unchanged] = std::array::from_fn(|at| read()[at] - before[at]);
    drop(service);
    world.forget();
    world.delete(&topic);
    report.table("Ticks of what changed, 1 s apart, each tenth of all tokens:", &CHANGED_COLUMNS);
    let mut row = vec![name.to_owned(), format!("{ticks:.0}"), format!("{skipped:.0}")];
    row.extend([messages, unchanged].map(|count| format!("{:.0}", count / ticks)));
    row.extend([format!("{:.0}", busy * 100.0)]);
    row.extend(
        [acknowledged.mean_ms(), acknowledged.quantile_ms(0.99)].map(|ms| format!("{ms:.0}")),
    );
    report.row(row);
}

fn size(
    world: &World,
    program: &Program,
    name: &str,
    (tokens, seconds, ticks): (usize, u64, u64),
    report: &mut Report,
) {
    let (topic, interval) = (trades(name), format!("{seconds}s"));
    let backlog = Backlog { tokens, ..Backlog::usual(tokens * 2) };
    backlog.fill(&world.kafka, &topic);
    let start = |interval: &str, broker: &str| {
        // Where nothing comes in, a fetch waits at the broker: nothing but trades is to be fetched.
        let more = [
            ("AGGREGATE_PUBLISH_INTERVAL", interval),
            ("KAFKA_BROKERS", broker),
            ("TOKEN_INFO_TOPIC", ""),
        ];
        let service = world.service(program, name, &more);
        service.ready();
        service
    };
    let service = start(&interval, &world.kafka.address());
    until_counted(&service, backlog.trades);
    let (messages, cpu_us, alone) = said(&service, Duration::from_secs(seconds), ticks);
    drop(service);
    let stream = Stream::of(tokens);
    let under_load = |interval: &str| {
        let service = start(interval, &world.proxied());
        let (before, mut pauses) = (Histogram::of(&service, TICK), [f64::NAN; 2]);
        stream.pour(&world.kafka, &topic, RATE, || {
            let lasts = Duration::from_secs(seconds * ticks);
            pauses = world.gaps.while_ms(|| std::thread::sleep(lasts));
        });
        (Histogram::of(&service, TICK).since(&before), pauses)
    };
    let (loaded, [longest, most]) = under_load(&interval);
    let (_, [still_longest, still_most]) = under_load(NEVER);
    world.forget();
    world.delete(&topic);
    report.ratio(format!("{name}: pause ÷ without ticks"), Spread::of([longest / still_longest]));
    let mut row = vec![name.to_owned(), interval, messages.to_string(), format!("{cpu_us:.2}")];
    let ticks = [&alone, &loaded].map(|ticks| [ticks.mean_ms(), ticks.quantile_ms(0.99)]);
    let figures = ticks.into_iter().chain([[longest, most], [still_longest, still_most]]);
    row.extend(figures.flatten().map(|ms| format!("{ms:.0}")));
    report.row(row);
}

/// How many messages come of so many ticks, the CPU time of one in µs, and the ticks. In the second
/// half of an interval nothing is published: what that half costs is taken off the first one.
/// Nobody asks for figures meanwhile.
fn said(service: &Service, interval: Duration, ticks: u64) -> (f64, f64, Histogram) {
    let read = || {
        let messages = figures(service).unwrap()["messages_published_total"];
        (messages, Histogram::of(service, TICK))
    };
    service.until("a tick", || figures(service).unwrap()["publish_tick_seconds_count"] > 0.5);
    until(interval, interval / 2);
    let (messages, before) = read();
    let (mut busy, mut idle) = (Duration::ZERO, Duration::ZERO);
    until(interval, interval - MARGIN);
    let mut at_begin = cpu(&service.pid);
    for _ in 0..ticks {
        until(interval, interval / 2 - MARGIN);
        let at_half = cpu(&service.pid);
        until(interval, interval - MARGIN);
        let at_end = cpu(&service.pid);
        busy += at_half - at_begin;
        idle += at_end - at_half;
        at_begin = at_end;
    }
    let (messages_now, ticks) = read();
    let messages = messages_now - messages;
    (messages, (busy.as_secs_f64() - idle.as_secs_f64()) * 1e6 / messages, ticks.since(&before))
}

/// Sleeps until the wall clock is so far behind a multiple of the interval, as ticks are.
fn until(interval: Duration, behind: Duration) {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap();
    let behind_ms = i64::try_from(behind.as_millis()).unwrap();
    let wait_ms = (behind_ms - now().timestamp_millis()).rem_euclid(interval_ms);
    std::thread::sleep(Duration::from_millis(wait_ms.try_into().unwrap()));
}

/// Active tokens where few change, and how many do in a second: a trade each.
const CHANGED_TOKENS: usize = 100_000;
const CHANGED_RATE: f64 = 5_000.0;
const UNCHANGED: &str = "messages_unchanged_total";
const CHANGED_COLUMNS: [&str; 8] = [
    "cell",
    "ticks",
    "skipped",
    "messages a tick",
    "left out a tick",
    "% of a core",
    "tick → acknowledged: mean ms",
    "p99",
];

/// Before a tick, so that all of it is counted.
const MARGIN: Duration = Duration::from_millis(50);
const TICK: &str = "publish_tick_seconds";
