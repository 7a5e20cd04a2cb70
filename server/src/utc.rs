//! Times in UTC as text: `2026-06-01T00:00:00.000000Z` of Keystone, `2026-06-01 00:00:00` of
//! databases.

use berth_placement::Timestamp;
use berth_scheduler::time::{self, micros};

const SECOND: u64 = 1_000_000;

/// Reads a time from 1970 on; a fraction and a `Z` may follow.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    micros(text)?.try_into().ok().map(Timestamp)
}

/// Writes a time to the second, as databases take it. They know no time after the year 9999.
pub(crate) fn for_database(at: Timestamp) -> String {
    time::for_database(i64::try_from(at.0 / SECOND).unwrap_or(i64::MAX))
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
    fn times_are_written_to_the_second() {
        assert_eq!(for_database(Timestamp(1_780_272_000_250_000)), "2026-06-01 00:00:00");
        assert_eq!(for_database(Timestamp(u64::MAX)), "9999-12-31 23:59:59");
    }
}
