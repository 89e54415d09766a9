//! Who may change something, and how they say it: with `ADMIN_TOKEN`, or over loopback where there
//! is none; never from a page of another origin; in JSON. The body is read after that.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq;

use super::server::Peer;
use super::{Failure, HttpState};

/// The body of a request that may change something.
pub(super) async fn body(state: &Arc<HttpState>, request: Request) -> Result<Bytes, Failure> {
    let peer = request.extensions().get().map(|Peer(address)| *address);
    admit(state.admin_token.as_deref(), peer, request.headers())?;
    if !is_json(request.headers()) {
        let says = "the content type must be application/json";
        return Err(Failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, says.to_owned()));
    }
    let body = Bytes::from_request(request, state).await;
    body.map_err(|cause| Failure(cause.status(), cause.body_text()))
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

/// What proxies add.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
