//! Whether Redis lets us in and lets us do what the service needs. A refusal is told from a server
//! that is away: waiting does not cure it.

use std::fmt;

use fred::types::Value;

use super::client::Client;
use super::connect::RedisError;
use super::scripts::{ADMISSION, Run};
use crate::tls::Fault;

/// What a Redis that answers does not agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The TLS that we speak, or theirs.
    Tls(Fault),
    /// User or password.
    Login,
    /// A command or a key: the user's ACL.
    Permission,
}

impl Client {
    /// Whether we are let in, and may do what the service does with keys under `key_prefix`.
    ///
    /// # Errors
    /// `Refused` where waiting does not help, `Unanswered` otherwise.
    pub async fn admitted(&self, key_prefix: &str) -> Result<(), RedisError> {
        self.ping().await?;
        let run = Run { keys: vec![format!("{key_prefix}admission")], args: Vec::new() };
        let none = || Err(super::client::SendError::unexpected(&Value::Null));
        let answer = ADMISSION.run(self, &[run]).await.into_iter().next().unwrap_or_else(none);
        answer.map(drop).map_err(|error| RedisError::said(error.to_string()))
    }
}

impl RedisError {
    /// Of what Redis, or the connection to it, said.
    pub(super) fn said(cause: String) -> Self {
        match Refusal::of(&cause) {
            Some(refusal) => Self::Refused { refusal, cause },
            None => Self::Unanswered(cause),
        }
    }
}

impl Refusal {
    fn of(text: &str) -> Option<Self> {
        if text.contains("NOPERM") {
            Some(Self::Permission)
        } else if LOGIN.iter().any(|words| text.contains(words)) {
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
            Self::Login => f.write_str("it refuses the login"),
            Self::Permission => f.write_str("it does not permit what the service needs"),
        }
    }
}

/// A wrong login, none where one is wanted, one where none is known.
const LOGIN: [&str; 4] =
    ["WRONGPASS", "NOAUTH", "called without any password configured", "but no password is set"];
