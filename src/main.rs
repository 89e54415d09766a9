//! The program, as a table of contents: arguments → configuration → telemetry → runtime → what was
//! asked for → exit code.

use std::io::stdout;
use std::process::ExitCode;

use aggregator_service::app::{self, Exit};
use aggregator_service::cli::{self, args::Args, args::Command};
use aggregator_service::config::Config;
use aggregator_service::telemetry;

use memfn as _; // linked for its symbols: the static build's memcpy and kin

/// musl's own allocator has one lock and costs half of the throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match cli::args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    let config = match Config::from_process(&args.config) {
        Ok(config) => config,
        Err(problems) => return cli::complain(&problems, Exit::Usage),
    };
    match perform(&args, &config) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => cli::complain(&format!("{error:#}"), app::exit_of(&error)),
    }
}

fn perform(args: &Args, config: &Config) -> anyhow::Result<Exit> {
    match args.command.as_ref().unwrap_or(&Command::Run) {
        Command::Run => {
            telemetry::init(config.log_level, config.log_format)?;
            runtime()?.block_on(async { app::run(config, app::stop_on_signals()?).await })
        }
        Command::Demo(args) => {
            telemetry::init(cli::demo::adapted(config).log_level, config.log_format)?;
            let demo = async { cli::demo::run(config, args, app::stop_on_signals()?).await };
            runtime()?.block_on(demo).map(|()| Exit::Stopped)
        }
        Command::Replay { file, dead_letters } => {
            cli::replay::run(config, file, dead_letters.as_deref()).map(|()| Exit::Stopped)
        }
        Command::Check(args) => runtime()?.block_on(cli::check::run(config, args)),
        Command::Topics(args) => runtime()?.block_on(cli::topics::run(config, args)),
        Command::Config(output) => {
            let print = if output.json { cli::config::print_json } else { cli::config::print };
            Ok(print(config, &mut stdout().lock()).map(|()| Exit::Stopped)?)
        }
        Command::Completions { shell } => {
            Ok(cli::completions::print(*shell, &mut stdout().lock()).map(|()| Exit::Stopped)?)
        }
        Command::Healthcheck => Ok(cli::healthcheck::check(config.metrics_port)),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
