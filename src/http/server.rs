//! The server round the router: connections, headers, bodies and time are bounded, so that no
//! client can take from the pipeline more than it is worth. The socket is passed in.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Failure;

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; further ones wait in the kernel's queue.
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
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    while let Some((stream, place)) = next(&listener, &places, &stop).await {
        open.spawn(connection(stream, place, router.clone(), limits, stop.clone()));
    }
    open.close();
    open.wait().await;
}

fn bounded(router: Router, limits: Limits) -> Router {
    let in_time = move |request: Request, next: Next| async move {
        let answer = timeout(limits.request_time, next.run(request)).await;
        Ok::<Response, Infallible>(answer.unwrap_or_else(|_| {
            Failure(StatusCode::GATEWAY_TIMEOUT, "took too long".to_owned()).into_response()
        }))
    };
    router.layer(DefaultBodyLimit::max(limits.body_bytes)).layer(from_fn(in_time))
}

/// The next connection with its place; `None` once it is time to stop.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accepted = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => {
                    tracing::debug!(%error, "connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        found = accepted => found,
    }
}

async fn connection(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    // A connection that ends in an error is the client's affair: it left, or broke a limit.
    tokio::select! {
        _ = served.as_mut() => {}
        () = stopped_or_old(&stop, limits) => {
            served.as_mut().graceful_shutdown();
            drop(timeout(limits.request_time, served).await);
        }
    }
    drop(place);
}

async fn stopped_or_old(stop: &CancellationToken, limits: Limits) {
    drop(timeout(limits.connection_time, stop.cancelled()).await);
}

/// Accepting fails for want of file handles, mostly: the next try waits until some may be back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
