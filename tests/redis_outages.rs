//! The Redis edge and a server that is full, gone, hung or read-only: an error in time, nothing
//! applied in part, and the same flush taken later.
#![cfg(test)]

use std::time::Duration;

use aggregator_service::domain::time::Second;
use aggregator_service::ports::{Checkpoint, CheckpointError, Flush, Verdict};
use support::checkpoint::{
    NOW, PATIENCE, SHARD, append, client_and_owner, flush, loaded, owner, snapshot,
};
use support::redis::RedisServer;

const LOG: &str = "aggregator:{group:trade-info:7}:log";
const META: &str = "aggregator:{group:trade-info:7}:meta";

#[tokio::test]
async fn a_full_redis_applies_nothing_and_takes_the_same_flush_later() {
    let server = RedisServer::start_with(&["--stream-node-max-entries", "1"]);
    let owner = owner(&server, "1:a").await;
    owner.claim(SHARD, 1).await.unwrap();
    let old = Flush { newest: Second(NOW - 9), ..append(1, "one") };
    assert_eq!(flush(&owner, old).await, Verdict::Ok);
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Ok);
    let before = [META, LOG].map(|key| server.command(&format!("DUMP {key}")));
    server.command("CONFIG SET maxmemory 1");
    for refused in [append(3, "three"), snapshot(3, &["all"])] {
        let error = owner.flush(&[refused]).await.remove(0).unwrap_err().to_string();
        assert!(error.contains("OOM"), "{error}");
    }
    assert_eq!(before, [META, LOG].map(|key| server.command(&format!("DUMP {key}"))));
    // What has expired makes room even then.
    let expired = Flush { newest: Second(NOW + 9), trim: Second(NOW - 9), ..append(3, "three") };
    assert!(owner.flush(std::slice::from_ref(&expired)).await.remove(0).is_err());
    assert_eq!(server.command(&format!("XLEN {LOG}")), ":1\r\n");
    server.command("CONFIG SET maxmemory 0");
    assert_eq!(flush(&owner, expired).await, Verdict::Ok);
    assert_eq!(flush(&owner, append(4, "four")).await, Verdict::Ok);
    assert_eq!(loaded(&owner).await.last().map(String::as_str), Some("four"));
}

#[tokio::test]
async fn a_server_that_is_killed_is_an_error_and_comes_back_lost() {
    let mut server = RedisServer::start();
    let (client, owner) = client_and_owner(&server, "1:a").await;
    owner.claim(SHARD, 1).await.unwrap();
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Ok);
    server.kill();
    let error = owner.flush(&[append(2, "two")]).await.remove(0);
    assert!(matches!(error, Err(CheckpointError::Unreachable { .. })), "{error:?}");
    server.restart_empty();
    client.wait_until_reachable(PATIENCE).await.unwrap();
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Lost);
    assert_eq!(flush(&owner, snapshot(2, &["all"])).await, Verdict::Ok);
}

#[tokio::test]
async fn a_server_that_hangs_is_an_error_in_time_and_is_used_again() {
    let server = RedisServer::start();
    let (client, owner) = client_and_owner(&server, "1:a").await;
    owner.claim(SHARD, 1).await.unwrap();
    server.stop();
    // More than the socket's buffers hold, so that the driver hangs in the write.
    let large = "x".repeat(16_000_000);
    for body in ["one", &large, "one"] {
        let flushes = [append(1, body)];
        let answer = tokio::time::timeout(HUNG_WITHIN, owner.flush(&flushes)).await;
        let error = answer.expect("an answer in time").remove(0);
        assert!(matches!(error, Err(CheckpointError::Unreachable { .. })), "{error:?}");
    }
    server.cont();
    client.wait_until_reachable(PATIENCE).await.unwrap();
    // An earlier sending may have arrived after all.
    let verdict = flush(&owner, append(1, "one")).await;
    assert!(matches!(verdict, Verdict::Ok | Verdict::Duplicate), "{verdict:?}");
    assert_eq!(flush(&owner, append(2, "two")).await, Verdict::Ok);
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_an_error_until_it_is_none() {
    let server = RedisServer::start();
    let (client, owner) = client_and_owner(&server, "1:a").await;
    owner.claim(SHARD, 1).await.unwrap();
    server.command("REPLICAOF 127.0.0.1 1");
    let error = owner.flush(&[append(1, "one")]).await.remove(0).unwrap_err().to_string();
    assert!(error.contains("READONLY"), "{error}");
    server.command("REPLICAOF NO ONE");
    client.wait_until_reachable(PATIENCE).await.unwrap();
    assert_eq!(flush(&owner, append(1, "one")).await, Verdict::Ok);
}

/// The command timeout of 4 s, and as much again for a busy machine.
const HUNG_WITHIN: Duration = Duration::from_secs(8);
