//! How we log in to a broker: the mechanisms of SASL, for `rskafka` and for connections of our
//! own. A token is read from its file for each login, since whoever issues it replaces it there.
//! Secrets are never shown.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use rsasl::config::SASLConfig;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, Session};
use rskafka::client::{Credentials, OauthBearerCredentials, SaslConfig};

/// A SASL login.
#[derive(Clone)]
pub enum Sasl {
    /// With a user and a password.
    Password {
        /// How the password is shown to the broker.
        mechanism: Mechanism,
        /// User.
        username: String,
        /// Password.
        password: String,
    },
    /// `OAUTHBEARER`, with the token in this file.
    TokenFile(PathBuf),
}

/// A SASL mechanism with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// `PLAIN`: in clear, for use inside TLS.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

impl Sasl {
    /// The mechanism's registered name.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Password { mechanism, .. } => mechanism.name(),
            Self::TokenFile(_) => "OAUTHBEARER",
        }
    }

    /// As `rskafka` wants to be told.
    pub(super) fn config(&self) -> SaslConfig {
        match self {
            Self::Password { mechanism, username, password } => {
                let login = Credentials::new(username.clone(), password.clone());
                match mechanism {
                    Mechanism::Plain => SaslConfig::Plain(login),
                    Mechanism::ScramSha256 => SaslConfig::ScramSha256(login),
                    Mechanism::ScramSha512 => SaslConfig::ScramSha512(login),
                }
            }
            Self::TokenFile(file) => {
                let file = file.clone();
                let callback = Arc::new(move || {
                    let file = file.clone();
                    async move { token(&file).await.map_err(Into::into) }.boxed()
                });
                let (authz_id, bearer_kvs) = (None, Vec::new());
                SaslConfig::Oauthbearer(OauthBearerCredentials { callback, authz_id, bearer_kvs })
            }
        }
    }
}

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// The client's half of a login with a password.
    pub(super) fn session(
        self,
        username: &str,
        password: &str,
    ) -> Result<Session, Box<dyn Error + Send + Sync>> {
        let config = SASLConfig::with_credentials(None, username.into(), password.into())?;
        let name = Mechname::parse(self.name().as_bytes())?;
        Ok(SASLClient::new(config).start_suggested(&[name])?)
    }
}

/// What a token is shown as: RFC 7628, without an identity to act as.
pub(super) async fn initial_response(file: &Path) -> Result<Vec<u8>, String> {
    Ok(format!("n,,\x01auth=Bearer {}\x01\x01", token(file).await?).into())
}

/// The token in a file, which blanks may surround.
///
/// # Errors
/// The file cannot be read, or holds no token.
pub async fn token(file: &Path) -> Result<String, String> {
    let name = file.display().to_string();
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|error| format!("{name:?}: {error}"))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{name:?}: holds no token"));
    }
    Ok(token.to_owned())
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Sasl");
        shown.field("mechanism", &self.name());
        match self {
            Self::Password { username, .. } => shown.field("username", username),
            Self::TokenFile(file) => shown.field("token_file", file),
        };
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let (username, password) = ("user".to_owned(), "hunter2".to_owned());
        let sasl = Sasl::Password { mechanism: Mechanism::Plain, username, password };
        assert!(!format!("{sasl:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_token_is_one_word_read_anew_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(token(file.path()).await.unwrap_err().ends_with("holds no token"));
        for (text, expected) in [("abc.d-e\n", Some("abc.d-e")), ("two words", None)] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(token(file.path()).await.ok().as_deref(), expected);
        }
    }
}
