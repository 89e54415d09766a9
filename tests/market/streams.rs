//! `/events` over sockets: what pages get, how many there are, how they end.

use std::net::SocketAddr;
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::reject::Reason;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::http::Limits;
use aggregator_service::status::Phase;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::http::get;
use crate::world::{PATIENCE, World, until, windows};

/// An open stream.
struct Page(BufReader<TcpStream>);

impl Page {
    /// Asks; the answer's status line is read.
    async fn open(address: SocketAddr, query: &str) -> (u16, Self) {
        let mut page = Self(BufReader::new(TcpStream::connect(address).await.unwrap()));
        let head = format!("GET /events{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        page.0.write_all(head.as_bytes()).await.unwrap();
        let status = page.line().await.split(' ').nth(1).unwrap().parse().unwrap();
        (status, page)
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("a line").unwrap();
        line
    }

    /// The next event of a kind; the lines of chunks in between are passed over.
    async fn event(&mut self, kind: &str) -> Value {
        while self.line().await != format!("event: {kind}\n") {}
        let data = self.line().await;
        serde_json::from_str(data.strip_prefix("data: ").expect("data")).unwrap()
    }
}

async fn market() -> World {
    let world = World::start(windows(&[("1min", 60), ("1hour", 3_600)]), 300).await;
    for token in 0..20 {
        world.trade(&format!("token-{token:02}"), 1 + token, 1);
    }
    world.counted().await;
    world
}

#[tokio::test]
async fn a_page_gets_health_and_its_rows_again_and_again() {
    let world = market().await;
    world.shared.metrics.reject(Reason::Future);
    let (status, now) = (&world.shared.status, world.shared.clock.now());
    status.reads(Partition(10), Offset(7), Some(now));
    status.ends(Partition(10), Offset(12), now);
    let (address, _) = world.serve(Limits::default()).await;
    let (status, mut page) = Page::open(address, "?rows=3&from=2&sort=price&search=TOKEN").await;
    assert_eq!(status, 200);
    let mut head = String::new();
    while !head.contains("retry: 1000\n") {
        head.push_str(&page.line().await);
    }
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    let health = page.event("health").await;
    assert_eq!((&health["phase"], &health["ready"]), (&json!("running"), &json!(true)));
    assert_eq!((&health["trades_counted"], &health["late"]), (&json!(20), &json!(0)));
    assert_eq!(health["rejected"], json!({"future": 1}));
    let behind = health["lag"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&behind["partition"], &behind["records"]), (&json!(10), &json!(5)));
    let market = page.event("market").await;
    assert_eq!((&market["active"], &market["matching"]), (&json!(20), &json!(20)));
    assert_eq!((&market["from"], &market["windows"]), (&json!(2), &json!(["1min", "1hour"])));
    let rows = market["rows"].as_array().unwrap();
    let shown: Vec<_> = rows.iter().map(|row| row["token"].as_str().unwrap()).collect();
    assert_eq!(shown, ["token-17", "token-16", "token-15"]);
    world.trade("token-00", 1_000, 1);
    world.counted().await;
    // The one that is second from now on pushes another one down.
    while page.event("market").await["rows"][0]["token"] != "token-18" {}
}

#[tokio::test]
async fn while_it_catches_up_health_comes_alone_and_says_so() {
    let world = market().await;
    let (address, _) = world.serve(Limits::default()).await;
    world.shared.status.enter(Phase::CatchingUp);
    let (_, mut page) = Page::open(address, "").await;
    let mut lines = String::new();
    while lines.matches("event: ").count() < 3 {
        lines.push_str(&page.line().await);
    }
    assert!(!lines.contains("event: market"), "{lines}");
    assert_eq!(page.event("health").await["reasons"], json!(["catching up"]));
    world.shared.status.enter(Phase::Running);
    assert_eq!(page.event("market").await["active"], 20);
}

#[tokio::test]
async fn a_stream_that_is_read_outlives_other_connections_and_ends_at_once_with_the_stop() {
    let world = market().await;
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(3_600));
    let limits = Limits { connection_time: short, request_time: long, ..Limits::default() };
    let (address, server) = world.serve(limits).await;
    let (_, mut page) = Page::open(address, "").await;
    for _ in 0..3 {
        page.event("market").await;
    }
    world.stop.cancel();
    let mut rest = String::new();
    timeout(PATIENCE, page.0.read_to_string(&mut rest)).await.expect("the end").unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    timeout(PATIENCE, server).await.expect("the server's end").unwrap();
    assert_eq!(world.shared.metrics.pages_open.get(), 0);
}

#[tokio::test]
async fn sixteen_are_served_the_next_is_told_why_not_and_others_do_not_wait() {
    let world = market().await;
    let (address, _) = world.serve(Limits::default()).await;
    let mut pages = Vec::new();
    for _ in 0..16 {
        let (status, page) = Page::open(address, "").await;
        assert_eq!(status, 200);
        pages.push(page);
    }
    assert_eq!(world.shared.metrics.pages_open.get(), 16);
    let (status, body) = get(address, "/events").await;
    assert_eq!(status, 503);
    assert_eq!(body["error"], "16 streams are open, and more are not served");
    for _ in 0..100 {
        assert_eq!(get(address, "/livez").await.0, 200);
    }
    for page in &mut pages {
        assert_eq!(page.event("market").await["active"], 20);
    }
    pages.pop();
    until(|| world.shared.metrics.pages_open.get() == 15).await;
    assert_eq!(Page::open(address, "").await.0, 200);
}

#[tokio::test]
async fn a_page_that_does_not_read_loses_its_place() {
    // Rows of 32 windows fill what lies between in a few seconds.
    let window = |seconds: u32| Window { name: format!("{seconds}s"), seconds };
    let world = World::start(Windows::new((60..92).map(window).collect()).unwrap(), 300).await;
    for token in 0..200 {
        world.trade(&format!("token-{token}"), 1, 1);
    }
    world.counted().await;
    let limits = Limits {
        stream_time: Duration::from_secs(2),
        request_time: Duration::from_secs(1),
        ..Limits::default()
    };
    let (address, _) = world.serve(limits).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut deaf = socket.connect(address).await.unwrap();
    deaf.write_all(b"GET /events?rows=200 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(|| world.shared.metrics.pages_open.get() == 1).await;
    until(|| world.shared.metrics.pages_open.get() == 0).await;
    assert_eq!(get(address, "/livez").await.0, 200);
}
