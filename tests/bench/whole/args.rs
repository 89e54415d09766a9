//! The bench's command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// What the service costs between a real Kafka and a real Redis, beside the floors of the same
/// topics. Prints tables; asserts nothing of time.
#[derive(Clone, Debug, Parser)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct Args {
    /// Parts to run; all where none is named.
    #[arg(value_enum)]
    pub(crate) parts: Vec<Part>,
    /// The service to measure; where none is named, `cargo static` builds this tree's.
    #[arg(long)]
    pub(crate) binary: Option<PathBuf>,
    /// Another build of it, drained in turns with the first: the ratio of the two is printed.
    #[arg(long)]
    pub(crate) against: Option<PathBuf>,
    /// Trades of a backlog, a multiple of 1,000: whole batches.
    #[arg(long, default_value_t = 5_000_000)]
    pub(crate) trades: usize,
    /// Runs of what is measured in turns.
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// Only cells whose name holds one of these, which stand between commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seconds of each steady load.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Panes of the checkpoint that is loaded.
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) panes: usize,
    /// Tables in Markdown.
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Writes the ratios to this file.
    #[arg(long)]
    pub(crate) save: Option<PathBuf>,
    /// Compares with the ratios in this file, and names what got slower.
    #[arg(long)]
    pub(crate) compare: Option<PathBuf>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
    /// A process of the bench's own.
    #[command(subcommand)]
    pub(crate) child: Option<Child>,
}

impl Args {
    /// Whether a cell of this name is to be measured.
    pub(crate) fn wants(&self, cell: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| cell.contains(part))
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// A backlog is read from its begin to its end, and one that comes to a running service.
    Drain,
    /// From a tick to its last acknowledgement, and whether fetching pauses meanwhile.
    Publish,
    /// From append to counted at 10, 50 and 90 % of what it carries.
    Latency,
    /// An empty start, idling, and the start over a large checkpoint.
    Start,
    /// The cost of a trade as one thing grows at a time.
    Growth,
    /// The cost of a trade that comes in time, with standard and with extended figures.
    Steady,
}

/// The bench's own processes.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Child {
    /// Reads a topic to its end.
    #[command(hide = true)]
    Floor(FloorOrder),
    /// Reads what is appended, and tells how old it was.
    #[command(hide = true)]
    Follow(FollowOrder),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FloorOrder {
    pub(crate) floor: Floor,
    pub(crate) broker: String,
    pub(crate) topic: String,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FollowOrder {
    pub(crate) broker: String,
    pub(crate) topic: String,
    pub(crate) seconds: u64,
}

/// The least that reading costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Floor {
    /// Fetched, decoded, thrown away.
    Bare,
    /// Parsed, too, into structs that borrow.
    Borrowed,
    /// Parsed, too, into structs that own.
    Owned,
}

impl Floor {
    pub(crate) const ALL: [Self; 3] = [Self::Bare, Self::Borrowed, Self::Owned];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Borrowed => "borrowed",
            Self::Owned => "owned",
        }
    }
}
