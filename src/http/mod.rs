//! HTTP: what the service says of itself. Reads the status and the figures; changes nothing but by
//! `publish` and `log_level`. Errors are JSON, `{"error": …}`. What grows later (`/tokens`, the
//! page) is one more file here with its own `routes()`, merged in [`router`].

mod admission;
mod health;
mod log_level;
mod metrics;
mod publish;
mod server;
mod stats;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::BoxFuture;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use log_level::{LevelSet, SetLevel};
pub use server::{Limits, serve, serve_within};

use crate::domain::time::WallMs;
use crate::metrics::Metrics;
use crate::ports::{NotPublished, Published, Wanted};
use crate::status::Status;

/// What the pages are made of.
pub struct HttpState {
    /// Live facts.
    pub status: Arc<Status>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// What the configuration says.
    pub facts: Facts,
    /// The present.
    pub clock: Arc<dyn Fn() -> WallMs + Send + Sync>,
    /// `ADMIN_TOKEN`; never shown.
    pub admin_token: Option<String>,
    /// Publishes between ticks.
    pub publish: Publish,
    /// Changes what is logged.
    pub log_level: SetLevel,
}

/// Publishes between ticks, and answers when the brokers have acknowledged.
pub type Publish =
    Arc<dyn Fn(Wanted) -> BoxFuture<'static, Result<Published, NotPublished>> + Send + Sync>;

/// What the configuration says, as far as pages show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `KAFKA_BROKERS`.
    pub brokers: Vec<String>,
    /// `AGGREGATE_TOPIC`.
    pub topic: String,
}

/// The name under which the service speaks of itself.
pub const SERVICE: &str = env!("CARGO_PKG_NAME");

/// All paths.
pub fn router(state: Arc<HttpState>) -> Router {
    Router::new()
        .route("/version", get(version))
        .merge(health::routes())
        .merge(log_level::routes())
        .merge(metrics::routes())
        .merge(publish::routes())
        .merge(stats::routes())
        .fallback(async || Failure(StatusCode::NOT_FOUND, "no such path".to_owned()))
        .method_not_allowed_fallback(async || {
            Failure(StatusCode::METHOD_NOT_ALLOWED, "no such method here".to_owned())
        })
        .with_state(state)
}

/// An answer that says what is wrong.
#[derive(Debug)]
struct Failure(StatusCode, String);

type Shared = State<Arc<HttpState>>;

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut answer = (self.0, Json(json!({ "error": self.1 }))).into_response();
        if self.0 == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

impl HttpState {
    fn now(&self) -> WallMs {
        (self.clock)()
    }
}

impl fmt::Debug for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpState").field("facts", &self.facts).finish_non_exhaustive()
    }
}

async fn version() -> impl IntoResponse {
    Json(json!({ "service": SERVICE, "version": env!("CARGO_PKG_VERSION") }))
}

/// RFC 3339 in UTC; the year 1 for what never was, as Go writes its zero time.
fn rfc3339(at: Option<WallMs>) -> String {
    at.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned())
}
