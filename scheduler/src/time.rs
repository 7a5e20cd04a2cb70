//! Times as OpenStack writes them, read into microseconds, and seconds as databases take them.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// `2026-06-01T00:00:00.5`; without the fraction as well.
const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]");

/// The microseconds since 1970 of a UTC time such as `2026-06-01T00:00:00.5`. A blank may stand for
/// the `T`, and a `Z` at the end. Of a fraction, whole microseconds count.
#[must_use]
pub fn micros(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text).replacen(' ', "T", 1);
    let at = PrimitiveDateTime::parse(&text, FORMAT).ok()?.assume_utc();
    at.unix_timestamp().checked_mul(1_000_000)?.checked_add(at.microsecond().into())
}

/// Writes seconds since 1970 as databases take them: `2026-06-01 00:00:00`. They know no time after
/// the year 9999; before 1970, it is 1970.
#[must_use]
pub fn for_database(seconds: i64) -> String {
    const LAST: i64 = 253_402_300_799;
    let at = OffsetDateTime::from_unix_timestamp(seconds.clamp(0, LAST));
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}", u8::from(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_written_as_it_is_read() {
        for day in (0..40_000).step_by(7).chain([59, 789, 11_016, 11_017, 18_321]) {
            let at = day * 86_400 + 86_399;
            assert_eq!(micros(&for_database(at)), Some(at * 1_000_000), "{}", for_database(at));
        }
        assert_eq!(for_database(i64::MAX), "9999-12-31 23:59:59");
        assert_eq!(for_database(-1), "1970-01-01 00:00:00");
    }

    #[test]
    fn counts_from_1970() {
        assert_eq!(micros("1970-01-01T00:00:00"), Some(0));
        assert_eq!(micros("1969-12-31T23:59:59.75"), Some(-250_000));
        assert_eq!(micros("2026-06-01T00:00:00.25Z"), Some(1_780_272_000_250_000));
        assert_eq!(micros("2026-06-01T00:00:00.123456789Z"), Some(1_780_272_000_123_456));
        assert_eq!(micros("2000-03-01 00:00:00"), Some(951_868_800_000_000));
        assert_eq!(micros("2000-02-29 00:00:01"), Some(951_782_401_000_000));
        for bad in [
            "",
            "2026-06-01",
            "2026-13-01T00:00:00",
            "2026-02-30T00:00:00",
            "1900-02-29T00:00:00",
            "2026-06-01T24:00:00",
            "2026-06-01T00:00:00.x",
            "2026-06-01T00:00:00.é5555",
            "2026-06-01T00:00:00ZZ",
        ] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}
