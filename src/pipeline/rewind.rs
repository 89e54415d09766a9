//! Reads what shards have missed of a partition that came to this process while it was read: from
//! where they stand to where the partition's own reader does, beside that one and at its own pace.

use tracing::{info, info_span, warn};

use super::backoff::Backoff;
use super::reader::Reader;
use crate::domain::cover::Cover;
use crate::domain::position::{Offset, Partition};
use crate::ports::{LogError, TradeLog};

impl<L: TradeLog> Reader<L> {
    /// Reads a partition from an offset on for these shards alone, until its reader covers them, it
    /// is stopped, or the workers are gone.
    pub async fn rewind(self, partition: Partition, mut from: Offset, shards: Cover) {
        let (begin, mut backoff) = (from, Backoff::new());
        while !self.reading.attach(partition, from, &shards) {
            let answer = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
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
                        return;
                    }
                }
                // A log that was made anew begins before: the partition's reader says so.
                Err(LogError::OutOfRange { first, .. }) => {
                    if first > from {
                        self.shared.offsets_lost(partition, from, first);
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
                        () = self.stop.cancelled() => return,
                        () = backoff.wait() => {}
                    }
                }
            }
        }
        if from > begin {
            info!(%partition, from = %begin, to = %from, "read again for shards that came");
        }
    }
}
