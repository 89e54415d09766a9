//! One fetch: what is asked of a partition's leader, and where record batches stand in its answer.
//! The answer is read into a buffer that is used again, and stays as it came: what is in the
//! batches is `isolate`'s matter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};

use super::connect::KafkaError;
use super::isolate::Batches;
use super::raw::{Connection, check, down, topic_name};
use crate::domain::position::Offset;
use crate::pool::Pool;
use crate::ports::Records;
use crate::ports::records::Content;

/// A version that Kafka 2.8 to 4.x and Redpanda all speak.
const VERSION: i16 = 4;

/// How long a broker holds a fetch when there is nothing new.
pub(super) const MAX_WAIT: Duration = Duration::from_millis(500);

/// The same in milliseconds, as the protocol wants it.
const MAX_WAIT_MS: i32 = 500;

/// Only what is decided: nothing of open transactions.
const READ_COMMITTED: i8 = 1;

/// What an answer says of a partition.
enum Said {
    /// This, but for the buffer that it stands in.
    Batches(Batches),
    /// Nothing: the broker's quotas want a wait first.
    Wait(Duration),
}

impl Connection {
    /// Fetches what stands at `from`, about `bytes` of it: the first batch comes whole in any case.
    /// Waits a little where there is nothing, and as long as the broker's quotas want it.
    pub(super) async fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        from: Offset,
        bytes: i32,
        pool: &Arc<Pool<Content>>,
    ) -> Result<Batches, KafkaError> {
        let asked = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(from.0)
            .with_partition_max_bytes(bytes);
        let asked =
            FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![asked]);
        let request = FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_wait_ms(MAX_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(bytes)
            .with_isolation_level(READ_COMMITTED)
            .with_topics(vec![asked]);
        loop {
            let length = self.ask(&request, VERSION).await?;
            let mut records: Records = pool.take(length);
            self.receive(records.answer.room(length)).await?;
            records.answer.fill(length);
            match records.answer.lend(|answer| self.said(&answer, partition))? {
                Said::Batches(batches) => return Ok(Batches { records, ..batches }),
                Said::Wait(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    fn said(&self, answer: &Bytes, partition: i32) -> Result<Said, KafkaError> {
        let response = self.decode::<FetchRequest>(answer.clone(), VERSION)?;
        let answers = response.responses.into_iter().flat_map(|topic| topic.partitions);
        let mut answers = answers.filter(|answer| answer.partition_index == partition);
        let Some(said) = answers.next() else {
            // A throttled answer holds no topic: nothing may be concluded from it.
            return match u64::try_from(response.throttle_time_ms) {
                Ok(wait @ 1..) => Ok(Said::Wait(Duration::from_millis(wait))),
                _ => Err(down("the broker held its answer back")),
            };
        };
        check(said.error_code)?;
        let batches = said.records.unwrap_or_default();
        // A slice of the answer; an empty one may stand anywhere.
        let start = batches.as_ptr().addr().wrapping_sub(answer.as_ptr().addr());
        let place = if batches.is_empty() { 0..0 } else { start..start + batches.len() };
        let aborted = said.aborted_transactions.unwrap_or_default();
        Ok(Said::Batches(Batches {
            records: Records::default(),
            place,
            end: Offset(said.last_stable_offset),
            aborted: aborted
                .iter()
                .map(|one| (Offset(one.first_offset), one.producer_id.0))
                .collect(),
        }))
    }
}
