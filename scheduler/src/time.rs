//! Times as OpenStack writes them, read into microseconds.

use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

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

#[cfg(test)]
mod tests {
    use super::*;

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
