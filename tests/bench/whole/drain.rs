//! The drain: a backlog is read from its begin to its end by the service and by each floor, in
//! turns, on the same topic.
//!
//! In the *backlog* cells the service starts over a full topic: as after an outage. It publishes
//! nothing until it has read everything, so in the *live* cells it is ready first, then halted
//! while the backlog is written, and reads it at a tick a second, checkpointing all the while.

use std::time::Instant;

use rskafka::client::partition::Compression;

use crate::args::{Args, Floor};
use crate::backlog::{ARRAY, Backlog};
use crate::floor;
use crate::harness::service::Service;
use crate::process::{Cost, Counters};
use crate::report::Report;
use crate::spread::Spread;
use crate::world::{Program, World, as_f64, figures, trades, until_counted};

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
    pub(crate) fn of(name: String, backlog: Backlog, live: bool, runs: usize) -> Self {
        Self { name, backlog, live, runs, more: Vec::new(), cores: None }
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
        let cost = Counters::ZERO.until_now(&service.pid, begun.elapsed());
        (cost, tick_ms(&service))
    }

    /// A backlog that comes to a running service.
    fn live_once(&self, world: &World, program: &Program, name: &str) -> (Cost, Option<f64>) {
        Backlog { trades: 0, ..self.backlog }.fill(&world.kafka, &trades(name));
        let service = self.start(world, program, name);
        service.ready();
        service.halted(|| self.backlog.fill(&world.kafka, &trades(name)));
        let (begun, before) = (Instant::now(), Counters::of(&service.pid));
        until_counted(&service, self.backlog.trades);
        (before.until_now(&service.pid, begun.elapsed()), tick_ms(&service))
    }
}

/// What a cell came to, run by run.
#[derive(Debug)]
pub(crate) struct Drained {
    cell: Cell,
    service: Vec<Cost>,
    other: Vec<Cost>,
    floors: [Vec<Cost>; 3],
    /// Mean from a tick to its last acknowledgement in milliseconds, where there were ticks.
    ticks_ms: Vec<f64>,
}

/// All cells, or those that were asked for.
pub(crate) fn run(world: &World, program: &Program, args: &Args, report: &mut Report) {
    let other = args.against.as_deref().map(Program::at);
    // The broker's own compiler is at work in the first seconds: nothing of them is kept.
    let warm = Cell::of("warm-up".to_owned(), Backlog::usual(args.trades.min(WARM)), false, 1);
    drop(drain(world, program, None, warm));
    let cells = cells(args).into_iter().filter(|cell| cell.name.contains(&args.only));
    let drained: Vec<_> = cells.map(|cell| drain(world, program, other.as_ref(), cell)).collect();
    print(&drained, report);
}

/// The main cells get all runs, the others one in five.
fn cells(args: &Args) -> Vec<Cell> {
    let few = (args.runs / 5).max(1);
    let usual = Backlog::usual(args.trades);
    let cell = |name: &str, backlog, live, runs| Cell::of(name.to_owned(), backlog, live, runs);
    let mut cells = Vec::new();
    for (shape, array) in [("singles", 1), ("arrays", ARRAY)] {
        let backlog = Backlog { array, ..usual };
        cells.push(cell(&format!("live-{shape}"), backlog, true, args.runs));
    }
    for (shape, array) in [("singles", 1), ("arrays", ARRAY)] {
        for partitions in [3, 12] {
            for (name, codec) in CODECS {
                let main = partitions == 3 && matches!(codec, Compression::Snappy);
                let runs = if main { args.runs } else { few };
                let backlog = Backlog { array, partitions, codec, ..usual };
                cells.push(cell(&format!("{shape}-{partitions}-{name}"), backlog, false, runs));
            }
        }
    }
    let tokens = |tokens| Backlog { tokens, ..usual };
    cells.push(cell("live-50k-tokens", tokens(50_000), true, args.runs));
    cells.push(cell("50k-tokens", tokens(50_000), false, args.runs));
    cells.push(cell("1m-tokens", tokens(1_000_000), false, few));
    cells.push(cell("hot-token", Backlog { hot: true, ..usual }, false, args.runs));
    cells
}

/// One cell, run after run: the service, another build of it, the three floors.
pub(crate) fn drain(
    world: &World,
    program: &Program,
    other: Option<&Program>,
    cell: Cell,
) -> Drained {
    let (kafka, full) = (&world.kafka, cell.name.clone());
    let (mut service, mut others, mut ticks_ms) = (Vec::new(), Vec::new(), Vec::new());
    let mut floors: [Vec<Cost>; 3] = Default::default();
    if !cell.live {
        cell.backlog.fill(kafka, &trades(&full));
    }
    for run in 1..=cell.runs {
        eprintln!("{}: run {run} of {}", cell.name, cell.runs);
        let live = format!("{}-{run}", cell.name);
        let name = if cell.live { &live } else { &full };
        let once = if cell.live { Cell::live_once } else { Cell::once };
        let (cost, tick_ms) = once(&cell, world, program, name);
        service.push(cost);
        ticks_ms.extend(tick_ms);
        world.forget();
        if let Some(other) = other {
            let name = if cell.live { &format!("{live}-other") } else { &full };
            others.push(once(&cell, world, other, name).0);
            if cell.live {
                world.delete(&trades(name));
            }
            world.forget();
        }
        for (floor, costs) in Floor::ALL.into_iter().zip(&mut floors) {
            costs.push(floor::run(floor, &kafka.address(), &trades(name), cell.backlog));
        }
        if cell.live {
            world.delete(&trades(name));
        }
    }
    if !cell.live {
        world.delete(&trades(&full));
    }
    Drained { cell, service, other: others, floors, ticks_ms }
}

fn tick_ms(service: &Service) -> Option<f64> {
    let figures = figures(service).unwrap();
    let ticks = figures["publish_tick_seconds_count"];
    (ticks > 0.5).then(|| figures["publish_tick_seconds_sum"] / ticks * 1e3)
}

fn print(drained: &[Drained], report: &mut Report) {
    let columns = [
        "backlog",
        "µs CPU a trade",
        "bare",
        "÷ borrowed",
        "÷ owned",
        "trades/s",
        "time ÷ borrowed",
        "peak MB",
        "faults/1000",
        "tick ms",
    ];
    let rows: Vec<_> = drained.iter().map(|one| one.row(report)).collect();
    report.table("Reading a backlog, CPU time of the process:", &columns, &rows);
    let rows: Vec<_> = drained.iter().map(Drained::floor_row).collect();
    let columns = ["floor", "bare", "+ borrowed", "+ owned", "borrowed trades/s"];
    report.table("The floors, µs CPU a trade:", &columns, &rows);
    let rows: Vec<_> = drained.iter().filter_map(Drained::against_row).collect();
    if !rows.is_empty() {
        let columns = ["backlog", "µs CPU a trade", "the other", "CPU ÷ other", "time ÷ other"];
        report.table("Against the other build:", &columns, &rows);
    }
}

impl Drained {
    fn row(&self, report: &mut Report) -> Vec<String> {
        let Self { cell, service, floors: [bare, borrowed, owned], .. } = self;
        let name = |of: &str| format!("drain {}: {of}", cell.name);
        let time = report.ratio(name("time ÷ borrowed"), Spread::of_pairs(service, borrowed, wall));
        let mut over = |of: &str, floor: &[Cost]| {
            report.ratio(name(of), Spread::of_pairs(service, floor, cpu))
        };
        let peak = Spread::of(service.iter().map(|cost| cost.peak_kb as f64 / 1e3));
        let faults = self.a_trade(service, |cost| cost.faults as f64 * 1e3);
        vec![
            cell.name.clone(),
            self.micros(service).to_string(),
            over("CPU ÷ bare", bare),
            over("CPU ÷ borrowed", borrowed),
            over("CPU ÷ owned", owned),
            self.rate(service),
            time,
            format!("{peak:.0}"),
            format!("{faults:.1}"),
            match self.ticks_ms.is_empty() {
                true => "–".to_owned(),
                false => format!("{:.0}", Spread::of(self.ticks_ms.iter().copied())),
            },
        ]
    }

    /// As a row of the table of growth.
    pub(crate) fn growth_row(&self, report: &mut Report) -> Vec<String> {
        let Self { cell, service, floors: [_, borrowed, _], .. } = self;
        let peak = Spread::of(service.iter().map(|cost| cost.peak_kb as f64 / 1e3));
        let name = format!("growth {}: CPU ÷ borrowed", cell.name);
        vec![
            cell.name.clone(),
            self.micros(service).to_string(),
            report.ratio(name, Spread::of_pairs(service, borrowed, cpu)),
            self.rate(service),
            format!("{peak:.0}"),
        ]
    }

    fn floor_row(&self) -> Vec<String> {
        let mut row = vec![self.cell.name.clone()];
        row.extend(self.floors.iter().map(|floor| self.micros(floor).to_string()));
        row.push(self.rate(&self.floors[1]));
        row
    }

    fn against_row(&self) -> Option<Vec<String>> {
        let Self { cell, service, other, .. } = self;
        (!other.is_empty()).then(|| {
            vec![
                cell.name.clone(),
                self.micros(service).to_string(),
                self.micros(other).to_string(),
                Spread::of_pairs(service, other, cpu).to_string(),
                Spread::of_pairs(service, other, wall).to_string(),
            ]
        })
    }

    /// CPU time in µs a trade.
    fn micros(&self, costs: &[Cost]) -> Spread {
        self.a_trade(costs, |cost| cpu(cost) * 1e6)
    }

    fn rate(&self, costs: &[Cost]) -> String {
        let trades = as_f64(self.cell.backlog.trades);
        format!("{:.2} M", Spread::of(costs.iter().map(|cost| trades / wall(cost) / 1e6)))
    }

    fn a_trade(&self, costs: &[Cost], figure: impl Fn(&Cost) -> f64) -> Spread {
        let trades = as_f64(self.cell.backlog.trades);
        Spread::of(costs.iter().map(|cost| figure(cost) / trades))
    }
}

fn cpu(cost: &Cost) -> f64 {
    cost.cpu.as_secs_f64()
}

fn wall(cost: &Cost) -> f64 {
    cost.wall.as_secs_f64()
}

/// Trades that warm the broker up at most.
const WARM: usize = 1_000_000;
const CODECS: [(&str, Compression); 4] = [
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
    ("none", Compression::NoCompression),
];
