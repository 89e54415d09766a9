//! `POST /publish`: aggregates between ticks, for whoever may ask.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use futures::future::{join, join_all};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::peer::FORWARDED;
use super::{ErrorBody, Failure, HttpState, admission, routed};
use crate::domain::token::ShardId;
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
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Published)]
struct Told {
    /// Messages that the brokers have acknowledged.
    published: usize,
    /// Tokens that were named and are not active.
    unknown: Vec<String>,
    /// To another member that passes a request on: shards with something that is wanted, and that
    /// are not here.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schema(value_type = Vec<u16>)]
    missing: BTreeSet<ShardId>,
}

/// Publishes now, and answers once the brokers have acknowledged.
///
/// The messages are those that a tick would publish. One request at a time is served, for 8 s at
/// most. In a group it is passed on, with its `authorization`, to the members that have something
/// of it; where one of them does not answer, the error says so, and the others have published:
/// asking again does no harm.
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
    let forwarded = request.headers().contains_key(FORWARDED);
    let authorization = request.headers().get(AUTHORIZATION).cloned();
    let body = admission::body(&state, request).await?;
    let wanted = wanted(&body).map_err(|cause| Failure(StatusCode::BAD_REQUEST, cause))?;
    state.running()?;
    let everyone = state.everyone.as_ref().filter(|_| !forwarded);
    let others = everyone.map(|everyone| everyone.others_with(&wanted)).unwrap_or_default();
    let there = others.iter().map(|peer| peer.publish(body.clone(), authorization.clone()));
    let (here, there) = join((state.publish)(wanted), join_all(there)).await;
    let here =
        here.map(|Published { published, unknown, missing }| Told { published, unknown, missing });
    let here = here.map_err(|cause| cause.to_string());
    let there = there.into_iter().map(|told| told.map_err(|cause| cause.to_string()));
    let mut told = all(here, there)?;
    if !forwarded && !told.missing.is_empty() {
        let (moving, published) = (told.missing.len(), told.published);
        return Err(Failure(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{moving} shards are moving: ask again; {published} messages were published"),
        ));
    }
    told.unknown.sort();
    Ok(Json(told))
}

/// What all of them did. What one has not, another may have.
fn all(
    here: Result<Told, String>,
    there: impl Iterator<Item = Result<Told, String>>,
) -> Result<Told, Failure> {
    let (mut all, mut failed) = (None::<Told>, Vec::new());
    for told in std::iter::once(here).chain(there) {
        match (told, &mut all) {
            (Ok(told), None) => all = Some(told),
            (Ok(told), Some(all)) => {
                all.published += told.published;
                all.unknown.extend(told.unknown);
                all.missing.retain(|shard| told.missing.contains(shard));
            }
            (Err(cause), _) => failed.push(cause),
        }
    }
    let all = all.unwrap_or_default();
    if failed.is_empty() {
        return Ok(all);
    }
    if all.published > 0 {
        failed.push(format!("{} messages were published", all.published));
    }
    Err(Failure(StatusCode::SERVICE_UNAVAILABLE, failed.join("; ")))
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
