//! `int()`, `float()` and how Python prints a float.

use super::digit::ascii_digit;

/// The text is not a number that Python would read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a number")]
pub struct NotANumber(pub String);

/// Python refuses to read whole numbers of more digits (`sys.int_max_str_digits`).
const MAX_DIGITS: usize = 4300;

/// The number that `int(text)` reads: white space around, a sign, single underscores between
/// digits, and decimal digits of any script.
///
/// A number beyond 128 bits becomes the nearest of 128 bits, so that comparisons with what a host
/// can have stay right.
///
/// # Errors
///
/// [`NotANumber`].
pub fn integer(text: &str) -> Result<i128, NotANumber> {
    ascii(text).and_then(|ascii| whole(&ascii)).ok_or_else(|| NotANumber(text.to_owned()))
}

/// The number that `int(text)` reads, or the nearest of 64 bits.
///
/// # Errors
///
/// [`NotANumber`].
pub(crate) fn integer_64(text: &str) -> Result<i64, NotANumber> {
    integer(text).map(nearest_64)
}

/// The number, or the nearest of 64 bits.
#[must_use]
pub(crate) fn nearest_64(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// The number that `float(text)` reads, which includes `inf`, `nan`, `1e3`, `1_0` and decimal
/// digits of any script.
///
/// # Errors
///
/// [`NotANumber`].
pub fn float(text: &str) -> Result<f64, NotANumber> {
    ascii(text).and_then(|ascii| ascii.parse().ok()).ok_or_else(|| NotANumber(text.to_owned()))
}

/// The text without white space around it and with ASCII digits; none if a character or an
/// underscore is in the way.
///
/// This is not `str.strip()`, which takes the separators U+001C to U+001F for white space, too.
fn ascii(text: &str) -> Option<String> {
    let ascii: String = text.trim().chars().map(ascii_digit).collect::<Option<_>>()?;
    if ascii.contains('_') { without_underscores(&ascii) } else { Some(ascii) }
}

/// The text without its underscores, if each of them stands between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let well_placed = |at: usize| digit(at.checked_sub(1)) && digit(Some(at + 1));
    text.match_indices('_').all(|(at, _)| well_placed(at)).then(|| text.replace('_', ""))
}

/// The number of a sign and ASCII digits.
fn whole(text: &str) -> Option<i128> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_whole = (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let beyond = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    is_whole.then(|| text.parse().unwrap_or(beyond))
}

/// The float as `repr()` prints it: the shortest digits that read back, an exponent from 1e16 and
/// below 1e-4.
#[must_use]
pub(crate) fn float_text(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = value.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_any_script_are_numbers() {
        assert_eq!((integer("\u{663}"), integer("\u{a0}-1_\u{ff11}\u{3000}")), (Ok(3), Ok(-11)));
        assert_eq!(float("\u{967}\u{966}.5e\u{661}"), Ok(105.0));
        for bad in ["\u{b2}", "\u{ff0b}5", "\u{200b}5", "\u{1c}5", "\u{661}\u{66b}\u{665}"] {
            assert!(integer(bad).is_err() && float(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_beyond_the_width_become_the_nearest() {
        let nines = "9".repeat(40);
        assert_eq!((integer(&nines), integer(&format!("-{nines}"))), (Ok(i128::MAX), Ok(i128::MIN)));
        assert_eq!(
            (integer_64("9999999999999999999"), integer_64("-9999999999999999999")),
            (Ok(i64::MAX), Ok(i64::MIN))
        );
        assert!(integer(&"1".repeat(4301)).is_err() && integer(&"1".repeat(4300)).is_ok());
    }

    #[test]
    fn prints_as_repr() {
        let printed =
            [16.0, 1e16, 1.5e-5, 0.0001, 123_456_789_012_345.6, -0.0, f64::INFINITY].map(float_text);
        assert_eq!(printed, ["16.0", "1e+16", "1.5e-05", "0.0001", "123456789012345.6", "-0.0", "inf"]);
    }
}
