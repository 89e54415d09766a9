//! The drain: a backlog is read from its begin to its end by the service and by each floor, in
//! turns, on the same topic.
//!
//! In the *backlog* cells the service starts over a full topic: as after an outage. It publishes
//! nothing until it has read everything, so in the *live* cells it is ready first, then halted
//! while the backlog is written, and reads it at a tick a second, checkpointing all the while.

use std::time::{Duration, Instant};

use rskafka::client::partition::Compression;

use crate::args::{Args, Floor};
use crate::backlog::{ARRAY, Backlog};
use crate::floor;
use crate::process::{Cost, cpu};
use crate::report::Report;
use crate::spread::Spread;
use crate::world::{Program, World, as_f64, figures, trades, until_counted};
use support::harness::service::Service;

/// What is drained, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) backlog: Backlog,
    pub(crate) live: bool,
    pub(crate) runs: usize,
    /// Settings of the service beside the usual ones.
    pub(crate) more: Vec<(&'static str, String)>,
    /// On so many cores alone.
    pub(crate) cores: Option<usize>,
}

impl Cell {
    /// At default settings, on all cores.
    pub(crate) fn of(name: impl Into<String>, backlog: Backlog, live: bool, runs: usize) -> Self {
        Self { name: name.into(), backlog, live, runs, more: Vec::new(), cores: None }
    }

    fn start(&self, world: &World, program: &Program, name: &str) -> Service {
        let more: Vec<_> = self.more.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match self.cores {
            Some(cores) => world.service_on(program, name, &more, cores),
            None => world.service(program, name, &more),
        }
    }

    /// A start over a backlog, from the process' first moment.
    fn once(&self, world: &World, program: &Program, name: &str) -> (Cost, Option<f64>) {
        let begun = Instant::now();
        let service = self.start(world, program, name);
        until_counted(&service, self.backlog.trades);
        let cost = Cost::since(Duration::ZERO, &service.pid, begun.elapsed());
        (cost, tick_ms(&service))
    }

    /// A backlog that comes to a running service.
    fn live_once(&self, world: &World, program: &Program, name: &str) -> (Cost, Option<f64>) {
        Backlog { trades: 0, ..self.backlog }.fill(&world.kafka, &trades(name));
        let service = self.start(world, program, name);
        service.ready();
        service.halted(|| self.backlog.fill(&world.kafka, &trades(name)));
        let (begun, before) = (Instant::now(), cpu(&service.pid));
        until_counted(&service, self.backlog.trades);
        (Cost::since(before, &service.pid, begun.elapsed()), tick_ms(&service))
    }
}

/// What a cell came to, run by run.
#[derive(Debug, Default)]
struct Drained {
    service: Vec<Cost>,
    other: Vec<Cost>,
    floors: [Vec<Cost>; 3],
    /// Mean from a tick to its last acknowledgement in milliseconds, where there were ticks.
    ticks_ms: Vec<f64>,
}

/// All cells, or those that were asked for.
pub(crate) fn run(world: &World, program: &Program, args: &Args, report: &mut Report) {
    let usual = Backlog::usual(args.trades);
    let shapes = [("singles", 1), ("arrays", ARRAY)];
    let mut cells = Vec::new();
    for (shape, array) in shapes {
        let backlog = Backlog { array, ..usual };
        let live = Cell::of(format!("live-{shape}"), backlog, true, args.runs);
        let more = vec![("AGGREGATE_FIELDS", "extended".to_owned())];
        cells.push(Cell { name: format!("extended-{shape}"), more, ..live.clone() });
        cells.push(live);
    }
    for (shape, array) in shapes {
        for partitions in [3, 12] {
            for (name, codec) in CODECS {
                let (name, live) = (format!("{shape}-{partitions}-{name}"), false);
                let backlog = Backlog { array, partitions, codec, ..usual };
                cells.push(Cell::of(name, backlog, live, args.runs));
            }
        }
    }
    let tokens = |tokens| Backlog { tokens, ..usual };
    cells.push(Cell::of("live-50k-tokens", tokens(50_000), true, args.runs));
    cells.push(Cell::of("50k-tokens", tokens(50_000), false, args.runs));
    cells.push(Cell::of("1m-tokens", tokens(1_000_000), false, args.runs));
    cells.push(Cell::of("hot-token", Backlog { hot: true, ..usual }, false, args.runs));
    measure("Reading a backlog, CPU time of the process:", cells, (world, program), args, report);
}

/// A table of cells, those that were asked for.
pub(crate) fn measure(
    title: &str,
    cells: Vec<Cell>,
    (world, program): (&World, &Program),
    args: &Args,
    report: &mut Report,
) {
    let other = args.against.as_deref().map(Program::at);
    // The broker's own compiler is at work in the first seconds: nothing of them is kept.
    drain(world, program, None, &Cell::of("warm-up", Backlog::usual(WARM), false, 1));
    let beside = if other.is_some() { &COLUMNS[..] } else { &COLUMNS[..ALONE] };
    report.table(title, beside);
    for cell in cells.into_iter().filter(|cell| args.wants(&cell.name)) {
        let row = drain(world, program, other.as_ref(), &cell).row(&cell, report);
        report.row(row);
    }
}

/// One cell, run after run: the service, another build of it, the three floors.
fn drain(world: &World, program: &Program, other: Option<&Program>, cell: &Cell) -> Drained {
    let full = trades(&cell.name);
    let mut drained = Drained::default();
    if !cell.live {
        cell.backlog.fill(&world.kafka, &full);
    }
    for run in 1..=cell.runs {
        eprintln!("{}: run {run} of {}", cell.name, cell.runs);
        let live = format!("{}-{run}", cell.name);
        let name = if cell.live { &live } else { &cell.name };
        let once = if cell.live { Cell::live_once } else { Cell::once };
        let (cost, tick_ms) = once(cell, world, program, name);
        drained.service.push(cost);
        drained.ticks_ms.extend(tick_ms);
        world.forget();
        if let Some(other) = other {
            let name = if cell.live { &format!("{live}-other") } else { name };
            drained.other.push(once(cell, world, other, name).0);
            if cell.live {
                world.delete(&trades(name));
            }
            world.forget();
        }
        for (floor, costs) in Floor::ALL.into_iter().zip(&mut drained.floors) {
            costs.push(floor::run(floor, &world.kafka.address(), &trades(name), cell.backlog));
        }
        if cell.live {
            world.delete(&trades(name));
        }
    }
    if !cell.live {
        world.delete(&full);
    }
    drained
}

fn tick_ms(service: &Service) -> Option<f64> {
    let figures = figures(service).unwrap();
    let ticks = figures["publish_tick_seconds_count"];
    (ticks > 0.5).then(|| figures["publish_tick_seconds_sum"] / ticks * 1e3)
}

impl Drained {
    fn row(self, cell: &Cell, report: &mut Report) -> Vec<String> {
        let Self { service, other, floors: [bare, borrowed, owned], ticks_ms } = self;
        let trades = as_f64(cell.backlog.trades);
        let micros = |costs: &[Cost]| Spread::of(costs.iter().map(|it| cpu_s(it) * 1e6 / trades));
        let rate = |costs: &[Cost]| {
            format!("{:.2} M", Spread::of(costs.iter().map(|it| trades / wall_s(it) / 1e6)))
        };
        let over = |base: &[Cost], figure: Figure| Spread::of_pairs(&service, base, figure);
        let mut kept = |of: &str, figure: Figure| {
            report.ratio(format!("{}: {of} ÷ borrowed", cell.name), over(&borrowed, figure))
        };
        let mut row = vec![
            cell.name.clone(),
            micros(&service).to_string(),
            over(&bare, cpu_s).to_string(),
            kept("CPU", cpu_s),
            over(&owned, cpu_s).to_string(),
            rate(&service),
            rate(&borrowed),
            kept("time", wall_s),
            format!("{:.0}", Spread::of(service.iter().map(|cost| cost.peak_kb as f64 / 1e3))),
            match ticks_ms.is_empty() {
                true => "–".to_owned(),
                false => format!("{:.0}", Spread::of(ticks_ms)),
            },
        ];
        if !other.is_empty() {
            row.push(micros(&other).to_string());
            row.push(over(&other, cpu_s).to_string());
            row.push(over(&other, wall_s).to_string());
        }
        row
    }
}

/// One thing that work has cost.
type Figure = fn(&Cost) -> f64;

fn cpu_s(cost: &Cost) -> f64 {
    cost.cpu.as_secs_f64()
}

fn wall_s(cost: &Cost) -> f64 {
    cost.wall.as_secs_f64()
}

const COLUMNS: [&str; 13] = [
    "backlog",
    "µs CPU a trade",
    "÷ bare",
    "÷ borrowed",
    "÷ owned",
    "trades/s",
    "borrowed alone",
    "time ÷ borrowed",
    "peak MB",
    "tick ms",
    "the other's µs",
    "CPU ÷ other",
    "time ÷ other",
];
/// Columns where there is no other build.
const ALONE: usize = 10;
/// Trades that warm the broker up.
const WARM: usize = 1_000_000;
const CODECS: [(&str, Compression); 4] = [
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
    ("none", Compression::NoCompression),
];
