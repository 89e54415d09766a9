//! RFC 3339 with an offset, read by counting days one year and one month at a time.

/// Seconds since 1970 and nanoseconds; `None` where the text is anything else.
pub(crate) fn read(text: &str) -> Option<(i64, u32)> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    };
    let between = |at: usize, any: &[u8]| bytes.get(at).filter(|byte| any.contains(byte));
    between(4, b"-").and(between(7, b"-")).and(between(10, b"Tt "))?;
    between(13, b":").and(between(16, b":"))?;
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let mut at = 19;
    let mut nanos = 0;
    if between(at, b".").is_some() {
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let kept = digits.min(9);
        nanos = number(at + 1, at + 1 + kept).filter(|_| digits > 0)?;
        nanos *= 10_i64.pow(9 - u32::try_from(kept).ok()?);
        at += 1 + digits;
    }
    let offset = match bytes.get(at..)? {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            let size = (hours < 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)?;
            if *sign == b'-' { -size } else { size }
        }
        _ => return None,
    };
    let days = days_before(year, month)?;
    if !(1..=length(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = (days + day - 1) * DAY + hour * 3_600 + minute * 60 - offset;
    if second < 60 {
        return Some((seconds + second, u32::try_from(nanos).ok()?));
    }
    // A leap second ends a month in UTC; it is taken for the last nanosecond before it.
    let next_day = seconds + 60;
    (next_day.rem_euclid(DAY) == 0 && first_of_a_month(next_day.div_euclid(DAY), year))
        .then_some((next_day - 1, 999_999_999))
}

/// Days from 1970 to the first of a month.
fn days_before(year: i64, month: i64) -> Option<i64> {
    if !(1..=12).contains(&month) {
        return None;
    }
    let years: i64 = if year >= 1970 {
        (1970..year).map(year_length).sum()
    } else {
        -(year..1970).map(year_length).sum::<i64>()
    };
    Some(years + (1..month).map(|month| length(year, month)).sum::<i64>())
}

/// Whether a day is the first of a month of about this year.
fn first_of_a_month(day: i64, year: i64) -> bool {
    let mut months =
        (year - 1..=year + 1).flat_map(|year| (1..=12).map(move |month| (year, month)));
    months.any(|(year, month)| days_before(year, month) == Some(day))
}

fn year_length(year: i64) -> i64 {
    if leap(year) { 366 } else { 365 }
}

fn length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

const DAY: i64 = 86_400;
