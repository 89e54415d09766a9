//! The judge: knows the trades, what was told, and what was published; nothing of how.
//!
//! - In peace every tick has exactly the oracle's messages.
//! - At any time a message counts no trade twice, and every trade that stood in the log when its
//!   process started, but for what was lost before that.
//! - A process makes one message of a token and a tick, and sends it to the token's partition.
//! - Each token is closed in the end; each rejected element has a dead letter, nothing else has.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::Ordering::SeqCst;

use aggregator_service::domain::position::Partition;
use aggregator_service::ports::{Message, Target};
use bytes::Bytes;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::{Place, Places, lost_to_all};
use crate::ledger::{Lost, holds, key};
use crate::world::{LONGEST, SPANS, TICK, World};
use support::oracle::{self, Told};

/// What a life came to.
#[derive(Clone, Copy)]
pub(crate) struct Lived {
    pub(crate) messages: usize,
    pub(crate) processes: usize,
    pub(crate) lost: usize,
    /// Of the first process.
    pub(crate) steps: u64,
    pub(crate) digest: u64,
}

impl fmt::Display for Lived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, processes, lost, steps, digest } = self;
        write!(f, "{messages} messages of {processes} processes, the first in {steps} steps; ")?;
        write!(f, "{lost} trades overtaken by retention; digest {digest:016x}")
    }
}

/// When peace began.
pub(crate) struct Healed {
    /// Since the begin of the life.
    pub(crate) at_ms: i64,
    /// The second that the clock showed.
    pub(crate) clock: i64,
    /// The clock was set far back before.
    pub(crate) far_back: bool,
    /// The processes are members of a group: no two make different messages of a tick.
    pub(crate) grouped: bool,
}

struct Heard {
    at_ms: i64,
    process: usize,
    partition: Partition,
    token: String,
    end: i64,
    data: Value,
    bytes: Bytes,
}

/// A token's trades, and which of them each process can never have counted.
struct Token<'a> {
    shard: u16,
    told: Vec<&'a Told>,
}

struct Court<'a> {
    world: &'a World,
    heard: Vec<Heard>,
    tokens: BTreeMap<&'a str, Token<'a>>,
    lost: BTreeMap<(usize, u16), Lost>,
    /// The process that is left in the end.
    last: usize,
}

pub(crate) fn judge(world: &World, last: usize, healed: &Healed) -> Lived {
    let violations = world.violations();
    assert!(violations.is_empty(), "{violations:?}");
    let market = world.market.lock().unwrap();
    let mut tokens: BTreeMap<&str, Token<'_>> = BTreeMap::new();
    for (shard, told) in &market.told {
        let token = tokens.entry(&told.token);
        token.or_insert(Token { shard: *shard, told: Vec::new() }).told.push(told);
    }
    let processes = world.ledger().count();
    let shards = 0..world.shards.count();
    let pairs =
        (0..processes).flat_map(|process| shards.clone().map(move |shard| (process, shard)));
    let lost = pairs.map(|(process, shard)| {
        let lost = world.ledger().lost(process, shard);
        ((process, shard), lost)
    });
    let lost = lost.collect();
    let court = Court { world, heard: heard(world), tokens, lost, last };
    court.heard.iter().for_each(|one| court.bounds(one));
    court.one_message_a_tick(healed.grouped);
    // A tick's second, its messages, and what is on its way.
    court.peace(healed.at_ms, healed.clock + TICK + 2);
    if !healed.far_back {
        court.all_closed();
    }
    let letters = dead_letters(world);
    let lost_to_all = lost_to_all(world, last);
    // What each shard's checkpoint passed was audited with it.
    let older = |bad: &Place| {
        let answering = || world.shards.answering_for(Partition(bad.0)).0;
        let owner = market.owners.get(bad).copied().unwrap_or_else(answering);
        let older = |process| world.ledger().began_behind(process, owner, (bad.0, bad.1));
        healed.grouped && (0..processes).any(older)
    };
    let mut unsent = market.bad.difference(&letters);
    let unsent = unsent.find(|bad| !lost_to_all(bad.0, bad.1) && !older(bad));
    assert!(unsent.is_none(), "{unsent:?} has no dead letter");
    let wrong = letters.difference(&market.bad).next();
    assert!(wrong.is_none(), "a dead letter of {wrong:?}, which is no bad trade");
    court.lived(processes)
}

/// The most seconds that messages of an active token were missing from `from` on, and whose.
pub(crate) fn longest_silence(world: &World, from: i64) -> (i64, String) {
    let mut ends: BTreeMap<String, BTreeMap<i64, bool>> = BTreeMap::new();
    for one in heard(world) {
        let goes_on = one.data[1]["total_trades"] != 0;
        ends.entry(one.token).or_default().insert(one.end, goes_on);
    }
    let silences = ends.into_iter().flat_map(|(token, ends)| {
        let pairs: Vec<_> = ends.iter().zip(ends.iter().skip(1)).collect();
        let active = pairs.into_iter().filter(|((end, goes_on), _)| **goes_on && **end >= from);
        let silences: Vec<_> =
            active.map(|((end, _), (next, _))| (next - end - TICK, token.clone())).collect();
        silences
    });
    silences.max().unwrap_or_default()
}

fn heard(world: &World) -> Vec<Heard> {
    let published = world.published.lock().unwrap();
    let aggregates = published.iter().filter(|one| one.target == Target::Aggregates);
    let heard = aggregates.map(|one| {
        let bytes = one.message.value.clone().unwrap();
        let mut value: Value = serde_json::from_slice(&bytes).unwrap();
        let data = value["aggregate_data"].take();
        let end = OffsetDateTime::parse(data[0]["timestamp"].as_str().unwrap(), &Rfc3339);
        Heard {
            at_ms: one.at_ms,
            process: one.process,
            partition: one.partition,
            token: value["token"].as_str().unwrap().to_owned(),
            end: end.unwrap().unix_timestamp(),
            data,
            bytes,
        }
    });
    heard.collect()
}

impl Court<'_> {
    fn has_lost(&self, process: usize, shard: u16, told: &Told) -> bool {
        holds(&self.lost[&(process, shard)], told.position.0, told.position.1)
    }

    /// Never more than the log held, never less than it held when the process started.
    fn bounds(&self, heard: &Heard) {
        let Heard { process, end, .. } = *heard;
        let token = &self.tokens[heard.token.as_str()];
        let ledger = self.world.ledger();
        let ranges = ledger.told(process).ranges.as_ref().expect("it asked for the log's ends");
        let could = token.told.iter().filter(|told| !self.has_lost(process, token.shard, told));
        let could: Vec<_> = could.collect();
        let stood = |told: &Told| {
            let (partition, offset, _) = told.position;
            let end = ranges.get(&partition).map(|(_, end)| key(partition, *end));
            end.is_some_and(|end| key(partition, offset) < end)
        };
        for ((_, length), data) in SPANS.iter().zip(heard.data.as_array().unwrap()) {
            for (name, buy) in [("sell_count", false), ("buy_count", true)] {
                let within = could.iter().filter(|told| {
                    told.buy == buy && end - length < told.second() && told.second() <= end
                });
                let least = within.clone().filter(|told| stood(told)).count();
                let said = usize::try_from(data[name].as_u64().unwrap()).unwrap();
                assert!(
                    (least..=within.count()).contains(&said),
                    "{name} of {} at {end} by process {process}: {said}, at least {least}",
                    heard.token,
                );
            }
        }
    }

    /// A process sends the same bytes when it sends a message again, and a token's messages all go
    /// to one partition.
    fn one_message_a_tick(&self, grouped: bool) {
        let mut bytes = BTreeMap::new();
        let mut partitions = BTreeMap::new();
        for one in &self.heard {
            assert_eq!(one.end % TICK, 0, "a tick lies at a multiple");
            let whose = if grouped { 0 } else { one.process };
            let (first, by) =
                bytes.entry((whose, &one.token, one.end)).or_insert((&one.bytes, one.process));
            assert_eq!(
                *first, &one.bytes,
                "a second message of {} at {}, by {} after {by}",
                one.token, one.end, one.process
            );
            let first = partitions.entry(&one.token).or_insert(one.partition);
            assert_eq!(*first, one.partition, "the partition of {}", one.token);
        }
    }

    /// Every token that was heard of is closed in the end, unless its state was lost on the way.
    fn all_closed(&self) {
        let mut newest: BTreeMap<&str, &Heard> = BTreeMap::new();
        for one in &self.heard {
            // A process that stood still may send what it had after its successor has closed.
            let newest = newest.entry(&one.token).or_insert(one);
            if one.end >= newest.end {
                *newest = one;
            }
        }
        let ledger = self.world.ledger();
        for (name, one) in newest {
            let token = &self.tokens[name];
            let others = (0..ledger.count()).filter(|process| *process != one.process);
            let last_told = token.told.iter().max_by_key(|told| told.order()).unwrap();
            let (newest, place) = (last_told.second(), last_told.position);
            // A successor that comes two windows later finds only what the checkpoint has of it.
            let too_late = |at: i64| newest <= at - 2 * LONGEST;
            let mut without = others.filter(|process| {
                ledger.is_fresh(*process, token.shard)
                    || ledger.claimed_at(*process, token.shard).is_some_and(too_late)
                    || (*process != self.last
                        && ledger.may_have_hidden(*process, token.shard, place, newest + LONGEST))
                    || token.told.iter().any(|told| self.has_lost(*process, token.shard, told))
            });
            let trades = &one.data[1]["total_trades"];
            let closed = *trades == 0 || without.next().is_some();
            let all = self.heard.iter().filter(|one| one.token == name);
            let all = all.map(|one| (one.process, one.end, one.data[1]["total_trades"].as_u64()));
            assert!(closed, "{name} is not closed: {:?}", all.collect::<Vec<_>>());
        }
    }

    /// From `from` on nothing fails: every tick has just the messages that it should.
    fn peace(&self, at_ms: i64, from: i64) {
        let mut at: BTreeMap<(i64, &str), Vec<&Value>> = BTreeMap::new();
        let heard = self.heard.iter().filter(|one| one.at_ms >= at_ms);
        for one in heard.clone().filter(|one| one.end >= from) {
            at.entry((one.end, &one.token)).or_default().push(&one.data);
        }
        let last = heard.map(|one| one.end).max().unwrap_or(from);
        let counted = self.tokens.iter().map(|(name, token)| {
            let told = token.told.iter().copied();
            let told = told.filter(|told| !self.has_lost(self.last, token.shard, told));
            (*name, told.collect::<Vec<_>>())
        });
        let tokens: Vec<_> = counted.collect();
        for end in (from..last).filter(|end| end % TICK == 0) {
            for (token, trades) in &tokens {
                let active = |end| oracle::active(trades.iter().copied(), end, LONGEST);
                let messages = at.get(&(end, token)).map_or(&[][..], Vec::as_slice);
                if !active(end) && !active(end - TICK) {
                    assert!(messages.is_empty(), "{token} is silent at {end}");
                    continue;
                }
                let extended = self.world.extended;
                let oracle = if extended { oracle::windows_extended } else { oracle::windows };
                let expected = Value::Array(oracle(trades, &SPANS, end));
                assert_eq!(messages.len(), 1, "one message of {token} at {end}");
                let data = messages[0];
                assert!(
                    oracle::same(data, &expected),
                    "{token} at {end}:\n{data}\nnot\n{expected}"
                );
            }
        }
        if let Some(last_trade) = tokens.iter().flat_map(|(_, told)| told).map(|t| t.second()).max()
        {
            assert!(at.keys().all(|(end, _)| *end < last_trade + LONGEST + TICK), "then silence");
        }
    }

    fn lived(&self, processes: usize) -> Lived {
        let mut hasher = DefaultHasher::new();
        for one in &self.heard {
            (one.process, &one.token, one.end, one.data.to_string()).hash(&mut hasher);
        }
        let tokens = self.tokens.values();
        let lost = tokens.map(|token| {
            token.told.iter().filter(|told| self.has_lost(self.last, token.shard, told)).count()
        });
        Lived {
            messages: self.heard.len(),
            processes,
            lost: lost.sum(),
            steps: self.world.first_steps.load(SeqCst),
            digest: hasher.finish(),
        }
    }
}

/// The places of which a dead letter was sent.
pub(crate) fn dead_letters(world: &World) -> Places {
    let published = world.published.lock().unwrap();
    let letters = published.iter().filter(|one| one.target == Target::DeadLetters);
    letters.map(|one| place(&one.message)).collect::<BTreeSet<_>>()
}

fn place(letter: &Message) -> (i32, i64, Option<u32>) {
    let header = |name: &str| {
        let name = format!("aggregator.errors.{name}");
        let found = letter.headers.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| std::str::from_utf8(value).unwrap().to_owned())
    };
    let partition = header("partition").unwrap().parse().unwrap();
    let offset = header("offset").unwrap().parse().unwrap();
    (partition, offset, header("index").map(|index| index.parse().unwrap()))
}
