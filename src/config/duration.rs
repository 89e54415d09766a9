//! Durations written as in Go: `30s`, `1m30s`, `100ms`, `1.5h`. Never negative. What Go's
//! `time.ParseDuration` reads, this reads to the same nanosecond, up to Go's limit of 292 years.

use std::time::Duration;

/// Reads a duration; `None` where Go would not, or where it is negative.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (number, tail) = split_where(rest, |c| !in_number(c));
        let (unit, tail) = split_where(tail, in_number);
        total = total.checked_add(component(number, unit)?)?;
        rest = tail;
    }
    let nanos = i64::try_from(total).ok()?;
    Some(Duration::from_nanos(nanos.unsigned_abs()))
}

/// Writes a duration as short as [`parse`] reads it back: `5m`, `1m30s`, `1.5s`, `250ms`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let below_a_second = [("ms", MILLISECOND), ("µs", MICROSECOND), ("ns", 1)];
    if let Some((name, unit)) = below_a_second.into_iter().find(|(_, unit)| nanos >= *unit)
        && nanos < SECOND
    {
        return decimal(nanos, unit, name);
    }
    let mut text = String::new();
    for (name, unit, within) in [("h", HOUR, nanos), ("m", MINUTE, nanos % HOUR)] {
        if within / unit > 0 {
            text.push_str(&(within / unit).to_string());
            text.push_str(name);
        }
    }
    if !nanos.is_multiple_of(MINUTE) {
        text.push_str(&decimal(nanos % MINUTE, SECOND, "s"));
    }
    text
}

fn in_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// Nanoseconds of one number with its unit.
fn component(number: &str, unit: &str) -> Option<u128> {
    let unit = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    whole.checked_mul(unit)?.checked_add(fraction_of(fraction, unit))
}

/// `0.<digits>` of `unit`, cut to the nanosecond.
fn fraction_of(digits: &str, unit: u128) -> u128 {
    let mut scale = 1;
    let mut value = 0;
    for digit in digits.bytes().take(FRACTION_DIGITS) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    value * unit / scale
}

fn decimal(nanos: u128, unit: u128, name: &str) -> String {
    let fraction = format!("{:018}", nanos % unit * 10_u128.pow(18) / unit);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}{name}", nanos / unit)
}

const MICROSECOND: u128 = 1_000;
const MILLISECOND: u128 = 1_000_000;
const SECOND: u128 = 1_000_000_000;
const MINUTE: u128 = 60 * SECOND;
const HOUR: u128 = 60 * MINUTE;

/// An hour has 3.6 × 10¹² nanoseconds: later digits of a fraction say nothing.
const FRACTION_DIGITS: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_reads_is_read_to_the_nanosecond() {
        let cases = [
            ("0", 0),
            ("30s", 30 * SECOND),
            ("1m30s", 90 * SECOND),
            ("100ms", 100 * MILLISECOND),
            ("1.5h", 90 * MINUTE),
            (".5s", SECOND / 2),
            ("1.s", SECOND),
            ("+2s", 2 * SECOND),
            ("1h1m1s1ms1us1ns", HOUR + MINUTE + SECOND + MILLISECOND + MICROSECOND + 1),
            ("2µs", 2 * MICROSECOND),
            ("0.3333333333333333333h", 1_199_999_999_999),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text).map(|d| d.as_nanos()), Some(nanos), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in ["", "+", "30", "s", ".s", "1.2.3s", "-1s", "1d", "1 s", "9999999h", "1s2"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_short_and_read_back() {
        for text in ["0s", "1ns", "1.5µs", "250ms", "1.5s", "30s", "5m", "1m30s", "24h", "1h1s"] {
            assert_eq!(parse(text).map(format).as_deref(), Some(text));
        }
    }
}
