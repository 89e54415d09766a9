//! `POST /log-level`: what is logged from now on, until the next change or the next start.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ErrorBody, Failure, HttpState, admission, routed};

routed!(set_log_level);

/// Changes the level by its name, or says what is accepted.
pub type SetLevel = Arc<dyn Fn(&str) -> Result<LevelSet, String> + Send + Sync>;

/// The level in force, and the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LevelSet {
    /// The level in force.
    pub level: &'static str,
    /// The one before.
    pub before: &'static str,
}

/// What is wanted.
#[derive(Deserialize, ToSchema)]
#[schema(as = LogLevel)]
#[serde(deny_unknown_fields)]
struct Body {
    /// `DEBUG`, `INFO`, `WARN`, `ERROR` or `FATAL`.
    #[schema(examples("DEBUG"))]
    level: String,
}

/// Sets the least level that is logged, until the next change or the next start.
#[utoipa::path(
    post,
    path = "/log-level",
    tag = "service",
    request_body = Body,
    security((), ("admin_token" = [])),
    responses(
        (status = OK, description = "In force", body = LevelSet),
        (status = BAD_REQUEST, description = "Not understood", body = ErrorBody),
        (status = UNAUTHORIZED, description = "`ADMIN_TOKEN` is wanted", body = ErrorBody,
            headers(("www-authenticate" = String, description = "`Bearer`"))),
        (status = FORBIDDEN, description = "Not from there", body = ErrorBody),
        (status = PAYLOAD_TOO_LARGE, description = "Beyond 256 kB", body = ErrorBody),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "Not JSON", body = ErrorBody),
    )
)]
async fn set_log_level(
    State(state): State<Arc<HttpState>>,
    request: Request,
) -> Result<Json<LevelSet>, Failure> {
    let body = admission::body(&state, request).await?;
    let wrong = |cause| Failure(StatusCode::BAD_REQUEST, cause);
    let body: Body = serde_json::from_slice(&body).map_err(|cause| wrong(cause.to_string()))?;
    (state.log_level)(&body.level).map(Json).map_err(wrong)
}
