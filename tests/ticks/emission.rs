//! Which messages ticks publish: all, or those that say something new; late ones; tombstones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use aggregator_service::domain::emission::Emission;
use aggregator_service::domain::name::TokenName;
use aggregator_service::domain::position::Position;
use aggregator_service::domain::time::WallMs;
use aggregator_service::ports::Clock;
use aggregator_service::wire::envelope::Envelope;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::time::Instant;

use crate::world::{World, trades};

/// Milliseconds of a market, and of the quiet after it in which all tokens close.
const MARKET_MS: u64 = 60_000;
const QUIET_MS: u64 = 25_000;

/// What a message says besides its times, by windows' end and token.
type Said = BTreeMap<(String, String), Value>;

/// The same random market for every emission: tokens that pause for long or for ever, a name that
/// is learned of one that is not traded any more.
async fn market(emission: Emission, seed: u64) -> Said {
    let world = World::with(emission, Envelope::default()).await;
    let mut random = StdRng::seed_from_u64(seed);
    let mut said = Said::new();
    for ms in (600..MARKET_MS + QUIET_MS).step_by(100) {
        world.at(ms).await;
        let token = random.random_range(0..7);
        let rarer = random.random_range(0..ms / 5_000 + 1) < 4;
        if random.random_ratio(1, 4) && rarer && ms < MARKET_MS {
            world.trade(&format!("t{token}"), &random.random_range(1..4).to_string());
        }
        if ms == 700 {
            world.trade("quiet", "1");
        }
        if ms == 12_000 {
            let said = (WallMs(1), Position::default());
            let (symbol, name) = ("Q".to_owned(), String::new());
            world.names.learn("quiet", TokenName { symbol, name, said });
        }
        for (token, text) in world.said() {
            let mut value: Value = serde_json::from_str(&text).unwrap();
            let end = value["aggregate_data"][0]["timestamp"].as_str().unwrap().to_owned();
            value["generated_at"] = Value::Null;
            for window in value["aggregate_data"].as_array_mut().unwrap() {
                window["timestamp"] = Value::Null;
            }
            assert_eq!(said.insert((end, token), value), None, "one a token and tick");
        }
    }
    said
}

/// Of all messages, one a second, those that are new or in a tick of all tokens.
fn expected(all: &Said, interval: u64, whole: u64) -> Said {
    let second = |end: &str| -> u64 {
        let time = &time::format_description::well_known::Rfc3339;
        let at = time::OffsetDateTime::parse(end, time).unwrap();
        at.unix_timestamp().try_into().unwrap()
    };
    let mut last: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut expected = Said::new();
    for ((end, token), value) in all.iter().filter(|((end, _), _)| second(end) % interval == 0) {
        let before = last.insert(token, value);
        if second(end) % whole == 0 || before != Some(value) {
            expected.insert((end.clone(), token.clone()), value.clone());
        }
        let closed = |window: &Value| window["total_trades"] == 0;
        if value["aggregate_data"].as_array().unwrap().iter().all(closed) {
            last.remove(&**token);
        }
    }
    expected
}

#[tokio::test(start_paused = true)]
async fn ticks_of_what_changed_leave_out_exactly_what_says_nothing_new() {
    let seconds = Duration::from_secs;
    for seed in 0..5 {
        let all = market(Emission::all(seconds(1)), seed).await;
        for (interval, whole) in [(1, 10), (1, 5), (5, 50)] {
            let emission = Emission::changed(seconds(interval), seconds(whole));
            let said = market(emission, seed).await;
            let all = if interval == 1 {
                all.clone()
            } else {
                market(Emission::all(seconds(interval)), seed).await
            };
            assert!(said.len() < all.len(), "{} of {}", said.len(), all.len());
            let tokens: BTreeSet<_> = said.keys().map(|(_, token)| token).collect();
            assert_eq!(tokens.len(), 8);
            assert_eq!(said, expected(&all, interval, whole), "seed {seed}, {emission:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_stands_right_behind_each_closing_message_and_nowhere_else() {
    let emission = Emission::all(Duration::from_secs(5));
    let world = World::with(emission, Envelope { tombstones: true, ..Envelope::default() }).await;
    trades(&world).await;
    let mut table: BTreeMap<String, Value> = BTreeMap::new();
    let mut sizes = Vec::new();
    for second in 4..40 {
        world.at(second * 1_000 + 400).await;
        let sent = world.producer.taken.take();
        assert!(sent.iter().all(|sent| sent.messages.len() <= 4), "the batch size");
        let mut closing: Option<String> = None;
        for message in sent.into_iter().flat_map(|sent| sent.messages.to_vec()) {
            let token = String::from_utf8(message.key.unwrap().to_vec()).unwrap();
            let Some(value) = message.value else {
                assert_eq!(closing.take().as_ref(), Some(&token));
                assert!(message.common.is_none() && message.headers.is_empty());
                table.remove(&token);
                continue;
            };
            assert_eq!(closing, None, "its tombstone is missing");
            let value: Value = serde_json::from_slice(&value).unwrap();
            let longest = &value["aggregate_data"][1];
            closing = (longest["total_trades"] == 0).then(|| token.clone());
            table.insert(token, value);
        }
        assert_eq!(closing, None);
        sizes.extend((second % 5 == 0).then_some(table.len()));
    }
    assert_eq!(sizes, [2, 2, 2, 1, 0, 0, 0], "b closes at 20 s, a at 25 s");
}

#[tokio::test(start_paused = true)]
async fn a_tick_waits_for_the_lease_unless_others_may_have_published_it_meanwhile() {
    let (punctual, late, lost) = tokio::join!(World::start(10), World::start(10), World::start(10));
    for world in [&punctual, &late, &lost] {
        trades(world).await;
    }
    for world in [&late, &lost] {
        world.at(9_900).await;
        world.group.lease.send_replace(None);
    }
    late.at(12_900).await;
    assert_eq!((punctual.said().len(), late.said(), lost.said()), (2, vec![], vec![]));
    late.trade("a", "9");
    lost.group.assignment.send_modify(|told| {
        let told = Arc::make_mut(told.as_mut().unwrap());
        (told.generation, told.membership) = (2, 2);
    });
    for world in [&late, &lost] {
        world.group.lease.send_replace(Some(Instant::now() + Duration::from_secs(60)));
    }
    late.at(13_500).await;
    let said = late.said();
    assert_eq!(said.len(), 2, "what was due at 10 s, of what was counted by then: {said:?}");
    assert!(said.iter().all(|(_, text)| text.contains("10:30:10Z") && !text.contains("\"9")));
    assert_eq!(lost.said(), [], "others may have published it");
    for world in [&late, &lost] {
        world.at(20_500).await;
        assert_eq!(world.said().len(), 2, "the next one");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_given_up_what_could_not_be_sent_is_ready_again() {
    let world = World::start(10).await;
    trades(&world).await;
    world.producer.refuse.store(true, SeqCst);
    world.at(12_000).await;
    let says = || world.status.components(world.clock.now())["publishing"].clone();
    assert!(says().unwrap_err().contains("refused"));
    // Others have the shards now.
    world.group.assignment.send_modify(|told| {
        let told = Arc::make_mut(told.as_mut().unwrap());
        (told.generation, told.membership) = (2, 2);
        told.shards.clear();
    });
    world.at(15_000).await;
    assert_eq!(says(), Ok(()));
    world.producer.refuse.store(false, SeqCst);
    world.at(45_000).await;
    assert_eq!(world.said(), [], "it is theirs");
}

#[tokio::test(start_paused = true)]
async fn a_tick_waits_until_the_outbox_is_low_but_not_for_long() {
    let world = World::start(5).await;
    let waiting = || world.metrics.outbox_messages.get();
    (0..TOKENS).for_each(|number| world.trade(&format!("token-{number}"), "1"));
    world.producer.silent.store(true, SeqCst);
    world.at(5_400).await;
    assert!((LOW..TOKENS / 2).contains(&waiting()), "{} wait for their brokers", waiting());
    world.at(5_600).await;
    assert_eq!(waiting(), TOKENS - IN_FLIGHT, "the tick is over");
    world.producer.silent.store(false, SeqCst);
    world.at(6_000).await;
    let said = world.said();
    let tokens: BTreeSet<_> = said.iter().map(|(token, _)| token).collect();
    assert_eq!([said.len(), tokens.len()].map(i64::try_from), [Ok(TOKENS); 2]);
    assert_eq!((waiting(), world.metrics.ticks.get()), (0, 1));
}

/// Tokens that trade; the most messages that wait while a tick goes on, for two output partitions
/// with four batches of four each; and those of one batch for each.
const TOKENS: i64 = 90;
const LOW: i64 = 32;
const IN_FLIGHT: i64 = 8;
