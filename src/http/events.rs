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
use futures::StreamExt;
use futures::stream::{once, unfold};
use prometheus::IntGauge;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::parameters::{Parameters, StreamQuery};
use super::rows::MarketJson;
use super::server::Lease;
use super::{ErrorBody, Failure, HttpState, Shared, routed};
use crate::domain::ranking::{MAX_SKIPPED, Ranking};
use crate::domain::reject::Reason;
use crate::domain::time::WallMs;
use crate::ports::Listing;
use crate::status::Phase;
use crate::wire::time::Rfc3339;

routed!(events);

/// The places for streams of one server.
pub(super) fn places() -> Extension<Arc<Semaphore>> {
    Extension(Arc::new(Semaphore::new(MAX_STREAMS)))
}

/// A part of the market and the service's health, at once and then every second.
///
/// `event: market` has `at`, `active`, `matching`, `from`, `windows` (their names) and `rows` (as
/// `tokens` of `/tokens`); none comes before the log is read. `event: health` has `time`,
/// `version`, `phase`, `ready`, `reasons`, `uptime_seconds`, `trades_counted`, `trades_per_second`,
/// `late`, `tokens`, `panes`, `lag` by partition, `last_publish`, `checkpoint_age_seconds` and
/// `rejected` by reason.
#[utoipa::path(
    get,
    path = "/events",
    tag = "tokens",
    params(StreamQuery),
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
        market_next: false,
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

/// One open stream.
struct Feed {
    state: Arc<HttpState>,
    ranking: Ranking,
    lease: Lease,
    seconds: Interval,
    market_next: bool,
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

    async fn event(&mut self) -> Bytes {
        if std::mem::take(&mut self.market_next)
            && let Some(listing) = self.listing().await
        {
            let market = MarketJson::new(&listing, &self.state.windows, self.ranking.from);
            return written("market", &market);
        }
        self.seconds.tick().await;
        self.market_next = true;
        written("health", &health(&self.state))
    }

    /// What is shown of the market; `None` where nobody can say it now, and health says why.
    async fn listing(&self) -> Option<Listing> {
        if self.state.status.phase() != Phase::Running {
            return None;
        }
        let asked = timeout(MARKET_TIME, self.state.market.list(self.ranking.clone())).await;
        asked.ok()?.ok()
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

/// How long a stream waits for its rows: then health has to be said again.
const MARKET_TIME: Duration = Duration::from_secs(2);

/// Rows of one event: more than a screen shows.
const MAX_ROWS: usize = 200;

const DEFAULT_ROWS: usize = 50;

/// Tells a proxy in between to hand on what it gets.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
