//! HTTP: what the service says of itself. Reads the status and the figures; changes nothing but by
//! `publish` and `log_level`. Errors are JSON, `{"error": …}`. A path is a handler whose annotation
//! both routes and describes it, in a file here with its own `routed!`, merged in [`router`].

mod about;
mod admission;
mod events;
mod everyone;
mod health;
mod log_level;
mod members;
mod metrics;
mod openapi;
mod page;
mod parameters;
mod peer;
mod publish;
mod rows;
mod server;
mod stats;
mod tokens;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::handler::Handler;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use axum::{Json, Router};
use futures::future::BoxFuture;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use utoipa::openapi::HttpMethod;

pub use about::Setting;
pub use everyone::Everyone;
pub use log_level::{LevelSet, SetLevel};
pub use server::{Limits, serve, serve_within};

use crate::domain::time::WallMs;
use crate::domain::window::Windows;
use crate::metrics::Metrics;
use crate::ports::{Market, NotPublished, Published, Wanted};
use crate::status::{Phase, Status};
use crate::wire::aggregate::Form;

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
    /// Answers about tokens.
    pub market: Arc<dyn Market>,
    /// The members of the group; `None` where nobody can be a member.
    pub everyone: Option<Arc<Everyone>>,
    /// The windows that its figures are of.
    pub windows: Windows,
    /// How messages are written.
    pub form: Form,
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
    /// Every setting, secrets hidden.
    pub settings: Vec<Setting>,
}

/// The name under which the service speaks of itself.
pub const SERVICE: &str = env!("CARGO_PKG_NAME");

/// Routes handlers by their annotations, and describes them by the same ones, for the test of
/// [`openapi`].
macro_rules! routed {
    ($($handler:ident),+) => {
        pub(super) fn routes() -> axum::Router<std::sync::Arc<super::HttpState>> {
            use utoipa::Path;
            pastey::paste! {
                axum::Router::new()$(.route(
                    &[<__path_ $handler>]::path(),
                    super::on(&[<__path_ $handler>]::methods(), $handler),
                ))+
            }
        }

        #[cfg(test)]
        pub(super) fn described() -> utoipa::openapi::OpenApi {
            #[derive(utoipa::OpenApi)]
            #[openapi(paths($($handler),+))]
            struct Described;
            <Described as utoipa::OpenApi>::openapi()
        }
    };
}
use routed;

/// All paths.
pub fn router(state: Arc<HttpState>) -> Router {
    Router::new()
        .merge(about::routes())
        .merge(events::routes().layer(events::places()))
        .merge(health::routes())
        .merge(log_level::routes())
        .merge(members::routes().layer(members::body_limit()))
        .merge(metrics::routes())
        .merge(openapi::routes())
        .merge(page::routes())
        .merge(publish::routes())
        .merge(stats::routes())
        .merge(tokens::routes())
        .fallback(async || Failure(StatusCode::NOT_FOUND, "no such path".to_owned()))
        .method_not_allowed_fallback(async || {
            Failure(StatusCode::METHOD_NOT_ALLOWED, "no such method here".to_owned())
        })
        .with_state(state)
}

/// An answer that says what is wrong.
#[derive(Debug)]
struct Failure(StatusCode, String);

/// Its body.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
struct ErrorBody {
    /// What is wrong, in words.
    error: String,
}

type Shared = State<Arc<HttpState>>;

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut answer = (self.0, Json(ErrorBody { error: self.1 })).into_response();
        if self.0 == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// What answers these methods.
fn on<H, T>(methods: &[HttpMethod], handler: H) -> MethodRouter<Arc<HttpState>>
where
    H: Handler<T, Arc<HttpState>>,
    T: 'static,
{
    methods.iter().fold(MethodRouter::new(), |router, method| {
        let filter = match method {
            HttpMethod::Get => MethodFilter::GET,
            HttpMethod::Post => MethodFilter::POST,
            HttpMethod::Put => MethodFilter::PUT,
            HttpMethod::Delete => MethodFilter::DELETE,
            HttpMethod::Options => MethodFilter::OPTIONS,
            HttpMethod::Head => MethodFilter::HEAD,
            HttpMethod::Patch => MethodFilter::PATCH,
            HttpMethod::Trace => MethodFilter::TRACE,
        };
        router.on(filter, handler.clone())
    })
}

/// What each file says of its paths.
#[cfg(test)]
fn described() -> Vec<utoipa::openapi::OpenApi> {
    vec![
        about::described(),
        events::described(),
        health::described(),
        log_level::described(),
        members::described(),
        metrics::described(),
        openapi::described(),
        page::described(),
        publish::described(),
        stats::described(),
        tokens::described(),
    ]
}

impl HttpState {
    fn now(&self) -> WallMs {
        (self.clock)()
    }

    /// Whether the windows can be asked; else where the service is in its life.
    fn running(&self) -> Result<(), Failure> {
        let phase = self.status.phase();
        if phase == Phase::Running {
            return Ok(());
        }
        Err(Failure(StatusCode::SERVICE_UNAVAILABLE, phase.name().to_owned()))
    }
}

impl fmt::Debug for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpState").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// RFC 3339 in UTC; the year 1 for what never was, as Go writes its zero time.
fn rfc3339(at: Option<WallMs>) -> String {
    at.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned())
}
