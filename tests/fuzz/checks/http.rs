//! Bytes on a connection to the real server, over a socket.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::Shards;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::http::{Everyone, Facts, HttpState, router, serve};
use aggregator_service::metrics::Metrics;
use aggregator_service::pipeline::queries::Queries;
use aggregator_service::ports::group::seat;
use aggregator_service::ports::{Published, Wanted};
use aggregator_service::status::Status;
use aggregator_service::wire::aggregate::Form;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far more than anything takes: an answer or the end has come by then.
const PATIENCE: Duration = Duration::from_secs(120);

/// The largest page, and the smallest request that could ask for it again.
const ANSWER_BYTES: usize = 64 * 1_024;
const REQUEST_BYTES: usize = 14;

/// Whatever a client sends before it has said all, it gets answers or the end of the connection: no
/// failure of the server's own, no more than so many pages as there can be requests. Afterwards the
/// next client is served.
pub fn http(input: &[u8]) {
    thread_local! {
        static SERVER: RefCell<(Runtime, SocketAddr)> = RefCell::new(start());
    }
    SERVER.with_borrow_mut(|(runtime, address)| {
        let answer = runtime.block_on(ask(*address, input));
        assert!(answer.len() <= (1 + input.len() / REQUEST_BYTES) * ANSWER_BYTES);
        if let Some(status) = status(&answer) {
            assert!(matches!(status, 200..=499 | 503 | 505), "{}", answer.escape_ascii());
        } else {
            assert!(answer.is_empty(), "no HTTP: {}", answer.escape_ascii());
        }
        let answer = runtime.block_on(ask(*address, b"GET /livez HTTP/1.0\r\n\r\n"));
        assert_eq!(status(&answer), Some(200));
    });
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

async fn ask(address: SocketAddr, input: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let (mut from, mut to) = stream.split();
    let mut answer = Vec::new();
    let asking = async {
        // A server that has heard enough may be gone before all is said.
        drop(to.write_all(input).await);
        drop(to.shutdown().await);
    };
    let both = async { tokio::join!(asking, from.read_to_end(&mut answer)) };
    let ended = timeout(PATIENCE, both).await;
    assert!(ended.is_ok(), "neither an answer nor the end");
    answer
}

fn start() -> (Runtime, SocketAddr) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let status = Arc::new(Status::new(WallMs(0)));
    let metrics = Arc::new(Metrics::new().expect("figures"));
    let windows = vec![Window { name: "1min".to_owned(), seconds: 60 }];
    let windows = Windows::new(windows).expect("one");
    let everyone = Arc::new(Everyone {
        here: Arc::new(Queries::default()),
        seat: seat(Shards::DEFAULT).0,
        windows: windows.clone(),
        metrics: Arc::clone(&metrics),
    });
    let state = HttpState {
        status,
        metrics,
        facts: Facts::default(),
        clock: Arc::new(|| WallMs(0)),
        admin_token: None,
        publish: Arc::new(|wanted| {
            let unknown = match wanted {
                Wanted::All => Vec::new(),
                Wanted::Tokens(tokens) => tokens.into_iter().collect(),
            };
            Box::pin(async { Ok(Published { unknown, ..Published::default() }) })
        }),
        market: Arc::<Everyone>::clone(&everyone),
        everyone: Some(everyone),
        form: Form::new(&windows),
        windows,
        log_level: Arc::new(|name| Err(format!("level: {name:?}"))),
    };
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).expect("a port");
    let address = listener.local_addr().expect("an address");
    runtime.spawn(serve(listener, router(Arc::new(state)), CancellationToken::new()));
    (runtime, address)
}
