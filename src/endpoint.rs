//! An HTTP server that we post to: a connection of its own for each request, within a limit of time
//! and size. Over TLS where the URL says so, never in plain text instead.

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
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::exchange::{Body, exchange};

/// Where requests go.
pub struct Endpoint {
    url: Url,
    host: String,
    port: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nobody is there, or not whom we trust.
    #[error("not reached: {0}")]
    NotReached(#[from] io::Error),
    /// No answer came in time.
    #[error("no answer within {} s", LIMIT.as_secs())]
    TooSlow,
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(#[from] hyper::Error),
}

impl Endpoint {
    /// A server at `url`, which holds no user; each request has these headers. `tls` is wanted for
    /// https.
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

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Posts to a path below the URL; answers status and body.
    ///
    /// # Errors
    /// There is no answer within [`LIMIT`].
    pub async fn post(
        &self,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Body), Unanswered> {
        let posted = async {
            let request = self.request(path, content_type, body)?;
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            Ok(match &self.tls {
                None => exchange(stream, request, MAX_ANSWER).await?,
                Some((tls, name)) => {
                    let stream = tls.connect(name.clone(), stream).await?;
                    exchange(stream, request, MAX_ANSWER).await?
                }
            })
        };
        timeout(LIMIT, posted).await.unwrap_or(Err(Unanswered::TooSlow))
    }

    fn request(
        &self,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> io::Result<Request<Full<Bytes>>> {
        let authority = self.url.authority();
        let path = format!("{}/{path}", self.url.path().trim_end_matches('/'));
        let mut request = Request::post(path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, content_type)
            .body(Full::from(body))
            .map_err(io::Error::other)?;
        request.headers_mut().extend(self.headers.iter().cloned());
        Ok(request)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// How long a request may take: OpenTelemetry's own default.
const LIMIT: Duration = Duration::from_secs(10);

/// Bytes of an answer: it is empty, a sentence, or a schema of ours.
const MAX_ANSWER: usize = 64 * 1_024;
