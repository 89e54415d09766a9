//! What the topics show: whether they are there and hold what a window needs, and whether we may
//! do with them what the service does.

use std::time::Duration;

use super::units::{counted, rough, size};
use super::{Findings, TOPICS};
use crate::config::duration;
use crate::domain::time::WallMs;
use crate::kafka::{Found, Lack, Topic, Wanted, kept};

/// A topic as it should be and as it is.
#[derive(Debug)]
pub struct Seen {
    /// As it should be.
    pub wanted: Wanted,
    /// As it is.
    pub found: Found,
    /// Where it is missing: what speaks against creating it.
    pub creation: Option<Result<(), String>>,
}

/// What all of them are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The longest window.
    pub longest: Duration,
    /// Brokers of the cluster.
    pub brokers: usize,
    /// This host's clock.
    pub now: WallMs,
}

/// Of each topic; of the input also the timestamp of its newest record, where that could be asked.
#[must_use]
pub fn findings(topics: &[Seen], scale: Scale, newest: Result<Option<WallMs>, String>) -> Findings {
    let mut findings = Findings::of(TOPICS);
    let mut newest = Some(newest);
    for seen in topics {
        match &seen.found {
            Found::There(topic) => {
                findings.ok(&seen.wanted.name, layout(topic));
                if seen.wanted.variable == "KAFKA_TOPIC"
                    && let Some(newest) = newest.take()
                {
                    traffic(&mut findings, &seen.wanted.name, topic, newest, scale.now);
                }
                health(&mut findings, &seen.wanted, topic, scale);
                retention(&mut findings, &seen.wanted, topic, scale);
                rights(&mut findings, &seen.wanted, topic);
                letter_size(&mut findings, &seen.wanted, topic, topics);
            }
            Found::Missing => missing(&mut findings, seen),
            Found::Hidden => findings.fail(
                &seen.wanted.name,
                "is not shown to us: Describe is not permitted, or it does not exist",
                permit(&seen.wanted, "Describe"),
            ),
        }
    }
    findings
}

/// Whether a broker's clock is right would have to be tried by writing: a timestamp that is ahead
/// of ours is all that can be seen.
fn traffic(
    findings: &mut Findings,
    name: &str,
    topic: &Topic,
    newest: Result<Option<WallMs>, String>,
    now: WallMs,
) {
    let newest = match newest {
        Ok(Some(newest)) => newest,
        Ok(None) => {
            findings.ok(name, "no record in it, or the brokers do not tell its time");
            return;
        }
        Err(cause) => {
            let todo = "see what is said of the brokers";
            findings.fail(name, format!("its records cannot be asked for: {cause}"), todo);
            return;
        }
    };
    let ahead = newest.since(now);
    if ahead > SKEW {
        let appended = topic.setting(TIMESTAMP_TYPE) == Some("LogAppendTime");
        let whose = if appended { "the broker's" } else { "a producer's" };
        findings.warn(
            name,
            format!("its newest record is {} ahead of this host's clock", rough(ahead)),
            format!("compare {whose} clock with this host's: by NTP both are right"),
        );
    } else {
        let age = rough(now.since(newest));
        findings.ok(
            name,
            format!("newest record {age} old; the brokers' clocks cannot be told without writing"),
        );
    }
}

/// How long the input is kept, where that is told.
#[must_use]
pub fn input_kept(topics: &[Seen]) -> Option<Duration> {
    match &topics.first()?.found {
        Found::There(topic) => {
            topic.settings.as_ref().map(|_| topic.retention().unwrap_or(Duration::MAX))
        }
        Found::Missing | Found::Hidden => None,
    }
}

fn layout(topic: &Topic) -> String {
    let mut parts = vec![
        counted(topic.partitions, "partition", "partitions"),
        counted(topic.replicas, "copy", "copies"),
    ];
    if let Some(least) = topic.setting(MIN_IN_STEP).filter(|_| topic.replicas > 1) {
        parts.push(format!("{MIN_IN_STEP} {least}"));
    }
    if let Some(policy) = topic.setting("cleanup.policy") {
        let kept = if policy == "compact" { "by key".to_owned() } else { kept(topic.retention()) };
        parts.push(format!("{policy}, kept {kept}"));
    }
    if let Some(bytes) = topic.setting(MAX_BYTES).and_then(|text| text.parse().ok()) {
        parts.push(format!("batches up to {}", size(bytes)));
    }
    parts.extend(topic.setting(TIMESTAMP_TYPE).map(str::to_owned));
    parts.join(", ")
}

fn missing(findings: &mut Findings, seen: &Seen) {
    let (name, variable) = (&seen.wanted.name, seen.wanted.variable);
    match &seen.creation {
        Some(Ok(())) if variable == "KAFKA_TOPIC" => findings.fail(
            name,
            "does not exist: nobody has written a trade to it",
            "is KAFKA_TOPIC right? Then `topics --create`, or the start, creates it",
        ),
        Some(Err(cause)) => findings.fail(
            name,
            format!("does not exist, and we cannot create it: {cause}"),
            format!("create it, or permit Create; {variable} names it"),
        ),
        Some(Ok(())) | None => {
            let todo = "nothing: the start creates it, or `topics --create`";
            findings.warn(name, "does not exist", todo);
        }
    }
}

fn health(findings: &mut Findings, wanted: &Wanted, topic: &Topic, scale: Scale) {
    let name = &wanted.name;
    let least = topic.setting(MIN_IN_STEP).and_then(|text| text.parse().ok());
    if topic.leaderless > 0 {
        let says = format!("{} of its partitions have no leader", topic.leaderless);
        findings.fail(name, says, "are all brokers running?");
    } else if least.is_some_and(|least: usize| topic.in_step < least) {
        let says = format!(
            "{} in step: fewer than min.insync.replicas",
            counted(topic.in_step, "copy", "copies")
        );
        findings.fail(name, says, "writes are refused until the other brokers are back");
    } else if topic.in_step < topic.replicas {
        let says =
            format!("{} of {} in step", topic.in_step, counted(topic.replicas, "copy", "copies"));
        findings.warn(name, says, "are all brokers running?");
    } else if topic.replicas == 1 && scale.brokers > 1 {
        let says = "one copy only: it is gone while its broker is";
        findings.warn(name, says, "raise its replication factor (kafka-reassign-partitions)");
    }
}

fn retention(findings: &mut Findings, wanted: &Wanted, topic: &Topic, scale: Scale) {
    let name = &wanted.name;
    if topic.settings.is_none() {
        let todo = permit(wanted, "DescribeConfigs");
        findings.warn(name, "its settings, retention among them, are not shown to us", todo);
    }
    for lack in wanted.lacks(topic) {
        match &lack {
            Lack::Retention(_) if wanted.variable == "KAFKA_TOPIC" => {
                let found = topic.retention().unwrap_or_default();
                let meaning = if found < scale.longest {
                    "Redis is the only memory of the rest"
                } else {
                    "a rebuild also looks MAX_FUTURE_SKEW further back"
                };
                let longest = duration::format(scale.longest);
                let says = format!(
                    "keeps {}, the longest window is {longest}: {meaning}",
                    kept(Some(found))
                );
                let todo = format!("`topics --alter` raises it to {}", kept(wanted.retention));
                findings.warn(name, says, todo);
            }
            Lack::Compacted => {
                let todo = "set its cleanup.policy to delete";
                findings.fail(name, lack.to_string(), todo);
            }
            Lack::NotCompacted => {
                let todo = "set its cleanup.policy to compact, or AGGREGATE_TOMBSTONES to false";
                findings.warn(name, lack.to_string(), todo);
            }
            Lack::Retention(_) | Lack::Partitions(_) | Lack::Replicas(_) => {
                findings.warn(name, lack.to_string(), "`topics --alter` changes that");
            }
        }
    }
    if let Some(bytes) = topic.retention_bytes().filter(|_| wanted.variable == "KAFKA_TOPIC") {
        let says = format!("keeps {} a partition, however old: it may forget earlier", size(bytes));
        findings.warn(name, says, "set its retention.bytes to -1, or see that they hold a window");
    }
}

fn rights(findings: &mut Findings, wanted: &Wanted, topic: &Topic) {
    let Some(rights) = topic.rights else { return };
    let (operation, bit) = match wanted.variable {
        "KAFKA_TOPIC" | "TOKEN_INFO_TOPIC" => ("Read", READ),
        _ => ("Write", WRITE),
    };
    if rights & (1 << bit) == 0 {
        let says = format!("{operation} is not permitted");
        findings.fail(&wanted.name, says, permit(wanted, operation));
    }
}

/// A dead letter is as large as the record that it is about.
fn letter_size(findings: &mut Findings, wanted: &Wanted, topic: &Topic, all: &[Seen]) {
    let largest = |topic: &Topic| topic.setting(MAX_BYTES)?.parse::<u64>().ok();
    let Some(Seen { found: Found::There(input), .. }) = all.first() else { return };
    if wanted.variable == "DLQ_TOPIC"
        && let (Some(taken), Some(input)) = (largest(topic), largest(input))
        && taken < input
    {
        let says = format!(
            "takes {}, the input {}: larger ones come without value",
            size(taken),
            size(input)
        );
        findings.warn(&wanted.name, says, format!("set its {MAX_BYTES} to {input}"));
    }
}

fn permit(wanted: &Wanted, operation: &str) -> String {
    format!(
        "kafka-acls --add --allow-principal User:… --operation {operation} --topic {}",
        wanted.name
    )
}

/// Clocks that differ by less are right.
pub const SKEW: Duration = Duration::from_secs(1);

const TIMESTAMP_TYPE: &str = "message.timestamp.type";
const MIN_IN_STEP: &str = "min.insync.replicas";
const MAX_BYTES: &str = "max.message.bytes";

/// Kafka's numbers of operations, each a bit of what is permitted.
const READ: i32 = 3;
const WRITE: i32 = 4;
