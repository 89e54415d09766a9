//! RFC 3339, both ways. Text in: any offset, fractions cut to nanoseconds. Text out: UTC, `Z`,
//! whole seconds. Reads no clock.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known;

use crate::domain::time::{EventTime, Second};

/// The seconds that RFC 3339 can write: the years 0000 to 9999.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// Shows a second as `2025-01-08T10:30:00Z`; one outside the years 0000 to 9999 as the nearest in
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(pub Second);

/// Reads RFC 3339 with an offset; `None` where `text` is anything else. A leap second is taken for
/// the last nanosecond before it.
#[must_use]
pub fn parse(text: &str) -> Option<EventTime> {
    // The parser takes any byte between date and time.
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let at = OffsetDateTime::parse(text, &well_known::Rfc3339).ok()?;
    Some(EventTime { second: Second(at.unix_timestamp()), nanos: at.nanosecond() })
}

impl Rfc3339 {
    /// As ASCII.
    #[must_use]
    pub fn text(self) -> [u8; 20] {
        let at = OffsetDateTime::from_unix_timestamp(self.0.0.clamp(FIRST, LAST))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second) = at.to_hms();
        let year = year.unsigned_abs(); // 0 to 9999
        let digit = |number: u32| b'0' + u8::try_from(number % 10).unwrap_or(0);
        let [a, b, c, d] = [1_000, 100, 10, 1].map(|unit| digit(year / unit));
        let pair = |number: u8| [digit(u32::from(number) / 10), digit(u32::from(number))];
        let [[e, f], [g, h]] = [u8::from(month), day].map(pair);
        let [[i, j], [k, l], [m, n]] = [hour, minute, second].map(pair);
        [
            a, b, c, d, b'-', e, f, b'-', g, h, b'T', i, j, b':', k, l, b':', m, n, b'Z', //
        ]
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_rfc_3339_is_read() {
        let ten_thirty = 1_736_332_200;
        for (text, second, nanos) in [
            ("2025-01-08T10:30:00Z", ten_thirty, 0),
            ("2025-01-08t10:30:00z", ten_thirty, 0),
            ("2025-01-08 10:30:00Z", ten_thirty, 0),
            ("2025-01-08T12:30:00+02:00", ten_thirty, 0),
            ("2025-01-08T05:00:00-05:30", ten_thirty, 0),
            ("2025-01-08T10:30:00.5Z", ten_thirty, 500_000_000),
            ("2025-01-08T10:30:00.1234567899Z", ten_thirty, 123_456_789),
            ("2016-12-31T23:59:60Z", 1_483_228_799, 999_999_999),
            ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
            ("9999-12-31T23:59:59-23:59", LAST + 86_340, 0),
            ("0000-01-01T00:00:00+23:59", FIRST - 86_340, 0),
        ] {
            let second = Second(second);
            assert_eq!(parse(text), Some(EventTime { second, nanos }), "{text}");
        }
    }

    #[test]
    fn what_is_no_rfc_3339_is_refused() {
        for text in [
            "",
            "2025-01-08",
            "2025-01-08T10:30:00",
            "2025-01-08T10:30Z",
            "2025-01-08X10:30:00Z",
            "2025-01-08é10:30:00Z",
            "2025-01-08T10:30:00.Z",
            "2025-01-08T10:30:00,5Z",
            "2025-01-08T10:30:60Z",
            "2025-02-29T10:30:00Z",
            "2025-01-08T24:00:00Z",
            "2025-01-08T10:30:00+24:00",
            "2025-01-08T10:30:00+02",
            "2025-01-08T10:30:00Z ",
            "1736332200",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_are_written_in_utc_and_never_out_of_the_years() {
        for (second, text) in [
            (1_736_332_200, "2025-01-08T10:30:00Z"),
            (0, "1970-01-01T00:00:00Z"),
            (LAST + 1, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(Rfc3339(Second(second)).to_string(), text);
        }
    }
}
