//! What every task of the pipeline shares: the clock, the figures, the status.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use super::absorb::Absorbed;
use super::backoff::Backoff;
use super::outgoing;
use crate::domain::position::{Offset, Partition};
use crate::domain::time::WallMs;
use crate::metrics::Metrics;
use crate::ports::{Clock, Flush, FlushBody, PartitionRange, Verdict};
use crate::sabotage::Bug;
use crate::status::{Component, Status, WHOLE};

/// A clock that was set back by no more is waited for: ticks pause until it has caught up. Beyond,
/// silence would be worse than reading the windows anew.
pub const CLOCK_WAIT: Duration = Duration::from_secs(60);

/// Clock, metrics, status.
#[derive(Clone)]
pub struct Shared {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// How the service is doing.
    pub status: Arc<Status>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Shared {
    /// Counts what became of a batch's trades, and how long their records took until here. `now` is
    /// read once a batch, and the histogram written once: a record costs some nanoseconds.
    pub(super) fn absorbed(&self, absorbed: &Absorbed, now: WallMs) {
        let latencies = self.metrics.count_latency_seconds.local();
        for (written, records) in &absorbed.written {
            let latency = now.since(*written).as_secs_f64();
            (0..*records).for_each(|_| latencies.observe(latency));
        }
        latencies.flush();
        self.metrics.trades_counted.inc_by(absorbed.counted);
        self.metrics.trades_duplicate.inc_by(absorbed.duplicate);
        self.metrics.trades_late.inc_by(absorbed.late);
        for (_, reason) in &absorbed.refused {
            self.metrics.reject(*reason);
        }
    }

    /// Counts an acknowledged batch of aggregates.
    pub(super) fn published(&self, batch: &outgoing::Batch, took: Duration, now: WallMs) {
        let (metrics, messages) = (&self.metrics, &batch.messages);
        let bytes = messages.iter().map(|one| one.value.as_ref().map_or(0, |value| value.len()));
        metrics.published_bytes.inc_by(u64::try_from(bytes.sum::<usize>()).unwrap_or(0));
        metrics.messages_published.inc_by(u64::try_from(messages.len()).unwrap_or(0));
        metrics.publish_batches.inc();
        metrics.publish_batch_seconds.observe(took.as_secs_f64());
        let seconds = Duration::from_millis(u64::try_from(now.0).unwrap_or(0)).as_secs_f64();
        metrics.last_publish_timestamp_seconds.set(seconds);
        self.status.published(now);
    }

    /// The start waits for a dependency, a component of the status: says so, and lets a while
    /// pass.
    pub async fn start_waits(
        &self,
        dependency: Component,
        cause: &impl std::fmt::Display,
        backoff: &mut Backoff,
    ) {
        let now = self.clock.now();
        self.status.progressed(now);
        self.status.fails(dependency, WHOLE, now, format!("waiting for it: {cause}"));
        warn!(
            dependency = dependency.name(),
            %cause,
            action = "check that it runs and can be reached from here",
            "the start waits for what it needs, and asks again"
        );
        backoff.wait().await;
    }

    /// Notes where partitions end, and which there are.
    pub(super) fn note_ends(&self, ranges: &[PartitionRange], asked: WallMs) {
        let ends = ranges.iter().map(|range| (range.partition, range.end));
        self.status.listed(&ends.collect(), asked);
    }

    /// Counts what is sent to the checkpoint.
    pub(super) fn flushing(&self, flushes: &[Flush]) {
        let bytes = flushes.iter().map(|flush| match &flush.body {
            FlushBody::Append(blob) => blob.len(),
            FlushBody::Snapshot(parts) => parts.iter().map(bytes::Bytes::len).sum(),
        });
        let bytes: usize = bytes.sum();
        self.metrics.flush_bytes.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
        // Whatever is that large is in the last bucket.
        self.metrics.flush_size_bytes.observe(u32::try_from(bytes).unwrap_or(u32::MAX).into());
    }

    /// Counts a verdict.
    pub(super) fn flushed(&self, verdict: Verdict) {
        let name = match verdict {
            Verdict::Ok => "ok",
            Verdict::Duplicate => "duplicate",
            Verdict::Fenced => "fenced",
            Verdict::Gap => "gap",
            Verdict::Lost => "lost",
        };
        self.metrics.flushes.with_label_values(&[name]).inc();
    }

    /// Retention took what stood between two offsets before it was read.
    pub(super) fn offsets_lost(&self, partition: Partition, from: Offset, to: Offset) {
        if Bug::LostRangeNotCounted.on() {
            return;
        }
        let lost = u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0);
        self.metrics.lose_offsets(partition, lost);
        error!(
            %partition,
            %from,
            %to,
            lost,
            action = "raise the retention of KAFKA_TOPIC: the reading was too late",
            "unread records removed"
        );
    }

    /// A partition's log does not reach the offset that is expected next: it was made anew.
    pub(super) fn new_log(
        &self,
        partition: Partition,
        expected: Offset,
        first: Offset,
        end: Offset,
    ) {
        self.metrics.new_log(partition);
        error!(
            %partition,
            %expected,
            %first,
            %end,
            action = "find out who made KAFKA_TOPIC anew; it is read from its start",
            "a new log: shorter than before"
        );
    }
}
