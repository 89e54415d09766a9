//! One request to the receiver, and which answers are worth another one.

use bytes::Bytes;
use hyper::StatusCode;

use crate::endpoint::{Endpoint, Unanswered};

/// Why an export did not get through.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// There is no answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// It answered, and does not want it.
    #[error("HTTP status {0}")]
    Refused(StatusCode),
    /// It answered something else than OTLP.
    #[error("the answer is not OTLP: {0}")]
    Strange(#[from] prost::DecodeError),
    /// The answer is too long, or broke off.
    #[error("the answer cannot be read: {0}")]
    Unreadable(Box<dyn std::error::Error + Send + Sync>),
}

impl PostError {
    /// The protocol says which answers may be followed by another attempt.
    #[must_use]
    pub(super) fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Refused(status) => RETRIED.contains(status),
            // It has the export, as far as one can tell.
            Self::Strange(_) | Self::Unreadable(_) => false,
        }
    }
}

/// Posts a message to a path of the receiver; answers the body.
pub(super) async fn post(
    receiver: &Endpoint,
    path: &str,
    message: Vec<u8>,
) -> Result<Bytes, PostError> {
    let (status, body) = receiver.post(path, "application/x-protobuf", message).await?;
    if !status.is_success() {
        return Err(PostError::Refused(status));
    }
    body.map_err(PostError::Unreadable)
}

const RETRIED: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
