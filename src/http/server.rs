//! The server round the router: connections, headers, bodies and time are bounded, so that no
//! client can take from the pipeline more than it is worth, and none can keep another out: with all
//! places taken, the connection that is open longest makes room. The socket is passed in.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Failure;

/// Who opened the connection that a request came by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// What an answer that goes on and on knows of its connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Lease {
    /// It is time to end.
    pub(super) stop: CancellationToken,
    read: Arc<AtomicBool>,
}

impl Lease {
    /// The client has taken what there was: its connection may last on.
    pub(super) fn renew(&self) {
        self.read.store(true, Relaxed);
    }
}

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; a further one takes the place of the oldest.
    pub connections: usize,
    /// How long a request's headers may take; an idle connection is closed after it too.
    pub header_time: Duration,
    /// Bytes of a request's headers.
    pub header_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// How long an answer may take, and a connection after the stop.
    pub request_time: Duration,
    /// How long a connection may last: the bound for a client that does not read its answer.
    pub connection_time: Duration,
    /// How long a stream lasts on after it was read; at most twice that.
    pub stream_time: Duration,
}

impl Default for Limits {
    /// For some probes, scrapers and people.
    fn default() -> Self {
        Self {
            connections: 64,
            header_time: Duration::from_secs(10),
            header_bytes: 16 * 1_024,
            body_bytes: 256 * 1_024,
            request_time: Duration::from_secs(10),
            connection_time: Duration::from_secs(300),
            stream_time: Duration::from_secs(30),
        }
    }
}

/// Serves until `stop`, then lets running requests end. Within the default [`Limits`].
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_within(Limits::default(), listener, router, stop).await;
}

/// As [`serve`], within other limits.
pub async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) {
    let router = bounded(router, limits);
    let mut open = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    while let Some((stream, peer)) = next(&listener, &stop).await {
        while open.try_join_next().is_some() {}
        oldest_first.retain(|connection| !connection.is_finished());
        if oldest_first.len() >= limits.connections
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        let served = connection(stream, peer, router.clone(), limits, stop.clone());
        oldest_first.push_back(open.spawn(served));
    }
    while open.join_next().await.is_some() {}
}

fn bounded(router: Router, limits: Limits) -> Router {
    let in_time = move |request: Request, next: Next| async move {
        let answer = timeout(limits.request_time, next.run(request)).await;
        Ok::<Response, Infallible>(answer.unwrap_or_else(|_| {
            Failure(StatusCode::GATEWAY_TIMEOUT, "took too long".to_owned()).into_response()
        }))
    };
    router
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(from_fn(in_time))
        .layer(map_response(guarded))
}

/// What an answer may be used for: nothing is guessed, framed, kept or loaded from elsewhere. The
/// page brings a policy of its own.
async fn guarded(mut answer: Response) -> Response {
    for (name, value) in GUARDS {
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

/// The next connection, and who opened it; `None` once it is time to stop.
async fn next(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, IpAddr)> {
    let accepted = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(
                        %error,
                        action = "raise the limit of open files, where it is that",
                        "connection not accepted: the next one is tried soon"
                    );
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        found = accepted => Some(found),
    }
}

async fn connection(
    stream: TcpStream,
    peer: IpAddr,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let lease = Lease { stop: stop.clone(), read: Arc::default() };
    let leased = lease.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(leased.clone());
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    // A connection that ends in an error is the client's affair: it left, or broke a limit.
    tokio::select! {
        _ = served.as_mut() => {}
        () = stopped_or_old(&lease, limits) => {
            served.as_mut().graceful_shutdown();
            drop(timeout(limits.request_time, served).await);
        }
    }
}

async fn stopped_or_old(lease: &Lease, limits: Limits) {
    let mut left = limits.connection_time;
    while !left.is_zero() {
        let turn = left.min(limits.stream_time);
        if timeout(turn, lease.stop.cancelled()).await.is_ok() {
            return;
        }
        let read = lease.read.swap(false, Relaxed);
        left = if read { limits.stream_time } else { left.saturating_sub(turn) };
    }
}

/// On every answer that does not say otherwise: what is not the page loads nothing.
const GUARDS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

/// Accepting fails for want of file handles, mostly: the next try waits until some may be back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
