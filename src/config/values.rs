//! The types of values that settings have and nobody else defines.

use std::fmt;
use std::str::FromStr;

use hyper::header::{HeaderName, HeaderValue};

use super::parse;

/// A text that no log line and no page ever shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// HTTP headers, their values marked as not to be shown.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// The least level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything but tracing.
    Debug,
    /// What happened.
    Info,
    /// Someone should look.
    Warn,
    /// Data or service is at stake.
    Error,
    /// As `Error`: nothing is above it here.
    Fatal,
}

impl LogLevel {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

impl FromStr for LogLevel {
    type Err = String;

    /// As the configuration reads it.
    fn from_str(text: &str) -> Result<Self, String> {
        parse::log_level(text).ok_or_else(|| {
            format!("level: {text:?} is not accepted; accepted: DEBUG, INFO, WARN, ERROR or FATAL")
        })
    }
}

/// Of which tokens a tick publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// Of all active ones.
    All,
    /// Of those whose message would say something new.
    Changed,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// How to log in to Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// `PLAIN`.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
    /// `OAUTHBEARER`.
    OauthBearer,
}

/// By which name an instance is known in its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceId {
    /// By host name and HTTP port.
    Auto,
    /// By none: each start is a new member.
    None,
    /// By this one.
    Named(String),
}

impl InstanceId {
    /// The name, on this host and with this HTTP port. Any free port (0) makes none that lasts.
    #[must_use]
    pub fn on(&self, host: &str, port: u16) -> Option<String> {
        match self {
            Self::Auto => (port > 0).then(|| format!("{host}-{port}")),
            Self::None => None,
            Self::Named(name) => Some(name.clone()),
        }
    }
}

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself, for the one who has to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
