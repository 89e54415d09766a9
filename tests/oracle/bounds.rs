//! A shard at its bounds: tokens, panes, sums, changes.

use std::sync::Arc;

use aggregator_service::domain::budget::Budget;
use aggregator_service::domain::reject::Reason;
use aggregator_service::domain::shard::{Outcome, Shard};
use aggregator_service::domain::time::Second;
use aggregator_service::domain::window::{Window, Windows};

use super::{ALWAYS, START, absorb, budget, published};
use support::oracle::Told;

#[test]
fn at_the_bound_a_new_token_is_refused_and_the_known_ones_go_on() {
    let budget = Arc::new(Budget::new(1, 16));
    let mut shard = Shard::new(a_minute(), Arc::clone(&budget), Second(START), ALWAYS);
    assert_eq!(absorb(&mut shard, &simple("a", 1)), Outcome::Counted);
    assert!(matches!(absorb(&mut shard, &simple("b", 1)), Outcome::Refused(_)));
    for second in 2..=18 {
        assert_eq!(absorb(&mut shard, &simple("a", second)), Outcome::Counted);
    }
    assert_eq!((budget.tokens(), budget.panes()), (1, 18));
    shard.advance(Second(START + 100));
    shard.due(|_| {});
    assert_eq!((budget.tokens(), budget.panes()), (0, 0));
    assert_eq!(absorb(&mut shard, &simple("b", 90)), Outcome::Counted);
}

#[test]
fn beyond_the_reserve_a_known_token_has_no_new_second_and_its_old_ones_count_on() {
    let day = Windows::new(vec![Window { name: "1day".to_owned(), seconds: 86_400 }]).unwrap();
    let budget = Arc::new(Budget::new(16, 16));
    let mut shard = Shard::new(day.clone(), budget, Second(START), ALWAYS);
    let mut take = |token: &str, second| absorb(&mut shard, &simple(token, second));
    for at in 0..16 * 6_251 {
        assert_eq!(take(&(at % 16).to_string(), at / 16 + 1), Outcome::Counted);
    }
    assert_eq!(take("0", 6_252), Outcome::Refused(Reason::Capacity));
    assert_eq!(take("0", 6_251), Outcome::Counted);
    shard.advance(Second(START + 6_253));
    let data = published(&mut shard, &day).remove("0").unwrap();
    assert_eq!(data[0]["total_trades"], 6_252, "what was refused is in no sum");
}

#[test]
fn changes_that_no_checkpoint_takes_do_not_outnumber_the_live_panes_for_long() {
    let budget = Arc::new(Budget::new(10, 1_000));
    let mut shard = Shard::new(a_minute(), budget, Second(START), ALWAYS);
    for second in 1..50_000 {
        assert_eq!(absorb(&mut shard, &simple("a", second)), Outcome::Counted);
        shard.advance(Second(START + second));
        assert!(shard.noted_changes() < 2_000, "{} at {second}", shard.noted_changes());
    }
    let mut changes = 0;
    shard.take_changes(|_, _, _, _| changes += 1);
    assert_eq!(changes, 60, "all that lives, once each");
}

fn a_minute() -> Windows {
    Windows::new(vec![Window { name: "1min".to_owned(), seconds: 60 }]).unwrap()
}

/// A trade of `token`, so many seconds after the start.
fn simple(token: &str, second: i64) -> Told {
    Told {
        token: token.to_owned(),
        buy: true,
        native: "1".to_owned(),
        amount: "1".to_owned(),
        price: "1".to_owned(),
        at_ns: i128::from(START + second) * 1_000_000_000,
        position: (0, second, 0),
    }
}

#[test]
fn a_sum_that_would_leave_128_bits_is_refused_and_nothing_wraps() {
    let mut shard = Shard::new(a_minute(), budget(false), Second(START), ALWAYS);
    let trade = |offset: i64| Told {
        token: "a".to_owned(),
        buy: offset % 2 == 0,
        native: "1e15".to_owned(),
        amount: "1".to_owned(),
        price: "1".to_owned(),
        at_ns: i128::from(START) * 1_000_000_000,
        position: (0, offset, 0),
    };
    let counted =
        (0..).take_while(|at| absorb(&mut shard, &trade(*at)) == Outcome::Counted).count();
    assert_eq!(counted, 170_141, "2^127 / 10^33");
}
