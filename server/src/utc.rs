//! Times in UTC as text: `2026-06-01T00:00:00.000000Z` of Keystone, `2026-06-01 00:00:00` of databases.

use berth_placement::Timestamp;

const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Reads a time from 1970 on; a fraction and a `Z` may follow.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z').unwrap_or(text).split_once(['T', ' '])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let micros = number(format!("{fraction:0<6}").get(..6)?)?;
    let seconds = (hour * 60 + minute) * 60 + second;
    in_range.then(|| Timestamp(days(year, month, day) * DAY + seconds * SECOND + micros))
}

/// Writes a time to the second, as databases take it.
pub(crate) fn for_database(at: Timestamp) -> String {
    let (year, month, day) = date(at.0 / DAY);
    let seconds = at.0 % DAY / SECOND;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(number);
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn number(text: &str) -> Option<u64> {
    let is_plain = (1..=6).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01. Years begin in March here, so that a leap day is the last of its year.
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// The date so many days after 1970-01-01: [`days`] the other way round.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + (month <= 2) as u64;
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_read() {
        assert_eq!(parse("1970-01-01T00:00:00"), Some(Timestamp(0)));
        assert_eq!(parse("2026-06-01T00:00:00.25Z"), Some(Timestamp(1_780_272_000_250_000)));
        assert_eq!(parse("2000-02-29 00:00:01"), Some(Timestamp(951_782_401_000_000)));
        for bad in [
            "",
            "2026-06-01",
            "2026-13-01T00:00:00",
            "2026-06-01T24:00:00",
            "2026-06-01T00:00:00.x",
            "2026-06-01T00:00:00.é5555",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_day_is_written_as_it_is_read() {
        for day in (0..40_000).step_by(7).chain([59, 789, 11_016, 11_017, 18_321]) {
            let at = Timestamp(day * DAY + 86_399 * SECOND);
            assert_eq!(parse(&for_database(at)), Some(at), "{}", for_database(at));
        }
    }
}
