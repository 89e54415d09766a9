//! RFC 3339, both ways. Text in: any offset, fractions cut to nanoseconds. Text out: UTC, `Z`,
//! whole seconds. Reads no clock.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known;

use crate::domain::digits::{self, RUN, Run};
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
    if let Some((at, [])) = usual(text.as_bytes()) {
        return Some(at);
    }
    // The parser takes any byte between date and time.
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let at = OffsetDateTime::parse(text, &well_known::Rfc3339).ok()?;
    Some(EventTime { second: Second(at.unix_timestamp()), nanos: at.nanosecond() })
}

/// The time that a text begins with, and the text behind it, where it is written as usual: `T`,
/// `Z` or an offset, no leap second, 16 fractional digits at most. Anything else is left to the
/// general parser.
#[inline(always)]
pub(super) fn usual(text: &[u8]) -> Option<(EventTime, &[u8])> {
    let [century, _, year, _, _, month, ..] = pairs(text, *b"0000-00-")?;
    let [day, _, _, hour, _, _, minute, _] = pairs(text.get(8..)?, *b"00T00:00")?;
    let [_, second, ..] = pairs(text.get(16..)?, *b":00\0\0\0\0\0")?;
    let (nanos, rest) = fraction(text.get(19..)?)?;
    let (offset, rest) = offset(rest)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(i64::from(century) * 100 + i64::from(year), month, day)?;
    let of_day = seconds(hour, minute) + i64::from(second);
    let second = Second(FIRST + days * DAY + of_day - offset);
    Some((EventTime { second, nanos }, rest))
}

/// The numbers of two digits in a text of this form, each at the place of its first digit: a `0`
/// of the form stands for any digit, a zero byte for anything, another byte for itself. All eight
/// bytes at a time: less the form they must be from 0 to 9, or 0.
#[inline]
fn pairs(text: &[u8], form: [u8; 8]) -> Option<[u8; 8]> {
    let each = |of: fn(u8) -> u8| u64::from_le_bytes(form.map(of));
    let looked_at = each(|byte| if byte == 0 { 0 } else { u8::MAX });
    // What may be added to a byte that is as it must be, and its highest bit stays unset.
    let room = each(|byte| if byte == b'0' { 0x7f - 9 } else { 0x7f });
    let digits = (digits::word(text) & looked_at) ^ u64::from_le_bytes(form);
    let wrong = (digits.wrapping_add(room) | digits) & digits::repeated(0x80);
    (wrong == 0).then_some(digits.wrapping_mul(10).wrapping_add(digits >> 8).to_le_bytes())
}

/// Nanoseconds, and the text behind them.
#[inline(always)]
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some((b'.', text)) = text.split_first() else { return Some((0, text)) };
    let first = Run::read(text);
    let mut nanos = first.value * digits::POWERS.get(9_usize.checked_sub(first.count)?)?;
    let mut count = first.count;
    if count == RUN {
        let second = Run::read(text.get(RUN..)?);
        nanos += second.value / digits::POWERS.get(second.count.saturating_sub(1))?;
        count += second.count;
    }
    let known = (1..2 * RUN).contains(&count);
    Some((u32::try_from(nanos).ok().filter(|_| known)?, text.get(count..)?))
}

/// Seconds ahead of UTC, and the text behind them.
#[inline(always)]
fn offset(text: &[u8]) -> Option<(i64, &[u8])> {
    let (sign, rest) = text.split_first()?;
    if *sign == b'Z' {
        return Some((0, rest));
    }
    let [hours, _, _, minutes, ..] = pairs(rest, *b"00:00\0\0\0")?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = match sign {
        b'+' => seconds(hours, minutes),
        b'-' => -seconds(hours, minutes),
        _ => return None,
    };
    Some((ahead, rest.get(5..)?))
}

fn seconds(hours: u8, minutes: u8) -> i64 {
    i64::from(hours) * 3_600 + i64::from(minutes) * 60
}

/// Days from the first of January of the year 0; `None` where there is no such day.
#[inline]
fn days(year: i64, month: u8, day: u8) -> Option<i64> {
    let &(before, length) = MONTHS.get(usize::from(month.checked_sub(1)?))?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = length + u8::from(is_leap && month == 2);
    if !(1..=length).contains(&day) {
        return None;
    }
    // Of the years before: how many are multiples of 4, of 100, of 400.
    let leap_days = (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    let of_year = before + i64::from(is_leap && month > 2) + i64::from(day) - 1;
    Some(year * 365 + leap_days + of_year)
}

/// Of each month the days of its year before it, and its length, in a year that is no leap year.
const MONTHS: [(i64, u8); 12] = [
    (0, 31),
    (31, 28),
    (59, 31),
    (90, 30),
    (120, 31),
    (151, 30),
    (181, 31),
    (212, 31),
    (243, 30),
    (273, 31),
    (304, 30),
    (334, 31),
];

/// Seconds of a day.
const DAY: i64 = 86_400;

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp(self.0.0.clamp(FIRST, LAST))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second) = at.to_hms();
        let month = u8::from(month);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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
