//! Topics as the service wants them, and what is less than that in those that are there. Pure.
//! More than wanted is right: more partitions, longer retention, more copies.

use std::fmt;
use std::time::Duration;

use super::admin::Topic;
use crate::config::duration;

/// A topic as the service wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// The variable that names it.
    pub variable: &'static str,
    /// Partitions at least; `None`: any number will do, and a new one gets [`NEW_PARTITIONS`].
    pub partitions: Option<i32>,
    /// Copies at least; `None`: any number will do, and a new one gets the brokers' default.
    pub replicas: Option<i16>,
    /// How long its records are kept at least; `None`: for ever.
    pub retention: Option<Duration>,
    /// Whether records without a key go there, which a compacted topic refuses.
    pub keyless: bool,
    /// Whether it is a table: of each key the newest record is kept, until a tombstone.
    pub table: bool,
}

/// What is less than wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Fewer partitions than so many.
    Partitions(i32),
    /// Fewer copies than so many.
    Replicas(i16),
    /// Records go before so long; `None`: they should never go.
    Retention(Option<Duration>),
    /// It is compacted, and records without a key go there.
    Compacted,
    /// It is not compacted, and a table.
    NotCompacted,
}

impl Wanted {
    /// What `topic` lacks. What is not told counts as right.
    #[must_use]
    pub fn lacks(&self, topic: &Topic) -> Vec<Lack> {
        let fewer = |found: usize, wanted: i64| i64::try_from(found).is_ok_and(|it| it < wanted);
        let mut lacks = Vec::new();
        if let Some(wanted) = self.partitions.filter(|it| fewer(topic.partitions, (*it).into())) {
            lacks.push(Lack::Partitions(wanted));
        }
        if let Some(wanted) = self.replicas.filter(|it| fewer(topic.replicas, (*it).into())) {
            lacks.push(Lack::Replicas(wanted));
        }
        if let Some(kept) = topic.retention()
            && self.retention.is_none_or(|wanted| kept < wanted)
        {
            lacks.push(Lack::Retention(self.retention));
        }
        if self.keyless && topic.is_compacted() {
            lacks.push(Lack::Compacted);
        }
        if self.table && topic.settings.is_some() && !topic.is_compacted() {
            lacks.push(Lack::NotCompacted);
        }
        lacks
    }

    /// `cleanup.policy` as wanted.
    pub(super) const fn cleanup_policy(&self) -> &'static str {
        if self.table { "compact" } else { "delete" }
    }

    /// `retention.ms` as wanted.
    pub(super) fn retention_ms(&self) -> String {
        self.retention.map_or_else(|| "-1".to_owned(), |kept| kept.as_millis().to_string())
    }
}

impl Topic {
    /// A setting in force, where it is told.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.as_ref()?.get(name).map(String::as_str)
    }

    /// How long records are kept at least; `None` for ever, or where it is not told. Only a topic
    /// that deletes looks at the time.
    #[must_use]
    pub fn retention(&self) -> Option<Duration> {
        let deletes = self.setting("cleanup.policy")?.contains("delete");
        let millis = self.setting("retention.ms")?.parse::<u64>().ok();
        millis.filter(|_| deletes).map(Duration::from_millis)
    }

    /// The bytes that a partition keeps, whatever the time; `None`: no limit, or not told.
    #[must_use]
    pub fn retention_bytes(&self) -> Option<u64> {
        let deletes = self.setting("cleanup.policy")?.contains("delete");
        self.setting("retention.bytes")?.parse().ok().filter(|_| deletes)
    }

    /// Whether older records of a key may go.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        self.setting("cleanup.policy").is_some_and(|policy| policy.contains("compact"))
    }
}

/// As a person writes it: `1h5m`, `7d`, `for ever`.
#[must_use]
pub fn kept(retention: Option<Duration>) -> String {
    match retention {
        None => "for ever".to_owned(),
        Some(time) if time >= DAY && time.as_secs().is_multiple_of(DAY.as_secs()) => {
            format!("{}d", time.as_secs() / DAY.as_secs())
        }
        Some(time) => duration::format(time),
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partitions(wanted) => write!(f, "too few partitions: {wanted} wanted"),
            Self::Replicas(wanted) => write!(f, "too few copies: {wanted} wanted"),
            Self::Retention(None) => write!(f, "its records go, and should stay for ever"),
            Self::Retention(wanted) => write!(f, "its records go before {}", kept(*wanted)),
            Self::NotCompacted => write!(f, "it is not compacted, and tombstones go there"),
            Self::Compacted => write!(f, "it is compacted, and refuses records without a key"),
        }
    }
}

/// Partitions of a new topic: one for each of three brokers. One process reads over a million
/// trades a second from three.
pub const NEW_PARTITIONS: i32 = 3;

const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(settings: &[(&str, &str)]) -> Topic {
        let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Topic { partitions: 3, replicas: 2, settings: Some(settings.collect()), ..Topic::default() }
    }

    fn wanted() -> Wanted {
        Wanted {
            name: "t".to_owned(),
            variable: "KAFKA_TOPIC",
            partitions: None,
            replicas: None,
            retention: Some(Duration::from_secs(3_600)),
            keyless: true,
            table: false,
        }
    }

    #[test]
    fn more_than_wanted_is_right_and_less_is_named() {
        let kept = |millis| topic(&[("cleanup.policy", "delete"), ("retention.ms", millis)]);
        let hour = Lack::Retention(wanted().retention);
        for (millis, lacks) in
            [("3600000", vec![]), ("3600001", vec![]), ("-1", vec![]), ("3599999", vec![hour])]
        {
            assert_eq!(wanted().lacks(&kept(millis)), lacks, "{millis}");
        }
        for (partitions, replicas, lacks) in
            [(3, 2, vec![]), (4, 2, vec![Lack::Partitions(4)]), (2, 3, vec![Lack::Replicas(3)])]
        {
            let wanted =
                Wanted { partitions: Some(partitions), replicas: Some(replicas), ..wanted() };
            assert_eq!(wanted.lacks(&kept("-1")), lacks);
        }
        let forever = Wanted { retention: None, ..wanted() };
        assert_eq!(forever.lacks(&kept("3600000")), [Lack::Retention(None)]);
    }

    #[test]
    fn a_topic_that_only_compacts_keeps_by_key_and_not_by_time() {
        let compact = topic(&[("cleanup.policy", "compact"), ("retention.ms", "1")]);
        assert_eq!(wanted().lacks(&compact), [Lack::Compacted]);
        assert_eq!(Wanted { keyless: false, ..wanted() }.lacks(&compact), []);
        let both = topic(&[("cleanup.policy", "compact,delete"), ("retention.ms", "1")]);
        assert_eq!(both.retention(), Some(Duration::from_millis(1)));
    }

    #[test]
    fn a_table_is_compacted() {
        let table = Wanted { keyless: false, table: true, ..wanted() };
        assert_eq!(table.lacks(&topic(&[("cleanup.policy", "delete")])), [Lack::NotCompacted]);
        for policy in ["compact", "compact,delete"] {
            assert_eq!(table.lacks(&topic(&[("cleanup.policy", policy)])), [], "{policy}");
        }
        assert_eq!(table.lacks(&Topic::default()), [], "it is not told");
    }

    #[test]
    fn what_is_not_told_counts_as_right() {
        assert_eq!(wanted().lacks(&Topic::default()), []);
    }

    #[test]
    fn times_are_written_as_people_do() {
        let seconds = |seconds| kept(Some(Duration::from_secs(seconds)));
        assert_eq!([seconds(20), seconds(3_900), seconds(604_800)], ["20s", "1h5m", "7d"]);
    }
}
