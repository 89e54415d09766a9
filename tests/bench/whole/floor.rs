//! The floors: the least that reading the same topic costs any program in Rust. A bare `rskafka`
//! loop, a task a partition, that throws the records away, or reads their JSON with plain
//! `serde_json` first. Each runs in a process of its own, which is this binary once more, and tells
//! on its output what that process has cost. Knows nothing of windows.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use serde::Deserialize;

use crate::args::{Floor, FloorOrder};
use crate::backlog::Backlog;
use crate::process::Cost;

/// As much as the service asks for.
pub(crate) const FETCH_BYTES: i32 = 4 << 20;
pub(crate) const MAX_WAIT_MS: i32 = 500;

/// Runs a floor over a backlog of whole arrays, as a process of its own.
pub(crate) fn run(floor: Floor, broker: &str, topic: &str, backlog: Backlog) -> Cost {
    let order = ["floor", floor.name(), broker, topic];
    let program = std::env::current_exe().unwrap();
    let done = said(&program, &order);
    let (read, cost): (usize, Cost) = serde_json::from_str(&done).unwrap();
    // One that does not parse counts records.
    let inside = if floor == Floor::Bare { backlog.array } else { 1 };
    assert_eq!(read * inside, backlog.trades, "what the floor {} has read", floor.name());
    cost
}

/// What a process of our own says.
pub(crate) fn said(program: &Path, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(done.stdout).unwrap()
}

/// In that process: reads everything, says how many trades that was and what it cost.
pub(crate) fn perform(order: &FloorOrder) {
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let read = runtime.block_on(read(order));
    let pid = std::process::id().to_string();
    let cost = Cost::since(Duration::ZERO, &pid, begun.elapsed());
    println!("{}", serde_json::to_string(&(read, cost)).unwrap());
}

async fn read(order: &FloorOrder) -> usize {
    let tasks: Vec<_> = partitions(&order.broker, &order.topic)
        .await
        .into_iter()
        .map(|client| tokio::spawn(drain(client, order.floor)))
        .collect();
    let mut trades = 0;
    for task in tasks {
        trades += task.await.unwrap();
    }
    trades
}

/// A client for each partition of a topic: a connection each.
pub(crate) async fn partitions(broker: &str, topic: &str) -> Vec<PartitionClient> {
    let client: Client = ClientBuilder::new(vec![broker.to_owned()]).build().await.unwrap();
    let listed = client.list_topics().await.unwrap();
    let listed = listed.into_iter().find(|listed| listed.name == topic).unwrap();
    let mut clients = Vec::new();
    for partition in listed.partitions {
        let handling = UnknownTopicHandling::Error;
        clients.push(client.partition_client(topic, partition, handling).await.unwrap());
    }
    clients
}

async fn drain(client: PartitionClient, floor: Floor) -> usize {
    let end = client.get_offset(OffsetAt::Latest).await.unwrap();
    let (mut next, mut trades) = (0, 0);
    while next < end {
        let fetched = client.fetch_records(next, 1..FETCH_BYTES, MAX_WAIT_MS).await.unwrap();
        let (records, _) = fetched;
        if let Some(last) = records.last() {
            next = last.offset + 1;
        }
        for record in &records {
            let value = record.record.value.as_deref().unwrap();
            trades += match floor {
                Floor::Bare => black_box(value).len().min(1),
                Floor::Borrowed => parse::<Borrowed<'_>>(value),
                Floor::Owned => parse::<Owned>(value),
            };
        }
    }
    trades
}

fn parse<'a, T: Deserialize<'a>>(value: &'a [u8]) -> usize {
    if value.starts_with(b"[") {
        let trades: Vec<T> = serde_json::from_slice(value).unwrap();
        black_box(trades).len()
    } else {
        let trade: T = serde_json::from_slice(value).unwrap();
        black_box(trade);
        1
    }
}

/// A trade as its bytes stand in the record.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "they are read, and thrown away")]
struct Borrowed<'a> {
    token: &'a str,
    wallet: &'a str,
    sell_buy: &'a str,
    native_amount: &'a str,
    token_amount: &'a str,
    price_usd: &'a str,
    trans_time: &'a str,
    tx_hash: &'a str,
}

/// A trade of its own.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "they are read, and thrown away")]
struct Owned {
    token: String,
    wallet: String,
    sell_buy: String,
    native_amount: String,
    token_amount: String,
    price_usd: String,
    trans_time: String,
    tx_hash: String,
}
