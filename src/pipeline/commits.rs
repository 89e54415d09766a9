//! What the checkpoint says of all shards, whoever has them. Committed for lag tools is of each
//! partition the lowest position; nobody reads it back: a start goes on from the checkpoint. What
//! is published of a shard, those take over that follow it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::custody::Custody;
use crate::domain::position::{Offset, Partition};
use crate::domain::token::{ShardId, Shards};
use crate::ports::{Checkpoint, CheckpointError};
use crate::wire::checkpoint::{self, Entry};

/// How often the checkpoint is asked; as often as Kafka's own clients commit.
const INTERVAL: Duration = Duration::from_secs(5);

/// Notes the positions of the partitions that this process answers for, until `stop`.
pub(super) async fn note<C: Checkpoint>(
    checkpoint: Arc<C>,
    custody: Arc<Custody>,
    stop: CancellationToken,
) {
    let shards = custody.seat().shards;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let here = custody.shards();
        let anything = !here.is_empty() || !custody.followed().is_empty();
        if !anything || !custody.is_grouped() {
            continue;
        }
        match entries(&*checkpoint, shards).await {
            Ok(entries) => {
                let ours = |(partition, _): &(Partition, Offset)| {
                    here.contains_key(&shards.answering_for(*partition))
                };
                let published = entries.iter().map(|(shard, entry)| (*shard, entry.published));
                custody.published().send_replace(Arc::new(published.collect()));
                let lowest = lowest(entries, shards).into_iter().filter(ours);
                custody.seat().positions.send_replace(lowest.collect());
            }
            // The flushes say so, too, and louder.
            Err(cause) => debug!(%cause, "no positions to commit: the checkpoint does not answer"),
        }
    }
}

/// The newest entries of all shards that were ever written.
async fn entries<C: Checkpoint>(
    checkpoint: &C,
    shards: Shards,
) -> Result<BTreeMap<ShardId, Entry>, CheckpointError> {
    let shards: Vec<_> = shards.all().collect();
    let newest = checkpoint.newest(&shards).await?;
    let decoded = |(shard, blob): (ShardId, Option<Bytes>)| {
        Some((shard, checkpoint::decode(&blob?, |_| ()).ok()?))
    };
    Ok(shards.into_iter().zip(newest).filter_map(decoded).collect())
}

/// Of each partition the lowest position; none while a shard was never written.
fn lowest(entries: BTreeMap<ShardId, Entry>, shards: Shards) -> BTreeMap<Partition, Offset> {
    let mut lowest: Option<BTreeMap<Partition, Offset>> = None;
    if entries.len() < usize::from(shards.count()) {
        return BTreeMap::new();
    }
    for entry in entries.into_values() {
        let of_shard: BTreeMap<_, _> = entry.positions.into_iter().collect();
        let next = |partition| of_shard.get(partition).copied().unwrap_or_default();
        match &mut lowest {
            None => lowest = Some(of_shard),
            Some(lowest) => lowest.iter_mut().for_each(|(at, low)| *low = next(at).min(*low)),
        }
    }
    lowest.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Second;
    use crate::local::{LocalCheckpoint, LocalStore};
    use crate::ports::{Flush, FlushBody};

    #[tokio::test]
    async fn it_is_the_lowest_of_all_shards_and_nothing_while_one_is_missing() {
        let checkpoint = LocalCheckpoint::new(Arc::<LocalStore>::default(), 1);
        for shard in Shards::DEFAULT.all() {
            let told = entries(&checkpoint, Shards::DEFAULT).await.unwrap();
            assert_eq!(lowest(told, Shards::DEFAULT), BTreeMap::new());
            let offset =
                |partition: i32| Offset(100 + i64::from((shard.0 + 7) % 64) + i64::from(partition));
            let positions = [0, 1].map(|partition| (Partition(partition), offset(partition)));
            let blob = checkpoint::encode(&positions, Second(0), Second(0), std::iter::empty());
            checkpoint.claim(shard, 1).await.unwrap();
            let body = FlushBody::Append(Bytes::from(blob));
            let (newest, trim) = (Second(0), Second(-9));
            let flush = Flush { shard, tenure: 1, previous: 0, sequence: 1, body, newest, trim };
            assert!(checkpoint.flush(&[flush]).await.iter().all(Result::is_ok));
        }
        let expected = [(Partition(0), Offset(100)), (Partition(1), Offset(101))];
        let entries = entries(&checkpoint, Shards::DEFAULT).await.unwrap();
        assert_eq!(lowest(entries, Shards::DEFAULT), BTreeMap::from(expected));
    }
}
