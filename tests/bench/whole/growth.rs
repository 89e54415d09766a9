//! What a trade costs as one thing grows and all others stay: a cliff in a column is a fault of the
//! design. A run each; the floor on the same topic tells what of it is the broker's.

use crate::args::Args;
use crate::backlog::Backlog;
use crate::drain::{Cell, measure};
use crate::report::Report;
use crate::world::{Program, World};

/// Trades of each cell at most: the cells are many.
const MOST: usize = 1_000_000;

pub(crate) fn run(world: &World, program: &Program, args: &Args, report: &mut Report) {
    let cells = cells(args.trades.min(MOST));
    measure("Growth, one thing at a time:", cells, (world, program), args, report);
}

fn cells(trades: usize) -> Vec<Cell> {
    let usual = Backlog::usual(trades);
    // One that publishes and checkpoints meanwhile is live.
    let cell = |name, live, backlog| Cell::of(name, backlog, live, 1);
    let mut cells = Vec::new();
    for (name, tokens) in [("1k", 1_000), ("10k", 10_000), ("100k", 100_000), ("1m", 1_000_000)] {
        cells.push(cell(format!("tokens-{name}"), false, Backlog { tokens, ..usual }));
    }
    for partitions in [1, 4, 16, 64] {
        let backlog = Backlog { partitions, ..usual };
        cells.push(cell(format!("partitions-{partitions}"), false, backlog));
    }
    for windows in [1, 5, 20] {
        let names: Vec<_> = (1..=windows).map(|at| format!("{}s", 600 + at * 180)).collect();
        let more = vec![("TIME_WINDOWS", names.join(","))];
        cells.push(Cell { more, ..cell(format!("windows-{windows}"), true, usual) });
    }
    for (length, covered) in [("1m", 20), ("1h", 1_800), ("24h", 43_200)] {
        // The trades lie in the younger half of the window.
        let more = vec![("TIME_WINDOWS", length.to_owned())];
        let backlog = Backlog { covered, ..usual };
        cells.push(Cell { more, ..cell(format!("length-{length}"), true, backlog) });
    }
    for interval in ["1s", "30s", "5m"] {
        let more = vec![("AGGREGATE_PUBLISH_INTERVAL", interval.to_owned())];
        let backlog = Backlog { tokens: 10_000, ..usual };
        cells.push(Cell { more, ..cell(format!("interval-{interval}"), true, backlog) });
    }
    for cores in [1, 2] {
        let cores_alone = Some(cores);
        cells.push(Cell { cores: cores_alone, ..cell(format!("cores-{cores}"), false, usual) });
    }
    cells
}
