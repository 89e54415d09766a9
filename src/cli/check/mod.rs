//! `check`: reaches everything that the service needs, each within a bound, and says what it
//! found. Changes nothing: it reads, and where only a change would tell, it asks to be told
//! without one. What a fact means is judged in `crate::check`, not here.

mod host;
mod kafka;
mod redis;
mod registry;

use std::io::{self, Write};

use super::args::CheckArgs;
use crate::app::{Exit, access};
use crate::check::{Level, report};
use crate::config::Config;

/// Checks and prints.
///
/// # Errors
/// Files of the configuration that cannot be used; stdout that cannot be written.
pub async fn run(config: &Config, args: &CheckArgs) -> anyhow::Result<Exit> {
    let access = access::of(config).await?;
    let (kafka, redis, registry) = tokio::join!(
        kafka::look(config, &access.kafka),
        redis::ask(config, &access.redis),
        registry::look(access.registry.as_ref()),
    );
    let mut findings = crate::check::host::configuration(config).into_list();
    findings.extend(kafka.findings);
    findings.extend(redis::findings(config, redis, kafka.input_kept).into_list());
    findings.extend(registry.into_list());
    findings.extend(host::look(config).into_list());
    let page = if args.json { report::json(&findings)? } else { report::text(&findings) };
    io::stdout().write_all(page.as_bytes())?;
    Ok(if report::worst(&findings) == Level::Fail { Exit::Failed } else { Exit::Stopped })
}
