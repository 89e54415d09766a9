//! Another member of the group, asked over HTTP at the address that it told the group: for its
//! part of the market, and to publish. Plain HTTP: members stand beside each other. Each request
//! has a connection of its own and a bound in time and size; whoever asks is answered of the
//! member's own shards alone, so that no question goes in circles.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode};
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::Full;
use prometheus::IntCounter;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::domain::history::History;
use crate::domain::ranking::Ranking;
use crate::domain::window::Windows;
use crate::exchange::exchange;
use crate::metrics::Metrics;
use crate::ports::group::Member;
use crate::ports::{NotAnswered, Of, Part, Places, Row, Wished};

/// Where a member answers another one's [`Asked`].
pub(super) const PART: &str = "/members/part";

/// Says of `POST /publish` that another member passes it on.
pub(super) const FORWARDED: HeaderName = HeaderName::from_static("x-aggregator-forwarded");

/// What one member asks another.
#[derive(Serialize, Deserialize)]
pub(super) struct Asked {
    /// Name and seconds of each configured window: figures of others are no answer.
    pub(super) windows: Vec<(String, u32)>,
    pub(super) question: Question,
}

/// The questions of [`Part`].
#[derive(Serialize, Deserialize)]
pub(super) enum Question {
    Places(Arc<Ranking>),
    Rows(Wished),
    History(String),
}

/// A member that is not this one.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// `host:port`; empty where it serves no HTTP.
    address: String,
    /// Under which it is in the group.
    id: String,
    windows: Windows,
    errors: IntCounter,
}

impl Peer {
    pub(super) fn new(member: &Member, windows: &Windows, metrics: &Metrics) -> Self {
        let Member { id, address, .. } = member.clone();
        let errors = metrics.forward_errors.clone();
        Self { address, id, windows: windows.clone(), errors }
    }

    /// Has it publish what is asked for in `body`, as whoever brought `authorization`.
    pub(super) async fn publish<T: DeserializeOwned>(
        &self,
        body: Bytes,
        authorization: Option<HeaderValue>,
    ) -> Result<T, NotAnswered> {
        self.told(PUBLISH_LIMIT, "/publish", body, authorization).await
    }

    async fn ask<T: DeserializeOwned>(&self, question: Question) -> Result<T, NotAnswered> {
        let asked = Asked { windows: signature(&self.windows), question };
        let body = serde_json::to_vec(&asked).map_err(|cause| self.silent(cause))?;
        self.told(PART_LIMIT, PART, body.into(), None).await
    }

    async fn told<T: DeserializeOwned>(
        &self,
        limit: Duration,
        path: &str,
        body: Bytes,
        authorization: Option<HeaderValue>,
    ) -> Result<T, NotAnswered> {
        if self.address.is_empty() {
            return Err(self.silent("it serves no HTTP that others can reach"));
        }
        let post = async {
            let mut request = Request::post(path)
                .header(HOST, &self.address)
                .header(CONTENT_TYPE, "application/json")
                .header(FORWARDED, "1")
                .body(Full::new(body))
                .map_err(|cause| self.silent(cause))?;
            request.headers_mut().extend(authorization.map(|it| (AUTHORIZATION, it)));
            let stream = TcpStream::connect(&self.address).await;
            let stream = stream.map_err(|cause| self.silent(cause))?;
            let answer = exchange(stream, request, MAX_ANSWER).await;
            let (status, body) = answer.map_err(|cause| self.silent(cause))?;
            let body = body.map_err(|cause| self.silent(cause))?;
            self.read(status, &body)
        };
        let answer = timeout(limit, post).await;
        answer.unwrap_or_else(|_| Err(self.silent(format_args!("no answer within {limit:?}"))))
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, NotAnswered> {
        if status == StatusCode::OK {
            return serde_json::from_slice(body).map_err(|cause| self.silent(cause));
        }
        let says = serde_json::from_slice::<Value>(body).ok();
        let says = says.as_ref().and_then(|body| body.get("error")?.as_str()).unwrap_or_default();
        Err(self.silent(format_args!("{status}: {says}")))
    }

    fn silent(&self, cause: impl fmt::Display) -> NotAnswered {
        self.errors.inc();
        let Self { id, address, .. } = self;
        NotAnswered(format!("member {id} at {address:?} has not answered: {cause}").into())
    }
}

impl Part for Peer {
    fn places(&self, ranking: Arc<Ranking>) -> BoxFuture<'_, Result<Of<Places>, NotAnswered>> {
        self.ask(Question::Places(ranking)).boxed()
    }

    fn rows(&self, tokens: Wished) -> BoxFuture<'_, Result<Of<Vec<Row>>, NotAnswered>> {
        self.ask(Question::Rows(tokens)).boxed()
    }

    fn history(&self, token: String) -> BoxFuture<'_, Result<Of<Option<History>>, NotAnswered>> {
        self.ask(Question::History(token)).boxed()
    }
}

/// What windows must have in common for their figures to be comparable.
pub(super) fn signature(windows: &Windows) -> Vec<(String, u32)> {
    windows.iter().map(|window| (window.name.clone(), window.seconds)).collect()
}

/// A member that answers takes milliseconds. One that hangs is in the group until the end of its
/// session: so long a ranking waits for it, and is answered without it.
const PART_LIMIT: Duration = Duration::from_secs(3);

/// A little more than an order may take, so that its own reason is told.
const PUBLISH_LIMIT: Duration = Duration::from_millis(8_500);

/// Bytes of an answer: of the deepest ranking's places, with addresses as long as they may be.
const MAX_ANSWER: usize = 32 * 1_024 * 1_024;
