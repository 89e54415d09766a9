//! Publishing: what a message costs, how long a tick takes to its last acknowledgement, and whether
//! fetching goes on meanwhile, at a thousand to a hundred thousand active tokens. The service
//! reaches the broker through a proxy that notes when it asks for more.

use std::time::Duration;

use crate::args::Args;
use crate::backlog::Backlog;
use crate::harness::service::Service;
use crate::histogram::Histogram;
use crate::process::Counters;
use crate::report::Report;
use crate::spread::Spread;
use crate::stream::Stream;
use crate::world::{Program, World, figures, trades, until_counted};

/// Active tokens, and a time between ticks that leaves room between them.
const SIZES: [(usize, u64); 3] = [(1_000, 1), (10_000, 2), (100_000, 5)];
/// Ticks that are measured at least.
const TICKS: u64 = 4;
/// No tick while it is measured.
const NEVER: &str = "24h";
/// The steady load while pauses are looked for.
const RATE: f64 = 50_000.0;

pub(crate) fn run(world: &World, program: &Program, args: &Args, report: &mut Report) {
    let lasts = Duration::from_secs(args.seconds);
    let rows: Vec<_> = SIZES
        .iter()
        .filter(|(tokens, _)| name(*tokens).contains(&args.only))
        .map(|(tokens, seconds)| {
            let lasts = lasts.max(Duration::from_secs(seconds * TICKS));
            size(world, program, *tokens, &format!("{seconds}s"), lasts, report)
        })
        .collect();
    let columns = [
        "tokens",
        "interval",
        "messages",
        "µs CPU a message",
        "tick → last ack p50 ms",
        "p99",
        "longest pause ms",
        "without ticks",
    ];
    report.table("Publishing, and fetching at 50,000 trades/s meanwhile:", &columns, &rows);
}

fn size(
    world: &World,
    program: &Program,
    tokens: usize,
    interval: &str,
    lasts: Duration,
    report: &mut Report,
) -> Vec<String> {
    eprintln!("publish: {tokens} tokens");
    let name = name(tokens);
    let topic = trades(&name);
    let backlog = Backlog { tokens, ..Backlog::usual(tokens * 2) };
    backlog.fill(&world.kafka, &topic);
    let start = |interval: &str, proxied: bool| {
        let broker = if proxied { world.proxied() } else { world.kafka.address() };
        // Where nothing comes in, a fetch waits at the broker: that is no pause.
        let more = [
            ("AGGREGATE_PUBLISH_INTERVAL", interval),
            ("KAFKA_BROKERS", &broker),
            ("TOKEN_INFO_TOPIC", ""),
        ];
        let service = world.service(program, &name, &more);
        service.ready();
        service
    };
    let idle = {
        let service = start(NEVER, false);
        until_counted(&service, backlog.trades);
        cpu_over(&service, lasts / 2).as_secs_f64() / (lasts / 2).as_secs_f64()
    };
    let said = said(&start(interval, false), lasts);
    let cpu_us = (said.cpu.as_secs_f64() - idle * lasts.as_secs_f64()) * 1e6 / said.messages;
    let stream = Stream::of(tokens);
    let pause = |interval| {
        let service = start(interval, true);
        let mut longest = Duration::ZERO;
        stream.pour(&world.kafka, &topic, RATE, || {
            longest = world.gaps.longest_while(|| std::thread::sleep(lasts));
        });
        drop(service);
        longest.as_secs_f64() * 1e3
    };
    let (ticking, still) = (pause(interval), pause(NEVER));
    world.forget();
    world.delete(&topic);
    let tick = |quantile| said.ticks.quantile_ms(quantile).unwrap_or(f64::NAN);
    let ratio = Spread::of([ticking / still]);
    report.ratio(format!("publish {tokens}: pause ÷ without ticks"), ratio);
    vec![
        tokens.to_string(),
        interval.to_owned(),
        format!("{}", said.messages),
        format!("{cpu_us:.2}"),
        format!("{:.0}", tick(0.5)),
        format!("{:.0}", tick(0.99)),
        format!("{ticking:.0}"),
        format!("{still:.0}"),
    ]
}

fn name(tokens: usize) -> String {
    format!("publish-{tokens}")
}

struct Said {
    messages: f64,
    cpu: Duration,
    ticks: Histogram,
}

/// What is published in a while that begins with the end of a tick.
fn said(service: &Service, lasts: Duration) -> Said {
    let ticks = || figures(service).unwrap()["publish_tick_seconds_count"];
    let before = ticks();
    service.until("a tick", || ticks() > before);
    let read = || {
        let messages = figures(service).unwrap()["messages_published_total"];
        (Histogram::of(service, "publish_tick_seconds"), messages, Counters::of(&service.pid))
    };
    let (ticks, messages, counters) = read();
    std::thread::sleep(lasts);
    let (ticks_now, messages_now, now) = read();
    Said {
        messages: messages_now - messages,
        cpu: now.cpu - counters.cpu,
        ticks: ticks_now.since(&ticks),
    }
}

fn cpu_over(service: &Service, lasts: Duration) -> Duration {
    let before = Counters::of(&service.pid);
    std::thread::sleep(lasts);
    Counters::of(&service.pid).cpu - before.cpu
}
