//! Clients that are slow, on purpose or not: each is bounded, and none keeps another out.

use std::time::Duration;

use aggregator_service::http::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::server::Server;

#[tokio::test]
async fn headers_that_never_end_are_cut_off() {
    let limits = Limits { header_time: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start(limits).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost:").await.unwrap();
    ended(slow).await;
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let limits = Limits { request_time: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start_with(limits, Some("t")).await;
    let head = "POST /publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\
                Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(server.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_connection_that_lasts_too_long_is_closed() {
    let limits = Limits { connection_time: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start(limits).await;
    ended(TcpStream::connect(server.address).await.unwrap()).await;
}

#[tokio::test]
async fn many_that_send_a_byte_now_and_then_keep_nobody_out() {
    let server = Server::start(Limits { connections: 8, ..Limits::default() }).await;
    let mut slow = JoinSet::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        slow.spawn(async move {
            let head =
                b"GET /livez HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".iter();
            for byte in head.cycle() {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
    for _ in 0..20 {
        let answer = timeout(AT_ONCE, server.json("/livez")).await.expect("an answer at once");
        assert_eq!(answer.0, 200);
    }
    // Those that had to make room have noticed.
    for _ in 0..56 {
        timeout(PATIENCE, slow.join_next()).await.expect("closed").unwrap().unwrap();
    }
}

#[tokio::test]
async fn many_that_do_not_read_their_answers_keep_nobody_out() {
    let server = Server::start(Limits { connections: 8, ..Limits::default() }).await;
    let mut deaf = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // Answers until the socket's buffers are full.
        let asks = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
        drop(stream.write_all(asks.as_bytes()).await);
        deaf.push(stream);
    }
    for _ in 0..20 {
        let answer = timeout(AT_ONCE, server.json("/livez")).await.expect("an answer at once");
        assert_eq!(answer.0, 200);
    }
}

/// Waits until the server has closed a connection.
async fn ended(mut stream: TcpStream) {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed").unwrap();
}

/// Half of the time after which headers that never end are cut off: nobody waited for that.
const AT_ONCE: Duration = Duration::from_secs(5);

const PATIENCE: Duration = Duration::from_secs(60);
