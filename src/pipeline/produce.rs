//! One batch to the brokers, as one span of what is exported.

use tracing::field::{Empty, display};
use tracing::{Instrument, info_span};

use crate::domain::position::Partition;
use crate::ports::{Message, ProduceError, Producer, Target};

/// Produces a batch; a failure is the span's cause.
pub(super) async fn produce<P: Producer>(
    producer: &P,
    target: Target,
    partition: Partition,
    messages: &[Message],
) -> Result<(), ProduceError> {
    let to = match target {
        Target::Aggregates => "aggregates",
        Target::DeadLetters => "dead letters",
    };
    let span = info_span!(
        parent: None,
        "produce",
        to,
        partition = partition.0,
        messages = messages.len(),
        cause = Empty,
    );
    let sent = producer.produce(target, partition, messages).instrument(span.clone()).await;
    if let Err(cause) = &sent {
        span.record("cause", display(cause));
    }
    sent
}
