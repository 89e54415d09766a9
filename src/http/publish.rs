//! `POST /publish`: aggregates between ticks, for whoever may ask.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ErrorBody, Failure, HttpState, admission, routed};
use crate::domain::trade::MAX_TOKEN_BYTES;
use crate::ports::{Published, Wanted};

routed!(publish);

/// What is asked for: one of the three.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(
    as = Wanted,
    min_properties = 1,
    max_properties = 1,
    examples(json!({"token": "So11111111111111111111111111111111111111112"}), json!({"all": true}))
)]
struct Body {
    /// One address, of at most 128 bytes.
    #[schema(nullable = false, min_length = 1, max_length = 128)]
    token: Option<String>,
    /// Some addresses.
    #[schema(nullable = false, max_items = 1_000)]
    tokens: Option<BTreeSet<String>>,
    /// All active tokens; true.
    #[schema(nullable = false)]
    all: Option<bool>,
}

/// What was published.
#[derive(Serialize, ToSchema)]
#[schema(as = Published)]
struct Told {
    /// Messages that the brokers have acknowledged.
    published: usize,
    /// Tokens that were named and are not active.
    unknown: Vec<String>,
}

/// Publishes now, and answers once the brokers have acknowledged.
///
/// The messages are those that a tick would publish. One request at a time is served, for 8 s at
/// most.
#[utoipa::path(
    post,
    path = "/publish",
    tag = "tokens",
    request_body = Body,
    security((), ("admin_token" = [])),
    responses(
        (status = OK, description = "Acknowledged", body = Told),
        (status = BAD_REQUEST, description = "Not understood", body = ErrorBody),
        (status = UNAUTHORIZED, description = "`ADMIN_TOKEN` is wanted", body = ErrorBody,
            headers(("www-authenticate" = String, description = "`Bearer`"))),
        (status = FORBIDDEN, description = "Not from there", body = ErrorBody),
        (status = PAYLOAD_TOO_LARGE, description = "Beyond 256 kB", body = ErrorBody),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "Not JSON", body = ErrorBody),
        (status = SERVICE_UNAVAILABLE, description = "Not now", body = ErrorBody),
    )
)]
async fn publish(
    State(state): State<Arc<HttpState>>,
    request: Request,
) -> Result<Json<Told>, Failure> {
    let body = admission::body(&state, request).await?;
    let wanted = wanted(&body).map_err(|cause| Failure(StatusCode::BAD_REQUEST, cause))?;
    state.running()?;
    let published = (state.publish)(wanted).await;
    let Published { published, unknown } =
        published.map_err(|cause| Failure(StatusCode::SERVICE_UNAVAILABLE, cause.to_string()))?;
    Ok(Json(Told { published, unknown }))
}

fn wanted(body: &[u8]) -> Result<Wanted, String> {
    let body: Body = serde_json::from_slice(body).map_err(|cause| cause.to_string())?;
    let tokens = match (body.token, body.tokens, body.all) {
        (None, None, Some(true)) => return Ok(Wanted::All),
        (Some(token), None, None) => BTreeSet::from([token]),
        (None, Some(tokens), None) => tokens,
        _ => return Err("one of token, tokens, or all (true) is wanted".to_owned()),
    };
    if tokens.len() > MAX_NAMED {
        return Err(format!("at most {MAX_NAMED} tokens"));
    }
    if tokens.iter().any(|token| !(1..=MAX_TOKEN_BYTES).contains(&token.len())) {
        return Err(format!("a token has 1 to {MAX_TOKEN_BYTES} bytes"));
    }
    Ok(Wanted::Tokens(tokens))
}

/// Named in one request: their addresses fit into a body, and making their messages takes the
/// workers some milliseconds.
const MAX_NAMED: usize = 1_000;
