//! Figures: one struct of handles, counted by whoever does the work, read by `/metrics` and
//! `/stats`. Its own registry, prefix `aggregator_`, and no label that grows with tokens.

mod kinds;
mod process;

use std::time::Duration;

use prometheus::proto::MetricFamily;
use prometheus::{
    Error, Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder,
};

pub use kinds::Sizes;

use kinds::register;
use process::Process;

use crate::domain::position::Partition;
use crate::domain::reject::Reason;

macro_rules! metrics {
    ($(
        #[doc = $help:literal]
        $field:ident: $kind:ident = $name:literal $(by $label:literal)?;
    )+) => {
        /// Every figure.
        #[derive(Clone, Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: $kind,)+
        }

        impl Metrics {
            /// All figures at zero.
            ///
            /// # Errors
            /// Two figures have one name: never, a test has made them.
            pub fn new() -> Result<Self, Error> {
                let registry = Registry::new_custom(Some("aggregator".to_owned()), None)?;
                let metrics = Self {
                    $($field: register::<$kind>(&registry, $name, $help, &[$($label)?])?,)+
                    registry,
                };
                metrics.registry.register(Box::new(Process::new()?))?;
                metrics.start();
                Ok(metrics)
            }
        }
    };
}

metrics! {
    /// Elements read from the input: trades, and what was rejected.
    trades_consumed: IntCounter = "trades_consumed_total";
    /// Trades that were counted in a pane.
    trades_counted: IntCounter = "trades_counted_total";
    /// Trades that a shard had seen before.
    trades_duplicate: IntCounter = "trades_duplicate_total";
    /// From a record's timestamp until a worker had counted its trades; one for each of the two.
    count_latency_seconds: Histogram = "count_latency_seconds";
    /// Trades older than the longest window.
    trades_late: IntCounter = "trades_late_total";
    /// What was rejected, by reason.
    rejected: IntCounterVec = "rejected_total" by "reason";
    /// Records read from the input.
    records_consumed: IntCounter = "records_consumed_total";
    /// Aggregates that the brokers acknowledged.
    messages_published: IntCounter = "messages_published_total";
    /// Batches of aggregates that were not acknowledged; they are sent again.
    publish_errors: IntCounter = "publish_errors_total";
    /// Bytes of acknowledged aggregates, before compression.
    published_bytes: IntCounter = "published_bytes_total";
    /// Batches of aggregates that the brokers acknowledged.
    publish_batches: IntCounter = "publish_batches_total";
    /// From sending a batch to its acknowledgement.
    publish_batch_seconds: Histogram = "publish_batch_seconds";
    /// From a tick to its last acknowledged aggregate.
    publish_tick_seconds: Histogram = "publish_tick_seconds";
    /// Messages that wait to be published, without those in flight.
    outbox_messages: IntGauge = "outbox_messages";
    /// Batches of trades that wait for a worker, or for room before one.
    worker_queue_batches: IntGauge = "worker_queue_batches";
    /// Ticks that were published.
    ticks: IntCounter = "ticks_total";
    /// Ticks that were missed; the next one carried everything.
    ticks_skipped: IntCounter = "ticks_skipped_total";
    /// Times that the clock was set back too far to wait for it: all was rebuilt from the log.
    clock_steps: IntCounter = "clock_steps_total";
    /// Dead letters that the brokers acknowledged.
    dead_letters: IntCounter = "dead_letters_total";
    /// Batches of dead letters that were not acknowledged; they are sent again.
    dead_letter_errors: IntCounter = "dead_letter_errors_total";
    /// Dead letters that no broker has acknowledged yet.
    dead_letter_queue_records: IntGauge = "dead_letter_queue_records";
    /// Shards' flushes to the checkpoint, by what it said.
    flushes: IntCounterVec = "flushes_total" by "verdict";
    /// From sending a flush to the answer.
    flush_seconds: Histogram = "flush_seconds";
    /// Flushes without an answer; they are sent again.
    flush_errors: IntCounter = "flush_errors_total";
    /// Bytes flushed.
    flush_bytes: IntCounter = "flush_bytes_total";
    /// Bytes of one flush of all changed shards of a worker.
    flush_size_bytes: Sizes = "flush_size_bytes";
    /// Shards whose checkpoint was damaged at a start; they were rebuilt from the log.
    checkpoint_damaged: IntCounter = "checkpoint_damaged_total";
    /// Age of the oldest change of any worker that is in no checkpoint yet.
    checkpoint_age_seconds: Gauge = "checkpoint_age_seconds";
    /// Offsets between what was handed to the workers and the partition's end.
    lag_records: IntGaugeVec = "lag_records" by "partition";
    /// Age of the newest record read, or since nothing was unread; 0 while nothing is.
    lag_seconds: GaugeVec = "lag_seconds" by "partition";
    /// Offsets that retention took before they were read.
    offset_lost: IntCounterVec = "offset_lost_total" by "partition";
    /// Times that a partition's log was found made anew.
    new_logs: IntCounterVec = "new_logs_total" by "partition";
    /// Fetches that failed; they are tried again.
    fetch_errors: IntCounter = "fetch_errors_total";
    /// Batches that nobody could decode.
    unreadable_batches: IntCounter = "unreadable_batches_total";
    /// Shards that this process took in, the first ones too.
    shards_taken: IntCounter = "shards_taken_total";
    /// Tokens held.
    tokens: IntGauge = "tokens";
    /// Tokens that may be held: MAX_TOKENS.
    tokens_limit: IntGauge = "tokens_limit";
    /// Shards that are here: joining, open (they are published), leaving, standby (followed).
    shards: IntGaugeVec = "shards" by "stage";
    /// The number of what the group has agreed on last.
    group_generation: IntGauge = "group_generation";
    /// Members of the group.
    group_members: IntGauge = "group_members";
    /// 1 for the id under which this process is in the group.
    group_member: IntGaugeVec = "group_member" by "member";
    /// 1 while this process may publish, as far as the group is concerned; 0: it is cut off.
    group_lease: IntGauge = "group_lease";
    /// Times that the group agreed anew on who has which shards.
    rebalances: IntCounter = "rebalances_total";
    /// Requests that were passed on to another member, and that it has not answered.
    forward_errors: IntCounter = "forward_errors_total";
    /// Live panes held.
    panes: IntGauge = "panes";
    /// Live panes that may be held, but for a reserve: MAX_PANES.
    panes_limit: IntGauge = "panes_limit";
    /// Wallets of tokens held for extended fields.
    wallets: IntGauge = "wallets";
    /// Wallets of tokens that may be held: MAX_WALLETS; 0 where the figures are standard.
    wallets_limit: IntGauge = "wallets_limit";
    /// Times that a wallet of a token found no room: what it is in has no figures of wallets.
    wallets_uncounted: IntCounter = "wallets_uncounted_total";
    /// Messages that ticks left out: they would have said the same as the token's last one.
    messages_unchanged: IntCounter = "messages_unchanged_total";
    /// AGGREGATE_PUBLISH_INTERVAL: time between ticks, but for those of what has changed.
    publish_interval_seconds: Gauge = "publish_interval_seconds";
    /// When an aggregate was last acknowledged, in seconds since the epoch.
    last_publish_timestamp_seconds: Gauge = "last_publish_timestamp_seconds";
    /// Messages that wait to be written to the query view.
    view_queue_messages: IntGauge = "view_queue_messages";
    /// Writes of the query view that failed; the next tick writes it anew.
    view_errors: IntCounter = "view_errors_total";
    /// Spans that were not exported: no room, or refused.
    otel_dropped: IntCounter = "otel_dropped_total";
    /// 1 while ready, as `/readyz` says it; else 0.
    ready: IntGauge = "ready";
    /// Pages that are open: streams of `/events`.
    pages_open: IntGauge = "pages_open";
    /// Always 1; the label says which version runs.
    build_info: IntGaugeVec = "build_info" by "version";
}

/// What the checkpoint may say of a flush, as labels.
pub const VERDICTS: [&str; 5] = ["ok", "duplicate", "fenced", "gap", "lost"];

/// How a shard may be here, as labels.
pub const STAGES: [&str; 4] = ["joining", "open", "leaving", STANDBY];

/// The stage of shards that are followed here, and owned elsewhere.
pub const STANDBY: &str = "standby";

impl Metrics {
    /// Counts one rejected thing.
    pub fn reject(&self, reason: Reason) {
        self.rejected.with_label_values(&[reason.name()]).inc();
    }

    /// Rejected things of one reason so far.
    #[must_use]
    pub fn rejected_for(&self, reason: Reason) -> u64 {
        self.rejected.with_label_values(&[reason.name()]).get()
    }

    /// Rejected things so far.
    #[must_use]
    pub fn rejected_in_all(&self) -> u64 {
        Reason::ALL.into_iter().map(|reason| self.rejected_for(reason)).sum()
    }

    /// How many shards are in one of the [`STAGES`].
    #[must_use]
    pub fn shards_in(&self, stage: &str) -> i64 {
        self.shards.with_label_values(&[stage]).get()
    }

    /// Notes what the group has agreed on: in which generation, among how many, and as whom this
    /// process is in it.
    pub fn agreed(&self, generation: i32, members: usize, member: Option<&str>) {
        self.rebalances.inc();
        self.group_generation.set(generation.into());
        self.group_members.set(i64::try_from(members).unwrap_or(i64::MAX));
        self.group_member.reset();
        if let Some(member) = member {
            self.group_member.with_label_values(&[member]).set(1);
        }
    }

    /// Notes how far a partition is behind; by how long, where that is known.
    pub fn set_lag(&self, partition: Partition, records: i64, age: Option<Duration>) {
        let partition = partition.to_string();
        self.lag_records.with_label_values(&[&partition]).set(records);
        if let Some(age) = age {
            self.lag_seconds.with_label_values(&[&partition]).set(age.as_secs_f64());
        }
    }

    /// Forgets the lag of a partition that is gone.
    pub fn drop_lag(&self, partition: Partition) {
        let partition = partition.to_string();
        // An error says that there was none.
        drop(self.lag_records.remove_label_values(&[&partition]));
        drop(self.lag_seconds.remove_label_values(&[&partition]));
    }

    /// A partition is read: its counters exist before they count, so that a first increase is seen
    /// as one.
    pub fn open(&self, partition: Partition) {
        self.lose_offsets(partition, 0);
        self.new_logs.with_label_values(&[&partition.to_string()]).inc_by(0);
    }

    /// Counts offsets that retention took before they were read.
    pub fn lose_offsets(&self, partition: Partition, count: u64) {
        self.offset_lost.with_label_values(&[&partition.to_string()]).inc_by(count);
    }

    /// Counts a log that was made anew.
    pub fn new_log(&self, partition: Partition) {
        self.new_logs.with_label_values(&[&partition.to_string()]).inc();
    }

    /// The figures as families, sorted by name.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Prometheus text, format 0.0.4.
    ///
    /// # Errors
    /// A figure that the format cannot express: never, a test has written them.
    pub fn text(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.gather())
    }

    /// A label exists from the start, so that a first increase is seen as one.
    fn start(&self) {
        for reason in Reason::ALL {
            self.rejected.with_label_values(&[reason.name()]).inc_by(0);
        }
        for verdict in VERDICTS {
            self.flushes.with_label_values(&[verdict]).inc_by(0);
        }
        for stage in STAGES {
            self.shards.with_label_values(&[stage]).set(0);
        }
        self.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    }
}

/// A histogram's mean; zero before the first observation.
#[must_use]
pub fn mean(histogram: &Histogram) -> Duration {
    let count = u32::try_from(histogram.get_sample_count()).unwrap_or(u32::MAX);
    let sum = Duration::try_from_secs_f64(histogram.get_sample_sum()).unwrap_or_default();
    sum.checked_div(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_the_prefix_and_every_reason_its_line_from_the_start() {
        let text = Metrics::new().unwrap().text().unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        assert!(lines.clone().count() > 60);
        assert!(lines.clone().all(|line| line.starts_with("aggregator_")), "{text}");
        for reason in Reason::ALL {
            assert!(text.contains(&format!("aggregator_rejected_total{{reason=\"{reason}\"}} 0")));
        }
    }

    #[test]
    fn the_lag_of_a_lost_partition_is_gone() {
        let metrics = Metrics::new().unwrap();
        metrics.set_lag(Partition(3), 17, Some(Duration::from_millis(2_500)));
        let text = metrics.text().unwrap();
        assert!(text.contains("lag_records{partition=\"3\"} 17"));
        assert!(text.contains("lag_seconds{partition=\"3\"} 2.5"));
        metrics.drop_lag(Partition(3));
        metrics.drop_lag(Partition(4));
        let text = metrics.text().unwrap();
        assert!(!text.contains("lag_records{") && !text.contains("lag_seconds{"));
    }

    #[test]
    fn rejected_things_are_counted_by_reason() {
        let metrics = Metrics::new().unwrap();
        metrics.reject(Reason::Future);
        metrics.reject(Reason::Future);
        metrics.reject(Reason::NotJson);
        assert_eq!(metrics.rejected_for(Reason::Future), 2);
        assert_eq!(metrics.rejected_in_all(), 3);
    }

    #[test]
    fn a_mean_of_nothing_is_zero() {
        let metrics = Metrics::new().unwrap();
        assert_eq!(mean(&metrics.flush_seconds), Duration::ZERO);
        metrics.flush_seconds.observe(0.5);
        metrics.flush_seconds.observe(0.25);
        assert_eq!(mean(&metrics.flush_seconds), Duration::from_millis(375));
    }
}
