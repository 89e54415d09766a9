//! What Redis shows: whether it can hold the checkpoint, whether it would survive a restart of
//! Redis, and what of ours stands in it.

use std::time::Duration;

use super::Findings;
use super::topics::SKEW;
use super::units::{rough, size};
use crate::domain::time::WallMs;
use crate::domain::token::Shards;
use crate::kafka::kept;
use crate::redis::{Facts, LAYOUT, Stored};
use crate::wire::time::Rfc3339;

/// What all of it is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Whether the address asks for a cluster.
    pub clustered: bool,
    /// The longest window.
    pub longest: Duration,
    /// How long the input is kept; `None` where that is not told.
    pub input_kept: Option<Duration>,
    /// This host's clock before the server was asked, and after.
    pub asked: [WallMs; 2],
}

/// Of the server.
pub fn server(findings: &mut Findings, facts: &Facts, scale: Scale) {
    let version = facts.says("redis_version").unwrap_or("of a version that is not told");
    let mode = facts.says("redis_mode").unwrap_or("standalone");
    let role = facts.says("role").unwrap_or("master");
    let used = facts.number("used_memory");
    let says = format!("Redis {version}, {mode}, {role}, {} in use", size(used));
    if is_old(version) {
        findings.fail("server", says, "update it: 6.2 is the oldest that will do");
    } else if role != "master" {
        let todo = "let REDIS_ADDR name the master, or the Sentinels that know it";
        findings.fail("server", format!("{says}: it takes no writes"), todo);
    } else if mode == "cluster" && !scale.clustered {
        findings.fail("server", format!("{says}: one node of a cluster"), AS_CLUSTER);
    } else {
        findings.ok("server", says);
    }
    memory(findings, facts, used);
    persistence(findings, facts, scale);
    clock(findings, facts, scale.asked);
}

/// Of the checkpoint, where so many shards are configured.
pub fn checkpoint(findings: &mut Findings, stored: &Stored, shards: Shards, now: WallMs) {
    const ABOUT: &str = "checkpoint";
    if let Some(key) = stored.foreign.first() {
        let says = format!("the key {key:?} is another program's");
        findings.fail(ABOUT, says, "choose another REDIS_KEY_PREFIX");
    }
    if let Some(of) = stored.of.filter(|of| *of != shards) {
        let (of, shards) = (of.count(), shards.count());
        let says = format!("it is spread over {of} shards, and SHARDS is {shards}");
        let todo = format!("set SHARDS={of}: the README says how another number is come to");
        findings.fail(ABOUT, says, &todo);
        return;
    }
    if stored.shards == 0 {
        findings.ok(ABOUT, "none of this group and topic yet: the start reads START_FROM");
        return;
    }
    if stored.layout > LAYOUT {
        let says = format!("its layout {} is newer than {LAYOUT}", stored.layout);
        findings.fail(ABOUT, says, "run the newer version that wrote it");
        return;
    }
    let age = stored.newest.map_or_else(
        || "no trade in it".to_owned(),
        |newest| format!("newest trade {} old", rough(now.since(newest))),
    );
    let Stored { shards: here, written, layout, .. } = stored;
    let of = shards.count();
    let says = format!("{here} of {of} shards, {written} with trades, layout {layout}, {age}");
    findings.ok(ABOUT, says);
    let owners = stored.claimed_by.iter().map(|token| {
        let (started, _) = token.split_once(':').unwrap_or((token, ""));
        started
            .parse()
            .ok()
            .map_or_else(|| token.clone(), |at| Rfc3339(WallMs(at).second()).to_string())
    });
    let owners: Vec<_> = owners.collect();
    let claimed = format!("claimed by the instance that started at {}", owners.join(" and at "));
    match owners.len() {
        1 if *here == of => findings.ok(ABOUT, claimed),
        _ => findings.warn(
            ABOUT,
            format!("{claimed}: a take-over is going on, or never ended"),
            "ask again; if it stays, start the service: it claims every shard",
        ),
    }
}

fn memory(findings: &mut Findings, facts: &Facts, used: u64) {
    let most = facts.number("maxmemory");
    let policy = facts.says("maxmemory_policy").unwrap_or("not told");
    let limit = if most == 0 { "no maxmemory".to_owned() } else { format!("of {}", size(most)) };
    let says = format!("{limit}, maxmemory-policy {policy}");
    if policy != "noeviction" {
        let todo = "set maxmemory-policy noeviction: else the checkpoint goes when memory is short";
        findings.warn("memory", says, todo);
    } else if most > 0 && used / 4 >= most / 5 {
        let todo = "raise maxmemory: when it is reached, nothing is written any more";
        findings.warn("memory", format!("{} {says}", size(used)), todo);
    } else {
        findings.ok("memory", says);
    }
}

fn persistence(findings: &mut Findings, facts: &Facts, scale: Scale) {
    const ABOUT: &str = "persistence";
    let failed = ["aof_last_write_status", "rdb_last_bgsave_status"];
    if let Some(name) = failed.into_iter().find(|name| facts.says(name) == Some("err")) {
        let says = format!("{name} is err: Redis cannot write to its disk, and may refuse writes");
        findings.fail(ABOUT, says, "look at Redis' log and disk");
        return;
    }
    let short = scale.input_kept.filter(|kept| *kept < scale.longest);
    let then = match (short, scale.input_kept) {
        (Some(time), _) => {
            format!("the input keeps {} only: the windows are lost", kept(Some(time)))
        }
        (None, Some(_)) => "the windows come back from the input".to_owned(),
        (None, None) => "how long the input is kept is not told".to_owned(),
    };
    if facts.says("aof_enabled") == Some("1") {
        let fsync = facts.fsync.as_deref().unwrap_or("not told");
        findings.ok(ABOUT, format!("append-only file, appendfsync {fsync}"));
        return;
    }
    let todo = "set appendonly yes, appendfsync everysec";
    match facts.save.as_deref() {
        Some("") => {
            let says = format!("none: a restart of Redis loses checkpoint and names; {then}");
            findings.warn(ABOUT, says, todo);
        }
        Some(save) => {
            let says = format!("snapshots only ({save}): a restart goes back to the last; {then}");
            match short {
                Some(_) => findings.warn(ABOUT, says, todo),
                None => findings.ok(ABOUT, says),
            }
        }
        None => {
            let says = "no append-only file; whether snapshots are taken is not told".to_owned();
            match short {
                Some(_) => findings.warn(ABOUT, says, todo),
                None => findings.ok(ABOUT, says),
            }
        }
    }
}

fn clock(findings: &mut Findings, facts: &Facts, [before, after]: [WallMs; 2]) {
    let Some(clock) = facts.clock() else {
        findings.ok("clock", "not told");
        return;
    };
    let (ahead, behind) = (clock.since(after), before.since(clock));
    let (off, word) = if ahead > behind { (ahead, "ahead") } else { (behind, "behind") };
    if off > SKEW {
        let says = format!("{} {word} of this host's", rough(off));
        findings.warn("clock", says, "set one of both right, by NTP");
    } else {
        findings.ok("clock", "within a second of this host's");
    }
}

/// What to do where a node of a cluster is addressed as if it were alone.
pub const AS_CLUSTER: &str = "write REDIS_ADDR as redis-cluster://host:port";

/// Before 6.2 a stream cannot be trimmed by id.
fn is_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    matches!((major, minor), (Some(major), Some(minor)) if (major, minor) < (6, 2))
}
