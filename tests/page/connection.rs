//! The page through the service's bad days: it is started again, and it has better things to do
//! than to serve a page that nobody sees. What an open page costs it is printed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::browser::Browser;
use crate::made_up::{row, server};
use crate::service::Service;

#[tokio::test]
async fn a_restart_of_the_service_is_said_and_survived() {
    let service = Service::start(&[]);
    let page = Browser::open_table(&service.url("/#/?sort=price")).await;
    let away = service.kill();
    page.until(
        "!$('lost').hidden && /No connection to the service for \\d+ s/.test($('lost').innerText)",
    )
    .await;
    assert_eq!(page.text("$('pill').textContent").await, "Connection lost");
    assert!(page.number("rows().length").await > 5.0, "the last figures stay");
    let _service = away.start_again();
    page.until("$('lost').hidden && $('pill').textContent === 'Ready'").await;
    page.until("busy() === 'false' && filled() && rows().length > 5").await;
    let head = "document.querySelector('[data-column=price]').parentNode.ariaSort";
    assert_eq!(page.text(head).await, "descending", "what was looked at is looked at still");
    page.leave_but(&["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE"])
        .await;
}

#[tokio::test]
async fn an_open_page_costs_the_service_little_and_a_hidden_one_nothing() {
    let service = Service::start(&[]);
    let without = cpu_percent(&service).await;
    let page = Browser::open_table(&service.url("/")).await;
    let with = cpu_percent(&service).await;
    println!("the service takes {without:.1} % of a core without a page, {with:.1} % with one");
    assert!(open_pages(&service) > 0.0);
    let hidden = json!({ "windowState": "minimized" });
    let window = page.devtools("Browser.getWindowForTarget", json!({})).await;
    let bounds = json!({ "windowId": window["windowId"], "bounds": hidden });
    page.devtools("Browser.setWindowBounds", bounds).await;
    page.until("document.hidden").await;
    while open_pages(&service) > 0.0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    page.leave().await;
}

/// Browsers do not tell pages why a stream was refused: the page asks again to find out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_too_many_says_so_and_comes_in_once_there_is_room() {
    let (url, _server) = server(vec![row("t", "", "", "1", "1")]).await;
    let page = Browser::open(&format!("{url}livez")).await;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let streams: Vec<TcpStream> = (0..16).map(|_| stream(address)).collect();
    page.go(&url).await;
    page.until("/refuses to stream: 16 streams are open/.test($('toast').textContent)").await;
    assert_eq!(page.text("$('pill').textContent").await, "Connection lost");
    drop(streams);
    page.until("$('lost').hidden && busy() === 'false' && rows().length === 1").await;
    page.leave_but(&["503", "404"]).await;
}

/// A stream of somebody else, open for sure.
fn stream(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    stream
}

fn open_pages(service: &Service) -> f64 {
    let figures = service.json("/metrics/json");
    figures["aggregator_pages_open"]["values"][0]["value"].as_f64().unwrap()
}

/// What the service takes of a core over some seconds.
async fn cpu_percent(service: &Service) -> f64 {
    let before = service.cpu_seconds();
    tokio::time::sleep(MEASURED).await;
    100.0 * (service.cpu_seconds() - before) / MEASURED.as_secs_f64()
}

/// Some events long; not to wait for anything.
const MEASURED: Duration = Duration::from_secs(5);
