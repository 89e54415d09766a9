//! Orders to publish between ticks: what they publish, and that the ticks around them stay as they
//! are.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

use aggregator_service::ports::{NotPublished, Wanted};
use serde_json::Value;

use crate::world::{World, published, trades};

#[tokio::test(start_paused = true)]
async fn an_order_has_the_bytes_of_a_tick_at_that_moment() {
    let ticking = World::start(5).await;
    trades(&ticking).await;
    ticking.at(5_500).await;
    let tick = ticking.said();
    assert_eq!(tick.len(), 2);

    let asked = World::start(30).await;
    trades(&asked).await;
    asked.at(5_000).await;
    assert_eq!(asked.order(&["a", "b", "nobody"]).await, published(2, &["nobody"]));
    assert_eq!(asked.said(), tick);
    assert_eq!(asked.orders.place(Wanted::All).await, published(2, &[]));
    assert_eq!(asked.said(), tick);
    assert_eq!(asked.order(&["b"]).await, published(1, &[]));
    assert_eq!(asked.said(), tick[1..]);
}

#[tokio::test(start_paused = true)]
async fn ticks_are_the_same_with_and_without_orders_and_close_what_fell_silent() {
    let mut said = Vec::new();
    for orders in [false, true] {
        let world = World::start(10).await;
        trades(&world).await;
        let mut ticks = Vec::new();
        for second in 4..60 {
            world.at(second * 1_000).await;
            if second % 10 == 0 {
                world.at(second * 1_000 + 400).await;
                ticks.push(world.said());
            } else if orders {
                world.orders.place(Wanted::All).await.unwrap();
                assert!(world.said().len() <= 2);
            }
        }
        said.push(ticks);
    }
    let counts: Vec<_> = said[0].iter().map(Vec::len).collect();
    assert_eq!(counts, [2, 2, 1, 0, 0], "both, one and a closing one, a closing one");
    assert_eq!(said[0], said[1]);
}

#[tokio::test(start_paused = true)]
async fn after_a_clock_that_was_set_back_orders_are_taken_again() {
    let world = World::start(30).await;
    world.clock.1.store(3_600_000, SeqCst);
    world.at(2_000).await;
    world.clock.1.store(0, SeqCst);
    world.at(4_000).await;
    trades(&world).await;
    world.at(6_000).await;
    assert_eq!(world.order(&["a", "b"]).await, published(2, &[]));
}

#[tokio::test(start_paused = true)]
async fn one_order_at_a_time_and_none_after_the_stop() {
    let world = World::start(30).await;
    trades(&world).await;
    world.at(5_000).await;
    let both = tokio::join!(world.order(&["a"]), world.order(&["b"]));
    assert_eq!(both, (published(1, &[]), Err(NotPublished("another order is under way"))));
    world.stop.cancel();
    world.at(9_000).await;
    assert_eq!(world.order(&["a"]).await, Err(NotPublished("stopping")));
    let left: BTreeSet<_> = world.said().into_iter().map(|(token, _)| token).collect();
    assert_eq!(left, BTreeSet::from(["a".to_owned()]), "{:?}", world.status);
}

#[tokio::test(start_paused = true)]
async fn brokers_that_do_not_acknowledge_are_not_waited_for_for_ever_and_the_newest_comes_last() {
    let world = World::start(300).await;
    trades(&world).await;
    world.at(5_000).await;
    world.producer.silent.store(true, SeqCst);
    let late = Err(NotPublished("the brokers have not acknowledged in time"));
    assert_eq!(world.order(&["a"]).await, late);
    world.trade("a", "5");
    world.at(14_000).await;
    assert_eq!(world.order(&["a", "b"]).await, late);
    assert_eq!(world.said(), []);
    world.producer.silent.store(false, SeqCst);
    world.at(23_000).await;
    // What waited is sent, what is newer after it.
    let close = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        value["aggregate_data"][1]["close_price"].as_str().unwrap().to_owned()
    };
    let messages = world.producer.taken.take().into_iter().flat_map(|sent| sent.messages.to_vec());
    let texts = messages.map(|one| String::from_utf8(one.value.unwrap().to_vec()).unwrap());
    let of_a = texts.filter(|text| text.contains(r#""token":"a""#));
    assert_eq!(of_a.map(|text| close(&text)).collect::<Vec<_>>(), ["3.000000", "5.000000"]);
    assert_eq!(world.order(&["a"]).await, published(1, &[]));
}
