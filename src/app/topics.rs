//! The topics of the configuration as they should be: for the start, which creates those that are
//! missing, for `topics` and for `check`.

use std::time::Duration;

use tracing::warn;

use crate::config::Config;
use crate::kafka::{Admin, Found, KafkaConfig, Wanted};

/// Input, output, dead letters, names; without those that are off.
#[must_use]
pub fn wanted(config: &Config) -> Vec<Wanted> {
    let topic = |name: &str, variable, retention| Wanted {
        name: name.to_owned(),
        variable,
        partitions: None,
        replicas: None,
        retention,
        table: variable == "AGGREGATE_TOPIC" && config.aggregate_tombstones,
        keyless: matches!(variable, "KAFKA_TOPIC" | "DLQ_TOPIC"),
    };
    let mut wanted = vec![
        topic(&config.kafka_topic, "KAFKA_TOPIC", Some(input_retention(config))),
        topic(&config.aggregate_topic, "AGGREGATE_TOPIC", Some(config.aggregate_retention)),
    ];
    if let Some(name) = &config.dlq_topic {
        wanted.push(topic(name, "DLQ_TOPIC", Some(DEAD_LETTER_RETENTION)));
    }
    if let Some(name) = &config.token_info_topic {
        // A name is said once. Whoever writes it may compact the topic; without keys it would be
        // refused, so that is not for us to choose.
        wanted.push(topic(name, "TOKEN_INFO_TOPIC", None));
    }
    wanted
}

/// What a rebuild without a checkpoint reads: back to `now − longest window − MAX_FUTURE_SKEW`.
fn input_retention(config: &Config) -> Duration {
    let longest = Duration::from_secs(config.windows.longest().into());
    longest.saturating_add(config.max_future_skew)
}

/// Says so where the input forgets before a window ends. Silent where that is not told: `check`
/// says it then.
pub(super) async fn warn_of_retention(kafka: KafkaConfig, topic: String, longest_window_s: u32) {
    let asking = async {
        let mut admin = Admin::any(&kafka).await.ok()?;
        match admin.topics(&[&topic]).await.ok()?.pop()? {
            Found::There(found) => found.retention(),
            Found::Missing | Found::Hidden => None,
        }
    };
    let Some(kept) = asking.await else { return };
    if kept < Duration::from_secs(longest_window_s.into()) {
        let retention_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        warn!(
            topic,
            retention_ms,
            longest_window_s,
            "the input forgets before its longest window ends: Redis is the only memory"
        );
    }
}

/// Time to look at them, over a weekend and a holiday.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(7 * 86_400);
