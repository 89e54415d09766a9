//! The bare round trip: a process that reads what is appended with `rskafka`, a task a partition,
//! and tells how old each record was when it was there. The floor of append → counted.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rskafka::client::partition::{OffsetAt, PartitionClient};
use serde::{Deserialize, Serialize};

use crate::args::FollowOrder;
use crate::floor::{FETCH_BYTES, MAX_WAIT_MS, partitions, said};
use support::harness::topic::now;

/// How old records were, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Ages {
    pub(crate) mean_ms: f64,
    pub(crate) median_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Follows a topic for a while, in a process of its own.
pub(crate) fn run(broker: &str, topic: &str, seconds: u64) -> Ages {
    let program: PathBuf = std::env::current_exe().unwrap();
    let said = said(&program, &["follow", broker, topic, &seconds.to_string()]);
    serde_json::from_str(&said).unwrap()
}

/// In that process.
pub(crate) fn perform(order: &FollowOrder) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut ages = runtime.block_on(async {
        let until = Instant::now() + Duration::from_secs(order.seconds);
        let clients = partitions(&order.broker, &order.topic).await;
        let tasks: Vec<_> =
            clients.into_iter().map(|client| tokio::spawn(follow(client, until))).collect();
        let mut ages = Vec::new();
        for task in tasks {
            ages.extend(task.await.unwrap());
        }
        ages
    });
    ages.sort_unstable();
    let at = |percent: usize| ages[(ages.len() - 1) * percent / 100] as f64;
    let mean_ms = ages.iter().sum::<i64>() as f64 / ages.len() as f64;
    let ages = Ages { mean_ms, median_ms: at(50), p99_ms: at(99) };
    println!("{}", serde_json::to_string(&ages).unwrap());
}

async fn follow(client: PartitionClient, until: Instant) -> Vec<i64> {
    let mut next = client.get_offset(OffsetAt::Latest).await.unwrap();
    let mut ages = Vec::new();
    while Instant::now() < until {
        let (records, _) = client.fetch_records(next, 1..FETCH_BYTES, MAX_WAIT_MS).await.unwrap();
        let here = now();
        ages.extend(records.iter().map(|it| (here - it.record.timestamp).num_milliseconds()));
        next = records.last().map_or(next, |last| last.offset + 1);
    }
    ages
}
