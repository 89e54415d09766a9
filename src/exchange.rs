//! One HTTP request on a connection that is open already, and what was answered. The caller bounds
//! the time, and says how long the answer may be.

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// An answer's body, or why it cannot be read: it is too long, or broke off.
pub type Body = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Sends the request; status and body of the answer.
///
/// # Errors
/// The connection broke before there was an answer.
pub async fn exchange<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: T,
    request: Request<Full<Bytes>>,
    max_bytes: usize,
) -> hyper::Result<(StatusCode, Body)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The connection works while the sender waits, and ends with it.
    let asking = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), max_bytes).collect().await;
        Ok((status, body.map(Collected::to_bytes)))
    };
    let (answer, _) = tokio::join!(asking, connection);
    answer
}
