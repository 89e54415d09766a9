//! `POST /log-level`: what is logged from now on, until the next change or the next start.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::{Failure, HttpState, admission};

pub(super) fn routes() -> Router<Arc<HttpState>> {
    Router::new().route("/log-level", post(set))
}

/// Changes the level by its name, or says what is accepted.
pub type SetLevel = Arc<dyn Fn(&str) -> Result<LevelSet, String> + Send + Sync>;

/// The level in force, and the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LevelSet {
    /// The level in force.
    pub level: &'static str,
    /// The one before.
    pub before: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    level: String,
}

async fn set(
    State(state): State<Arc<HttpState>>,
    request: Request,
) -> Result<Json<LevelSet>, Failure> {
    let body = admission::body(&state, request).await?;
    let wrong = |cause| Failure(StatusCode::BAD_REQUEST, cause);
    let body: Body = serde_json::from_slice(&body).map_err(|cause| wrong(cause.to_string()))?;
    (state.log_level)(&body.level).map(Json).map_err(wrong)
}
