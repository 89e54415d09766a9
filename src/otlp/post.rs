//! One request to the receiver on a connection of its own, within a limit of time and size. Over
//! TLS where the URL says so, never in plain text instead.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::exchange::exchange;

/// Where exports go.
pub struct Endpoint {
    url: Url,
    host: String,
    port: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why an export did not get through.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// Nobody is there, or not whom we trust.
    #[error("not reached: {0}")]
    NotReached(#[from] io::Error),
    /// No answer came in time.
    #[error("no answer within {} s", LIMIT.as_secs())]
    TooSlow,
    /// It answered, and does not want it.
    #[error("HTTP status {0}")]
    Refused(StatusCode),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(#[from] hyper::Error),
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
    pub fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::NotReached(_) | Self::TooSlow | Self::Lost(_) => true,
            Self::Refused(status) => RETRIED.contains(status),
            // It has the export, as far as one can tell.
            Self::Strange(_) | Self::Unreadable(_) => false,
        }
    }
}

impl Endpoint {
    /// A receiver at `url`; `tls` is wanted for https.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(
        url: Url,
        headers: Vec<(HeaderName, HeaderValue)>,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, String> {
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err("a host is wanted".to_owned()),
        };
        let port = url.port_or_known_default().ok_or("a port is wanted")?;
        let tls = match (url.scheme(), tls) {
            ("https", Some(config)) => {
                let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
                Some((TlsConnector::from(config), name))
            }
            ("http", None) => None,
            _ => return Err("TLS goes together with https".to_owned()),
        };
        Ok(Self { url, host, port, headers, tls })
    }

    /// Posts a message to a path below the URL; answers the body.
    pub(super) async fn post(&self, path: &str, message: Vec<u8>) -> Result<Bytes, PostError> {
        let posted = async {
            let request = self.request(path, message)?;
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            match &self.tls {
                None => send(stream, request).await,
                Some((tls, name)) => send(tls.connect(name.clone(), stream).await?, request).await,
            }
        };
        timeout(LIMIT, posted).await.unwrap_or(Err(PostError::TooSlow))
    }

    fn request(&self, path: &str, message: Vec<u8>) -> io::Result<Request<Full<Bytes>>> {
        let authority = self.url.authority();
        let path = format!("{}/{path}", self.url.path().trim_end_matches('/'));
        let mut request = Request::post(path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Full::from(message))
            .map_err(io::Error::other)?;
        request.headers_mut().extend(self.headers.iter().cloned());
        Ok(request)
    }
}

async fn send<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: T,
    request: Request<Full<Bytes>>,
) -> Result<Bytes, PostError> {
    let (status, body) = exchange(stream, request, MAX_ANSWER).await?;
    if !status.is_success() {
        return Err(PostError::Refused(status));
    }
    body.map_err(PostError::Unreadable)
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// How long an export may take: OpenTelemetry's own default.
const LIMIT: Duration = Duration::from_secs(10);

/// Bytes of an answer: it is empty, or one sentence.
const MAX_ANSWER: usize = 64 * 1_024;

const RETRIED: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
