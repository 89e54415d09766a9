//! A market that is made up, behind the real server with the real page: for what the simulated one
//! never does.

use std::sync::Arc;

use aggregator_service::domain::aggregate::Figures;
use aggregator_service::domain::history::{History, Point};
use aggregator_service::domain::pane::Sums;
use aggregator_service::domain::price::Price;
use aggregator_service::domain::ranking::Ranking;
use aggregator_service::domain::time::{Second, WallMs};
use aggregator_service::domain::token::Shards;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::http::{Everyone, Facts, HttpState, router, serve};
use aggregator_service::metrics::Metrics;
use aggregator_service::pipeline::queries::Queries;
use aggregator_service::ports::group::{Seat, seat};
use aggregator_service::ports::{Listing, Market, NotAnswered, Published, Row};
use aggregator_service::status::{Phase, Status};
use aggregator_service::wire::aggregate::Form;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Serves tokens that are made up until the guard is dropped; says where.
pub(crate) async fn server(rows: Vec<Row>) -> (String, DropGuard) {
    server_in(seat(Shards::DEFAULT).0, rows).await
}

/// As [`server`], of a process with that seat in a group.
pub(crate) async fn server_in(seat: Seat, rows: Vec<Row>) -> (String, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let status = Status::new(WallMs(START_MS));
    status.enter(Phase::Running);
    let windows = [("1min", 60), ("1hour", 3_600)];
    let windows = windows.map(|(name, seconds)| Window { name: name.to_owned(), seconds });
    let windows = Windows::new(windows.to_vec()).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let everyone = Everyone {
        here: Arc::new(Queries::default()),
        seat,
        windows: windows.clone(),
        metrics: Arc::clone(&metrics),
    };
    let state = HttpState {
        status: Arc::new(status),
        metrics,
        facts: Facts::default(),
        clock: Arc::new(|| WallMs(START_MS)),
        admin_token: None,
        publish: Arc::new(|_| ready(Ok(Published::default())).boxed()),
        market: Arc::new(MadeUp(rows)),
        everyone: Some(Arc::new(everyone)),
        form: Form::new(&windows),
        windows,
        log_level: Arc::new(|name| Err(format!("level: {name}"))),
    };
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, router(Arc::new(state)), stop.clone()));
    (url, stop.drop_guard())
}

/// A token with no trades, whose price was `open` an hour ago.
pub(crate) fn row(token: &str, symbol: &str, name: &str, price: &str, open: &str) -> Row {
    let [price, open] = [price, open].map(|text| Price::parse(text.as_bytes(), u64::MAX).unwrap());
    let empty = Figures { sums: Sums::default(), open: price, close: price };
    let hour = Figures { sums: Sums::default(), open, close: price };
    let [token, symbol, name] = [token, symbol, name].map(str::to_owned);
    let (end, windows) = (Second(START_MS / 1_000), vec![empty, hour]);
    Row { token, symbol, name, end, windows, extended: Vec::new() }
}

/// The same tokens in the same order whatever is asked for.
struct MadeUp(Vec<Row>);

impl Market for MadeUp {
    fn list(&self, ranking: Ranking) -> BoxFuture<'_, Result<Listing, NotAnswered>> {
        let rows: Vec<Row> = self.0.iter().skip(ranking.from).take(ranking.rows).cloned().collect();
        let (at, all) = (Second(START_MS / 1_000), self.0.len());
        ready(Ok(Listing { at, active: all, matching: all, rows, ..Listing::default() })).boxed()
    }

    fn token(&self, token: String) -> BoxFuture<'_, Result<Option<Row>, NotAnswered>> {
        ready(Ok(self.0.iter().find(|row| row.token == token).cloned())).boxed()
    }

    fn history(&self, _: String) -> BoxFuture<'_, Result<Option<History>, NotAnswered>> {
        let at = Second(START_MS / 1_000);
        let price = Price::parse(b"1.5", u64::MAX).unwrap();
        let mut history = History::new(3_600, at);
        // One step alone: a line of no length, prices without a span, no volume.
        history.points.push(Point { at, price, usd: 0, buys: 1, sells: 0 });
        ready(Ok(Some(history))).boxed()
    }
}

const START_MS: i64 = 1_736_332_200_000;
