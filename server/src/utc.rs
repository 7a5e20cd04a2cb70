//! Times in UTC as text: `2026-06-01T00:00:00.000000Z` of Keystone, `2026-06-01 00:00:00` of
//! databases.

use berth_placement::Timestamp;
use berth_scheduler::time::micros;
use time::OffsetDateTime;

const SECOND: u64 = 1_000_000;

/// Reads a time from 1970 on; a fraction and a `Z` may follow.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    micros(text)?.try_into().ok().map(Timestamp)
}

/// Writes a time to the second, as databases take it. They know no time after the year 9999.
pub(crate) fn for_database(at: Timestamp) -> String {
    const LAST: i64 = 253_402_300_799;
    let seconds = i64::try_from(at.0 / SECOND).unwrap_or(LAST).min(LAST);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}", u8::from(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_read() {
        assert_eq!(parse("1970-01-01T00:00:00"), Some(Timestamp(0)));
        assert_eq!(parse("2026-06-01T00:00:00.25Z"), Some(Timestamp(1_780_272_000_250_000)));
        for bad in ["", "1969-12-31T23:59:59", "2026-06-01"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_day_is_written_as_it_is_read() {
        for day in (0..40_000).step_by(7).chain([59, 789, 11_016, 11_017, 18_321]) {
            let at = Timestamp((day * 86_400 + 86_399) * SECOND);
            assert_eq!(parse(&for_database(at)), Some(at), "{}", for_database(at));
        }
        assert_eq!(for_database(Timestamp(u64::MAX)), "9999-12-31 23:59:59");
    }
}
