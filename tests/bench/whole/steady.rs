//! What a trade costs that comes in time, as nearly all do, with standard and with extended
//! figures: a steady load of arrays of 50, each of the second in which it goes out. In the live
//! cells of the drain every trade comes after the ticks of its second, which is what extended
//! figures cost most.

use std::time::Duration;

use crate::args::Args;
use crate::backlog::Backlog;
use crate::latency::watch;
use crate::report::Report;
use crate::spread::Spread;
use crate::stream::Stream;
use crate::world::{Program, World, trades};

/// Tokens, and different trades of them: nearly each of another token and wallet.
const TOKENS: usize = 1_000;
const TRADES: usize = 500_000;
/// Trades a second.
const RATE: f64 = 200_000.0;
const COLUMNS: [&str; 4] = ["cell", "trades/s", "µs CPU a trade", "÷ standard"];

pub(crate) fn run(world: &World, program: &Program, args: &Args, report: &mut Report) {
    let stream = Stream::long(TOKENS, TRADES);
    let lasts = Duration::from_secs(args.seconds);
    let mut costs = [Vec::new(), Vec::new()];
    for run in 1..=args.runs {
        for (fields, costs) in ["standard", "extended"].into_iter().zip(&mut costs) {
            eprintln!("steady-{fields}: run {run} of {}", args.runs);
            let name = format!("steady-{fields}-{run}");
            Backlog::usual(0).fill(&world.kafka, &trades(&name));
            let service = world.service(program, &name, &[("AGGREGATE_FIELDS", fields)]);
            service.ready();
            stream.pour(&world.kafka, &trades(&name), RATE, || {
                let (_, _, cpu_us) = watch(&service, lasts);
                costs.push(cpu_us);
            });
            drop(service);
            world.forget();
            world.delete(&trades(&name));
        }
    }
    let [standard, extended] = costs;
    let ratio = Spread::of_pairs(&extended, &standard, |cost| *cost);
    report.table("Trades that come in time:", &COLUMNS);
    let ratio = report.ratio("steady: extended ÷ standard".to_owned(), ratio);
    for (fields, costs, ratio) in
        [("standard", standard, "1".to_owned()), ("extended", extended, ratio)]
    {
        let cell = format!("steady-{fields}");
        report.row(vec![cell, format!("{RATE:.0}"), Spread::of(costs).to_string(), ratio]);
    }
}
