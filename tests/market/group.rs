//! Two members of one group, asked over sockets in any order: they answer as one that is alone over
//! the same trades. Where one of them is gone or hangs, it is named, and nothing is made up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use aggregator_service::domain::token::Shards;
use aggregator_service::http::Limits;
use aggregator_service::local::{LocalGroup, LocalStore};
use aggregator_service::status::Phase;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::http::get;
use crate::world::{PATIENCE, World, until, windows};

const TOKENS: u32 = 50;

struct Pair {
    _alone: World,
    alone_at: SocketAddr,
    group: Arc<LocalGroup>,
    members: [(World, SocketAddr); 2],
}

impl Pair {
    /// All trades are told and counted; each member has half of the shards.
    async fn start() -> Self {
        let alone = World::new(windows(&[("1min", 60), ("1hour", 3_600)]));
        for token in 0..TOKENS {
            alone.trade(&format!("token-{token}"), 1 + token * 7 % 11, 1 + token % 5);
            alone.trade(&format!("token-{token}"), 2 + token * 5 % 13, 3);
        }
        let group = LocalGroup::new(Shards::DEFAULT);
        let store = Arc::default();
        let a = member(&alone, &store, &group, "a").await;
        let b = member(&alone, &store, &group, "b").await;
        for world in [&alone, &a.0, &b.0] {
            for token in ["token-7", "token-8"] {
                world.name(token, "OTTER", &format!("The {token}"));
            }
        }
        alone.run(300);
        alone.counted().await;
        until(|| open(&alone) == 64 && open(&a.0) == 32 && open(&b.0) == 32).await;
        let (alone_at, _) = alone.serve(Limits::default()).await;
        Self { _alone: alone, alone_at, group, members: [a, b] }
    }

    /// Pages, tokens and histories, with what differs from second to second left out.
    async fn whole_market(&self, at: SocketAddr) -> BTreeMap<String, (u16, Value)> {
        let mut said = BTreeMap::new();
        for query in ["sort=volume", "sort=price&order=asc&window=1hour", "sort=token&search=otter"]
        {
            let mut after = String::new();
            for page in 0..=TOKENS / 7 {
                let path = format!("/tokens?limit=7&{query}&after={after}");
                let (status, mut answer) = get(at, &path).await;
                after = answer["next"].as_str().unwrap_or_default().to_owned();
                answer["at"].take();
                said.insert(format!("{query} {page}"), (status, answer));
                if after.is_empty() {
                    break;
                }
            }
        }
        for token in (0..TOKENS).map(|token| format!("token-{token}")).chain(["nobody".to_owned()])
        {
            let (status, mut answer) = get(at, &format!("/tokens/{token}")).await;
            answer["generated_at"].take();
            for window in answer["aggregate_data"].as_array_mut().into_iter().flatten() {
                window["timestamp"].take();
            }
            said.insert(token.clone(), (status, answer));
            let path = format!("/tokens/{token}/history");
            let (status, mut answer) = get(at, &path).await;
            answer["from"].take();
            answer["to"].take();
            said.insert(path, (status, answer));
        }
        said
    }

    fn owned_by(&self, of: usize) -> BTreeSet<String> {
        let seat = self.members[of].0.seat.assignment.borrow().clone().unwrap();
        let tokens = (0..TOKENS).map(|token| format!("token-{token}"));
        tokens.filter(|token| seat.shards.contains(&Shards::DEFAULT.of_token(token))).collect()
    }
}

async fn member(
    beside: &World,
    store: &Arc<LocalStore>,
    group: &Arc<LocalGroup>,
    id: &str,
) -> (World, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let world = beside.beside(store, group.join(id, &address.to_string()));
    world.run(300);
    world.serve_on(listener, Limits::default());
    until(|| world.shared.status.phase() == Phase::Running).await;
    (world, address)
}

fn open(world: &World) -> i64 {
    world.shared.metrics.shards_in("open")
}

async fn publish(at: SocketAddr, body: &Value) -> (u16, Value) {
    post(at, "/publish", body).await
}

async fn post(at: SocketAddr, path: &str, body: &Value) -> (u16, Value) {
    let asked = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let (body, port) = (body.to_string(), at.port());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(PATIENCE, asked).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn any_member_answers_as_one_that_is_alone() {
    let pair = Pair::start().await;
    let alone = pair.whole_market(pair.alone_at).await;
    assert_eq!(alone["sort=volume 0"].1["active"], TOKENS);
    assert_eq!(alone["sort=token&search=otter 0"].1["matching"], 2);
    for (_, at) in &pair.members {
        let said = pair.whole_market(*at).await;
        for (question, answer) in &alone {
            assert_eq!(&said[question], answer, "{question}");
        }
        assert_eq!(said.len(), alone.len());
    }
    let owned = [0, 1].map(|of| pair.owned_by(of).len());
    assert!(owned.iter().all(|count| *count > 5), "both have tokens: {owned:?}");
}

#[tokio::test]
async fn whoever_is_told_to_publish_has_each_token_published_once_by_its_owner() {
    let pair = Pair::start().await;
    for (_, at) in &pair.members {
        for (world, _) in &pair.members {
            drop(world.said());
        }
        let told = publish(*at, &json!({ "all": true })).await;
        assert_eq!(told, (200, json!({ "published": TOKENS, "unknown": [] })));
        for (of, (world, _)) in pair.members.iter().enumerate() {
            let said: Vec<_> = world.said().iter().map(|text| token(text)).collect();
            let once: BTreeSet<_> = said.iter().cloned().collect();
            assert_eq!((said.len(), once), (pair.owned_by(of).len(), pair.owned_by(of)));
        }
        let some = json!({ "tokens": ["token-1", "nobody", "token-2", "token-3", "token-4"] });
        let told = publish(*at, &some).await;
        assert_eq!(told, (200, json!({ "published": 4, "unknown": ["nobody"] })));
    }
}

fn token(message: &str) -> String {
    let message: Value = serde_json::from_str(message).unwrap();
    message["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_member_that_is_gone_or_hangs_is_named_until_the_others_have_its_shards() {
    let pair = Pair::start().await;
    let alone = pair.whole_market(pair.alone_at).await;
    let [(_, a), (b, _)] = &pair.members;
    // Its address is taken over by a socket that nobody reads: it connects, and never answers.
    let hung = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    pair.group.leave("b");
    b.stop.cancel();
    until(|| open(&pair.members[0].0) == 64).await;
    let seat = pair.group.join("b", &hung.local_addr().unwrap().to_string());
    seat.held.send_replace(BTreeSet::new());
    let warm = seat.assignment.borrow().as_ref().unwrap().warm.clone();
    seat.ready.send_replace(warm);
    until(|| open(&pair.members[0].0) == 32).await;
    until(|| seat.assignment.borrow().as_ref().is_some_and(|told| told.shards.len() == 32)).await;
    let lost: BTreeSet<_> = seat.assignment.borrow().clone().unwrap().shards.clone();
    let is_lost = |token: &String| lost.contains(&Shards::DEFAULT.of_token(token));
    let (status, page) = get(*a, "/tokens?limit=1000").await;
    assert_eq!((status, &page["missing_shards"]), (200, &json!(32)), "{page}");
    assert!(page["unanswered"][0].as_str().unwrap().contains("member b at"), "{page}");
    let shown: BTreeSet<_> = page["tokens"].as_array().unwrap().iter().map(name).collect();
    let all: BTreeSet<_> = (0..TOKENS).map(|token| format!("token-{token}")).collect();
    assert_eq!(shown, all.iter().filter(|token| !is_lost(token)).cloned().collect());
    let one = all.iter().find(|token| is_lost(token)).unwrap();
    for path in [format!("/tokens/{one}"), format!("/tokens/{one}/history")] {
        let (status, body) = get(*a, &path).await;
        let says = body["error"].as_str().unwrap();
        assert!(status == 503 && says.contains("member b") && says.contains("within"), "{says}");
    }
    drop(hung);
    let (status, body) = publish(*a, &json!({ "tokens": [one] })).await;
    assert!(status == 503 && body["error"].as_str().unwrap().contains("member b"), "{body}");
    assert!(pair.members[0].0.shared.metrics.forward_errors.get() >= 4);
    pair.group.leave("b");
    until(|| open(&pair.members[0].0) == 64).await;
    let said = pair.whole_market(*a).await;
    for (question, answer) in &alone {
        assert_eq!(&said[question], answer, "{question}");
    }
}

fn name(row: &Value) -> String {
    row["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_members_are_shown_with_their_shards_and_counted() {
    let pair = Pair::start().await;
    for (of, (world, at)) in pair.members.iter().enumerate() {
        let (_, group) = get(*at, "/members").await;
        assert_eq!(
            group["shards"],
            json!({ "joining": 0, "open": 32, "leaving": 0, "standby": 0 })
        );
        let here: Vec<_> =
            group["members"].as_array().unwrap().iter().map(|one| &one["here"]).collect();
        assert_eq!(here, [of == 0, of == 1]);
        let mut shards = BTreeSet::new();
        for member in group["members"].as_array().unwrap() {
            shards.extend(member["shards"].as_array().unwrap().iter().map(Value::as_u64));
        }
        assert_eq!(shards.len(), usize::from(Shards::DEFAULT.count()));
        let text = world.shared.metrics.text().unwrap();
        let id = ["a", "b"][of];
        for line in [
            "aggregator_shards{stage=\"open\"} 32".to_owned(),
            "aggregator_group_members 2".to_owned(),
            format!("aggregator_group_member{{member=\"{id}\"}} 1"),
            format!("aggregator_group_generation {}", group["generation"]),
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} is not in\n{text}");
        }
        assert!(world.shared.metrics.rebalances.get() > 0);
    }
    let (_, group) = get(pair.alone_at, "/members").await;
    assert_eq!((&group["generation"], &group["members"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn another_members_question_is_answered_of_its_own_windows_and_within_bounds_alone() {
    let pair = Pair::start().await;
    let at = pair.members[0].1;
    let windows = json!([["1min", 60], ["1hour", 3_600]]);
    let ranking = |rows: u32, window: u32| {
        json!({ "Places": { "window": window, "sort": "Volume", "order": "Descending",
            "search": null, "after": null, "from": 0, "rows": rows } })
    };
    let many: Vec<_> = (0..1_001).map(|token| format!("token-{token}")).collect();
    for (body, status) in [
        (json!({ "windows": windows, "question": ranking(10, 1) }), 200),
        (json!({ "windows": [["1min", 61]], "question": ranking(10, 0) }), 409),
        (json!({ "windows": windows, "question": ranking(100_000_000, 1) }), 400),
        (json!({ "windows": windows, "question": ranking(10, 2) }), 400),
        (json!({ "windows": windows, "question": { "Rows": many } }), 400),
        (json!({ "question": "?" }), 400),
    ] {
        let (said, answer) = part(at, &body).await;
        assert_eq!(said, status, "{body}: {answer}");
    }
    let asked = json!({ "windows": windows, "question": { "Rows": ["token-1", "token-2"] } });
    let mut rows = 0;
    for (_, at) in &pair.members {
        rows += part(*at, &asked).await.1["answer"].as_array().unwrap().len();
    }
    assert_eq!(rows, 2, "each token once");
}

async fn part(at: SocketAddr, body: &Value) -> (u16, Value) {
    post(at, "/members/part", body).await
}
