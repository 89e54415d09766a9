//! Configuration: layers of text in, one validated [`Config`] out, or every problem at once. Owns
//! the only place where the environment is read. Never logs, never reaches for the network.
//! Invariant: a `Config` exists only where every setting was accepted.

mod contradictions;
pub mod duration;
mod layers;
mod parse;
mod settings;
mod values;

use std::path::{Path, PathBuf};

pub use layers::Origin;
pub use settings::{Config, Kind, SETTINGS, Setting};
pub use values::{Emit, Headers, InstanceId, LogFormat, LogLevel, SaslMechanism, Secret};

use layers::Values;

use crate::domain::emission::Emission;

/// Names the TOML file where `--config` does not.
pub const FILE_VARIABLE: &str = "AGGREGATOR_CONFIG";

/// What the command line says of the configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ConfigArgs {
    /// TOML file with settings; its keys are the variables' names in lower case
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// One setting by the name of its variable; wins over the environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE", global = true, value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The variable's name.
    pub name: &'static str,
    /// Its value; `***` where it is a secret.
    pub value: String,
    /// The layer that it comes from.
    pub origin: Origin,
}

/// Everything that is wrong with the configuration, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// The configuration from `args`, the variables `env`, and the file that either names.
    ///
    /// # Errors
    /// Every wrong setting with its value and what is accepted.
    pub fn load(
        args: &ConfigArgs,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let env: Vec<_> = env.collect();
        let mut values = Values::new();
        if let Some(file) = file_of(args, &env) {
            match std::fs::read_to_string(&file) {
                Ok(text) => values.add_file(&text),
                Err(error) => values.problems.push(unreadable(&file, &error)),
            }
        }
        values.add_environment(&env);
        values.add_flags(&args.set);
        let built = settings::build(&mut values);
        let mut problems = std::mem::take(&mut values.problems);
        problems.extend(built.iter().flat_map(contradictions::of));
        match built {
            Some(config) if problems.is_empty() => Ok(Self {
                ignored: ignored(&env),
                shown: SETTINGS.iter().map(|setting| show(&values, setting)).collect(),
                supervised: value_in(&env, "NOTIFY_SOCKET").is_some(),
                ..config
            }),
            _ => Err(ConfigError(problems)),
        }
    }

    /// As [`Config::load`], with the environment of this process.
    ///
    /// # Errors
    /// Every wrong setting with its value and what is accepted.
    pub fn from_process(args: &ConfigArgs) -> Result<Self, ConfigError> {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        Self::load(args, std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// When ticks come, and which of them are of all active tokens.
    #[must_use]
    pub fn emission(&self) -> Emission {
        let every = if self.aggregate_emit == Emit::All { 1 } else { self.aggregate_full_every };
        let interval = self.aggregate_changed_interval.unwrap_or(self.publish_interval);
        Emission::changed(interval, self.publish_interval.saturating_mul(every))
    }

    /// Whether connections to Redis are encrypted.
    #[must_use]
    pub fn redis_over_tls(&self) -> bool {
        self.redis_tls || self.redis_addr.expose().starts_with("rediss")
    }
}

fn file_of(args: &ConfigArgs, env: &[(String, String)]) -> Option<PathBuf> {
    args.config.clone().or_else(|| value_in(env, FILE_VARIABLE).map(PathBuf::from))
}

/// A variable's value, where it is set and not empty.
fn value_in<'a>(env: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = env.iter().find(|(known, value)| known == name && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}

fn unreadable(file: &Path, error: &std::io::Error) -> String {
    format!("{FILE_VARIABLE}: {:?} cannot be read: {error}", file.display().to_string())
}

fn show(values: &Values, setting: &Setting) -> Shown {
    let (text, origin) = values.text(setting);
    Shown { name: setting.name, value: layers::shown(setting, &text), origin }
}

fn ignored(env: &[(String, String)]) -> Vec<String> {
    let mut names: Vec<String> = env
        .iter()
        .filter(|(name, _)| settings::IGNORED.contains(&name.as_str()))
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((pair.0.trim().to_owned(), pair.1.to_owned()))
}
