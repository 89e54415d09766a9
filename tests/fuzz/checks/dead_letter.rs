//! From a record to its dead letters: nothing is rejected in silence, and what is rejected goes out
//! as it came.

use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::cover::Cover;
use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::Shards;
use aggregator_service::pipeline::route::Router;
use aggregator_service::ports::Record;
use bytes::Bytes;

use super::trade::expected;

const SKEW: Duration = Duration::from_secs(300);
/// 2025-01-08T10:30:00Z.
const WRITTEN: WallMs = WallMs(1_736_332_200_000);

/// Trades and dead letters are those of the slow reading; a dead letter keeps key, headers and the
/// element's bytes, and says where it stood and why it is there.
pub fn dead_letter(value: &[u8]) {
    let router = Router::new(Arc::from("trade-info"), Shards::DEFAULT, 3, SKEW);
    let record = Record {
        offset: Offset(41),
        timestamp: Some(WRITTEN),
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::copy_from_slice(value)),
        headers: vec![
            ("trace".to_owned(), Bytes::from_static(b"\xff")),
            ("aggregator.errors.reason".to_owned(), Bytes::from_static(b"of an earlier one")),
        ],
    };
    let records = Arc::new(vec![record].into());
    let mut routing = router.route(
        Partition(2),
        &records,
        Offset(0)..Offset(42),
        &Cover::all(Shards::DEFAULT),
        WRITTEN.plus(SKEW),
    );
    let mut letters = Vec::new();
    loop {
        let group = routing.read_on();
        if group.is_empty() {
            break;
        }
        letters.extend(group);
    }
    let routed = routing.finish();
    let expected = expected(value, WRITTEN.plus(SKEW).event_time());
    let trades: usize = routed.batches.iter().map(|batch| batch.count()).sum();
    let rejected: Vec<_> = expected
        .iter()
        .filter_map(|(index, bytes, said)| {
            said.as_ref().err().map(|reason| (*index, *bytes, *reason))
        })
        .collect();
    assert_eq!(trades + rejected.len(), expected.len());
    assert_eq!(usize::try_from(routed.elements), Ok(expected.len()));
    assert_eq!(letters.len(), rejected.len());
    for ((index, bytes, reason), (named, letter)) in rejected.into_iter().zip(letters) {
        assert_eq!(named, reason);
        assert_eq!(letter.key.as_deref(), Some(b"key".as_slice()));
        assert_eq!(letter.value.as_deref(), Some(bytes));
        let of = |name: &str| {
            let mut found = letter.headers.iter().filter(|(header, _)| header == name);
            let value = found.next().map(|(_, value)| value.clone());
            assert!(found.next().is_none(), "{name} twice");
            value
        };
        let text = |text: String| Some(Bytes::from(text));
        assert_eq!(of("trace"), Some(Bytes::from_static(b"\xff")));
        assert_eq!(of("aggregator.errors.topic"), text("trade-info".to_owned()));
        assert_eq!(of("aggregator.errors.partition"), text("2".to_owned()));
        assert_eq!(of("aggregator.errors.offset"), text("41".to_owned()));
        assert_eq!(of("aggregator.errors.index"), index.and_then(|index| text(index.to_string())));
        assert_eq!(of("aggregator.errors.reason"), text(reason.name().to_owned()));
        assert!(of("aggregator.errors.message").is_some_and(|message| !message.is_empty()));
    }
}
