//! `int()`, `float()` and how Python prints a float.

use super::text::strip;

/// The text is not a number that Python would read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a number")]
pub struct NotANumber(pub String);

/// The number that `int(text)` reads: white space around, a sign and single underscores between digits are allowed.
///
/// # Errors
///
/// [`NotANumber`], also for numbers beyond 64 bits.
pub fn integer(text: &str) -> Result<i64, NotANumber> {
    without_underscores(strip(text))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| NotANumber(text.to_owned()))
}

/// The number that `float(text)` reads, which includes `inf`, `nan`, `1e3` and `1_0`.
///
/// # Errors
///
/// [`NotANumber`].
pub fn float(text: &str) -> Result<f64, NotANumber> {
    without_underscores(strip(text))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| NotANumber(text.to_owned()))
}

/// The text without its underscores, if each of them stands between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let well_placed = |at: usize| digit(at.checked_sub(1)) && digit(Some(at + 1));
    text.match_indices('_').all(|(at, _)| well_placed(at)).then(|| text.replace('_', ""))
}

/// The float as `repr()` prints it: the shortest digits that read back, an exponent from 1e16 and below 1e-4.
#[must_use]
pub fn float_text(value: f64) -> String {
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
    fn reads_what_python_reads() {
        assert_eq!(integer(" +1_0\n"), Ok(10));
        assert_eq!(float(" 1_0.5e1 "), Ok(105.0));
        assert_eq!(float("-Infinity"), Ok(f64::NEG_INFINITY));
        for bad in ["", " ", "_1", "1_", "1__0", "1._5", "0x10", "1.5"] {
            assert!(integer(bad).is_err(), "{bad}");
        }
        for bad in ["", "1_", "e5", "ten"] {
            assert!(float(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prints_as_repr() {
        let printed =
            [16.0, 1e16, 1.5e-5, 0.0001, 123_456_789_012_345.6, -0.0, f64::INFINITY].map(float_text);
        assert_eq!(printed, ["16.0", "1e+16", "1.5e-05", "0.0001", "123456789012345.6", "-0.0", "inf"]);
    }
}
