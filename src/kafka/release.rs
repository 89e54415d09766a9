//! Which release of Kafka a broker is, from the requests that it understands: no request asks for
//! the release itself. Pure. Others than Kafka are told as the release that they speak like.

use std::collections::BTreeMap;

use kafka_protocol::messages::ApiKey;

/// The newest release whose mark is there, by the highest version of each request.
pub(super) fn of(highest: &BTreeMap<i16, i16>) -> Option<&'static str> {
    let speaks =
        |(api, version): (ApiKey, i16)| highest.get(&(api as i16)).is_some_and(|it| *it >= version);
    MARKS.into_iter().find(|(_, api, version)| speaks((*api, *version))).map(|(name, ..)| name)
}

/// What a release was the first to understand, the newest first.
const MARKS: [(&str, ApiKey, i16); 12] = [
    ("4.1", ApiKey::Produce, 13),
    ("4.0", ApiKey::Produce, 12),
    ("3.9", ApiKey::Fetch, 17),
    ("3.7", ApiKey::Fetch, 16),
    ("3.5", ApiKey::Fetch, 15),
    ("3.1", ApiKey::Fetch, 13),
    ("3.0", ApiKey::ListOffsets, 7),
    ("2.8", ApiKey::DescribeCluster, 0),
    ("2.7", ApiKey::Fetch, 12),
    ("2.4", ApiKey::CreateTopics, 5),
    ("2.3", ApiKey::IncrementalAlterConfigs, 0),
    ("2.0", ApiKey::Fetch, 8),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_mark_counts() {
        let highest = |pairs: &[(ApiKey, i16)]| {
            of(&pairs.iter().map(|(api, version)| (*api as i16, *version)).collect())
        };
        assert_eq!(highest(&[(ApiKey::Fetch, 16), (ApiKey::Produce, 10)]), Some("3.7"));
        assert_eq!(highest(&[(ApiKey::Fetch, 17), (ApiKey::Produce, 12)]), Some("4.0"));
        assert_eq!(highest(&[(ApiKey::Fetch, 4)]), None);
    }
}
