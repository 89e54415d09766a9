//! The judge: knows the trades and what was published, nothing of how.
//!
//! - In peace every tick has exactly the oracle's messages.
//! - At any time a message counts no trade twice, and every trade that stood in the log when its
//!   process started.
//! - Each rejected element has a dead letter, and nothing else has.
//! - A process that was stopped has left nothing to read again.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::Ordering::SeqCst;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::{SHARDS, ShardId};
use aggregator_service::local::LocalCheckpoint;
use aggregator_service::ports::{Checkpoint, Message, Target, TradeLog};
use aggregator_service::wire::checkpoint::decode;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::oracle::{self, Told};
use crate::world::{LONGEST, SPANS, TICK, World};

/// What a life came to.
pub(crate) struct Lived {
    pub(crate) messages: usize,
    pub(crate) digest: u64,
}

impl fmt::Display for Lived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages, digest {:016x}", self.messages, self.digest)
    }
}

struct Heard {
    process: usize,
    token: String,
    end: i64,
    data: Value,
}

pub(crate) fn judge(world: &World, healed: WallMs) -> Lived {
    let heard = heard(world);
    let told = world.told.lock().unwrap();
    let mut by_token: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for one in told.iter() {
        by_token.entry(&one.token).or_default().push(one);
    }
    for one in &heard {
        bounds(world, one, &by_token[one.token.as_str()]);
    }
    // A tick's second, its messages, and what is on its way.
    peace(&heard, &by_token, healed.second().0 + TICK + 2);
    all_closed(world, &heard);
    dead_letters(world);
    nothing_to_read_again(world);
    let mut hasher = DefaultHasher::new();
    for one in &heard {
        (one.process, &one.token, one.end, one.data.to_string()).hash(&mut hasher);
    }
    Lived { messages: heard.len(), digest: hasher.finish() }
}

fn heard(world: &World) -> Vec<Heard> {
    let published = world.published.lock().unwrap();
    let aggregates = published.iter().filter(|one| one.target == Target::Aggregates);
    aggregates
        .map(|one| {
            let mut value: Value =
                serde_json::from_slice(one.message.value.as_ref().unwrap()).unwrap();
            let data = value["aggregate_data"].take();
            let end = OffsetDateTime::parse(data[0]["timestamp"].as_str().unwrap(), &Rfc3339);
            Heard {
                process: one.process,
                token: value["token"].as_str().unwrap().to_owned(),
                end: end.unwrap().unix_timestamp(),
                data,
            }
        })
        .collect()
}

/// Never more than the log holds, never less than it held when the process started.
fn bounds(world: &World, heard: &Heard, trades: &[&Told]) {
    let ends = &world.ends.lock().unwrap()[heard.process];
    let stood = |told: &&&Told| {
        let (partition, offset, _) = told.position;
        let range = ends.iter().find(|range| range.partition == Partition(partition));
        range.is_some_and(|range| Offset(offset) < range.end)
    };
    let then: Vec<_> = trades.iter().filter(stood).copied().collect();
    let most = oracle::windows(trades, &SPANS, heard.end);
    let least = oracle::windows(&then, &SPANS, heard.end);
    for ((data, most), least) in heard.data.as_array().unwrap().iter().zip(most).zip(least) {
        for count in ["sell_count", "buy_count", "total_trades"] {
            let [data, most, least] = [data, &most, &least].map(|of| of[count].as_u64().unwrap());
            assert!(
                (least..=most).contains(&data),
                "{} of {} at {} by process {}: {data}, not {least} to {most}",
                count,
                heard.token,
                heard.end,
                heard.process,
            );
        }
    }
}

/// Every token that was heard of is closed in the end, unless its state was lost on the way.
fn all_closed(world: &World, heard: &[Heard]) {
    let mut last: BTreeMap<&str, &Heard> = BTreeMap::new();
    for one in heard {
        assert_eq!(one.end % TICK, 0, "a tick lies at a multiple");
        // A process that was frozen may send what it had on its way after its successor has closed.
        let newest = last.entry(&one.token).or_insert(one);
        if one.end >= newest.end {
            *newest = one;
        }
    }
    for (token, one) in last {
        let trades = &one.data[1]["total_trades"];
        let closed = *trades == 0;
        assert!(closed || world.store_lost.load(SeqCst), "{token} ends with {trades} trades");
    }
}

/// From `from` on nothing fails: every tick has just the messages that it should.
fn peace(heard: &[Heard], by_token: &BTreeMap<&str, Vec<&Told>>, from: i64) {
    let mut at: BTreeMap<(i64, &str), Vec<&Value>> = BTreeMap::new();
    for one in heard.iter().filter(|one| one.end >= from) {
        at.entry((one.end, &one.token)).or_default().push(&one.data);
    }
    let last = heard.iter().map(|one| one.end).max().unwrap_or(from);
    for end in (from..last).filter(|end| end % TICK == 0) {
        for (token, trades) in by_token {
            let active = |end| oracle::active(trades.iter().copied(), end, LONGEST);
            let messages = at.get(&(end, token)).map_or(&[][..], Vec::as_slice);
            if !active(end) && !active(end - TICK) {
                assert!(messages.is_empty(), "{token} is silent at {end}");
                continue;
            }
            let expected = Value::Array(oracle::windows(trades, &SPANS, end));
            assert_eq!(messages.len(), 1, "one message of {token} at {end}");
            let data = messages[0];
            assert!(oracle::same(data, &expected), "{token} at {end}:\n{data}\nnot\n{expected}");
        }
    }
    if let Some(last_trade) = by_token.values().flatten().map(|told| told.second()).max() {
        assert!(at.keys().all(|(end, _)| *end < last_trade + LONGEST + TICK), "then silence");
    }
}

pub(crate) fn dead_letters(world: &World) {
    let published = world.published.lock().unwrap();
    let letters = published.iter().filter(|one| one.target == Target::DeadLetters);
    let found: BTreeSet<_> = letters.map(|one| position(&one.message)).collect();
    assert_eq!(found, *world.bad.lock().unwrap());
}

fn position(letter: &Message) -> (i32, i64, Option<u32>) {
    let header = |name: &str| {
        let name = format!("aggregator.errors.{name}");
        let found = letter.headers.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| std::str::from_utf8(value).unwrap().to_owned())
    };
    let partition = header("partition").unwrap().parse().unwrap();
    let offset = header("offset").unwrap().parse().unwrap();
    (partition, offset, header("index").map(|index| index.parse().unwrap()))
}

/// The checkpoint's positions are the log's ends.
pub(crate) fn nothing_to_read_again(world: &World) {
    let store = LocalCheckpoint::new(world.store.clone(), u64::MAX);
    let ends = futures::executor::block_on(world.log.partitions()).unwrap();
    for shard in (0..SHARDS).map(ShardId) {
        let page = futures::executor::block_on(store.load(shard, None)).unwrap();
        let entry = decode(page.blobs.last().expect("every shard is checkpointed")).unwrap();
        let expected: Vec<_> = ends.iter().map(|range| (range.partition, range.end)).collect();
        assert_eq!(entry.positions, expected, "shard {}", shard.0);
    }
}
