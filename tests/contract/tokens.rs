//! The rows of the HTTP table that are about tokens: what is told of them and what is published.
//! Every figure is the oracle's.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{INTERVAL, LATE, ODD, QUIET, SPANS, Stage, second};
use crate::topic::now;
use support::oracle;

/// What a row of `/tokens` takes over from a window of a message.
const FIGURES: [&str; 9] = [
    "time_window",
    "price_change",
    "volume_usd",
    "total_volume",
    "buy_volume",
    "sell_volume",
    "buy_count",
    "sell_count",
    "total_trades",
];

pub(crate) fn publish(stage: &Stage) {
    let between_ticks = |end: i64| end.rem_euclid(INTERVAL) != 0;
    // Ordered in the middle between two ticks, it is not one of theirs.
    while !(1..INTERVAL - 1).contains(&now().timestamp().rem_euclid(INTERVAL)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let answer = stage.post("/publish", &json!({ "token": QUIET }));
    assert_eq!((answer.status, answer.json()), (200, json!({"published": 1, "unknown": []})));
    let messages = stage.messages(QUIET);
    let end = |message: &Value| second(&message["aggregate_data"][0]["timestamp"]);
    let by = |order: bool| {
        let mut found = messages.iter().rev();
        found.find(|(_, message)| {
            between_ticks(end(message)) == order && (order || message["symbol"] == "SOL")
        })
    };
    let (ordered, message) = by(true).expect("acknowledged, so it is there");
    let (ticked, _) = by(false).expect("a tick's");
    assert_eq!(timeless(&ordered.record.value), timeless(&ticked.record.value));
    assert_eq!(ordered.record.headers, ticked.record.headers);
    assert_eq!(ordered.partition, ticked.partition);
    assert!(oracle::same(&message["aggregate_data"], &stage.expected(QUIET, end(message))));
    let all = stage.post("/publish", &json!({"all": true}));
    assert_eq!(all.json(), json!({"published": 3, "unknown": []}));
}

pub(crate) fn unknown(stage: &Stage) {
    let wanted = json!({"tokens": [QUIET, LATE, ODD, "nobody"]});
    let answer = stage.post("/publish", &wanted);
    assert_eq!(answer.json(), json!({"published": 2, "unknown": [LATE, "nobody"]}));
}

/// A message's bytes without its times.
fn timeless(value: &Option<Vec<u8>>) -> String {
    let text = String::from_utf8(value.clone().unwrap()).unwrap();
    let message: Value = serde_json::from_str(&text).unwrap();
    let times = [&message["generated_at"], &message["aggregate_data"][0]["timestamp"]];
    times.iter().fold(text, |text, time| text.replace(time.as_str().unwrap(), "T"))
}

/// What `/tokens` should say of a token at that second.
fn row(stage: &Stage, token: &str, end: i64) -> Value {
    let windows = stage.expected(token, end);
    let windows = windows.as_array().unwrap();
    let figures = |window: &Value| -> Value {
        FIGURES.iter().map(|name| ((*name).to_owned(), window[*name].clone())).collect()
    };
    let known = token == QUIET;
    let rate = windows[0]["total_trades"].as_f64().unwrap() / 10.0;
    json!({
        "token": token,
        "symbol": if known { "SOL" } else { "" },
        "name": if known { "Wrapped \"SOL\"" } else { "" },
        "price": windows[SPANS.len() - 1]["close_price"],
        "trades_per_second": rate,
        "windows": windows.iter().map(figures).collect::<Vec<_>>(),
    })
}

pub(crate) fn list(stage: &Stage) {
    let answer = stage.json("/tokens?sort=token");
    let end = second(&answer["at"]);
    assert_eq!((&answer["active"], &answer["matching"]), (&json!(3), &json!(3)), "{answer}");
    assert_eq!(answer["next"], Value::Null);
    let expected: Vec<_> = [ODD, QUIET, "busy"].map(|token| row(stage, token, end)).into();
    assert!(oracle::same(&answer["tokens"], &json!(expected)), "{answer}\nnot\n{expected:?}");
}

/// The addresses that `/tokens` answers to a query.
fn listed(stage: &Stage, query: &str) -> Vec<String> {
    let answer = stage.json(&format!("/tokens?{query}"));
    let rows = answer["tokens"].as_array().unwrap();
    rows.iter().map(|row| row["token"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn pages(stage: &Stage) {
    assert_eq!(listed(stage, "window=1hour"), ["busy", ODD, QUIET], "by volume in USD");
    assert_eq!(listed(stage, "window=1hour&order=asc"), [QUIET, ODD, "busy"]);
    assert_eq!(listed(stage, "window=1hour&sort=trades"), ["busy", QUIET, ODD]);
    assert_eq!(listed(stage, "window=1hour&sort=price_change")[0], QUIET, "the only rise");
    assert_eq!(listed(stage, "sort=price"), ["busy", ODD, QUIET]);
    assert_eq!(listed(stage, "sort=token&order=desc"), ["busy", QUIET, ODD]);
    for query in ["search=wRaPPed", "search=sol", "search=so1111"] {
        assert_eq!(listed(stage, query), [QUIET], "{query}");
    }
    assert_eq!(listed(stage, "search=nobody"), [""; 0]);
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = stage.json(&format!("/tokens?sort=token&limit=1{after}"));
        assert_eq!(page["matching"], 3, "{page}");
        paged.extend(page["tokens"].as_array().unwrap().iter().map(|row| row["token"].clone()));
        assert!(paged.len() <= 3, "{paged:?}");
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={}", encoded(next));
    }
    assert_eq!(Value::Array(paged), json!([ODD, QUIET, "busy"]));
}

pub(crate) fn wrong_parameters(stage: &Stage) {
    let cases = [
        ("limit=0", "limit", "0"),
        ("limit=1001", "limit", "1001"),
        ("limit=many", "limit", "many"),
        ("sort=luck", "sort", "luck"),
        ("order=up", "order", "up"),
        ("window=2min", "window", "2min"),
        ("after=!", "after", "!"),
    ];
    for (query, parameter, value) in cases {
        let answer = stage.ask(&format!("GET /tokens?{query}"));
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        let says = answer.error();
        assert!(says.contains(parameter) && says.contains(value), "{query}: {says}");
    }
    let says = stage.ask("GET /tokens?window=2min").error();
    assert!(SPANS.iter().all(|(name, _)| says.contains(name)), "what is accepted: {says}");
}

/// Percent-encoded, as a part of a path or a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

pub(crate) fn one(stage: &Stage) {
    for token in [QUIET, ODD, "busy"] {
        let answer = stage.ask(&format!("GET /tokens/{}", encoded(token)));
        assert_eq!(answer.status, 200, "{token}: {answer:?}");
        let message = answer.json();
        let end = second(&message["aggregate_data"][0]["timestamp"]);
        assert!(end.abs_diff(now().timestamp()) <= 60, "as of now: {message}");
        assert_eq!(message["token"], token);
        let expected = stage.expected(token, end);
        assert!(oracle::same(&message["aggregate_data"], &expected), "{message}\nnot\n{expected}");
        if token == QUIET {
            let said = timeless(&Some(answer.body.into_bytes()));
            let messages = stage.messages(QUIET);
            assert_eq!(said, timeless(&messages.last().unwrap().0.record.value), "its bytes");
        }
    }
    for token in [LATE, "nobody", "%FF"] {
        let answer = stage.ask(&format!("GET /tokens/{token}"));
        assert!([400, 404].contains(&answer.status), "{token}: {answer:?}");
        assert!(!answer.error().is_empty());
    }
    assert_eq!(stage.ask(&format!("GET /tokens/{LATE}")).status, 404);
}

pub(crate) fn history(stage: &Stage) {
    let history = stage.json(&format!("/tokens/{QUIET}/history"));
    assert_eq!((&history["token"], &history["step_seconds"]), (&json!(QUIET), &json!(12)));
    let (from, to) = (second(&history["from"]), second(&history["to"]));
    assert!(to - from <= 3_612 && to.abs_diff(now().timestamp()) <= 60, "{history}");
    let points = history["points"].as_array().unwrap();
    let told: Vec<_> = stage.trades.iter().filter(|told| told.token == QUIET).collect();
    assert_eq!(points.len(), told.len(), "a step each: {history}");
    for (point, told) in points.iter().zip(told) {
        assert!(second(&point["at"]).abs_diff(told.second()) <= 12, "{point}");
        let usd = oracle::rounded(oracle::amount(&told.amount) * oracle::price(told));
        assert_eq!(point["price"], oracle::plain(&oracle::price(told)), "{point}");
        assert_eq!(point["volume_usd"], oracle::plain(&usd), "{point}");
        let sides = (i32::from(told.buy), i32::from(!told.buy));
        assert_eq!((&point["buys"], &point["sells"]), (&json!(sides.0), &json!(sides.1)));
    }
    assert_eq!(stage.ask(&format!("GET /tokens/{LATE}/history")).status, 404);
}

pub(crate) fn events(stage: &Stage) {
    let url = format!("http://127.0.0.1:{}/events?sort=token&rows=2&from=1", stage.port);
    let mut answer = ureq::get(url).call().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut lines = BufReader::new(answer.body_mut().as_reader()).lines().map(Result::unwrap);
    let mut next = |event: &str| -> Value {
        let name = format!("event: {event}");
        assert!(lines.any(|line| line == name), "the stream ended without {event}");
        let data = lines.next().unwrap();
        serde_json::from_str(data.strip_prefix("data: ").expect(&data)).unwrap()
    };
    for _ in 0..2 {
        let market = next("market");
        let end = second(&market["at"]);
        assert_eq!(market["windows"], json!(SPANS.map(|(name, _)| name)));
        assert_eq!((&market["matching"], &market["from"]), (&json!(3), &json!(1)));
        let expected = json!([row(stage, QUIET, end), row(stage, "busy", end)]);
        assert!(oracle::same(&market["rows"], &expected), "{market}\nnot\n{expected}");
    }
    let health = next("health");
    assert_eq!((&health["phase"], &health["ready"]), (&json!("running"), &json!(true)));
    assert_eq!(health["reasons"], json!([]));
    assert_eq!(health["rejected"], json!({"missing_field": 1}));
    assert_eq!(health["lag"].as_array().unwrap().len(), 3, "{health}");
    drop(lines);
    let answer = stage.ask("GET /events?rows=0");
    assert_eq!(answer.status, 400);
    assert!(answer.error().contains("rows"), "{answer:?}");
}
