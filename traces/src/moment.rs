//! Times: seconds, or dates as ISO 8601 writes them.

use time::{Date, Month};

use crate::Micros;
use crate::number::{NumberError, decimal_down, integer};

/// Seconds, of which whole microseconds count.
#[inline]
pub(crate) fn seconds(text: &[u8]) -> Result<Micros, NumberError> {
    decimal_down(text, 6).map(Micros)
}

/// Seconds, or `2024-05-01T12:00:00.5+02:00` with a `T` or a space, or only the date; microseconds
/// since 1970 for a date. A date without an offset is in UTC.
#[inline]
pub(crate) fn moment(text: &[u8]) -> Result<Micros, NumberError> {
    if text.len() >= 10 && text[4] == b'-' && text[7] == b'-' { date(text) } else { seconds(text) }
}

fn date(text: &[u8]) -> Result<Micros, NumberError> {
    let bad = NumberError::NotADate;
    let number = |from: usize, to: usize| -> Result<u8, NumberError> {
        let digits = text.get(from..to).ok_or(bad)?;
        integer(digits).ok().and_then(|number| u8::try_from(number).ok()).ok_or(bad)
    };
    let year = integer(&text[..4]).map_err(|_| bad)?;
    let year = i32::try_from(year).map_err(|_| bad)?;
    let month = Month::try_from(number(5, 7)?).map_err(|_| bad)?;
    let day = Date::from_calendar_date(year, month, number(8, 10)?).map_err(|_| bad)?;
    let days = i64::from(day.to_julian_day() - EPOCH);
    let mut seconds = days * 86_400;
    let mut micros = 0;
    if text.len() > 10 {
        let (hour, minute) = (number(11, 13)?, number(14, 16)?);
        if !matches!(text[10], b'T' | b't' | b' ') || text[13] != b':' || hour > 23 || minute > 59 {
            return Err(bad);
        }
        let mut rest = &text[16..];
        seconds += i64::from(hour) * 3600 + i64::from(minute) * 60;
        if let Some(after) = rest.strip_prefix(b":") {
            let end = after.iter().position(|b| !b.is_ascii_digit() && *b != b'.').unwrap_or(after.len());
            let within = decimal_down(&after[..end], 6).map_err(|_| bad)?;
            // 60 is a leap second.
            if within >= 61_000_000 {
                return Err(bad);
            }
            micros = within;
            rest = &after[end..];
        }
        seconds -= offset(rest)?;
    }
    let seconds = u64::try_from(seconds).map_err(|_| NumberError::OutOfRange)?;
    Ok(Micros(seconds * Micros::PER_SECOND + micros))
}

/// The Julian day of 1970-01-01.
const EPOCH: i32 = 2_440_588;

/// The seconds that a zone is ahead of UTC: `Z`, `+02:00`, `-0530`, `+02`, or nothing.
fn offset(text: &[u8]) -> Result<i64, NumberError> {
    let text = text.trim_ascii();
    if text.is_empty() || text.eq_ignore_ascii_case(b"z") || text.eq_ignore_ascii_case(b"utc") {
        return Ok(0);
    }
    let digits: Vec<u8> = text[1..].iter().copied().filter(|&byte| byte != b':').collect();
    let sign = match text[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return Err(NumberError::NotADate),
    };
    let parts = match digits.len() {
        2 => (integer(&digits), Ok(0)),
        4 => (integer(&digits[..2]), integer(&digits[2..])),
        _ => return Err(NumberError::NotADate),
    };
    match parts {
        (Ok(hours @ 0..=23), Ok(minutes @ 0..=59)) => {
            Ok(sign * i64::try_from(hours * 3600 + minutes * 60).unwrap_or(0))
        }
        _ => Err(NumberError::NotADate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        const DAY: u64 = 1_714_521_600;
        for (text, expected) in [
            ("0", Some(0)),
            ("12.5", Some(12_500_000)),
            ("1.0000019", Some(1_000_001)),
            ("1970-01-01", Some(0)),
            ("2024-05-01", Some(DAY * 1_000_000)),
            ("2024-05-01T00:00:01Z", Some((DAY + 1) * 1_000_000)),
            ("2024-05-01 01:02:03.25", Some((DAY + 3723) * 1_000_000 + 250_000)),
            ("2024-05-01T02:00:00+02:00", Some(DAY * 1_000_000)),
            ("2024-04-30T18:30-0530", Some(DAY * 1_000_000)),
            ("2024-05-01 00:00:00 UTC", Some(DAY * 1_000_000)),
            ("2024-02-29", Some(1_709_164_800 * 1_000_000)),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("2024-05-01T24:00", None),
            ("2024-05-01T10:61", None),
            ("2024-05-01X10:00", None),
            ("2024-05-01T", None),
            ("2024-05-01T10:00:00+2", None),
            ("1969-12-31", None),
            ("5e3", None),
        ] {
            assert_eq!(moment(text.as_bytes()).ok().map(|at| at.0), expected, "{text}");
        }
    }
}
