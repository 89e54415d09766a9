//! The log and the producer of a simulated process: those in process, behind its gate.

use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::ports::{
    Fetched, LogError, Message, PartitionRange, ProduceError, Producer, Target, TradeLog,
};

use crate::gate::Gate;
use crate::plan::{Outage, Weather};
use crate::world::{BATCH, MARKER, POISON, Published};

/// Readers of a partition: its own, one for shards that came later, and one for those that are
/// followed.
const READERS: usize = 3;

pub(crate) struct SimLog(pub(crate) Arc<Gate>);

impl SimLog {
    fn failed(partition: Option<Partition>) -> LogError {
        LogError::Unavailable { topic: "t".to_owned(), partition, cause: "simulated".to_owned() }
    }

    /// The way there, and whether somebody is there.
    async fn ask(&self, partition: Option<Partition>, fails: Weather) -> Result<(), LogError> {
        self.0.pass().await;
        let world = &self.0.world;
        let moves = |Partition(at): Partition| world.is_out(Outage::Leader(at));
        let away = world.is_out(Outage::Topic)
            || partition.map_or_else(|| (0..4).map(Partition).any(moves), moves);
        if away || self.0.roll(fails) { Err(Self::failed(partition)) } else { Ok(()) }
    }
}

impl TradeLog for SimLog {
    async fn partitions(&self) -> Result<Vec<PartitionRange>, LogError> {
        self.ask(None, Weather::AskFails).await?;
        let ranges = self.0.world.log.partitions().await?;
        self.0.pass().await;
        self.0.world.ledger().ranges(self.0.process, &ranges);
        Ok(ranges)
    }

    async fn offset_at(&self, partition: Partition, at: WallMs) -> Result<Offset, LogError> {
        self.ask(Some(partition), Weather::AskFails).await?;
        let offset = self.0.world.log.offset_at(partition, at).await?;
        self.0.pass().await;
        let (world, process) = (&self.0.world, self.0.process);
        world.ledger().window_begins(process, partition.0, offset.0, !world.grouped);
        Ok(offset)
    }

    async fn fetch(&self, partition: Partition, from: Offset) -> Result<Fetched, LogError> {
        let _one = self.0.enter(format!("fetch of {partition}"), READERS);
        self.ask(Some(partition), Weather::FetchFails).await?;
        if self.0.world.is_out(Outage::Fetches(partition.0)) {
            return Err(Self::failed(Some(partition)));
        }
        let answer = self.0.world.log.fetch(partition, from).await;
        self.0.pass().await;
        let mut fetched = match answer {
            Err(LogError::OutOfRange { partition, asked, first, end }) => {
                let mut ledger = self.0.world.ledger();
                ledger.out_of_range(self.0.process, partition.0, asked.0, first.0);
                return Err(LogError::OutOfRange { partition, asked, first, end });
            }
            answer => answer?,
        };
        let mut records = fetched.records.to_vec();
        if records.len() > 1 && self.0.roll(Weather::FetchCutShort) {
            records.truncate(records.len() / 2);
            fetched.next = records.last().map_or(from, |record| record.offset.next());
        }
        records.retain(|record| {
            let value = record.value.as_deref().unwrap_or_default();
            if value == POISON {
                fetched.unreadable.push(record.offset..record.offset.next());
            }
            value != POISON && value != MARKER
        });
        fetched.records = records.into();
        Ok(fetched)
    }
}

pub(crate) struct SimProducer(pub(crate) Arc<Gate>);

impl SimProducer {
    fn append(&self, target: Target, partition: Partition, messages: &[Message]) {
        let (process, at_ms) = (self.0.process, self.0.world.elapsed_ms());
        let messages = messages.iter().cloned();
        let published =
            messages.map(|message| Published { at_ms, process, target, partition, message });
        self.0.world.published.lock().unwrap().extend(published);
    }

    /// What was sent arrives after all, later.
    fn append_later(&self, target: Target, partition: Partition, messages: &[Message]) {
        let delay = Duration::from_millis(50 + self.0.below(6_000));
        let (late, messages) = (Self(Arc::clone(&self.0)), messages.to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            late.append(target, partition, &messages);
        });
    }
}

impl Producer for SimProducer {
    fn partition_count(&self, _: Target) -> u32 {
        2
    }

    async fn produce(
        &self,
        target: Target,
        partition: Partition,
        messages: &[Message],
    ) -> Result<(), ProduceError> {
        let Self(gate) = self;
        let failed = || ProduceError::Unavailable {
            topic: "t".to_owned(),
            partition,
            cause: "simulated".to_owned(),
        };
        let letters = target == Target::DeadLetters;
        let lane = if letters { "dead letters".into() } else { format!("lane {partition}") };
        let _one = gate.enter(lane, 1);
        if messages.is_empty() || (messages.len() > BATCH && !letters) {
            gate.world.violated(format!("a batch of {} messages", messages.len()));
        }
        gate.pass().await;
        if letters && gate.roll(Weather::LettersSlow) {
            tokio::time::sleep(Duration::from_secs(4)).await;
            gate.pass().await;
        }
        let world = &gate.world;
        let away = world.is_out(Outage::Producing) || world.is_out(Outage::Leader(partition.0));
        if away {
            gate.wait(3_000).await; // as a time-out: the caller hears of it late
        }
        if away || gate.roll(Weather::ProduceFails) {
            return Err(failed());
        }
        if gate.roll(Weather::ProduceTakesEffectLater) {
            self.append_later(target, partition, messages);
            return Err(failed());
        }
        self.append(target, partition, messages);
        if gate.roll(Weather::ProduceArrivesTwice) {
            self.append_later(target, partition, messages);
        }
        let throttled = world.is_out(Outage::Throttled);
        if throttled {
            gate.wait(1_500).await;
        }
        gate.pass().await;
        if throttled || gate.roll(Weather::ProduceReplyLost) { Err(failed()) } else { Ok(()) }
    }
}
