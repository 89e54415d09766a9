//! What a trade costs as one thing grows and all others stay: a cliff in a column is a fault of the
//! design. A run each; the floor on the same topic tells what of it is the broker's.

use crate::args::Args;
use crate::backlog::Backlog;
use crate::drain::{Cell, drain};
use crate::report::Report;
use crate::world::{Program, World};

/// Trades of each cell at most: the cells are many.
const MOST: usize = 2_000_000;

pub(crate) fn run(world: &World, program: &Program, args: &Args, report: &mut Report) {
    let cells = cells(args.trades.min(MOST));
    let rows = cells.into_iter().filter(|cell| cell.name.contains(&args.only)).map(|cell| {
        let drained = drain(world, program, None, cell);
        drained.growth_row(report)
    });
    let rows: Vec<_> = rows.collect();
    let columns = ["what grows", "µs CPU a trade", "÷ borrowed", "trades/s", "peak MB"];
    report.table("Growth, one thing at a time:", &columns, &rows);
}

fn cells(trades: usize) -> Vec<Cell> {
    let usual = Backlog::usual(trades);
    let mut cells = Vec::new();
    for (name, tokens) in [("1k", 1_000), ("10k", 10_000), ("100k", 100_000), ("1m", 1_000_000)] {
        cells.push(cell(format!("tokens-{name}"), Backlog { tokens, ..usual }));
    }
    for partitions in [1, 4, 16, 64] {
        cells.push(cell(format!("partitions-{partitions}"), Backlog { partitions, ..usual }));
    }
    for windows in [1, 5, 20] {
        let names: Vec<_> = (1..=windows).map(|at| format!("{}s", 600 + at * 180)).collect();
        let windows = ("TIME_WINDOWS", names.join(","));
        cells.push(Cell { more: vec![windows], ..live(format!("windows-{}", names.len()), usual) });
    }
    for (length, covered) in [("1m", 20), ("1h", 1_800), ("24h", 43_200)] {
        // The trades lie in the younger half of the window.
        cells.push(Cell {
            more: vec![("TIME_WINDOWS", length.to_owned())],
            ..live(format!("length-{length}"), Backlog { covered, ..usual })
        });
    }
    for interval in ["1s", "30s", "5m"] {
        cells.push(Cell {
            more: vec![("AGGREGATE_PUBLISH_INTERVAL", interval.to_owned())],
            ..live(format!("interval-{interval}"), Backlog { tokens: 10_000, ..usual })
        });
    }
    for cores in [1, 2] {
        cells.push(Cell { cores: Some(cores), ..cell(format!("cores-{cores}"), usual) });
    }
    cells
}

fn cell(name: String, backlog: Backlog) -> Cell {
    Cell::of(name, backlog, false, 1)
}

/// At a service that publishes and checkpoints meanwhile.
fn live(name: String, backlog: Backlog) -> Cell {
    Cell::of(name, backlog, true, 1)
}
