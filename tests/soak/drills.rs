//! The drills: one emergency each, under load, measured against its target.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::drill::{Drill, INTERVAL, Size, time_until};
use crate::service::{PATIENCE, Service};
use crate::topic::{Cursor, now};

/// Ready again after a kill −9.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// In step again after Redis came back.
const IN_STEP_WITHIN: Duration = Duration::from_secs(10);
/// The first message after Kafka came back.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(5);
/// `SHUTDOWN_TIMEOUT`'s default.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
/// `CHECKPOINT_INTERVAL`'s default.
const FLUSH: Duration = Duration::from_millis(250);
/// Kills in a row.
const KILLS: usize = 3;

/// kill −9 under full load.
pub(crate) fn kill(program: &Path, size: Size) -> bool {
    let mut drill = Drill::set("kill", program.to_owned(), size);
    drill.flooded(|drill, mut service| {
        for _ in 0..KILLS {
            service.kill9();
            let (next, took) = drill.start_and_time();
            let (caught_up, again) = (caught_up(&next), next.figure("trades_duplicate_total"));
            // What is held is counted once a second.
            next.until("what it holds", || next.figure("panes") > 0.0);
            let panes = next.figure("panes");
            println!(
                "ready {took:.2?} after a kill −9 ({caught_up}): {panes} panes, {again} trades \
                 read again"
            );
            drill.check(took < READY_WITHIN, || format!("ready after {took:.2?}"));
            service = next;
            std::thread::sleep(READY_WITHIN);
        }
        service
    });
    drill.met()
}

/// SIGTERM under full load.
pub(crate) fn stop(program: &Path, size: Size) -> bool {
    let mut drill = Drill::set("stop", program.to_owned(), size);
    drill.flooded(|drill, service| {
        service.terminate();
        let begun = Instant::now();
        let code = service.exit_code(PATIENCE);
        let took = begun.elapsed();
        let orderly = !service.log().contains("stopped at the deadline");
        println!("exit {code}, {took:.2?} after SIGTERM");
        drill.check(code == 0 && orderly && took < STOPPED_WITHIN, || service.log());
        let (service, took) = drill.start_and_time();
        let again = service.figure("trades_duplicate_total");
        let interval = as_f64(drill.size.rate) * FLUSH.as_secs_f64();
        println!("ready {took:.2?} after the start, {again} trades read again");
        drill.check(again < interval, || format!("{again} trades read again"));
        service
    });
    drill.met()
}

/// Redis away, hung or killed.
pub(crate) fn redis_away(program: &Path, size: Size, killed: bool) -> bool {
    let name = if killed { "redis-killed" } else { "redis-hung" };
    let mut drill = Drill::set(name, program.to_owned(), size);
    drill.flooded(|drill, service| {
        let mut cursor = Cursor(drill.aggregates.ends());
        if killed {
            drill.redis.kill()
        } else {
            drill.redis.stop()
        }
        std::thread::sleep(drill.size.away);
        let age = service.figure("checkpoint_age_seconds");
        if killed {
            drill.redis.restart_empty()
        } else {
            drill.redis.cont()
        }
        let took = time_until(&service, "the checkpoint", || {
            let in_step = service.figure("checkpoint_age_seconds") < 2.0 * FLUSH.as_secs_f64();
            in_step && service.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
        println!("Redis away for {age:.1} s: in step {took:.2?} after its return");
        drill.check(took < IN_STEP_WITHIN, || format!("in step after {took:.2?}"));
        whole_ticks(drill, &mut cursor, &service);
        // In step is what a crash would lose: nothing but the last moments.
        service.kill9();
        let (service, took) = drill.start_and_time();
        let again = service.figure("records_consumed_total");
        println!("then killed −9: ready after {took:.2?}, {again} records read since");
        service
    });
    drill.met()
}

/// Kafka away, hung or killed.
pub(crate) fn kafka_away(program: &Path, size: Size, killed: bool) -> bool {
    let name = if killed { "kafka-killed" } else { "kafka-hung" };
    let mut drill = Drill::set(name, program.to_owned(), size);
    drill.flooded(|drill, service| {
        let flood = Arc::clone(&drill.flood);
        let pause = flood.gate.write().unwrap();
        let mut cursor = Cursor(drill.aggregates.ends());
        if killed {
            drill.kafka.kill9()
        } else {
            drill.kafka.stop()
        }
        std::thread::sleep(drill.size.away);
        let away_s = i64::try_from(drill.size.away.as_secs()).unwrap();
        if killed {
            drill.kafka.restart()
        } else {
            drill.kafka.cont()
        }
        drop(pause);
        let back = now().timestamp();
        let before = drill.aggregates.ends();
        let took = time_until(&service, "a message", || drill.aggregates.ends() != before);
        println!("Kafka away for {away_s} s: first message {took:.2?} after its return");
        drill.check(took < PUBLISHED_WITHIN, || format!("first message after {took:.2?}"));
        std::thread::sleep(Duration::from_secs(2 * INTERVAL.unsigned_abs()));
        let ticks = drill.ticks(&mut cursor);
        let away = back - away_s + INTERVAL..back - 2 * INTERVAL;
        let stale: usize = ticks.range(away).map(|(_, tokens)| tokens.len()).sum();
        println!("messages of the ticks that were missed: {stale}");
        // One batch of each output partition may have been under way.
        drill.check(stale <= 3 * 50, || format!("{stale} stale messages"));
        service
    });
    drill.met()
}

/// Every tick since `cursor` is there, and none is without a token that the one before it had.
fn whole_ticks(drill: &mut Drill, cursor: &mut Cursor, service: &Service) {
    let ticks = drill.ticks(cursor);
    let ends: Vec<_> = ticks.keys().copied().collect();
    let [first, .., last] = ends[..] else { panic!("ticks: {ends:?}") };
    let missed = (last - first) / INTERVAL + 1 - i64::try_from(ends.len()).unwrap();
    let inner = &ends[1..ends.len() - 1];
    let partial = inner.iter().filter(|end| ticks[*end].len() < drill.size.tokens).count();
    let skipped = service.figure("ticks_skipped_total");
    println!("{} ticks meanwhile, {missed} missed, {partial} not whole", ends.len());
    drill.check(missed == 0 && partial == 0 && skipped < 1.0, || {
        format!("{missed} ticks missed, {partial} not whole, {skipped} skipped")
    });
}

/// How long it caught up, as it says itself.
fn caught_up(service: &Service) -> String {
    let log = service.log();
    let line = log.lines().find(|line| line.contains("caught up with the log"));
    let took = line.and_then(|line| line.split_once("took_ms\":")).map(|(_, rest)| rest);
    let took = took.unwrap_or_default().chars();
    let digits: String = took.take_while(char::is_ascii_digit).collect();
    format!("catching up took {digits} ms of it")
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).unwrap().into()
}
