//! Short words for tests of the checkpoint: one shard, one owner, entries that are text.

use std::time::Duration;

use aggregator_service::domain::time::Second;
use aggregator_service::domain::token::{ShardId, Shards};
use aggregator_service::ports::{Checkpoint, CheckpointError, Flush, FlushBody, Verdict};
use aggregator_service::redis::{Client, RedisCheckpoint, RedisConfig, connect};
use bytes::Bytes;

use super::redis::RedisServer;

/// The shard that the tests write.
pub const SHARD: ShardId = ShardId(7);
/// The newest pane's second.
pub const NOW: i64 = 1_700_000_000;

/// Settings for a server at `addr`.
pub fn config(addr: &str) -> RedisConfig {
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

/// A connection that is up, and a checkpoint over it under `token`.
pub async fn client_and_owner(server: &RedisServer, token: &str) -> (Client, RedisCheckpoint) {
    let client = client(server);
    client.wait_until_reachable(PATIENCE).await.expect("a server that is there");
    (client.clone(), checkpoint(client, token))
}

/// A checkpoint under `token`.
pub fn checkpoint(client: Client, token: &str) -> RedisCheckpoint {
    spread(client, token, Shards::DEFAULT)
}

/// As [`checkpoint`], over another number of shards.
pub fn spread(client: Client, token: &str, shards: Shards) -> RedisCheckpoint {
    let name = ("group", "trade-info");
    RedisCheckpoint::new(client, "aggregator:", name, shards, token.to_owned())
}

/// As [`client_and_owner`], the checkpoint alone.
pub async fn owner(server: &RedisServer, token: &str) -> RedisCheckpoint {
    client_and_owner(server, token).await.1
}

/// One entry, continuing the one before.
pub fn append(sequence: u64, blob: &str) -> Flush {
    Flush {
        tenure: 1,
        shard: SHARD,
        previous: sequence - 1,
        sequence,
        body: FlushBody::Append(Bytes::from(blob.to_owned())),
        newest: Second(NOW),
        trim: Second(NOW - 3_600),
    }
}

/// Everything, in parts.
pub fn snapshot(sequence: u64, parts: &[&str]) -> Flush {
    let parts = parts.iter().map(|part| Bytes::from((*part).to_owned())).collect();
    Flush { body: FlushBody::Snapshot(parts), ..append(sequence, "") }
}

/// The verdict on one flush that is answered.
pub async fn flush(owner: &RedisCheckpoint, flush: Flush) -> Verdict {
    owner.flush(&[flush]).await.remove(0).expect("an answer")
}

/// The whole changelog, and in how many pages it came.
pub async fn load(owner: &RedisCheckpoint) -> Result<(Vec<Bytes>, usize), CheckpointError> {
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

/// The whole changelog as text.
pub async fn loaded(owner: &RedisCheckpoint) -> Vec<String> {
    let (blobs, _) = load(owner).await.expect("a whole log");
    blobs.iter().map(|blob| String::from_utf8_lossy(blob).into_owned()).collect()
}

/// For what takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
