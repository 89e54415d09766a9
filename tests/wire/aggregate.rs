//! Messages and dead letters, to the byte.

use aggregator_service::domain::aggregate::{Aggregate, Figures};
use aggregator_service::domain::pane::{Flow, Sums};
use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::reject::Reason;
use aggregator_service::domain::time::{Second, WallMs};
use aggregator_service::domain::token::TokenHash;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::ports::{Header, Record};
use aggregator_service::wire::aggregate::{Form, TokenNames, key};
use aggregator_service::wire::dead_letter::DeadLetter;
use bytes::Bytes;

use crate::assert_golden;

/// 2025-01-08T10:30:15.999Z.
const GENERATED_AT: WallMs = WallMs(1_736_332_215_999);
const END: Second = Second(1_736_332_200);
const MILLIONTH: i128 = 1_000_000_000_000;

fn windows(names: &[&str]) -> Windows {
    let window = |name: &&str| Window { name: (*name).to_owned(), seconds: 60 };
    Windows::new(names.iter().map(window).collect()).expect("valid windows")
}

fn figures(sell: (u64, i128), buy: (u64, i128), usd: i128, open: &str, close: &str) -> Figures {
    let flow = |(count, volume)| Flow { count, volume };
    let price = |text: &str| Price::parse(text.as_bytes(), 1_000_000).expect(text);
    Figures {
        sums: Sums { sell: flow(sell), buy: flow(buy), usd },
        open: price(open),
        close: price(close),
    }
}

fn message(
    token: &str,
    end: Second,
    windows: &Windows,
    figures: &[Figures],
    names: TokenNames<'_>,
) -> String {
    let hash = TokenHash::of(token);
    let aggregate = Aggregate { token, hash, end, windows: figures, extended: &[] };
    let mut out = Vec::new();
    Form::new(windows).write(&mut out, &aggregate, names, GENERATED_AT);
    String::from_utf8(out).expect("UTF-8")
}

/// The figures of the contract's example, but for its change in percent, which is not that of its
/// prices.
#[test]
fn the_contracts_example_is_written_as_it_stands_there() {
    let token = "0x0000000000000000000000000000000000000001";
    let volumes = (1_250_500_000 * MILLIONTH, 2_100_750_000 * MILLIONTH, 3_351_250_000 * MILLIONTH);
    let item = figures((5, volumes.0), (8, volumes.1), volumes.2, "0.000118", "0.000125");
    let made = message(token, END, &windows(&["1min"]), &[item], TokenNames::default());
    let expected = concat!(
        r#"{"token":"0x0000000000000000000000000000000000000001","symbol":"","name":"","#,
        r#""aggregate_data":[{"time_window":"1min","sell_count":5,"buy_count":8,"#,
        r#""total_trades":13,"sell_volume":"1250.500000","buy_volume":"2100.750000","#,
        r#""total_volume":"3351.250000","volume_usd":"3351.250000","#,
        r#""price_change":5.932203389830509,"open_price":"0.000118","close_price":"0.000125","#,
        r#""timestamp":"2025-01-08T10:30:00Z"}],"#,
        r#""generated_at":"2025-01-08T10:30:15Z","version":"1.0"}"#
    );
    assert_eq!(made, expected);
}

#[test]
fn messages_are_the_golden_files_bytes() {
    let windows = windows(&["1min", "90s \"odd\"", "1hour"]);
    let tiny = figures((1, 1), (0, 0), 1, "0.00000001234", "1e-30");
    let empty = figures((0, 0), (0, 0), 0, "2", "2");
    let huge = figures((u64::MAX / 2, i128::MAX), (1, 1), i128::MAX, "1e-28", "1000000");
    let up = figures((1, 1_500_000 * MILLIONTH), (0, 0), 0, "100", "102.5");
    let names = TokenNames { symbol: "a\"\\b\n\u{1}é🦀", name: "</script>&" };
    let made = [
        message("So1", END, &windows, &[tiny, empty, up], TokenNames::default()),
        message("tok\"en\\", END, &windows, &[up, huge, empty], names),
        message("late", Second(i64::MAX), &windows, &[empty; 3], names),
    ];
    for text in &made {
        serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    }
    assert_golden("aggregates.jsonl", (made.join("\n") + "\n").as_bytes());
}

#[test]
fn a_key_is_the_token_and_a_part_of_its_message_where_it_stands_there_as_it_is() {
    for (token, is_part) in [("So1", true), ("tok\"en", false), ("é", true), ("a\\", true)] {
        let item = figures((0, 0), (0, 0), 0, "2", "2");
        let made = message(token, END, &windows(&["1min"]), &[item], TokenNames::default());
        let made = Bytes::from(made);
        let key = key(&made, token);
        assert_eq!(key, token);
        assert_eq!(made.as_ptr_range().contains(&key.as_ptr()), is_part, "{token}");
    }
}

fn shown(headers: &[Header]) -> Vec<String> {
    let line = |(name, value): &Header| format!("{name}: {}", value.escape_ascii());
    headers.iter().map(line).collect()
}

fn record() -> Record {
    let header = |name: &str, value: &'static str| (name.to_owned(), value.into());
    Record {
        offset: Offset(41),
        timestamp: Some(WallMs(1_736_332_200_123)),
        key: Some("key".into()),
        value: Some("[5]".into()),
        headers: vec![
            header("trace", "t"),
            header("aggregator.errors.index", "7"),
            header("trace", "u"),
        ],
    }
}

fn letter<'a>(record: &'a Record, index: Option<u32>, value: Option<Bytes>) -> DeadLetter<'a> {
    DeadLetter {
        topic: "trade-info",
        partition: Partition(2),
        record,
        index,
        value,
        reason: Reason::NotATrade,
        message: "trade: expected an object, found 5",
    }
}

#[test]
fn a_dead_letter_keeps_key_and_headers_and_says_where_and_why() {
    let record = record();
    let message = letter(&record, Some(0), Some("5".into())).into_message(GENERATED_AT);
    assert_eq!(message.key, record.key);
    assert_eq!(message.value, Some("5".into()));
    assert_eq!(message.timestamp, GENERATED_AT);
    let expected = [
        "trace: t",
        "trace: u",
        "aggregator.errors.topic: trade-info",
        "aggregator.errors.partition: 2",
        "aggregator.errors.offset: 41",
        "aggregator.errors.timestamp: 1736332200123",
        "aggregator.errors.index: 0",
        "aggregator.errors.reason: not_a_trade",
        "aggregator.errors.message: trade: expected an object, found 5",
    ];
    assert_eq!(shown(&message.headers), expected);
}

#[test]
fn a_dead_letter_of_a_whole_value_has_no_index_and_none_of_an_earlier_rejection() {
    let record = Record { timestamp: None, ..record() };
    let message = letter(&record, None, None).into_message(GENERATED_AT);
    assert_eq!(message.value, None);
    let shown = shown(&message.headers).join("\n");
    assert!(!shown.contains("errors.index") && !shown.contains("errors.timestamp"));
}
