//! Times against the `time` crate's own parser: every month of every year, and each byte of usual
//! texts replaced.

use aggregator_service::domain::time::{EventTime, Second};
use aggregator_service::wire::time::parse;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

fn assert_as_the_crate_has_it(text: &str) {
    // It takes any byte between date and time.
    let separated = matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' '));
    let at = OffsetDateTime::parse(text, &Rfc3339).ok().filter(|_| separated);
    let expected =
        at.map(|at| EventTime { second: Second(at.unix_timestamp()), nanos: at.nanosecond() });
    assert_eq!(parse(text), expected, "{text}");
}

#[test]
fn the_ends_of_every_month_are_where_the_calendar_has_them() {
    for year in 0..=9_999 {
        for month in 0..=13 {
            for day in [0, 1, 28, 29, 30, 31, 32] {
                assert_as_the_crate_has_it(&format!("{year:04}-{month:02}-{day:02}T23:59:59Z"));
            }
        }
    }
}

#[test]
fn no_single_byte_makes_a_time_differ() {
    for text in [
        "2024-02-29T23:59:59Z",
        "2025-12-31T00:00:00.5Z",
        "2025-01-08T10:30:00.12345678-00:00",
        "2025-01-08T10:30:00.123456789+05:30",
        "2025-01-08T10:30:00.1234567890123456+23:59",
        "2025-01-08T10:30:00.12345678901234567890123Z",
    ] {
        assert_as_the_crate_has_it(text);
        for place in 0..text.len() {
            let (before, behind) = text.split_at(place);
            assert_as_the_crate_has_it(before);
            assert_as_the_crate_has_it(&[before, &behind[1..]].concat());
            for byte in 0..0x80_u8 {
                let byte = char::from(byte).to_string();
                assert_as_the_crate_has_it(&[before, &byte, &behind[1..]].concat());
                assert_as_the_crate_has_it(&[before, &byte, behind].concat());
            }
        }
    }
}
