//! From append to counted, and from tick to acknowledged, at 10, 50 and 90 % of what the service
//! carries beside broker, load and Redis on this machine; and the bare round trip at the same load.
//! Whoever appends writes its clock into the record, to the millisecond.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::backlog::Backlog;
use crate::follow;
use crate::histogram::Histogram;
use crate::process::cpu;
use crate::report::Report;
use crate::spread::Spread;
use crate::stream::Stream;
use crate::world::{Program, World, figures, trades};
use support::harness::service::Service;

const NAME: &str = "latency";
/// Per cent of what it carries.
const LOADS: [u32; 3] = [10, 50, 90];
/// Far above what any machine carries.
const FLAT_OUT: f64 = 1e9;
/// The first seconds of a load are not the steady state.
const SETTLE: Duration = Duration::from_secs(2);
/// Means are exact; the service's quantiles lie between two bounds of its histogram.
const COLUMNS: [&str; 11] = [
    "cell",
    "trades/s",
    "counted: mean ms",
    "p50",
    "p99",
    "bare: mean ms",
    "p50",
    "p99",
    "mean ÷ bare",
    "tick: mean ms",
    "µs CPU a trade",
];

pub(crate) fn run(world: &World, program: &Program, args: &Args, report: &mut Report) {
    let backlog = Backlog::usual(0);
    let topic = trades(NAME);
    backlog.fill(&world.kafka, &topic);
    let stream = Stream::of(backlog.tokens);
    let carries = {
        let service = world.service(program, NAME, &[]);
        service.ready();
        let mut rate = 0.0;
        stream.pour(&world.kafka, &topic, FLAT_OUT, || rate = most_counted(&service));
        rate
    };
    world.forget();
    let title = format!(
        "Append → counted and tick → acknowledged; it carries {:.2} M trades/s:",
        carries / 1e6
    );
    report.table(&title, &COLUMNS);
    let lasts = Duration::from_secs(args.seconds);
    for percent in LOADS {
        let cell = format!("latency-{percent}");
        if args.wants(&cell) {
            eprintln!("{cell}");
            let rate = carries * f64::from(percent) / 100.0;
            load(world, program, &stream, &cell, rate, lasts, report);
        }
    }
    world.delete(&topic);
}

fn load(
    world: &World,
    program: &Program,
    stream: &Stream,
    cell: &str,
    rate: f64,
    lasts: Duration,
    report: &mut Report,
) {
    let topic = trades(NAME);
    let (counted, ticks, cpu_us) = {
        let service = world.service(program, NAME, &[("START_FROM", "latest")]);
        service.ready();
        let mut seen = None;
        stream.pour(&world.kafka, &topic, rate, || seen = Some(watch(&service, lasts)));
        seen.unwrap()
    };
    world.forget();
    let mut bare = None;
    stream.pour(&world.kafka, &topic, rate, || {
        std::thread::sleep(SETTLE);
        bare = Some(follow::run(&world.kafka.address(), &topic, lasts.as_secs()));
    });
    let bare = bare.unwrap();
    let ratio = Spread::of([counted.mean_ms() / bare.mean_ms]);
    let mut row = vec![cell.to_owned(), format!("{rate:.0}")];
    let counted = [counted.mean_ms(), counted.quantile_ms(0.5), counted.quantile_ms(0.99)];
    let bare = [bare.mean_ms, bare.median_ms, bare.p99_ms];
    row.extend(counted.into_iter().chain(bare).map(|ms| format!("{ms:.1}")));
    row.push(report.ratio(format!("{cell}: mean ÷ bare"), ratio));
    row.push(format!("{:.0}", ticks.mean_ms()));
    row.push(format!("{cpu_us:.2}"));
    report.row(row);
}

/// What a steady load comes to: both histograms, and the CPU time of a trade, all included.
pub(crate) fn watch(service: &Service, lasts: Duration) -> (Histogram, Histogram, f64) {
    std::thread::sleep(SETTLE);
    let read = || {
        let counted = figures(service).unwrap()["trades_counted_total"];
        let histograms = ["count_latency_seconds", "publish_tick_seconds"];
        (histograms.map(|name| Histogram::of(service, name)), counted, cpu(&service.pid))
    };
    let ([counted, ticks], trades, before) = read();
    std::thread::sleep(lasts);
    let ([counted_now, ticks_now], trades_now, now) = read();
    let cpu_us = (now - before).as_secs_f64() * 1e6 / (trades_now - trades);
    (counted_now.since(&counted), ticks_now.since(&ticks), cpu_us)
}

/// The most trades a second of a few slices: what else the machine does can only take away.
fn most_counted(service: &Service) -> f64 {
    let counted = || figures(service).unwrap()["trades_counted_total"];
    let slice = |_| {
        let (begun, before) = (Instant::now(), counted());
        std::thread::sleep(SLICE);
        (counted() - before) / begun.elapsed().as_secs_f64()
    };
    std::thread::sleep(SETTLE);
    (0..SLICES).map(slice).fold(0.0, f64::max)
}

const SLICES: usize = 4;
const SLICE: Duration = Duration::from_secs(2);
