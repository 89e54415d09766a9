//! `POST /publish`: aggregates between ticks, for whoever may ask.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, HttpState, admission};
use crate::domain::trade::MAX_TOKEN_BYTES;
use crate::ports::{Published, Wanted};
use crate::status::Phase;

pub(super) fn routes() -> Router<Arc<HttpState>> {
    Router::new().route("/publish", post(publish))
}

/// What is asked for: one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    token: Option<String>,
    tokens: Option<BTreeSet<String>>,
    all: Option<bool>,
}

async fn publish(
    State(state): State<Arc<HttpState>>,
    request: Request,
) -> Result<Json<Value>, Failure> {
    let body = admission::body(&state, request).await?;
    let wanted = wanted(&body).map_err(|cause| Failure(StatusCode::BAD_REQUEST, cause))?;
    let phase = state.status.phase();
    if phase != Phase::Running {
        return Err(Failure(StatusCode::SERVICE_UNAVAILABLE, phase.name().to_owned()));
    }
    let published = (state.publish)(wanted).await;
    let Published { published, unknown } =
        published.map_err(|cause| Failure(StatusCode::SERVICE_UNAVAILABLE, cause.to_string()))?;
    Ok(Json(json!({ "published": published, "unknown": unknown })))
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
