//! `/tokens` over sockets: shapes, parameters that are wrong on purpose, tokens that nobody trades.

use std::net::SocketAddr;
use std::time::Duration;

use aggregator_service::http::Limits;
use aggregator_service::status::Phase;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{PATIENCE, World, windows};

/// Status and body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(PATIENCE, asked).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{path}: {answer}");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

async fn market() -> (World, SocketAddr) {
    let world = World::start(windows(&[("1min", 60), ("1hour", 3_600)]), 300).await;
    for (token, price) in [("0xAb", 3), ("a/b c?", 5), ("ünï", 7), ("%2F", 11)] {
        world.trade(token, price, 2);
        world.trade(token, price + 1, 3);
    }
    world.name("0xAb", "OTTER", "The \"Swimmer\"");
    world.counted().await;
    let (address, _) = world.serve(Limits::default()).await;
    (world, address)
}

#[tokio::test]
async fn the_market_comes_page_by_page_in_its_documented_shape() {
    let (_world, address) = market().await;
    let (status, page) = get(address, "/tokens?limit=3&sort=price&order=asc").await;
    assert_eq!((status, &page["active"], &page["matching"]), (200, &json!(4), &json!(4)));
    let row = &page["tokens"][0];
    let rate = row["trades_per_second"].as_f64().unwrap();
    assert!((rate - 2.0 / 60.0).abs() < 1e-9, "{row}");
    assert_eq!((&row["token"], &row["price"]), (&json!("0xAb"), &json!("4.000000")));
    assert_eq!((&row["symbol"], &row["name"]), (&json!("OTTER"), &json!("The \"Swimmer\"")));
    assert_eq!(row["windows"][1]["time_window"], "1hour");
    assert_eq!(row["windows"][0]["volume_usd"], "18.000000");
    assert_eq!(row["windows"][0]["total_trades"], 2);
    let next = page["next"].as_str().unwrap();
    let (_, rest) =
        get(address, &format!("/tokens?limit=3&sort=price&order=asc&after={next}")).await;
    assert_eq!((&rest["tokens"][0]["token"], &rest["next"]), (&json!("%2F"), &Value::Null));
    assert_eq!(rest["tokens"].as_array().unwrap().len(), 1);
    let (status, other) = get(address, &format!("/tokens?after={next}")).await;
    assert!(status == 400 && other["error"].as_str().unwrap().contains("`next`"), "{other}");
    assert_eq!(get(address, "/tokens?search=SWIMM&after=").await.1["matching"], 1);
}

#[tokio::test]
async fn one_token_is_its_message_whatever_its_address_looks_like() {
    let (world, address) = market().await;
    for (path, token) in
        [("0xAb", "0xAb"), ("a%2Fb%20c%3F", "a/b c?"), ("%C3%BCn%c3%af", "ünï"), ("%252F", "%2F")]
    {
        let (status, said) = get(address, &format!("/tokens/{path}")).await;
        assert_eq!((status, &said["token"]), (200, &json!(token)));
        let (_, history) = get(address, &format!("/tokens/{path}/history")).await;
        assert_eq!((&history["token"], &history["step_seconds"]), (&json!(token), &json!(12)));
        let points = history["points"].as_array().unwrap();
        let trades =
            |point: &Value| point["buys"].as_u64().unwrap() + point["sells"].as_u64().unwrap();
        assert_eq!(points.iter().map(trades).sum::<u64>(), 2, "{history}");
        let messages = world.messages().await;
        let mut told: Vec<Value> =
            messages.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let mut told = told.swap_remove(told.iter().position(|one| one["token"] == token).unwrap());
        let mut said = said;
        for one in [&mut told, &mut said] {
            // A second may have passed between the two.
            one["generated_at"].take();
            for window in one["aggregate_data"].as_array_mut().unwrap() {
                window["timestamp"].take();
            }
        }
        assert_eq!(said, told);
    }
    for unknown in ["nobody", "%20", "0xab", &"x".repeat(4_000)] {
        for path in [format!("/tokens/{unknown}"), format!("/tokens/{unknown}/history")] {
            let (status, body) = get(address, &path).await;
            assert!(status == 404 && body["error"].is_string(), "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_value_and_what_is_accepted() {
    let (_world, address) = market().await;
    let long = format!("search={}", "x".repeat(257));
    for (query, named) in [
        ("limit=0", "limit \"0\" is not accepted; accepted: a whole number, 1 to 1000"),
        ("limit=1001", "1 to 1000"),
        ("limit=-1", "limit \"-1\""),
        ("limit=", "limit \"\""),
        ("limit=99999999999999999999999", "1 to 1000"),
        ("limit=1&limit=2", "limit is given twice"),
        ("sort=", "volume, trades, price_change, price, token"),
        ("sort=Volume", "sort \"Volume\""),
        ("order=down", "order \"down\" is not accepted; accepted: desc, asc"),
        ("window=2min", "window \"2min\" is not accepted; accepted: 1min, 1hour"),
        ("after=zz", "after \"zz\""),
        ("after=%F0%9F%A6%A6", "after"),
        ("after=766f6c756d65", "after"),
        ("after=766f6c756d650a646573630a316d696e0a780a74", "after"),
        ("from=1", "\"from\" is unknown; accepted: limit, after, sort"),
        ("%00=%ff", "is unknown"),
        (long.as_str(), "at most 256 bytes"),
    ] {
        let (status, body) = get(address, &format!("/tokens?{query}")).await;
        let says = body["error"].as_str().unwrap();
        assert!(status == 400 && says.contains(named), "{query}: {says}");
    }
    for query in ["rows=0", "rows=201", "from=50001", "from=x", "limit=1", "sort=x", "after=00"] {
        let (status, body) = get(address, &format!("/events?{query}")).await;
        assert!(status == 400 && body["error"].is_string(), "{query}: {body}");
    }
    for path in ["/tokens/%ff", "/tokens/%ff/history", "/tokens/a?limit=1"] {
        assert_eq!(get(address, path).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn before_the_log_is_read_nothing_is_said_of_tokens() {
    let world = World::new(windows(&[("1min", 60)]));
    let (address, _) = world.serve(Limits::default()).await;
    for phase in [Phase::Starting, Phase::CatchingUp, Phase::Stopping] {
        world.shared.status.enter(phase);
        for path in ["/tokens", "/tokens/a", "/tokens/a/history"] {
            let answer = timeout(Duration::from_secs(30), get(address, path)).await.unwrap();
            assert_eq!(answer, (503, json!({ "error": phase.name() })));
        }
    }
}
