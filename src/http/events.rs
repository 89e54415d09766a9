//! `/events`: the part of the market that a page shows, and how the service is doing, at once and
//! then every second, as server-sent events. Before the log is read, health alone. A stream lasts
//! as long as it is read, and ends at once with the stop.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use futures::future::{BoxFuture, pending};
use futures::stream::{once, unfold};
use futures::{FutureExt, StreamExt};
use prometheus::IntGauge;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::debug;

use super::members::Group;
use super::parameters::{Parameters, RankingQuery, StreamQuery};
use super::rows::MarketJson;
use super::server::Lease;
use super::{ErrorBody, Failure, HttpState, Shared, routed};
use crate::domain::ranking::{MAX_SKIPPED, Ranking};
use crate::domain::reject::Reason;
use crate::domain::time::WallMs;
use crate::ports::{Listing, NotAnswered};
use crate::status::Phase;
use crate::wire::time::Rfc3339;

routed!(events);

/// The places for streams of one server.
pub(super) fn places() -> Extension<Arc<Semaphore>> {
    Extension(Arc::new(Semaphore::new(MAX_STREAMS)))
}

/// A part of the market and the service's health, at once and then every second.
///
/// `event: market` has `at`, `active`, `matching`, `from`, `windows` (their names), `rows` (as
/// `tokens` of `/tokens`) and `missing_shards`; none comes before the log is read. `event: health`
/// has `time`, `version`, `phase`, `ready`, `reasons`, `uptime_seconds`, `trades_counted`,
/// `trades_per_second`, `late`, `tokens`, `panes`, `lag` by partition, `last_publish`,
/// `checkpoint_age_seconds`, `rejected` by reason, and `group` as `/members` has it.
#[utoipa::path(
    get,
    path = "/events",
    tag = "tokens",
    params(StreamQuery, RankingQuery),
    responses(
        (status = OK, description = "Server-sent events", body = String,
            content_type = "text/event-stream"),
        (status = BAD_REQUEST, description = "A parameter that is not accepted", body = ErrorBody),
        (status = SERVICE_UNAVAILABLE, description = "16 streams are open", body = ErrorBody),
    )
)]
async fn events(
    state: Shared,
    Extension(places): Extension<Arc<Semaphore>>,
    request: Request,
) -> Response {
    let Ok(permit) = places.try_acquire_owned() else {
        let says = format!("{MAX_STREAMS} streams are open, and more are not served");
        let failure = Failure(StatusCode::SERVICE_UNAVAILABLE, says);
        return ([(RETRY_AFTER, "10")], failure).into_response();
    };
    let ranking = match ranking(&state, &request) {
        Ok(ranking) => ranking,
        Err(failure) => return failure.into_response(),
    };
    let gauge = state.metrics.pages_open.clone();
    gauge.inc();
    let mut seconds = interval(EVERY);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed {
        state: Arc::clone(&state.0),
        ranking,
        lease: request.extensions().get().cloned().unwrap_or_default(),
        seconds,
        asked: None,
        _place: Place { gauge, _permit: permit },
    };
    let retry = format!("retry: {}\n\n", RETRY.as_millis());
    let chunks = once(async { Bytes::from(retry) }).chain(unfold(feed, Feed::next));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (UNBUFFERED, "no")];
    (headers, Body::from_stream(chunks.map(Ok::<_, Infallible>))).into_response()
}

fn ranking(state: &HttpState, request: &Request) -> Result<Ranking, Failure> {
    let known = ["window", "sort", "order", "search", "from", "rows"];
    let parameters = Parameters::read(request.uri(), &known)?;
    let from = parameters.whole("from", 0..=MAX_SKIPPED, 0)?;
    let rows = parameters.whole("rows", 1..=MAX_ROWS, DEFAULT_ROWS)?;
    Ok(Ranking { from, rows, ..parameters.ranking(&state.windows)? })
}

type Asked = BoxFuture<'static, Result<Listing, NotAnswered>>;

/// One open stream.
struct Feed {
    state: Arc<HttpState>,
    ranking: Ranking,
    lease: Lease,
    seconds: Interval,
    /// The rows that are awaited.
    asked: Option<Asked>,
    _place: Place,
}

/// One of the places for streams; free again when it is dropped.
struct Place {
    gauge: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl Feed {
    /// The next event; `None` when it is time to stop.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        self.lease.renew();
        let stop = self.lease.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            event = self.event() => Some((event, self)),
        }
    }

    /// Health comes every second, however long the market takes to answer.
    async fn event(&mut self) -> Bytes {
        loop {
            tokio::select! {
                biased;
                _ = self.seconds.tick() => {
                    if self.asked.is_none() && self.state.status.phase() == Phase::Running {
                        self.asked = Some(self.ask());
                    }
                    return written("health", &health(&self.state));
                }
                answer = answered(&mut self.asked) => {
                    self.asked = None;
                    match answer {
                        Ok(listing) => return self.market(&listing),
                        Err(cause) => debug!(%cause, "a page waits for its rows"),
                    }
                }
            }
        }
    }

    fn ask(&self) -> Asked {
        let (market, ranking) = (Arc::clone(&self.state.market), self.ranking.clone());
        async move { market.list(ranking).await }.boxed()
    }

    fn market(&self, listing: &Listing) -> Bytes {
        let windows = &self.state.windows;
        written("market", &MarketJson::new(listing, windows, self.ranking.from))
    }
}

/// The answer, once it is there; never where nothing was asked.
async fn answered(asked: &mut Option<Asked>) -> Result<Listing, NotAnswered> {
    match asked {
        Some(asked) => asked.await,
        None => pending().await,
    }
}

fn health(state: &HttpState) -> Value {
    let (now, status, metrics) = (state.now(), &state.status, &state.metrics);
    let reasons = status.ready(now).err().unwrap_or_default();
    let time = |at: WallMs| Rfc3339(at.second()).to_string();
    let lag = status.lags(now).into_iter().filter_map(|(partition, lag)| {
        let lag = lag?;
        let seconds = lag.age.map(|age| age.as_secs_f64());
        Some(json!({ "partition": partition.0, "records": lag.records, "seconds": seconds }))
    });
    let rejected = Reason::ALL.into_iter().filter_map(|reason| {
        let count = metrics.rejected_for(reason);
        (count > 0).then(|| (reason.name().to_owned(), count.into()))
    });
    json!({
        "time": time(now),
        "version": env!("CARGO_PKG_VERSION"),
        "phase": status.phase().name(),
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "uptime_seconds": now.since(status.started()).as_secs(),
        "trades_counted": metrics.trades_counted.get(),
        "trades_per_second": status.trades_per_second(),
        "late": metrics.trades_late.get(),
        "tokens": metrics.tokens.get(),
        "panes": metrics.panes.get(),
        "lag": lag.collect::<Vec<_>>(),
        "last_publish": status.last_publish().map(time),
        "checkpoint_age_seconds": status.checkpoint_age(now).map(|age| age.as_secs_f64()),
        "group": Group::of(state),
        "rejected": rejected.collect::<Map<String, Value>>(),
    })
}

/// One event; JSON has no line ends of its own, which would end it.
fn written(event: &str, data: &impl Serialize) -> Bytes {
    let mut text = format!("event: {event}\ndata: ").into_bytes();
    let written = serde_json::to_writer(&mut text, data);
    debug_assert!(written.is_ok(), "names are text, and memory takes every byte");
    text.extend_from_slice(b"\n\n");
    text.into()
}

/// Streams that are open at once: a quarter of the connections.
const MAX_STREAMS: usize = 16;

/// From event to event.
const EVERY: Duration = Duration::from_secs(1);

/// How long a browser waits before it comes back.
const RETRY: Duration = Duration::from_secs(1);

/// Rows of one event: more than a screen shows.
const MAX_ROWS: usize = 200;

const DEFAULT_ROWS: usize = 50;

/// Tells a proxy in between to hand on what it gets.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
