//! The Redis edge against a real server: every verdict, loading, trimming, snapshots, and a
//! server that is full, gone, empty or hung.
#![cfg(test)]

mod support;

use std::time::Duration;

use aggregator_service::domain::time::Second;
use aggregator_service::domain::token::ShardId;
use aggregator_service::ports::{Checkpoint, CheckpointError, Flush, FlushBody, Verdict, View};
use aggregator_service::redis::{
    Client, RedisCheckpoint, RedisConfig, RedisError, RedisView, connect,
};
use bytes::Bytes;
use support::redis::RedisServer;

const SHARD: ShardId = ShardId(7);
const NOW: i64 = 1_700_000_000;
const LOG: &str = "aggregator:{group:trade-info:7}:log";
const META: &str = "aggregator:{group:trade-info:7}:meta";

#[tokio::test]
async fn a_flush_is_applied_once_and_only_onto_the_one_before() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    assert_eq!(owner.claim(SHARD).await.unwrap(), 0);
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Ok);
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Duplicate);
    assert_eq!(flush(&owner, append(3, "three")).await, Verdict::Gap);
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Ok);
    assert_eq!(owner.claim(SHARD).await.unwrap(), 2);
    assert_eq!(loaded(&owner).await, ["one", "two"]);
}

#[tokio::test]
async fn many_shards_are_flushed_in_one_call_and_answered_in_order() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    let shards = (0..64).map(ShardId);
    for shard in shards.clone().filter(|shard| shard.0 != 5) {
        assert_eq!(owner.claim(shard).await.unwrap(), 0);
    }
    // Larger than one round trip takes.
    let blob = Bytes::from(vec![b'x'; 200_000]);
    let flushes: Vec<Flush> = shards
        .map(|shard| Flush {
            shard,
            body: FlushBody::Append(blob.clone()),
            ..append(1, "")
        })
        .collect();
    let answers = owner.flush(&flushes).await;
    assert_eq!(answers.len(), 64);
    for (index, answer) in answers.into_iter().enumerate() {
        let expected = if index == 5 {
            Verdict::Lost
        } else {
            Verdict::Ok
        };
        assert_eq!(answer.unwrap(), expected, "shard {index}");
    }
}

#[tokio::test]
async fn the_newer_claim_fences_the_older_owner() {
    let server = RedisServer::start();
    let (old, new) = (owner(&server, "1:a").await, owner(&server, "2:b").await);
    old.claim(SHARD).await.unwrap();
    assert_eq!(flush(&old, append(1, "one")).await, Verdict::Ok);
    assert_eq!(new.claim(SHARD).await.unwrap(), 1);
    assert_eq!(flush(&old, append(2, "zombie")).await, Verdict::Fenced);
    assert_eq!(flush(&old, snapshot(2, &["zombie"])).await, Verdict::Fenced);
    assert!(matches!(
        old.load(SHARD, None).await,
        Err(CheckpointError::Damaged { .. })
    ));
    assert_eq!(flush(&new, append(2, "two")).await, Verdict::Ok);
    assert_eq!(loaded(&new).await, ["one", "two"]);
    assert!(
        !server.command("KEYS *").contains("new:"),
        "a refused snapshot leaves nothing"
    );
}

#[tokio::test]
async fn loading_gives_what_was_flushed_over_several_pages() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD).await.unwrap();
    // Small ones, large ones, and some that are not text.
    let sizes = (0..40).map(|n| n * 7).chain([1_500_000; 12]).chain(0..30);
    let blobs: Vec<Bytes> = (0_u8..)
        .zip(sizes)
        .map(|(n, size)| vec![n | 1; size + 1])
        .map(Bytes::from)
        .collect();
    for (sequence, blob) in (1..).zip(&blobs) {
        let body = FlushBody::Append(blob.clone());
        assert_eq!(
            flush(
                &owner,
                Flush {
                    body,
                    ..append(sequence, "")
                }
            )
            .await,
            Verdict::Ok
        );
    }
    let (found, pages) = load(&owner).await.unwrap();
    assert!(found == blobs);
    assert!((4..40).contains(&pages), "{pages} pages");
}

#[tokio::test]
async fn only_what_has_expired_is_trimmed_and_never_the_last_entry() {
    let server = RedisServer::start_with(&["--stream-node-max-entries", "1"]);
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD).await.unwrap();
    for (sequence, newest) in (1..=4).zip([10, 20, 15, 30]) {
        let flush_at = Flush {
            newest: Second(newest),
            ..append(sequence, &newest.to_string())
        };
        assert_eq!(flush(&owner, flush_at).await, Verdict::Ok);
    }
    // 15 came behind 20 and is kept as long as that.
    let trim = Flush {
        newest: Second(31),
        trim: Second(19),
        ..append(5, "31")
    };
    assert_eq!(flush(&owner, trim).await, Verdict::Ok);
    assert_eq!(loaded(&owner).await, ["20", "15", "30", "31"]);
    let trim = Flush {
        newest: Second(31),
        trim: Second(99),
        ..append(6, "last")
    };
    assert_eq!(flush(&owner, trim).await, Verdict::Ok);
    assert_eq!(
        loaded(&owner).await.last().map(String::as_str),
        Some("last")
    );
    assert_eq!(flush(&owner, append(7, "more")).await, Verdict::Ok);
}

#[tokio::test]
async fn a_redis_that_came_back_empty_says_lost_and_takes_a_snapshot() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD).await.unwrap();
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Ok);
    server.command("FLUSHALL");
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Lost);
    assert!(matches!(
        owner.load(SHARD, None).await,
        Err(CheckpointError::Damaged { .. })
    ));
    // Larger than one round trip takes.
    let parts = ["a", "b", "c"].map(|part| part.repeat(2_000_000));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    assert_eq!(flush(&owner, snapshot(2, &parts)).await, Verdict::Ok);
    assert_eq!(flush(&owner, snapshot(2, &parts)).await, Verdict::Duplicate);
    assert_eq!(flush(&owner, append(3, "three")).await, Verdict::Ok);
    assert!(loaded(&owner).await == [&parts[..], &["three"]].concat());
    assert_eq!(server.command(&format!("TTL {LOG}")), ":-1\r\n");
    assert_eq!(
        server.command("DBSIZE"),
        ":2\r\n",
        "only meta and log are left"
    );
}

#[tokio::test]
async fn a_snapshot_of_nothing_loads_as_nothing() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    assert_eq!(flush(&owner, snapshot(9, &[])).await, Verdict::Ok);
    assert_eq!(owner.claim(SHARD).await.unwrap(), 9);
    assert!(loaded(&owner).await.is_empty());
    assert_eq!(flush(&owner, append(10, "ten")).await, Verdict::Ok);
    assert_eq!(loaded(&owner).await, ["ten"]);
}

#[tokio::test]
async fn a_log_and_a_meta_that_disagree_are_never_taken_for_whole() {
    let server = RedisServer::start();
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD).await.unwrap();
    for sequence in 1..=3 {
        assert_eq!(flush(&owner, append(sequence, "x")).await, Verdict::Ok);
    }
    let last = format!("{NOW}000-3");
    server.command(&format!("XDEL {LOG} {last}"));
    assert_eq!(flush(&owner, append(4, "x")).await, Verdict::Gap);
    assert!(matches!(
        load(&owner).await,
        Err(CheckpointError::Damaged { .. })
    ));
    assert_eq!(flush(&owner, snapshot(4, &["all"])).await, Verdict::Ok);
    server.command(&format!("DEL {LOG}"));
    assert_eq!(flush(&owner, append(5, "x")).await, Verdict::Lost);
    assert!(matches!(
        load(&owner).await,
        Err(CheckpointError::Damaged { .. })
    ));
    assert_eq!(flush(&owner, snapshot(5, &["all"])).await, Verdict::Ok);
    // A meta that was evicted leaves a log that nobody vouches for.
    server.command(&format!("DEL {META}"));
    assert_eq!(owner.claim(SHARD).await.unwrap(), 0);
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
    let refused = owner.claim(SHARD).await;
    assert!(matches!(
        refused,
        Err(CheckpointError::NewerFormat {
            found: 2,
            known: 1,
            ..
        })
    ));
    assert_eq!(server.command(&format!("HGET {META} tok")), "$3\r\n9:z\r\n");
}

#[tokio::test]
async fn a_full_redis_applies_nothing_and_takes_the_same_flush_later() {
    let server = RedisServer::start_with(&["--stream-node-max-entries", "1"]);
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD).await.unwrap();
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Ok);
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Ok);
    let before = [META, LOG].map(|key| server.command(&format!("DUMP {key}")));
    server.command("CONFIG SET maxmemory 1");
    for refused in [append(3, "three"), snapshot(3, &["all"])] {
        let error = owner
            .flush(&[refused])
            .await
            .remove(0)
            .unwrap_err()
            .to_string();
        assert!(error.contains("OOM"), "{error}");
    }
    assert_eq!(
        before,
        [META, LOG].map(|key| server.command(&format!("DUMP {key}")))
    );
    // What has expired makes room even then.
    let expired = Flush {
        newest: Second(NOW + 9),
        trim: Second(NOW),
        ..append(3, "three")
    };
    assert!(
        owner
            .flush(std::slice::from_ref(&expired))
            .await
            .remove(0)
            .is_err()
    );
    server.command("CONFIG SET maxmemory 0");
    assert_eq!(flush(&owner, expired).await, Verdict::Ok);
    assert_eq!(flush(&owner, append(4, "four")).await, Verdict::Ok);
    assert_eq!(
        loaded(&owner).await.last().map(String::as_str),
        Some("four")
    );
}

#[tokio::test]
async fn a_server_that_is_killed_is_an_error_and_comes_back_lost() {
    let mut server = RedisServer::start();
    let (client, owner) = client_and_owner(&server, "1:a").await;
    owner.claim(SHARD).await.unwrap();
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Ok);
    server.kill();
    let error = owner.flush(&[append(2, "two")]).await.remove(0);
    assert!(
        matches!(error, Err(CheckpointError::Unreachable { .. })),
        "{error:?}"
    );
    server.restart_empty();
    client.wait_until_reachable(PATIENCE).await.unwrap();
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Lost);
    assert_eq!(flush(&owner, snapshot(2, &["all"])).await, Verdict::Ok);
}

#[tokio::test]
async fn a_server_that_hangs_is_an_error_in_time_and_is_used_again() {
    let server = RedisServer::start();
    let (client, owner) = client_and_owner(&server, "1:a").await;
    owner.claim(SHARD).await.unwrap();
    server.stop();
    // More than the socket's buffers hold, so that the driver hangs in the write.
    let large = "x".repeat(16_000_000);
    for body in ["one", &large, "one"] {
        let flushes = [append(1, body)];
        let answer = tokio::time::timeout(HUNG_WITHIN, owner.flush(&flushes)).await;
        let error = answer.expect("an answer in time").remove(0);
        assert!(
            matches!(error, Err(CheckpointError::Unreachable { .. })),
            "{error:?}"
        );
    }
    server.cont();
    client.wait_until_reachable(PATIENCE).await.unwrap();
    // An earlier sending may have arrived after all.
    let verdict = flush(&owner, append(1, "one")).await;
    assert!(
        matches!(verdict, Verdict::Ok | Verdict::Duplicate),
        "{verdict:?}"
    );
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Ok);
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_an_error_until_it_is_none() {
    let server = RedisServer::start();
    let (client, owner) = client_and_owner(&server, "1:a").await;
    owner.claim(SHARD).await.unwrap();
    server.command("REPLICAOF 127.0.0.1 1");
    let error = owner
        .flush(&[append(1, "one")])
        .await
        .remove(0)
        .unwrap_err()
        .to_string();
    assert!(error.contains("READONLY"), "{error}");
    server.command("REPLICAOF NO ONE");
    client.wait_until_reachable(PATIENCE).await.unwrap();
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Ok);
}

#[tokio::test]
async fn the_view_writes_its_keys_with_a_lifetime_and_touches_no_others() {
    let server = RedisServer::start();
    server.command("SET token:0xabc neighbour");
    let (client, _) = client_and_owner(&server, "1:a").await;
    let view = RedisView::new(client, "aggregator:", 90);
    let entry = |n: u32| (format!("0x{n}"), Bytes::from(format!("{{\"n\":{n}}}")));
    let entries: Vec<_> = (0..1_234).map(entry).collect();
    view.store(&entries).await.unwrap();
    assert_eq!(
        server.command("GET aggregator:view:0x1233"),
        "$10\r\n{\"n\":1233}\r\n"
    );
    let lifetime = server.command("TTL aggregator:view:0x0");
    assert!(
        [":90\r\n", ":89\r\n", ":88\r\n"].contains(&lifetime.as_str()),
        "{lifetime}"
    );
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
    let error = away
        .wait_until_reachable(Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn the_eviction_policy_is_told() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let (client, _) = client_and_owner(&server, "1:a").await;
    assert_eq!(client.policy().await.unwrap(), "allkeys-lru");
}

fn config(addr: &str) -> RedisConfig {
    RedisConfig {
        addr: addr.to_owned(),
        password: None,
        username: None,
        db: 0,
        tls: None,
        key_prefix: "aggregator:".to_owned(),
    }
}

fn client(server: &RedisServer) -> Client {
    connect(&config(&server.addr())).expect("a right configuration")
}

async fn client_and_owner(server: &RedisServer, token: &str) -> (Client, RedisCheckpoint) {
    let client = client(server);
    client
        .wait_until_reachable(PATIENCE)
        .await
        .expect("a server that is there");
    let checkpoint = RedisCheckpoint::new(
        client.clone(),
        "aggregator:",
        "group",
        "trade-info",
        token.to_owned(),
    );
    (client, checkpoint)
}

async fn owner(server: &RedisServer, token: &str) -> RedisCheckpoint {
    client_and_owner(server, token).await.1
}

fn append(sequence: u64, blob: &str) -> Flush {
    Flush {
        shard: SHARD,
        previous: sequence - 1,
        sequence,
        body: FlushBody::Append(Bytes::from(blob.to_owned())),
        newest: Second(NOW),
        trim: Second(NOW - 3_600),
    }
}

fn snapshot(sequence: u64, parts: &[&str]) -> Flush {
    let parts = parts
        .iter()
        .map(|part| Bytes::from((*part).to_owned()))
        .collect();
    Flush {
        body: FlushBody::Snapshot(parts),
        ..append(sequence, "")
    }
}

async fn flush(owner: &RedisCheckpoint, flush: Flush) -> Verdict {
    owner.flush(&[flush]).await.remove(0).expect("an answer")
}

async fn load(owner: &RedisCheckpoint) -> Result<(Vec<Bytes>, usize), CheckpointError> {
    let (mut blobs, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let page = owner.load(SHARD, cursor).await?;
        blobs.extend(page.blobs);
        pages += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok((blobs, pages));
        }
    }
}

async fn loaded(owner: &RedisCheckpoint) -> Vec<String> {
    let (blobs, _) = load(owner).await.expect("a whole log");
    blobs
        .iter()
        .map(|blob| String::from_utf8_lossy(blob).into_owned())
        .collect()
}

/// For what takes milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// The command timeout of 4 s, and as much again for a busy machine.
const HUNG_WITHIN: Duration = Duration::from_secs(8);
