//! Reads what shards have missed of a partition that came to this process while it was read: from
//! where they stand to where the partition's own reader does, beside that one and at its own pace.

use tokio_util::task::AbortOnDropHandle;
use tracing::{info, info_span, warn};

use super::backoff::Backoff;
use super::reader::Reader;
use crate::domain::cover::Cover;
use crate::domain::position::{Offset, Partition};
use crate::ports::{LogError, TradeLog};

/// How far is read.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Until the partition's own reader covers the shards.
    Covered,
    /// Up to this offset, for what is to be said of the shards: they have counted it.
    Offset(Offset),
}

impl<L: TradeLog> Reader<L> {
    /// Reads each of these partitions from an offset on for these shards alone. False where it was
    /// stopped, or the workers are gone.
    pub async fn rewind(
        &self,
        partitions: impl IntoIterator<Item = (Partition, Offset, Until)>,
        shards: &Cover,
    ) -> bool {
        let start = |(partition, from, until)| {
            let rewound = self.clone().read_again(partition, from, until, shards.clone());
            AbortOnDropHandle::new(tokio::spawn(rewound))
        };
        let mut all = true;
        for rewound in partitions.into_iter().map(start).collect::<Vec<_>>() {
            match rewound.await {
                Ok(done) => all &= done,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => all = false, // the runtime is shutting down
            }
        }
        all
    }

    async fn read_again(
        self,
        partition: Partition,
        mut from: Offset,
        until: Until,
        shards: Cover,
    ) -> bool {
        let (begin, mut backoff) = (from, Backoff::new());
        let done = |from| match until {
            Until::Covered => self.reading.attach(partition, from, &shards),
            Until::Offset(end) => from >= end,
        };
        while !done(from) {
            let answer = tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                answer = self.log.fetch(partition, from) => answer,
            };
            match answer {
                Ok(fetched) => {
                    backoff.succeeded();
                    let anything = fetched.next > from;
                    let begin = std::mem::replace(&mut from, fetched.next);
                    let read = info_span!(parent: None, "rewind", partition = partition.0);
                    if anything
                        && self.hand_on(partition, begin, fetched, &shards, read).await.is_none()
                    {
                        return false;
                    }
                }
                // A log that was made anew begins before: the partition's reader says so.
                Err(LogError::OutOfRange { first, .. }) => {
                    if first > from {
                        self.shared.offsets_lost(partition, from, first);
                    } else if matches!(until, Until::Offset(_)) {
                        return true;
                    }
                    from = first;
                }
                Err(cause @ LogError::Unavailable { .. }) => {
                    self.shared.metrics.fetch_errors.inc();
                    warn!(
                        %cause,
                        action = "check the brokers and the network to them",
                        "reading for shards that came waits for the brokers"
                    );
                    tokio::select! {
                        biased;
                        () = self.stop.cancelled() => return false,
                        () = backoff.wait() => {}
                    }
                }
            }
        }
        let silent = self.reading.silent();
        if from > begin && shards.shards().any(|shard| !silent.contains(shard)) {
            info!(%partition, from = %begin, to = %from, "read again for shards that came");
        }
        true
    }
}
