//! On virtual time: rankings, rows and histories are what the messages and the trades say, and the
//! ticks do not notice that anyone asks.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use aggregator_service::domain::aggregate::Aggregate;
use aggregator_service::domain::amount::Amount;
use aggregator_service::domain::history::Point;
use aggregator_service::domain::ranking::{Order, Place, Ranking, Search, Sort};
use aggregator_service::domain::time::Second;
use aggregator_service::domain::token::TokenHash;
use aggregator_service::ports::{Listing, Market, NotAnswered, Row};
use aggregator_service::wire::aggregate::{Form, TokenNames};
use bigdecimal::BigDecimal;
use serde_json::Value;

use crate::world::{START, Told, World, windows};

const TOKENS: u32 = 60;

fn ranking(sort: Sort, order: Order) -> Ranking {
    Ranking { window: 0, sort, order, search: None, after: None, from: 0, rows: 1_000 }
}

fn tokens(listing: &Listing) -> Vec<&str> {
    listing.rows.iter().map(|row| row.token.as_str()).collect()
}

/// A market with ties, old and new trades, rising and falling prices; at 20 s of its time.
async fn market() -> World {
    let world = World::start(windows(&[("10s", 10), ("30s", 30)]), 300).await;
    for round in [1, 4, 12, 18] {
        world.at(round * 1_000).await;
        let round = u32::try_from(round).unwrap();
        for token in (0..TOKENS).filter(|token| (token + round).is_multiple_of(4) == (round < 12)) {
            world.trade(&format!("token-{token}"), 1 + token * round % 7, 1 + token % 5);
        }
    }
    world.name("token-7", "OTTER", "The Swimmer");
    world.name("token-8", "ZÄH", "Großer Otter");
    world.at(20_000).await;
    world.counted().await;
    world
}

fn message(row: &Row, world: &World) -> String {
    let Row { token, symbol, name, end, windows, extended } = row;
    let (hash, end) = (TokenHash::of(token), *end);
    let aggregate = Aggregate { token, hash, end, windows, extended };
    let mut out = Vec::new();
    let now = world.shared.clock.now();
    Form::new(&world.windows).write(&mut out, &aggregate, TokenNames { symbol, name }, now);
    String::from_utf8(out).unwrap()
}

/// The naive definition: every message, sorted by what it says.
fn naive(messages: &[String], sort: Sort, order: Order, window: usize) -> Vec<String> {
    let key = |text: &String| {
        let message: Value = serde_json::from_str(text).unwrap();
        let data = &message["aggregate_data"][window];
        let figure = match sort {
            Sort::Volume => data["volume_usd"].as_str().unwrap().to_owned(),
            Sort::Trades => data["total_trades"].to_string(),
            Sort::PriceChange => data["price_change"].to_string(),
            Sort::Price => data["close_price"].as_str().unwrap().to_owned(),
            Sort::Token => "0".to_owned(),
        };
        let token = message["token"].as_str().unwrap().to_owned();
        (BigDecimal::from_str(&figure).unwrap(), token)
    };
    let mut keys: Vec<_> = messages.iter().map(key).collect();
    keys.sort();
    if order == Order::Descending {
        keys.reverse();
    }
    keys.into_iter().map(|(_, token)| token).collect()
}

#[tokio::test(start_paused = true)]
async fn every_ranking_is_that_of_the_messages_sorted() {
    let world = market().await;
    let messages = world.messages().await;
    assert!(messages.len() > 40, "{}", messages.len());
    for sort in Sort::ALL {
        for (order, window) in [(Order::Ascending, 0), (Order::Descending, 1)] {
            let naive = naive(&messages, sort, order, window);
            let all = Ranking { window, ..ranking(sort, order) };
            let listing = world.market.list(all.clone()).await.unwrap();
            assert_eq!(tokens(&listing), naive, "{sort:?} {order:?}");
            assert_eq!((listing.active, listing.matching), (messages.len(), messages.len()));
            assert_eq!((listing.at, listing.next), (Second(START + 20), None));
            let part = Ranking { from: 5, rows: 7, ..all };
            let listing = world.market.list(part).await.unwrap();
            assert_eq!(tokens(&listing), naive[5..12], "{sort:?} {order:?}");
            assert_eq!(&*listing.next.unwrap().token, naive[11]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_says_what_the_message_would() {
    let world = market().await;
    let mut rows = world.market.list(ranking(Sort::Token, Order::Ascending)).await.unwrap().rows;
    let one = world.market.token("token-7".to_owned()).await.unwrap().unwrap();
    assert!(one.symbol == "OTTER" && rows.contains(&one), "{one:?}");
    assert_eq!(world.market.token("nobody".to_owned()).await, Ok(None));
    rows.sort_by_key(|row| message(row, &world));
    let said: Vec<_> = rows.iter().map(|row| message(row, &world)).collect();
    assert_eq!(said, world.messages().await);
}

#[tokio::test(start_paused = true)]
async fn a_search_finds_addresses_symbols_and_names_in_any_case() {
    let world = market().await;
    for (sought, found) in [
        ("otter", vec!["token-7", "token-8"]),
        ("zäH", vec!["token-8"]),
        ("SWIM", vec!["token-7"]),
        ("TOKEN-5", vec!["token-5", "token-50", "token-51", "token-53", "token-54", "token-55"]),
        ("none of them", vec![]),
    ] {
        let search = Some(Search::new(sought));
        let ranking = Ranking { search, ..ranking(Sort::Token, Order::Ascending) };
        let listing = world.market.list(ranking).await.unwrap();
        let active: BTreeSet<_> = tokens(&listing).into_iter().collect();
        assert!(active.is_superset(&found.iter().copied().collect()), "{sought}: {active:?}");
        assert!(active.iter().all(|token| found.contains(token) || sought == "TOKEN-5"));
        assert_eq!(listing.matching, active.len());
        assert!(listing.active > 40);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_over_moving_figures_repeat_nothing_and_skip_nothing_that_stands_still() {
    let world = market().await;
    let whole = world.market.list(ranking(Sort::Volume, Order::Descending)).await.unwrap();
    let still: BTreeSet<_> = tokens(&whole).into_iter().skip(1).step_by(2).collect();
    let mut wanted = Ranking { rows: 7, window: 1, ..ranking(Sort::Volume, Order::Descending) };
    let mut seen = Vec::new();
    loop {
        let page = world.market.list(wanted.clone()).await.unwrap();
        let row =
            |row: &Row| Place { key: wanted.key(&row.windows), token: row.token.clone().into() };
        if let Some(after) = &wanted.after {
            let at = (after.key, &*after.token);
            assert!(page.rows.iter().map(row).all(|place| (place.key, &*place.token) < at));
        }
        seen.extend(page.rows.iter().map(|row| row.token.clone()));
        // Every other token is traded: its volume rises, past the place where the page ended.
        for moving in tokens(&whole).into_iter().step_by(2) {
            world.trade(moving, 3, 2);
        }
        world.counted().await;
        let Some(next) = page.next else { break };
        wanted.after = Some(next);
    }
    let different: BTreeSet<_> = seen.iter().map(String::as_str).collect();
    assert_eq!(different.len(), seen.len(), "repeated: {seen:?}");
    assert!(different.is_superset(&still), "skipped");
    assert!(different.len() < whole.active, "nothing has moved");
}

#[tokio::test(start_paused = true)]
async fn ticks_are_the_same_whether_anyone_asks_or_not() {
    let mut said = Vec::new();
    for asked in [false, true] {
        let world = World::start(windows(&[("10s", 10), ("20s", 20)]), 10).await;
        let mut ticks = Vec::new();
        for second in 1..60_u32 {
            world.at(u64::from(second) * 1_000).await;
            if second < 30 {
                world.trade(&format!("token-{}", second % 7), second, 1 + second % 3);
            }
            world.at(u64::from(second) * 1_000 + 400).await;
            if second.is_multiple_of(10) {
                ticks.push(world.said());
            } else if asked {
                let sort = Sort::ALL[usize::try_from(second % 5).unwrap()];
                world.market.list(ranking(sort, Order::Descending)).await.unwrap();
                world.market.token("token-1".to_owned()).await.unwrap();
                world.market.history("token-2".to_owned()).await.unwrap();
                assert_eq!(world.said(), Vec::<String>::new(), "a query publishes nothing");
            }
        }
        said.push(ticks);
    }
    let counts: Vec<_> = said[0].iter().map(Vec::len).collect();
    assert_eq!(counts, [7, 7, 7, 7, 7], "the last ones close what fell silent");
    assert_eq!(said[0], said[1]);
}

#[tokio::test(start_paused = true)]
async fn a_history_is_the_sum_of_the_trades_of_each_step() {
    let world = World::start(windows(&[("1min", 60), ("2hour", 7_200)]), 300).await;
    world.at(5_000).await;
    // From before the last hour to now, twice in some steps, out of order, one of another token.
    let trade = |second: i64, price: u32| {
        let (token, buy) = (if price == 9 { "other" } else { "token" }, price.is_multiple_of(2));
        Told { token: token.to_owned(), second, price, amount: 1 + price, buy }
    };
    let seconds = [3, -3_700, -3_600, -3_590, -3_580, -20, -12, -1, 0, -13, 4, 5, -3_500, -3_501];
    world.tell(seconds.into_iter().zip(1..).map(|(second, price)| trade(second, price)));
    world.counted().await;
    let history = world.market.history("token".to_owned()).await.unwrap().unwrap();
    assert_eq!((history.step_seconds, history.from), (12, Second(START - 3_588)));
    assert_eq!(history.to, Second(START + world.second()));
    let mut naive: BTreeMap<i64, Vec<Told>> = BTreeMap::new();
    for told in world.told.lock().unwrap().iter().filter(|told| told.token == "token") {
        naive.entry((START + told.second).div_euclid(12) * 12).or_default().push(told.clone());
    }
    let mut expected = Vec::new();
    for (at, mut trades) in naive.into_iter().filter(|(at, _)| *at >= START - 3_588) {
        trades.sort_by_key(|told| told.second);
        let count =
            |buy| u64::try_from(trades.iter().filter(|one| one.buy == buy).count()).unwrap();
        let price = history.points[expected.len()].price;
        assert_eq!(price.to_string(), format!("{}.000000", trades.last().unwrap().price));
        let usd: u32 = trades.iter().map(|told| told.price * told.amount).sum();
        let usd = Amount::parse(usd.to_string().as_bytes(), 1_000_000).unwrap().units();
        let (buys, sells) = (count(true), count(false));
        expected.push(Point { at: Second(at), price, usd, buys, sells });
    }
    assert!(expected.len() > 4);
    assert_eq!(history.points, expected);
    assert_eq!(world.market.history("nobody".to_owned()).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_leaves_room_and_before_and_after_the_run_the_reason_is_told() {
    let world = World::new(windows(&[("10s", 10)]));
    let all = ranking(Sort::Volume, Order::Descending);
    assert_eq!(world.market.list(all.clone()).await, Err(NotAnswered::because("starting")));
    world.run(300);
    world.at(500).await;
    world.trade("token", 1, 1);
    world.counted().await;
    for _ in 0..50 {
        // Asked, and not waited for.
        let mut gone = world.market.list(all.clone());
        assert!(futures::poll!(&mut gone).is_pending());
        drop(gone);
        let mut gone = world.market.token("token".to_owned());
        assert!(futures::poll!(&mut gone).is_pending());
        drop(gone);
    }
    let many = (0..100).map(|_| world.market.list(all.clone()));
    for listing in futures::future::join_all(many).await {
        assert_eq!(tokens(&listing.unwrap()), ["token"]);
    }
    world.stop.cancel();
    world.at(9_000).await;
    assert_eq!(world.market.list(all).await, Err(NotAnswered::because("stopping")));
}
