//! The model that the judge goes by, against the naive definition.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::Model;
use crate::topic::Stored;
use crate::workload::{Element, Order, Planned, records};
use support::oracle::{self, Told};

#[test]
fn the_model_says_what_the_naive_oracle_says() {
    let now = 1_700_000_000;
    let (seed, from, to) = (7, now - 100, now + 20);
    let order = Order { seed, trades: 3_000, tokens: 5, from, to, disorder_ms: 10_000 };
    let planned = records(&order);
    let stored: Vec<_> = (0..).zip(&planned).map(|(offset, plan)| at(offset, plan)).collect();
    let spans = [("1s", 1), ("10s", 10), ("1min", 60)];
    let model = Model::new(&spans, &stored, &planned);
    let mut told: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    for (offset, plan) in (0..).zip(&planned) {
        for (index, element) in (0..).zip(&plan.elements) {
            if let Element::Trade(one) = element {
                let one = Told { position: (0, offset, index), ..one.clone() };
                told.entry(one.token.clone()).or_default().push(one);
            }
        }
    }
    for end in [now - 100, now - 30, now, now + 90] {
        for (token, trades) in &told {
            let trades: Vec<_> = trades.iter().collect();
            let expected = Value::Array(oracle::windows(&trades, &spans, end));
            assert!(oracle::same(&model.windows(token, end), &expected), "{token} at {end}");
            let active = oracle::active(trades.iter().copied(), end, 60);
            assert_eq!(model.active(end).contains(token.as_str()), active);
        }
    }
}

fn at(offset: i64, plan: &Planned) -> Stored {
    let record = plan.record();
    Stored { partition: 0, offset, timestamp_ms: 0, record }
}
