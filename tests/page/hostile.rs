//! Names and addresses of tokens are anybody's: whatever they contain is text. And figures of every
//! size are short enough to read and whole in the title. The market is made up here; the server and
//! the page are the real ones.

use std::sync::Arc;

use aggregator_service::domain::aggregate::Figures;
use aggregator_service::domain::history::{History, Point};
use aggregator_service::domain::pane::Sums;
use aggregator_service::domain::price::Price;
use aggregator_service::domain::ranking::Ranking;
use aggregator_service::domain::time::{Second, WallMs};
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::http::{Facts, HttpState, router, serve};
use aggregator_service::metrics::Metrics;
use aggregator_service::ports::{Listing, Market, NotAnswered, Published, Row};
use aggregator_service::status::{Phase, Status};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::browser::Browser;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_addresses_are_text_whatever_they_contain() {
    let long = "a".repeat(124) + "Zend";
    let tokens = [
        ("0x1", "<img src=x onerror=alert(1)>", "</script><script>document.title='pwned'</script>"),
        ("a/b?c#d%2F&\"'", "\"><b>bold</b>", "' onmouseover='document.title=1"),
        ("javascript:document.title=1", "${1+1}", "{{1+1}}"),
        ("\u{202e}txet", "\u{202e}evil\u{2066}", "with\u{200b}out"),
        (&long, "", ""),
        ("€uro/ü", "日本語", "شركة"),
    ];
    let made_up = tokens.map(|(token, symbol, name)| row(token, symbol, name, "1.5", "1.5"));
    let (page, _server) = open(made_up.to_vec()).await;
    for (place, (token, symbol, name)) in tokens.into_iter().enumerate() {
        let cell = format!("rows()[{place}].cells[1]");
        let wanted = [symbol, name, token].into_iter().filter(|text| !text.is_empty());
        let wanted = wanted.map(seen).collect::<Vec<_>>().join("\n");
        assert_eq!(page.text(&format!("{cell}.title")).await, wanted);
        if !symbol.is_empty() {
            let shown = page.text(&format!("{cell}.querySelector('.symbol').textContent")).await;
            assert_eq!(shown, seen(symbol));
        }
        page.run(&format!("rows()[{place}].querySelector('a').click()")).await;
        page.until("!$('token-figures').hidden && !$('token-history').hidden").await;
        assert_eq!(page.text("$('token-address').textContent").await, seen(token));
        let opened = page.text("decodeURIComponent(location.hash.slice('#/token/'.length))").await;
        assert_eq!(opened, token);
        page.until("document.documentElement.scrollWidth <= innerWidth").await;
        page.until("$('token').scrollWidth <= $('token').clientWidth").await;
        page.back().await;
        page.until("!$('market').hidden && busy() === 'false' && filled()").await;
    }
    let made = page.ask("document.querySelectorAll('img, b:not(.sides b), script').length").await;
    assert_eq!(made, 1, "the page's own script and nothing else");
    assert_eq!(page.text("document.title").await, "Tokens · aggregator-service");
    page.leave().await;
}

/// As the page shows it: what cannot be seen, or turns text around, is a mark that can be seen.
fn seen(text: &str) -> String {
    text.replace(['\u{202e}', '\u{2066}', '\u{200b}'], "\u{fffd}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_every_size_are_short_to_read_and_whole_in_the_title() {
    let cases = [
        ("0", "$0", "$0"),
        ("0.00000001234", "$0.0₇1234", "$0.00000001234"),
        ("0.000000012345678", "$0.0₇1235", "$0.000000012345678"),
        ("0.000099999", "$0.0₃1000", "$0.000099999"),
        ("0.0012345", "$0.001235", "$0.0012345"),
        ("0.5", "$0.5000", "$0.5"),
        ("1.23456", "$1.235", "$1.23456"),
        ("99.999", "$100.00", "$99.999"),
        ("1234.5", "$1,234.50", "$1234.5"),
        ("1000000000000000", "$1,000,000,000,000,000.00", "$1000000000000000"),
    ];
    let made_up = cases.iter().enumerate();
    let made_up = made_up.map(|(place, (price, ..))| row(&format!("t{place}"), "", "", price, "1"));
    let (page, _server) = open(made_up.collect()).await;
    for (place, (price, short, whole)) in cases.into_iter().enumerate() {
        let cell = format!("rows()[{place}].cells[2]");
        let shown = page.ask(&format!("[{cell}.textContent, {cell}.title]")).await;
        assert_eq!(shown, json!([short, whole]), "{price}");
    }
    // One minute with no trades, one hour with all of them.
    let cells = page.ask("[3, 4].map((place) => rows()[6].cells[place].textContent)").await;
    assert_eq!(cells, json!(["0.00%", "+23.46%"]));
    page.leave().await;
}

/// The page over tokens that are made up.
async fn open(rows: Vec<Row>) -> (Browser, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let status = Status::new(WallMs(START_MS));
    status.enter(Phase::Running);
    let windows = [("1min", 60), ("1hour", 3_600)];
    let windows = windows.map(|(name, seconds)| Window { name: name.to_owned(), seconds });
    let state = HttpState {
        status: Arc::new(status),
        metrics: Arc::new(Metrics::new().unwrap()),
        facts: Facts::default(),
        clock: Arc::new(|| WallMs(START_MS)),
        admin_token: None,
        publish: Arc::new(|_| ready(Ok(Published::default())).boxed()),
        market: Arc::new(MadeUp(rows)),
        windows: Windows::new(windows.to_vec()).unwrap(),
    };
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, router(Arc::new(state)), stop.clone()));
    (Browser::open_rows(&url).await, stop.drop_guard())
}

fn row(token: &str, symbol: &str, name: &str, price: &str, open: &str) -> Row {
    let [price, open] = [price, open].map(|text| Price::parse(text.as_bytes(), u64::MAX).unwrap());
    let empty = Figures { sums: Sums::default(), open: price, close: price };
    let hour = Figures { sums: Sums::default(), open, close: price };
    let [token, symbol, name] = [token, symbol, name].map(str::to_owned);
    Row { token, symbol, name, end: Second(START_MS / 1_000), windows: vec![empty, hour] }
}

/// The same tokens in the same order whatever is asked for.
struct MadeUp(Vec<Row>);

impl Market for MadeUp {
    fn list(&self, ranking: Ranking) -> BoxFuture<'_, Result<Listing, NotAnswered>> {
        let rows: Vec<Row> = self.0.iter().skip(ranking.from).take(ranking.rows).cloned().collect();
        let (at, all) = (Second(START_MS / 1_000), self.0.len());
        ready(Ok(Listing { at, active: all, matching: all, rows, next: None })).boxed()
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
