//! `POST /publish`: who may, what is said, what is refused.

use std::collections::BTreeSet;

use aggregator_service::http::Limits;
use aggregator_service::ports::{NotPublished, Published, Wanted};
use aggregator_service::status::Phase;
use serde_json::{Value, json};

use crate::server::Server;

const JSON: &str = "Content-Type: application/json";
const BEARER: &str = "Authorization: Bearer s3cret";

async fn running(admin_token: Option<&str>) -> Server {
    let server = Server::start_with(Limits::default(), admin_token).await;
    server.status.enter(Phase::Running);
    server
}

async fn post(server: &Server, headers: &[&str], body: &str) -> (u16, Value) {
    post_to(server, "/publish", headers, body).await
}

async fn post_to(server: &Server, path: &str, headers: &[&str], body: &str) -> (u16, Value) {
    let host = headers.iter().any(|header| header.starts_with("Host:"));
    let host = if host { "" } else { "Host: localhost\r\n" };
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    let (status, head, body) = server.send(&request).await;
    assert_eq!(head.contains("www-authenticate: bearer"), status == 401, "{head}");
    (status, serde_json::from_str(&body).unwrap())
}

fn tokens(names: &[&str]) -> Wanted {
    Wanted::Tokens(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn what_is_wanted_is_ordered_and_what_was_published_is_told() {
    let server = running(None).await;
    let cases = [
        (r#"{"token":"a"}"#, tokens(&["a"])),
        (r#"{"tokens":["b","a","b"]}"#, tokens(&["a", "b"])),
        (r#"{"tokens":[]}"#, tokens(&[])),
        (r#"{"all":true}"#, Wanted::All),
    ];
    let unknown = vec!["b".to_owned()];
    *server.answer.lock().unwrap() =
        Ok(Published { published: 7, unknown, ..Published::default() });
    for (body, wanted) in cases {
        let said = post(&server, &[JSON], body).await;
        assert_eq!(said, (200, json!({"published": 7, "unknown": ["b"]})), "{body}");
        assert_eq!(server.orders.lock().unwrap().pop(), Some(wanted), "{body}");
    }
}

#[tokio::test]
async fn what_is_not_understood_is_refused_and_says_why() {
    let server = running(None).await;
    let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(129));
    let many: BTreeSet<_> = (0..1_001).map(|number| number.to_string()).collect();
    let many = json!({ "tokens": many }).to_string();
    let cases = [
        ("", "EOF"),
        ("[]", "expected"),
        ("{}", "one of"),
        (r#"{"all":false}"#, "one of"),
        (r#"{"all":true,"token":"a"}"#, "one of"),
        (r#"{"tokens":"a"}"#, "invalid type"),
        (r#"{"token":""}"#, "1 to 128 bytes"),
        (r#"{"token":"a","force":1}"#, "`force`"),
        (r#"{"token":"a","token":"b"}"#, "duplicate field `token`"),
        (&long, "1 to 128 bytes"),
        (&many, "at most 1000 tokens"),
    ];
    for (body, says) in cases {
        let (status, answer) = post(&server, &[JSON], body).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(says), "{body}: {answer}");
    }
    let huge = format!(r#"{{"token":"{}"}}"#, "x".repeat(Limits::default().body_bytes));
    assert_eq!(post(&server, &[JSON], &huge).await.0, 413);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let header = format!("Content-Type: {kind}");
        assert_eq!(post(&server, &[&header], r#"{"all":true}"#).await.0, 415, "{kind}");
    }
    assert_eq!(post(&server, &[], r#"{"all":true}"#).await.0, 415);
    assert!(server.orders.lock().unwrap().is_empty());
    let utf8 = "content-type: Application/JSON; charset=utf-8";
    assert_eq!(post(&server, &[utf8], r#"{"all":true}"#).await.0, 200);
}

#[tokio::test]
async fn with_a_token_configured_it_has_to_be_brought() {
    let server = running(Some("s3cret")).await;
    for wrong in [
        "",
        "Authorization: Bearer",
        "Authorization: Bearer s3cre",
        "Authorization: Bearer s3cret2",
        "Authorization: Basic s3cret",
        "Authorization: s3cret",
    ] {
        let headers: Vec<_> = [JSON, wrong].into_iter().filter(|one| !one.is_empty()).collect();
        let (status, said) = post(&server, &headers, r#"{"all":true}"#).await;
        assert_eq!(status, 401, "{wrong}");
        assert!(!said.to_string().contains("s3cret"), "{said}");
    }
    assert!(server.orders.lock().unwrap().is_empty());
    for right in [BEARER, "authorization: bearer  s3cret"] {
        let headers = [JSON, right, "Host: aggregator.example", "X-Forwarded-For: 192.0.2.1"];
        assert_eq!(post(&server, &headers, r#"{"all":true}"#).await.0, 200, "{right}");
    }
}

#[tokio::test]
async fn without_a_token_only_this_host_may_and_not_through_a_proxy() {
    let server = running(None).await;
    for header in [
        "Host: aggregator.example",
        "Host: 127.0.0.1.example:8081",
        "Host: localhost.example",
        "Host: 192.0.2.1",
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
        "Via: 1.1 proxy",
    ] {
        assert_eq!(post(&server, &[JSON, header], r#"{"all":true}"#).await.0, 403, "{header}");
    }
    assert!(server.orders.lock().unwrap().is_empty());
    for host in ["localhost", "LOCALHOST:8081", "127.0.0.1:8081", "[::1]:8081", "[::1]"] {
        let header = format!("Host: {host}");
        assert_eq!(post(&server, &[JSON, &header], r#"{"all":true}"#).await.0, 200, "{host}");
    }
}

#[tokio::test]
async fn without_a_token_another_host_may_not() {
    let mut server = running(None).await;
    let Some(address) = own_address() else {
        return; // a host without a network has no other address to ask from
    };
    server.address.set_ip(address);
    assert_eq!(post(&server, &[JSON], r#"{"all":true}"#).await.0, 403);
    assert!(server.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_even_with_the_token() {
    let server = running(Some("s3cret")).await;
    for header in [
        "Origin: https://evil.example",
        "Origin: null",
        "Origin: http://localhost:1",
        "Origin: localhost",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        let said = post(&server, &[JSON, BEARER, header], r#"{"all":true}"#).await;
        assert_eq!(said.0, 403, "{header}");
    }
    assert!(server.orders.lock().unwrap().is_empty());
    for header in ["Origin: http://localhost", "Origin: https://localhost", "Sec-Fetch-Site: none"]
    {
        let said = post(&server, &[JSON, BEARER, header], r#"{"all":true}"#).await;
        assert_eq!(said.0, 200, "{header}");
    }
}

#[tokio::test]
async fn nothing_but_post_publishes() {
    let server = running(None).await;
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let (status, head, _) = server.ask(&format!("{method} /publish?all=true")).await;
        assert_eq!(status, 405, "{method}");
        assert!(head.contains("\r\nallow: post"), "{method}: {head}");
        assert!(!head.contains("access-control-allow"), "{method}: {head}");
    }
    assert!(server.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_log_level_is_set_by_whoever_may_and_what_is_accepted_is_told() {
    let server = Server::start_with(Limits::default(), Some("s3cret")).await;
    let debug = r#"{"level":"DEBUG"}"#;
    assert_eq!(post_to(&server, "/log-level", &[JSON], debug).await.0, 401);
    assert_eq!(post_to(&server, "/log-level", &[BEARER], debug).await.0, 415);
    let foreign = [JSON, BEARER, "Origin: https://evil.example"];
    assert_eq!(post_to(&server, "/log-level", &foreign, debug).await.0, 403);
    let said = post_to(&server, "/log-level", &[JSON, BEARER], debug).await;
    assert_eq!(said, (200, json!({"level": "DEBUG", "before": "INFO"})));
    for wrong in [r#"{"level":"LOUD"}"#, "{}", r#"{"level":1}"#, r#"{"level":"INFO","x":1}"#, ""] {
        let (status, said) = post_to(&server, "/log-level", &[JSON, BEARER], wrong).await;
        assert_eq!(status, 400, "{wrong}: {said}");
    }
    let (_, said) = post_to(&server, "/log-level", &[JSON, BEARER], r#"{"level":"LOUD"}"#).await;
    let says = "level: \"LOUD\" is not accepted; accepted: DEBUG or INFO";
    assert_eq!(said, json!({ "error": says }));
}

#[tokio::test]
async fn what_cannot_be_published_now_is_503_with_a_reason() {
    let server = Server::start(Limits::default()).await;
    let unavailable = |says: &str| (503, json!({ "error": says }));
    assert_eq!(post(&server, &[JSON], r#"{"all":true}"#).await, unavailable("starting"));
    server.status.enter(Phase::CatchingUp);
    assert_eq!(post(&server, &[JSON], r#"{"all":true}"#).await, unavailable("catching up"));
    server.status.enter(Phase::Running);
    *server.answer.lock().unwrap() = Err(NotPublished("too slow"));
    assert_eq!(post(&server, &[JSON], r#"{"all":true}"#).await, unavailable("too slow"));
    server.status.enter(Phase::Stopping);
    assert_eq!(post(&server, &[JSON], r#"{"all":true}"#).await, unavailable("stopping"));
}

/// An address of this host that is not loopback.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: this only chooses a route.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
}
