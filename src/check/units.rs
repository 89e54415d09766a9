//! Sizes, times and counts as people read them.

use std::time::Duration;

use crate::config::duration;

/// Bytes in powers of a thousand, with a tenth where it says something.
#[must_use]
pub fn size(bytes: u64) -> String {
    let (mut unit, mut names) = (1_u64, ["kB", "MB", "GB", "TB", "PB"].into_iter());
    let mut name = "B";
    while bytes / unit >= 1_000
        && let Some(next) = names.next()
    {
        (unit, name) = (unit * 1_000, next);
    }
    let (whole, tenth) = (bytes / unit, bytes % unit * 10 / unit);
    match tenth {
        1.. if whole < 100 => format!("{whole}.{tenth} {name}"),
        _ => format!("{whole} {name}"),
    }
}

/// A time to the second, below ten seconds to the tenth, from an hour on to the minute.
#[must_use]
pub fn rough(time: Duration) -> String {
    let step = match time.as_secs() {
        0..10 => 100,
        10..3_600 => 1_000,
        _ => 60_000,
    };
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    duration::format(Duration::from_millis(millis / step * step))
}

/// So many of something.
#[must_use]
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        let sizes = [0, 999, 1_000, 1_048_588, 123_456_789, 2_000_000_000].map(size);
        assert_eq!(sizes, ["0 B", "999 B", "1 kB", "1 MB", "123 MB", "2 GB"]);
        assert_eq!(size(1_250_000), "1.2 MB");
        let times = [40, 1_234, 65_432, 7_265_000].map(Duration::from_millis).map(rough);
        assert_eq!(times, ["0s", "1.2s", "1m5s", "2h1m"]);
    }
}
