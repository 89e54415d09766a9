//! A schema registry as Confluent's clients know it: the schema of the output topic is looked up,
//! else held against what is registered and then registered itself. Asked at the start alone: a
//! schema's id never changes. Subjects are named as by the strategy of topic names.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, Unanswered};
use crate::tls::Fault;
use crate::wire::extended::Chosen;
use crate::wire::registered::Format;

/// The registry, and what it is asked for.
#[derive(Debug)]
pub struct Registry {
    endpoint: Endpoint,
    subject: String,
    format: Format,
    fields: Chosen,
}

/// How the schema stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Registered under this id.
    Registered(u32),
    /// It may be registered.
    Fits,
}

/// Why there is no id.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Away, or not well: ask again.
    #[error("the schema registry at {url} does not answer: {cause}")]
    Away {
        /// Where it should be.
        url: String,
        /// What was said.
        cause: String,
    },
    /// It is not what it should be, or we are not.
    #[error("the schema registry at {url}: {fault}")]
    Tls {
        /// Where it is.
        url: String,
        /// What is wrong.
        fault: Fault,
    },
    /// It does not want to.
    #[error("the schema registry at {url} refuses: {cause}")]
    Refused {
        /// Where it is.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// What was said.
        cause: String,
    },
    /// The schema does not go together with those of the subject.
    #[error("the schema registry takes the schema of {subject} as incompatible: {cause}")]
    Incompatible {
        /// The subject.
        subject: String,
        /// What was said.
        cause: String,
    },
}

/// An answer, in the order of the questions: an id, a verdict.
#[derive(Deserialize)]
struct Id {
    id: u32,
}

#[derive(Deserialize)]
struct Verdict {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

impl Registry {
    /// The registry at `endpoint` for messages of `topic` in `format` with these extended fields.
    #[must_use]
    pub fn new(endpoint: Endpoint, topic: &str, format: Format, fields: Chosen) -> Self {
        Self { endpoint, subject: format!("{topic}-value"), format, fields }
    }

    /// The name under which the schema stands there.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The schema's id; it is registered where it is not yet.
    ///
    /// # Errors
    /// There is none.
    pub async fn register(&self) -> Result<u32, RegistryError> {
        match self.look().await {
            Ok(Standing::Registered(id)) => return Ok(id),
            Ok(Standing::Fits) => {}
            // Some say why only when they refuse.
            Err(RegistryError::Incompatible { cause, .. }) if cause.is_empty() => {}
            Err(error) => return Err(error),
        }
        let (status, body) = self.ask(&format!("subjects/{}/versions", self.subject)).await?;
        match status {
            StatusCode::CONFLICT => Err(self.incompatible(says(&body))),
            _ => self.read(status, &body).map(|Id { id }| id),
        }
    }

    /// How the schema stands there. Changes nothing.
    ///
    /// # Errors
    /// It is not registered and does not fit; there is no answer.
    pub async fn look(&self) -> Result<Standing, RegistryError> {
        let (status, body) = self.ask(&format!("subjects/{}", self.subject)).await?;
        if status != StatusCode::NOT_FOUND {
            return self.read(status, &body).map(|Id { id }| Standing::Registered(id));
        }
        let path = format!("compatibility/subjects/{}/versions/latest?verbose=true", self.subject);
        let (status, body) = self.ask(&path).await?;
        if status == StatusCode::NOT_FOUND && is_of_a_registry(&body) {
            return Ok(Standing::Fits);
        }
        let Verdict { is_compatible, messages } = self.read(status, &body)?;
        if is_compatible {
            return Ok(Standing::Fits);
        }
        Err(self.incompatible(words(&messages.join("; "))))
    }

    async fn ask(&self, path: &str) -> Result<(StatusCode, Bytes), RegistryError> {
        let (schema, kind) = (self.format.schema(self.fields), self.format.schema_type());
        let body = json!({"schemaType": kind, "schema": schema});
        let answer = self.endpoint.post(path, CONTENT_TYPE, body.to_string().into_bytes()).await;
        let (status, body) = answer.map_err(|cause| self.unanswered(cause))?;
        let body = body.map_err(|cause| self.away(cause.to_string()))?;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.away(format!("{status}: {}", says(&body))));
        }
        Ok((status, body))
    }

    fn read<'a, T: Deserialize<'a>>(
        &self,
        status: StatusCode,
        body: &'a [u8],
    ) -> Result<T, RegistryError> {
        let refused = |cause| RegistryError::Refused { url: self.url(), status, cause };
        if status != StatusCode::OK {
            return Err(refused(format!("{status}: {}", says(body))));
        }
        serde_json::from_slice(body)
            .map_err(|cause| refused(format!("no registry's answer: {cause}")))
    }

    fn unanswered(&self, cause: Unanswered) -> RegistryError {
        match Fault::of(&format!("{cause:?}")) {
            Some(fault) => RegistryError::Tls { url: self.url(), fault },
            None => self.away(cause.to_string()),
        }
    }

    fn away(&self, cause: String) -> RegistryError {
        RegistryError::Away { url: self.url(), cause }
    }

    fn incompatible(&self, cause: String) -> RegistryError {
        RegistryError::Incompatible { subject: self.subject.clone(), cause }
    }

    fn url(&self) -> String {
        self.endpoint.url().to_string()
    }
}

/// A registry has a code of its own for what is not there; a server that is none has not.
fn is_of_a_registry(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body.get("error_code").is_some()
}

/// What an error says of itself, in one line.
fn says(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = match parsed.get("message").and_then(Value::as_str) {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    words(&text)
}

fn words(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(SHOWN_CHARS).collect()
}

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Characters of an error: a list of differences, no page of HTML.
const SHOWN_CHARS: usize = 2_000;
