//! The Redis edge against a real server: every verdict, loading, trimming, snapshots, the view,
//! and what is refused.
#![cfg(test)]

use std::time::Duration;

use aggregator_service::domain::time::Second;
use aggregator_service::domain::token::{ShardId, Shards};
use aggregator_service::ports::{Checkpoint, CheckpointError, Flush, FlushBody, Verdict, View};
use aggregator_service::redis::{RedisCheckpoint, RedisConfig, RedisError, RedisView, connect};
use bytes::Bytes;
use support::checkpoint::{
    NOW, PATIENCE, SHARD, append, checkpoint, client_and_owner, config, flush, load, loaded, owner,
    snapshot, spread,
};
use support::redis::{RedisServer, free_port};

const LOG: &str = "aggregator:{group:trade-info:7}:log";
/// Says for all how many there are.
const FIRST: &str = "aggregator:{group:trade-info:0}:meta";
const META: &str = "aggregator:{group:trade-info:7}:meta";

#[tokio::test]
async fn a_flush_is_applied_once_and_only_onto_the_one_before() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    assert_eq!(owner.claim(SHARD, 1).await.unwrap(), 0);
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Ok);
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Duplicate);
    assert_eq!(flush(&owner, append(3, "three")).await, Verdict::Gap);
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Ok);
    assert_eq!(owner.claim(SHARD, 1).await.unwrap(), 2);
    assert_eq!(loaded(&owner).await, ["one", "two"]);
}

#[tokio::test]
async fn many_shards_are_flushed_in_one_call_and_answered_in_order() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    let shards = (0..64).map(ShardId);
    for shard in shards.clone().filter(|shard| shard.0 != 5) {
        assert_eq!(owner.claim(shard, 1).await.unwrap(), 0);
    }
    // Larger than one round trip takes.
    let blob = Bytes::from(vec![b'x'; 200_000]);
    let flushes: Vec<Flush> = shards
        .map(|shard| Flush { shard, body: FlushBody::Append(blob.clone()), ..append(1, "") })
        .collect();
    let answers = owner.flush(&flushes).await;
    assert_eq!(answers.len(), 64);
    for (index, answer) in answers.into_iter().enumerate() {
        let expected = if index == 5 { Verdict::Lost } else { Verdict::Ok };
        assert_eq!(answer.unwrap(), expected, "shard {index}");
    }
}

#[tokio::test]
async fn the_newer_claim_fences_the_older_owner() {
    let server = RedisServer::start();
    let (old, new) = (owner(&server, "1:a").await, owner(&server, "2:b").await);
    old.claim(SHARD, 1).await.unwrap();
    assert_eq!(flush(&old, append(1, "one")).await, Verdict::Ok);
    assert_eq!(new.claim(SHARD, 1).await.unwrap(), 1);
    assert_eq!(flush(&old, append(2, "zombie")).await, Verdict::Fenced);
    assert_eq!(flush(&old, snapshot(2, &["zombie"])).await, Verdict::Fenced);
    assert!(matches!(old.load(SHARD, None).await, Err(CheckpointError::Damaged { .. })));
    assert_eq!(flush(&new, append(2, "two")).await, Verdict::Ok);
    assert_eq!(loaded(&new).await, ["one", "two"]);
    assert!(!server.command("KEYS *").contains("new:"), "a refused snapshot leaves nothing");
}

#[tokio::test]
async fn loading_gives_what_was_flushed_over_several_pages() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD, 1).await.unwrap();
    // Small ones, large ones, and some that are not text.
    let sizes = (0..40).map(|n| n * 7).chain([1_500_000; 12]).chain(0..30);
    let blobs: Vec<Bytes> =
        (0_u8..).zip(sizes).map(|(n, size)| vec![n | 1; size + 1]).map(Bytes::from).collect();
    for (sequence, blob) in (1..).zip(&blobs) {
        let body = FlushBody::Append(blob.clone());
        assert_eq!(flush(&owner, Flush { body, ..append(sequence, "") }).await, Verdict::Ok);
    }
    let (found, pages) = load(&owner).await.unwrap();
    assert!(found == blobs);
    assert!((4..40).contains(&pages), "{pages} pages");
}

#[tokio::test]
async fn whoever_follows_reads_what_the_owner_writes_and_never_parts_of_two_changelogs() {
    let server = RedisServer::start();
    let (owner, other) = (owner(&server, "1:a").await, owner(&server, "2:b").await);
    let peek = |cursor| other.peek(SHARD, cursor);
    assert!(matches!(peek(None).await, Err(CheckpointError::Damaged { .. })), "nobody's yet");
    owner.claim(SHARD, 1).await.unwrap();
    for sequence in 1..=40 {
        let blob = sequence.to_string();
        assert_eq!(flush(&owner, append(sequence, &blob)).await, Verdict::Ok);
    }
    let first = peek(None).await.unwrap();
    // What is appended meanwhile is the next one's matter; the owner is not fenced.
    assert_eq!(flush(&owner, append(41, "41")).await, Verdict::Ok);
    let (mut read, mut cursor) = (first.blobs.len(), first.cursor.clone());
    while cursor.is_some() {
        let page = peek(cursor).await.unwrap();
        read += page.blobs.len();
        cursor = page.cursor;
    }
    assert_eq!(read, 40);
    // The snapshot's parts have the ids that the entries had.
    let parts = ["part"; 60];
    assert_eq!(flush(&owner, snapshot(42, &parts)).await, Verdict::Ok);
    let mixed = peek(first.cursor).await;
    assert!(matches!(mixed, Err(CheckpointError::Damaged { .. })), "{mixed:?}");
}

#[tokio::test]
async fn only_what_has_expired_is_trimmed_and_never_the_last_entry() {
    let server = RedisServer::start_with(&["--stream-node-max-entries", "1"]);
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD, 1).await.unwrap();
    for (sequence, newest) in (1..=4).zip([10, 20, 15, 30]) {
        let (newest, trim) = (Second(newest), Second(0));
        let blob = newest.0.to_string();
        let flush_at = Flush { newest, trim, ..append(sequence, &blob) };
        assert_eq!(flush(&owner, flush_at).await, Verdict::Ok);
    }
    // 15 came behind 20 and is kept as long as that.
    let trim = Flush { newest: Second(31), trim: Second(19), ..append(5, "31") };
    assert_eq!(flush(&owner, trim).await, Verdict::Ok);
    assert_eq!(loaded(&owner).await, ["20", "15", "30", "31"]);
    let trim = Flush { newest: Second(31), trim: Second(99), ..append(6, "last") };
    assert_eq!(flush(&owner, trim).await, Verdict::Ok);
    assert_eq!(loaded(&owner).await.last().map(String::as_str), Some("last"));
    assert_eq!(flush(&owner, append(7, "more")).await, Verdict::Ok);
}

#[tokio::test]
async fn a_redis_that_came_back_empty_says_lost_and_takes_a_snapshot() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD, 1).await.unwrap();
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Ok);
    server.command("FLUSHALL");
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Lost);
    assert!(matches!(owner.load(SHARD, None).await, Err(CheckpointError::Damaged { .. })));
    // Larger than one round trip takes.
    let parts = ["a", "b", "c"].map(|part| part.repeat(2_000_000));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    assert_eq!(flush(&owner, snapshot(2, &parts)).await, Verdict::Ok);
    assert_eq!(flush(&owner, snapshot(2, &parts)).await, Verdict::Duplicate);
    assert_eq!(flush(&owner, append(3, "three")).await, Verdict::Ok);
    assert!(loaded(&owner).await == [&parts[..], &["three"]].concat());
    assert_eq!(server.command(&format!("TTL {LOG}")), ":-1\r\n");
    assert_eq!(server.command("DBSIZE"), ":2\r\n", "only meta and log are left");
}

#[tokio::test]
async fn a_try_of_a_snapshot_that_arrives_late_undoes_nothing() {
    let server = RedisServer::start();
    let (client, first) = client_and_owner(&server, "1:a").await;
    assert_eq!(flush(&first, snapshot(1, &["all"])).await, Verdict::Ok);
    assert_eq!(flush(&first, append(2, "two")).await, Verdict::Ok);
    // It counts its tries from the start, as the late one did.
    let late = checkpoint(client, "1:a");
    assert!(late.flush(&[snapshot(1, &["old"])]).await.remove(0).is_err());
    assert_eq!(loaded(&first).await, ["all", "two"]);
    let next = owner(&server, "2:b").await;
    assert_eq!(next.claim(SHARD, 1).await.unwrap(), 2);
    assert_eq!(flush(&next, snapshot(3, &["new"])).await, Verdict::Ok);
}

#[tokio::test]
async fn what_an_owner_wrote_before_it_claimed_anew_comes_too_late() {
    let server = RedisServer::start();
    let (first, other) = (owner(&server, "1:a").await, owner(&server, "2:b").await);
    first.claim(SHARD, 1).await.unwrap();
    for claims_between in [false, true] {
        if claims_between {
            other.claim(SHARD, 1).await.unwrap();
        }
        let tenure = if claims_between { 3 } else { 2 };
        let sequence = first.claim(SHARD, tenure).await.unwrap();
        // A claim that was given up, behind the one that came of it.
        first.claim(SHARD, tenure - 1).await.unwrap();
        let of = |tenure, flush: Flush| Flush { tenure, previous: sequence, ..flush };
        for late in [snapshot(sequence + 1, &["old"]), append(sequence + 1, "old")] {
            assert_eq!(flush(&first, of(tenure - 1, late)).await, Verdict::Fenced);
        }
        let new = of(tenure, append(sequence + 1, "new"));
        assert_eq!(flush(&first, new.clone()).await, Verdict::Ok);
        assert_eq!(flush(&first, new).await, Verdict::Duplicate);
    }
    assert_eq!(loaded(&first).await, ["new", "new"]);
}

#[tokio::test]
async fn a_snapshot_of_nothing_loads_as_nothing() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    assert_eq!(flush(&owner, snapshot(9, &[])).await, Verdict::Ok);
    assert_eq!(owner.claim(SHARD, 1).await.unwrap(), 9);
    assert!(loaded(&owner).await.is_empty());
    assert_eq!(flush(&owner, append(10, "ten")).await, Verdict::Ok);
    assert_eq!(loaded(&owner).await, ["ten"]);
}

#[tokio::test]
async fn a_log_and_a_meta_that_disagree_are_never_taken_for_whole() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD, 1).await.unwrap();
    for sequence in 1..=3 {
        assert_eq!(flush(&owner, append(sequence, "x")).await, Verdict::Ok);
    }
    let last = format!("{NOW}000-3");
    server.command(&format!("XDEL {LOG} {last}"));
    assert_eq!(flush(&owner, append(4, "x")).await, Verdict::Gap);
    assert!(matches!(load(&owner).await, Err(CheckpointError::Damaged { .. })));
    assert_eq!(flush(&owner, snapshot(4, &["all"])).await, Verdict::Ok);
    server.command(&format!("DEL {LOG}"));
    assert_eq!(flush(&owner, append(5, "x")).await, Verdict::Lost);
    assert!(matches!(load(&owner).await, Err(CheckpointError::Damaged { .. })));
    assert_eq!(flush(&owner, snapshot(5, &["all"])).await, Verdict::Ok);
    // A meta that was evicted leaves a log that nobody vouches for.
    server.command(&format!("DEL {META}"));
    assert_eq!(owner.claim(SHARD, 1).await.unwrap(), 0);
    assert!(loaded(&owner).await.is_empty());
    assert_eq!(flush(&owner, append(1, "x")).await, Verdict::Gap);
    assert_eq!(flush(&owner, snapshot(1, &["all"])).await, Verdict::Ok);
    assert_eq!(loaded(&owner).await, ["all"]);
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name_and_not_claimed() {
    let server = RedisServer::start();
    server.command(&format!("HSET {META} tok 9:z seq 5 lastid 1-1 fmt 2"));
    let owner = owner(&server, "1:a").await;
    let refused = owner.claim(SHARD, 1).await;
    assert!(matches!(refused, Err(CheckpointError::NewerFormat { found: 2, known: 1, .. })));
    assert_eq!(server.command(&format!("HGET {META} tok")), "$3\r\n9:z\r\n");
}

/// Two first starts at once: one of them says how many there are, for both and for good.
#[tokio::test]
async fn how_many_shards_there_are_is_fixed_by_the_first_start() {
    let server = RedisServer::start();
    let (client, usual) = client_and_owner(&server, "1:a").await;
    let more = spread(client, "2:b", Shards::new(128).unwrap());
    let (fixed, refused, shards) = match tokio::join!(usual.fix_shards(), more.fix_shards()) {
        (Ok(()), Err(cause)) => (&usual, cause, "64"),
        (Err(cause), Ok(())) => (&more, cause, "128"),
        both => panic!("{both:?}"),
    };
    let of_them =
        |cause| matches!(cause, CheckpointError::OtherShards { found, .. } if found == shards);
    assert!(of_them(refused));
    assert_eq!(server.command(&format!("HGETALL {FIRST}")).matches('$').count(), 2, "no owner yet");
    let [fixed, other] = if shards == "64" { [fixed, &more] } else { [fixed, &usual] };
    for _ in 0..2 {
        fixed.fix_shards().await.unwrap();
        assert_eq!(fixed.claim(SHARD, 1).await.unwrap(), 0);
        assert!(of_them(other.fix_shards().await.unwrap_err()));
        assert!(of_them(other.claim(SHARD, 1).await.unwrap_err()), "each shard knows it");
    }
    assert_eq!(flush(fixed, append(1, "one")).await, Verdict::Ok);
    // A Redis that came back empty is told it anew.
    server.command("FLUSHALL");
    assert_eq!(flush(fixed, snapshot(2, &["all"])).await, Verdict::Ok);
    assert!(of_them(other.claim(SHARD, 1).await.unwrap_err()));
    assert_eq!(loaded(fixed).await, ["all"]);
}

#[tokio::test]
async fn a_checkpoint_from_before_the_setting_has_64_shards() {
    let server = RedisServer::start();
    server.command(&format!("HSET {FIRST} tok 0:z seq 5 lastid 1-1 fmt 1"));
    let (client, usual) = client_and_owner(&server, "1:a").await;
    let more = spread(client, "2:b", Shards::new(128).unwrap());
    let before = server.command(&format!("HGETALL {FIRST}"));
    for refused in [more.fix_shards().await, more.claim(ShardId(0), 1).await.map(|_| ())] {
        let text = refused.unwrap_err().to_string();
        assert_eq!(text, "the checkpoint is spread over 64 shards, and SHARDS is 128");
    }
    assert_eq!(server.command(&format!("HGETALL {FIRST}")), before, "a refusal changes nothing");
    usual.fix_shards().await.unwrap();
    assert_eq!(usual.claim(ShardId(0), 1).await.unwrap(), 5);
    assert_eq!(server.command(&format!("HGET {FIRST} of")), "$2\r\n64\r\n");
}

/// What is special in a pattern stands for itself, whatever a group is called.
#[tokio::test]
async fn the_pattern_of_the_keys_matches_them_and_no_others() {
    let server = RedisServer::start();
    let (client, _) = client_and_owner(&server, "1:a").await;
    let group = ("a*[b]?\\c", "t");
    let owner = RedisCheckpoint::new(client, "p:", group, Shards::DEFAULT, "1:a".to_owned());
    owner.claim(SHARD, 1).await.unwrap();
    server.command("SET p:{axxb_c:t:7}:meta another");
    let pattern = owner.pattern().replace('\\', "\\\\");
    assert_eq!(server.command(&format!("KEYS \"{pattern}\"")).matches('$').count(), 1);
    assert_eq!(server.command("DBSIZE"), ":2\r\n");
}

#[tokio::test]
async fn the_view_writes_its_keys_with_a_lifetime_and_touches_no_others() {
    let server = RedisServer::start();
    server.command("SET token:0xabc neighbour");
    let (client, _) = client_and_owner(&server, "1:a").await;
    let view = RedisView::new(client, "aggregator:", 90);
    let entry = |n: u32| (format!("0x{n}").into(), Bytes::from(format!("{{\"n\":{n}}}")));
    let entries: Vec<_> = (0..1_234).map(entry).collect();
    view.store(&entries).await.unwrap();
    assert_eq!(server.command("GET aggregator:view:0x1233"), "$10\r\n{\"n\":1233}\r\n");
    let lifetime = server.command("TTL aggregator:view:0x0");
    assert!([":90\r\n", ":89\r\n", ":88\r\n"].contains(&lifetime.as_str()), "{lifetime}");
    assert_eq!(server.command("DBSIZE"), ":1235\r\n");
    assert_eq!(server.command("GET token:0xabc"), "$9\r\nneighbour\r\n");
    assert_eq!(server.command("TTL token:0xabc"), ":-1\r\n");
}

#[tokio::test]
async fn a_wrong_address_is_refused_at_once_and_an_absent_server_is_not() {
    for (addr, db) in [
        ("rediss://localhost", 0),
        ("http://localhost", 0),
        ("redis-cluster://h:1", 3),
        ("redis-sentinel://h:1", 0),
        ("localhost:notaport", 0),
        ("", 0),
        ("redis+unix:///x", 0),
    ] {
        let refused = connect(&RedisConfig { db, ..config(addr) });
        assert!(refused.is_err(), "{addr}");
    }
    let tls = connect(&config("rediss-cluster://localhost:1")).unwrap_err();
    assert!(matches!(tls, RedisError::TlsMissing));
    let away = connect(&config("127.0.0.1:1")).expect("a server that is away is no error");
    let error = away.wait_until_reachable(Duration::from_millis(200)).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_cluster_keeps_both_keys_of_a_shard_in_one_slot() {
    let bus = free_port().to_string();
    let server = RedisServer::start_with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-announce-ip",
        "127.0.0.1",
    ]);
    server.command("CLUSTER ADDSLOTSRANGE 0 16383");
    let client = connect(&config(&format!("redis-cluster://{}", server.addr()))).unwrap();
    client.wait_until_reachable(PATIENCE).await.unwrap();
    let owner = checkpoint(client, "1:a");
    for shard in (0..64).map(ShardId) {
        assert_eq!(owner.claim(shard, 1).await.unwrap(), 0);
    }
    let of = |shard, flush| Flush { shard, ..flush };
    let all: Vec<Flush> = (0..64).map(|shard| of(ShardId(shard), append(1, "one"))).collect();
    let answers = owner.flush(&all).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Verdict::Ok))), "{answers:?}");
    assert_eq!(flush(&owner, snapshot(2, &["a", "b"])).await, Verdict::Ok);
    assert_eq!(loaded(&owner).await, ["a", "b"]);
}

#[tokio::test]
async fn the_eviction_policy_is_told() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let (client, _) = client_and_owner(&server, "1:a").await;
    assert_eq!(client.policy().await.unwrap(), "allkeys-lru");
}
