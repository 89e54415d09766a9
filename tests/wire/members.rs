//! Several members that read the same records: whatever shards each of them has, together they
//! count and reject what one alone does.

use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::cover::Cover;
use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::Shards;
use aggregator_service::pipeline::route::Router;
use aggregator_service::ports::{Record, Records};
use proptest::prelude::*;

use crate::scan::{object, values};

/// 2025-01-08T10:35:00Z.
const NOW: WallMs = WallMs(1_736_332_500_000);
const MEMBERS: u16 = 3;

/// What a field says in place of something usual.
const ODD_FIELDS: [(usize, &str); 18] = [
    (0, "7"),
    (0, "null"),
    (0, r#""""#),
    (0, r#""S\u006f1""#),
    (1, "5"),
    (1, r#""\t""#),
    (2, r#""swap""#),
    (3, r#""-1""#),
    (3, "-0.5"),
    (3, "1e9999999"),
    (4, r#""1e19""#),
    (4, "01"),
    (5, "[0.5]"),
    (5, "true"),
    (6, r#""2025-01-08""#),
    (6, r#""2026-01-08T10:30:00Z""#),
    (7, "0.25"),
    (7, r#""""#),
];

/// What stands behind the fields.
const ODD_ENDS: [&str; 5] = [
    "",
    r#","Pool":{"a":[1]}"#,
    r#","Token":"So2""#,
    r#","token":"S\u006f3""#,
    r#","Wallet":null"#,
];

const NO_OBJECTS: [&str; 5] = ["null", "7", "[]", "{}", r#""So1""#];

fn element() -> impl Strategy<Value = String> {
    let orders = prop_oneof![Just((0..8).collect()), Just((0..8).collect()).prop_shuffle()];
    // One field in two elements is odd, half of those beside an odd end.
    let odd = prop::option::of(prop::sample::select(&ODD_FIELDS[..]));
    let end = prop_oneof![3 => Just(""), 1 => prop::sample::select(&ODD_ENDS[..])];
    let trade = (values(), 0..40_u8, 0..2_usize, orders, odd, end).prop_map(
        |(mut values, token, spelling, order, odd, end): (_, _, _, Vec<usize>, _, _)| {
            values[0] = format!("\"So{token}\"");
            if let Some((field, json)) = odd {
                values[field] = json.to_owned();
            }
            let object = object(&order, spelling, &values, [",", ":"]);
            object.trim_end_matches('}').to_owned() + end + "}"
        },
    );
    prop_oneof![9 => trade, 1 => prop::sample::select(&NO_OBJECTS[..]).prop_map(str::to_owned)]
}

/// A record's value: an array or a single element, one in four with a byte changed.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let array = prop::collection::vec(element(), 0..6).prop_map(|it| format!("[{}]", it.join(",")));
    let spoilt = prop::option::weighted(0.25, (any::<prop::sample::Index>(), any::<u8>()));
    (prop_oneof![4 => array, 1 => element()], spoilt).prop_map(|(value, spoilt)| {
        let mut value = value.into_bytes();
        if let Some((place, byte)) = spoilt {
            let place = place.index(value.len());
            value[place] = byte;
        }
        value
    })
}

/// What came of records, as text in log order: trades and dead letters; and how many elements.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    trades: Vec<String>,
    rejected: Vec<String>,
    elements: u64,
}

impl Outcome {
    /// Adds what the owner of these shards makes of the records.
    fn add(&mut self, router: &Router, partition: Partition, records: &Arc<Records>, own: &Cover) {
        let offsets = Offset(0)..Offset(i64::try_from(records.len()).expect("a number"));
        let mut routing = router.route(partition, records, offsets, own, NOW);
        loop {
            let group = routing.read_on();
            if group.is_empty() {
                break;
            }
            self.rejected.extend(group.iter().map(|rejected| format!("{rejected:?}")));
        }
        let routed = routing.finish();
        self.elements += routed.elements;
        for batch in &routed.batches {
            for (position, written, trade) in (0..batch.count()).map_while(|at| batch.trade(at)) {
                assert!(own.contains(Shards::DEFAULT.of(trade.hash)), "a foreign {trade:?}");
                self.trades.push(format!("{position:?} {written:?} {trade:?}"));
            }
        }
    }

    fn sorted(mut self) -> Self {
        self.trades.sort();
        self.rejected.sort();
        self
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_048,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn together_members_count_and_reject_what_one_alone_does(
        values in prop::collection::vec(value(), 1..6),
        partition in 0..100_i32,
        owners in prop::collection::vec(0..MEMBERS, usize::from(Shards::DEFAULT.count())),
    ) {
        let record = |(offset, value): (i64, Vec<u8>)| Record {
            offset: Offset(offset),
            timestamp: Some(NOW),
            value: Some(value.into()),
            ..Record::default()
        };
        let records: Vec<_> = (0..).zip(values).map(record).collect();
        let (records, partition) = (Arc::new(records.into()), Partition(partition));
        let shards = Shards::DEFAULT;
        let router = Router::new(Arc::from("trade-info"), shards, 2, Duration::from_secs(300));
        let (mut alone, mut together) = (Outcome::default(), Outcome::default());
        alone.add(&router, partition, &records, &Cover::all(shards));
        for member in 0..MEMBERS {
            let own = shards.all().zip(&owners).filter(|(_, owner)| **owner == member);
            let own = Cover::of(shards, own.map(|(shard, _)| shard));
            together.add(&router, partition, &records, &own);
        }
        prop_assert_eq!(together.sorted(), alone.sorted());
    }
}
