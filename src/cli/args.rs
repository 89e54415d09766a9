//! The command line's grammar. Decides nothing but what was asked for; wrong usage ends in the
//! exit code 64, as wrong configuration does.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::config::ConfigArgs;

/// Exit code for wrong usage and wrong configuration (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// What was asked for.
#[derive(Clone, Debug, Parser)]
#[command(version, about, propagate_version = true, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Args {
    /// Where settings come from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do; `run` where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Trades from Kafka in, aggregates to Kafka out (the default)
    Run,
    /// The same pipeline over simulated trades: no Kafka, no Redis
    Demo(DemoArgs),
    /// Record values as lines in, messages as lines out, by event time
    ///
    /// The clock is the newest TransTime second seen; every multiple of
    /// AGGREGATE_PUBLISH_INTERVAL that it passes is a tick. A trade further than MAX_FUTURE_SKEW
    /// ahead of the wall clock is rejected: history is never in the future.
    Replay {
        /// The lines; `-` reads standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Write what is rejected to this file, one JSON object a line: reason, message, line
        /// (from 1), index in its array, value
        #[arg(long, value_name = "FILE")]
        dead_letters: Option<PathBuf>,
    },
    /// Reach everything that the service needs, say what is wrong and what to do; change nothing
    ///
    /// Exit codes: 0 nothing fails, 1 something fails, 64 wrong usage or configuration.
    Check(CheckArgs),
    /// Compare the topics with what the service needs; create or alter them where told to
    ///
    /// Never deletes a topic and never makes anything less. Exit codes: 0 all are as wanted, 1 one
    /// is not, 64 wrong usage or configuration.
    Topics(TopicsArgs),
    /// Print every setting, its value and where it came from
    Config(ConfigOutput),
    /// Print the script that lets a shell complete this command line
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Ask the one running on this host whether it is alive
    Healthcheck,
}

/// How `check` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct CheckArgs {
    /// One JSON object instead of text: the verdict and every finding
    #[arg(long)]
    pub json: bool,
}

/// How `config` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct ConfigOutput {
    /// One JSON object instead of text: name, value and origin of each setting
    #[arg(long)]
    pub json: bool,
}

/// What `topics` may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct TopicsArgs {
    /// Create the topics that are missing
    #[arg(long)]
    pub create: bool,
    /// Raise retention, and partitions where --partitions says how many
    #[arg(long)]
    pub alter: bool,
    /// Partitions of the input and the output, at least (default: any; new ones get 3)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: Option<i32>,
    /// Copies of every topic, at least (default: any; new ones as the brokers have it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    pub replication: Option<i16>,
}

/// How the demo is run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct DemoArgs {
    /// End after so many seconds
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Trade as the demo did that showed this seed
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many tokens are traded, 1 to 1000000
    #[arg(long, value_name = "N", default_value_t = 300)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub tokens: u32,
}

/// Reads the command line; the program's name comes first.
///
/// # Errors
/// After help, version or a complaint was printed: the exit code to end with.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Args, u8> {
    Args::try_parse_from(words).map_err(|answer| {
        let code = exit_code(&answer);
        answer.print().map_or(EXIT_USAGE, |()| code)
    })
}

/// Help and version are answers, everything else is a complaint.
fn exit_code(answer: &clap::Error) -> u8 {
    if answer.use_stderr() { EXIT_USAGE } else { 0 }
}

const AFTER_HELP: &str = "\
Exit codes: 0 stopped as asked, 1 failed, 64 wrong usage or configuration, \
75 another instance took over.";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, u8> {
        Args::try_parse_from(line.split(' ')).map_err(|answer| exit_code(&answer))
    }

    #[test]
    fn no_command_is_left_to_mean_run() {
        let args = parsed("aggregator-service").unwrap();
        assert_eq!(args.command, None);
    }

    #[test]
    fn settings_and_file_may_stand_behind_the_command() {
        let args = parsed("aggregator-service config --set KAFKA_TOPIC=a=b --config x.toml");
        let args = args.unwrap();
        assert_eq!(args.command, Some(Command::Config(ConfigOutput::default())));
        assert_eq!(args.config.set, [("KAFKA_TOPIC".to_owned(), "a=b".to_owned())]);
        assert_eq!(args.config.config, Some(PathBuf::from("x.toml")));
    }

    #[test]
    fn replay_reads_standard_input_where_no_file_is_named() {
        let args = parsed("aggregator-service replay --dead-letters bad.txt").unwrap();
        let (file, dead_letters) = (PathBuf::from("-"), Some(PathBuf::from("bad.txt")));
        assert_eq!(args.command, Some(Command::Replay { file, dead_letters }));
    }

    #[test]
    fn a_demo_ends_and_repeats_as_it_is_told() {
        let args = parsed("aggregator-service demo --seconds 3 --seed 7").unwrap();
        let demo = DemoArgs { seconds: Some(3), seed: Some(7), tokens: 300 };
        assert_eq!(args.command, Some(Command::Demo(demo)));
        let args = parsed("aggregator-service demo --tokens 10000").unwrap();
        let demo = DemoArgs { seconds: None, seed: None, tokens: 10_000 };
        assert_eq!(args.command, Some(Command::Demo(demo)));
    }

    #[test]
    fn wrong_usage_ends_in_64_and_help_in_0() {
        for wrong in ["fly", "--fly", "--set KAFKA_TOPIC", "replay a b", "demo --tokens 0"] {
            assert_eq!(parsed(&format!("aggregator-service {wrong}")).unwrap_err(), 64, "{wrong}");
        }
        for right in ["--help", "--version", "replay --version"] {
            assert_eq!(parsed(&format!("aggregator-service {right}")).unwrap_err(), 0, "{right}");
        }
    }
}
