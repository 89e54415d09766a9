//! `POST /publish`: aggregates between ticks, for whoever may ask. The only path that makes the
//! service do something, so it looks at who asks first: a page of another origin never may, a
//! client brings `ADMIN_TOKEN`, and without one configured only this host may. The body is read
//! after that.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::server::Peer;
use super::{ErrorBody, Failure, HttpState, routed};
use crate::domain::trade::MAX_TOKEN_BYTES;
use crate::ports::{Published, Wanted};
use crate::status::Phase;

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
async fn publish(State(state): State<Arc<HttpState>>, request: Request) -> Response {
    match answer(&state, request).await {
        Ok(Published { published, unknown }) => Json(Told { published, unknown }).into_response(),
        Err(failure @ Failure(StatusCode::UNAUTHORIZED, _)) => {
            ([(WWW_AUTHENTICATE, "Bearer")], failure).into_response()
        }
        Err(failure) => failure.into_response(),
    }
}

async fn answer(state: &Arc<HttpState>, request: Request) -> Result<Published, Failure> {
    let peer = request.extensions().get().map(|Peer(address)| *address);
    admit(state.admin_token.as_deref(), peer, request.headers())?;
    if !is_json(request.headers()) {
        let says = "the content type must be application/json";
        return Err(Failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, says.to_owned()));
    }
    let body = Bytes::from_request(request, state).await;
    let body = body.map_err(|cause| Failure(cause.status(), cause.body_text()))?;
    let wanted = wanted(&body).map_err(|cause| Failure(StatusCode::BAD_REQUEST, cause))?;
    let phase = state.status.phase();
    if phase != Phase::Running {
        return Err(Failure(StatusCode::SERVICE_UNAVAILABLE, phase.name().to_owned()));
    }
    let published = (state.publish)(wanted).await;
    published.map_err(|cause| Failure(StatusCode::SERVICE_UNAVAILABLE, cause.to_string()))
}

/// Who may change something.
fn admit(token: Option<&str>, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), Failure> {
    let forbidden = |says: &str| Err(Failure(StatusCode::FORBIDDEN, says.to_owned()));
    if is_foreign(headers) {
        return forbidden("not from a page of another origin");
    }
    match token {
        Some(token) if brings(headers, token) => Ok(()),
        Some(_) => {
            let says = "ADMIN_TOKEN is wanted as bearer token";
            Err(Failure(StatusCode::UNAUTHORIZED, says.to_owned()))
        }
        None if is_local(peer, headers) => Ok(()),
        None => forbidden("without ADMIN_TOKEN configured only over loopback, without a proxy"),
    }
}

/// Browsers say where a request comes from; other programs say nothing.
fn is_foreign(headers: &HeaderMap) -> bool {
    let fetched = text(headers, "sec-fetch-site");
    let origin = text(headers, ORIGIN.as_str()).map(|origin| {
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        host.is_some() && host == text(headers, HOST.as_str())
    });
    fetched.is_some_and(|site| !matches!(site, "same-origin" | "none")) || origin == Some(false)
}

/// In a time that does not tell how much of it was right.
fn brings(headers: &HeaderMap, token: &str) -> bool {
    let credentials = text(headers, AUTHORIZATION.as_str()).and_then(|said| said.split_once(' '));
    credentials.is_some_and(|(scheme, brought)| {
        scheme.eq_ignore_ascii_case("Bearer")
            && bool::from(brought.trim().as_bytes().ct_eq(token.as_bytes()))
    })
}

/// From this host and meant for it: a proxy here, or a page whose name leads here, is somebody
/// else's.
fn is_local(peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
    let name = text(headers, HOST.as_str()).map(without_port);
    peer.is_some_and(|peer| peer.to_canonical().is_loopback())
        && name.is_some_and(|name| {
            name.eq_ignore_ascii_case("localhost")
                || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        })
        && !PROXY_HEADERS.iter().any(|name| headers.contains_key(*name))
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = text(headers, CONTENT_TYPE.as_str()).and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // One that is not text is nobody's.
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
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

/// What proxies add.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
