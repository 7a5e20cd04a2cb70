//! Times as Nova writes them, read into microseconds.

/// The microseconds since 1970 of a UTC time such as `2026-06-01T00:00:00.5` (a `Z` at the end is allowed).
#[must_use]
pub fn micros(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z').unwrap_or(text).split_once(['T', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    in_range.then_some(seconds * 1_000_000 + fraction_micros(fraction)?)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(digits);
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn fraction_micros(fraction: &str) -> Option<i64> {
    if fraction.is_empty() { Some(0) } else { digits(&format!("{fraction:0<6}")[..6]) }
}

/// Days from 1970-01-01 in the Gregorian calendar.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that a leap day is the last of its year.
    let shifted = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_1970() {
        assert_eq!(micros("1970-01-01T00:00:00"), Some(0));
        assert_eq!(micros("2026-06-01T00:00:00.25Z"), Some(1_780_272_000_250_000));
        assert_eq!(micros("2000-03-01 00:00:00"), Some(951_868_800_000_000));
        for bad in ["", "2026-06-01", "2026-13-01T00:00:00", "2026-06-01T24:00:00", "2026-06-01T00:00:00.x"] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}
