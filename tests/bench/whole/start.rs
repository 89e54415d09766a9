//! Starts: over nothing, and over a checkpoint of many panes; and what idling costs between them.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::backlog::Backlog;
use crate::process::{Cost, cpu, status_kb};
use crate::report::Report;
use crate::spread::Spread;
use crate::world::{Program, World, figures, trades, until_counted};
use support::harness::service::{PATIENCE, Service};

const TOKENS: usize = 50_000;
/// Fewer in a second of event time than there are tokens, so that each makes a pane of its own.
const TRADES_A_SECOND: usize = 40_000;

pub(crate) fn run(world: &World, program: &Program, args: &Args, report: &mut Report) {
    if args.wants("start-empty") {
        empty(world, program, args, report);
    }
    if args.wants("start-loaded") {
        loaded(world, program, args, report);
    }
}

/// Over an empty topic and an empty Redis. The first start of all creates the topics and is not
/// measured.
fn empty(world: &World, program: &Program, args: &Args, report: &mut Report) {
    let usual = [("AGGREGATE_PUBLISH_INTERVAL", "30s")];
    let start = || {
        world.forget();
        let begun = Instant::now();
        let service = world.service(program, "start", &usual);
        (begun, service)
    };
    start().1.ready();
    let mut ready_ms = Vec::new();
    for _ in 0..args.runs {
        let (begun, service) = start();
        ready_ms.push(ready(&service, begun).as_secs_f64() * 1e3);
    }
    let (begun, service) = start();
    ready(&service, begun);
    let lasts = Duration::from_secs(args.seconds);
    let before = cpu(&service.pid);
    std::thread::sleep(lasts);
    let share = (cpu(&service.pid) - before).as_secs_f64() / lasts.as_secs_f64();
    let kb = |name| format!("{:.1}", status_kb(&service.pid, name) as f64 / 1e3);
    let row = vec![
        format!("{:.0}", Spread::of(ready_ms)),
        kb("VmRSS"),
        kb("RssAnon"),
        format!("{:.2}", share * 100.0),
    ];
    let columns = ["start → ready ms", "resident MB", "of it its own MB", "idle: % of a core"];
    report.table("Empty start, then idling over 3 partitions:", &columns);
    report.row(row);
}

/// A service absorbs a backlog in which each trade is a pane, stops, and starts again.
fn loaded(world: &World, program: &Program, args: &Args, report: &mut Report) {
    eprintln!("start-loaded: {} panes", args.panes);
    let topic = trades("load");
    let usual = [("AGGREGATE_PUBLISH_INTERVAL", "30s")];
    let covered = (args.panes / TRADES_A_SECOND).max(1);
    let backlog = Backlog { tokens: TOKENS, covered, ..Backlog::usual(args.panes) };
    backlog.fill(&world.kafka, &topic);
    let steady_mb = {
        let service = world.service(program, "load", &usual);
        until_counted(&service, backlog.trades);
        service.ready();
        let steady = status_kb(&service.pid, "VmRSS") as f64 / 1e3;
        service.terminate();
        assert_eq!(service.exit_code(PATIENCE), 0, "{}", service.log());
        steady
    };
    let begun = Instant::now();
    let service = world.service(program, "load", &usual);
    let took = ready(&service, begun);
    let cost = Cost::since(Duration::ZERO, &service.pid, took);
    // The figure follows within seconds.
    service.until("its panes", || figures(&service).unwrap()["panes"] > 0.5);
    let figures = figures(&service).unwrap();
    let stored = world.redis.command("INFO memory");
    let stored = stored.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let stored: f64 = stored.trim().parse().unwrap();
    assert!(figures["trades_counted_total"] < 0.5, "it read the log instead of the checkpoint");
    let panes = figures["panes"];
    let peak_mb = cost.peak_kb as f64 / 1e3;
    let peak =
        report.ratio("start-loaded: peak ÷ before".to_owned(), Spread::of([peak_mb / steady_mb]));
    let row = vec![
        format!("{panes}"),
        format!("{:.2}", took.as_secs_f64()),
        format!("{:.2} M", panes / took.as_secs_f64() / 1e6),
        format!("{:.2}", cost.cpu.as_secs_f64() * 1e6 / panes),
        format!("{:.0}", stored / panes),
        format!("{peak_mb:.0}"),
        peak,
    ];
    let columns = [
        "panes",
        "start → ready s",
        "panes/s",
        "µs CPU a pane",
        "bytes a pane in Redis",
        "peak MB",
        "÷ before the stop",
    ];
    report.table("Start over a checkpoint:", &columns);
    report.row(row);
    drop(service);
    world.forget();
    world.delete(&topic);
}

/// Waits until it is ready, asking every millisecond.
fn ready(service: &Service, begun: Instant) -> Duration {
    while !matches!(service.get("/readyz"), Some((200, _))) {
        assert!(begun.elapsed() < PATIENCE, "not ready");
        std::thread::sleep(Duration::from_millis(1));
    }
    begun.elapsed()
}
