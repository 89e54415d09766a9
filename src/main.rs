//! The program, as a table of contents: arguments → configuration → telemetry → runtime → what was
//! asked for → exit code.

use std::io::stdout;
use std::process::ExitCode;

use aggregator_service::app::{self, Exit};
use aggregator_service::cli::{self, args::Args, args::Command};
use aggregator_service::config::Config;

/// musl's own allocator has one lock and costs half of the throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    refuse_huge_pages();
    memfn::keep_free_memory(KEEP_MS);
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
        Command::Run => runtime()?.block_on(async {
            let telemetry = app::start_telemetry(config, &args.config, Config::clone)?;
            app::run(config, telemetry, app::stop_on_signals()?).await
        }),
        Command::Demo(demo) => runtime()?.block_on(async {
            let config = cli::demo::adapted(config);
            let telemetry = app::start_telemetry(&config, &args.config, cli::demo::adapted)?;
            cli::demo::run(&config, demo, telemetry, app::stop_on_signals()?).await
        }),
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
        Command::Healthcheck => Ok(cli::healthcheck::check(config)),
    }
}

/// Huge pages are hardly filled at first: idle they double what is resident. With much state the
/// clearing of them, whole, costs what they save in looking up addresses.
fn refuse_huge_pages() {
    // A kernel that cannot: then it is only larger.
    rustix::thread::disable_transparent_huge_pages(true).ok();
}

/// Longer than from one tick to the next where ticks are so frequent that their cost shows: each
/// fills memory anew.
const KEEP_MS: i32 = 10_000;

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
