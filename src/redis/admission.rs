//! Whether Redis lets us in and lets us do what the service needs. A refusal is told from a server
//! that is away: waiting does not cure it.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::client::Client;
use super::connect::{RedisConfig, RedisError};
use super::scripts::{ADMISSION, Run};
use crate::tls::{self, Fault};

/// What a Redis that answers does not agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The TLS that we speak, or theirs.
    Tls(Fault),
    /// That we speak no TLS.
    WantsTls,
    /// User or password.
    Login,
    /// A command or a key: the user's ACL.
    Permission,
}

/// Whether we are let in, and may do what the service does with its keys. Waits some seconds for a
/// server that is away.
///
/// # Errors
/// `Refused` where waiting does not help, `Unanswered` otherwise.
pub async fn admitted(client: &Client, config: &RedisConfig) -> Result<(), RedisError> {
    match client.wait_until_reachable(PATIENCE).await {
        Err(RedisError::Unanswered(cause)) if config.tls.is_none() && speaks_tls(config).await => {
            return Err(RedisError::Refused { refusal: Refusal::WantsTls, cause });
        }
        answer => answer?,
    }
    let keys = vec![format!("{}admission", config.key_prefix).into()];
    let run = Run { keys, args: Vec::new() };
    let answer = ADMISSION.run(client, &[run]).await.into_iter().next();
    answer.map_or(Ok(()), |answer| match answer {
        Ok(_) => Ok(()),
        Err(error) => Err(RedisError::said(error.to_string())),
    })
}

async fn speaks_tls(config: &RedisConfig) -> bool {
    let url = match config.addr.split_once("://") {
        Some((_, rest)) => format!("redis://{rest}"),
        None => format!("redis://{}", config.addr),
    };
    let Ok(url) = Url::parse(&url) else { return false };
    let host = url.host_str().map(|host| host.trim_matches(['[', ']']));
    match (host, url.port()) {
        (Some(host), Some(port)) => tls::is_spoken(host, port).await,
        _ => false,
    }
}

impl RedisError {
    /// Of what Redis, or the connection to it, said.
    pub(super) fn said(cause: String) -> Self {
        match Refusal::of(&cause) {
            Some(refusal @ Refusal::Tls(_)) => {
                // Of an I/O error in `Debug` what is wrapped in it says it all.
                let wrapped = cause.split_once("error: ").and_then(|(_, it)| it.strip_suffix(" }"));
                let wrapped = wrapped.map(str::to_owned);
                Self::Refused { refusal, cause: wrapped.unwrap_or(cause) }
            }
            Some(refusal) => Self::Refused { refusal, cause },
            None => Self::Unanswered(cause),
        }
    }
}

impl Refusal {
    fn of(text: &str) -> Option<Self> {
        if text.contains("NOPERM") {
            Some(Self::Permission)
        } else if text.contains("WRONGPASS") || text.contains("NOAUTH") {
            Some(Self::Login)
        } else {
            Fault::of(text).map(Self::Tls)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(fault) => write!(f, "{fault}"),
            Self::WantsTls => f.write_str("it wants TLS"),
            Self::Login => f.write_str("it refuses the login"),
            Self::Permission => f.write_str("it does not permit what the service needs"),
        }
    }
}

/// Above the driver's own time to connect, so that it has said by then what is wrong.
const PATIENCE: Duration = Duration::from_secs(3);
