//! Which broker leads a partition, and what to do while none does. Never talks to one itself.

use std::future::Future;
use std::time::Duration;

use kafka_protocol::messages::MetadataResponse;
use rskafka::client::error::ProtocolError;

use super::connect::KafkaError;

/// A leader that moves, or has just been made one, is asked for again a few times: what was asked
/// was refused, not done.
pub(super) async fn until_led<T, F, A>(attempt: F) -> Result<T, KafkaError>
where
    F: Fn() -> A + Send,
    A: Future<Output = Result<T, KafkaError>> + Send,
{
    for pause in LEADER_PAUSES {
        match attempt().await {
            Err(error) if has_no_leader(&error) => tokio::time::sleep(pause).await,
            answer => return answer,
        }
    }
    attempt().await
}

const fn has_no_leader(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::Broker(ProtocolError::NotLeaderOrFollower | ProtocolError::LeaderNotAvailable)
    )
}

/// The address of a partition's leader.
pub(super) fn address_of(
    metadata: &MetadataResponse,
    partition: i32,
) -> Result<String, KafkaError> {
    let partition = metadata
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .find(|listed| listed.partition_index == partition)
        .ok_or(KafkaError::Broker(ProtocolError::UnknownTopicOrPartition))?;
    metadata
        .brokers
        .iter()
        .find(|broker| broker.node_id == partition.leader_id)
        .map(|broker| format!("{}:{}", &*broker.host, broker.port))
        .ok_or(KafkaError::Broker(ProtocolError::LeaderNotAvailable))
}

/// Pauses before a leader is asked for again: an election takes some 100 ms.
const LEADER_PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];
