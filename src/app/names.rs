//! Reads `token-info` and keeps what it says: in memory for the messages, in Redis for the next
//! start. Never holds anything else up: without it symbols and names stay as they are.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::domain::name::TokenName;
use crate::domain::position::{Offset, Partition, Position};
use crate::domain::time::WallMs;
use crate::pipeline::backoff::Backoff;
use crate::pipeline::names::SharedNames;
use crate::ports::{LogError, Records, TradeLog};
use crate::redis::RedisNames;
use crate::wire::token_info;

/// What every reader of a partition needs.
pub(super) struct NameReader<L> {
    pub(super) log: Arc<L>,
    pub(super) store: Arc<RedisNames>,
    pub(super) names: Arc<SharedNames>,
    pub(super) stop: CancellationToken,
}

impl<L> Clone for NameReader<L> {
    fn clone(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            store: Arc::clone(&self.store),
            names: Arc::clone(&self.names),
            stop: self.stop.clone(),
        }
    }
}

impl<L: TradeLog> NameReader<L> {
    /// Loads what is stored, then reads every partition from its start until stopped.
    pub(super) async fn run(self) {
        let stop = self.stop.clone();
        let reading = async {
            self.load().await;
            let mut backoff = Backoff::new();
            let ranges = loop {
                match self.log.partitions().await {
                    Ok(ranges) => break ranges,
                    Err(cause) => wait(&mut backoff, &cause).await,
                }
            };
            let readers = ranges.into_iter().map(|range| self.read(range.partition, range.first));
            futures::future::join_all(readers).await;
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = reading => {}
        }
    }

    async fn load(&self) {
        let mut backoff = Backoff::new();
        loop {
            let mut count = 0_u64;
            let loaded = self.store.load(|token, value| {
                if let Some(name) = token_info::decode_stored(value) {
                    count += u64::from(self.names.learn(token, name));
                }
            });
            match loaded.await {
                Ok(()) => {
                    debug!(count, "token names loaded");
                    return;
                }
                Err(cause) => wait(&mut backoff, &cause).await,
            }
        }
    }

    async fn read(&self, partition: Partition, mut from: Offset) {
        let mut backoff = Backoff::new();
        loop {
            match self.log.fetch(partition, from).await {
                Ok(fetched) => {
                    backoff.succeeded();
                    from = fetched.next;
                    self.keep(self.learn(partition, &fetched.records)).await;
                }
                Err(LogError::OutOfRange { first, .. }) => from = first,
                Err(cause) => wait(&mut backoff, &cause).await,
            }
        }
    }

    /// What is new in these records, ready to store.
    fn learn(&self, partition: Partition, records: &Records) -> Vec<(String, String)> {
        let mut learned = Vec::new();
        for record in records.iter() {
            let Some(value) = record.value() else { continue };
            let mut index = 0;
            let unusable = token_info::decode(value, |token, symbol, name| {
                let position = Position { partition, offset: record.offset(), index };
                let said = (record.timestamp().unwrap_or(WallMs(0)), position);
                let name = TokenName { symbol, name, said };
                let stored = token_info::encode_stored(&name);
                if self.names.learn(token, name) {
                    learned.push((token.to_owned(), stored));
                }
                index += 1;
            });
            if unusable > 0 {
                let offset = record.offset().0;
                warn!(
                    %partition,
                    offset,
                    unusable,
                    action = "look at this record of TOKEN_INFO_TOPIC",
                    "token-info says something unusable: it is left out"
                );
            }
        }
        learned
    }

    async fn keep(&self, learned: Vec<(String, String)>) {
        let mut backoff = Backoff::new();
        while let Err(cause) = self.store.save(&learned).await {
            wait(&mut backoff, &cause).await;
        }
    }
}

async fn wait(backoff: &mut Backoff, cause: &(impl std::fmt::Display + Sync)) {
    warn!(
        %cause,
        action = "check the brokers and Redis",
        "token names wait: symbols and names stay as they are"
    );
    backoff.wait().await;
}
