//! Exact decimal numbers: times and sizes never pass through a float.

/// Why a field is not a valid number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Characters other than digits (and, where fractions are allowed, one point between digits).
    #[error("not a number in plain digits")]
    NotANumber,
    /// A decimal where only whole numbers are allowed.
    #[error("not a whole number, which is written without a decimal point")]
    Fraction,
    /// A minus before a number.
    #[error("negative")]
    Negative,
    /// More decimals than the format's resolution.
    #[error("more than {places} decimals")]
    TooPrecise {
        /// The number of decimals allowed.
        places: u32,
    },
    /// Beyond the column's range.
    #[error("out of range")]
    OutOfRange,
    /// A date that does not exist, or is not written as ISO 8601 writes it.
    #[error("not a date and time like 2024-05-01T12:00:00Z")]
    NotADate,
}

/// An unsigned integer: digits only.
pub(crate) fn integer(text: &[u8]) -> Result<u64, NumberError> {
    digits_of(text).map_err(|error| match error {
        NumberError::NotANumber if is_decimal(text) => NumberError::Fraction,
        NumberError::NotANumber => not_a_number(text),
        error => error,
    })
}

/// Digits with a point between them.
fn is_decimal(text: &[u8]) -> bool {
    let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let point = text.iter().position(|&byte| byte == b'.');
    point.is_some_and(|point| is_digits(&text[..point]) && is_digits(&text[point + 1..]))
}

/// Why a text that is no number is none.
fn not_a_number(text: &[u8]) -> NumberError {
    match text.split_first() {
        Some((b'-', rest)) if is_decimal(rest) || digits_of(rest).is_ok() => NumberError::Negative,
        _ => NumberError::NotANumber,
    }
}

fn digits_of(text: &[u8]) -> Result<u64, NumberError> {
    if text.is_empty() {
        return Err(NumberError::NotANumber);
    }
    digits(0, text)
}

/// An unsigned decimal with at most `places` decimals, as an integer count of `10^-places`.
pub(crate) fn decimal(text: &[u8], places: u32) -> Result<u64, NumberError> {
    let (value, rest) = decimal_and_rest(text, places)?;
    if rest.is_empty() { Ok(value) } else { Err(NumberError::TooPrecise { places }) }
}

/// An unsigned decimal as an integer count of `10^-places`, rounded down.
pub(crate) fn decimal_down(text: &[u8], places: u32) -> Result<u64, NumberError> {
    decimal_and_rest(text, places).map(|(value, _)| value)
}

/// An unsigned decimal as an integer count of `10^-places`, rounded up.
pub(crate) fn decimal_up(text: &[u8], places: u32) -> Result<u64, NumberError> {
    let (value, rest) = decimal_and_rest(text, places)?;
    let more = u64::from(rest.iter().any(|&digit| digit != b'0'));
    value.checked_add(more).ok_or(NumberError::OutOfRange)
}

/// The count of `10^-places`, and the decimals beyond those.
fn decimal_and_rest(text: &[u8], places: u32) -> Result<(u64, &[u8]), NumberError> {
    let (whole, fraction) = match text.iter().position(|&b| b == b'.') {
        None => (text, None),
        Some(point) => (&text[..point], Some(&text[point + 1..])),
    };
    let mut value = digits_of(whole)
        .map_err(|error| if error == NumberError::NotANumber { not_a_number(text) } else { error })?;
    let (mut decimals, mut rest) = (0, &[][..]);
    if let Some(fraction) = fraction {
        if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
            return Err(NumberError::NotANumber);
        }
        let kept;
        (kept, rest) = fraction.split_at(fraction.len().min(places as usize));
        value = digits(value, kept)?;
        decimals = kept.len();
    }
    for _ in decimals..places as usize {
        value = value.checked_mul(10).ok_or(NumberError::OutOfRange)?;
    }
    Ok((value, rest))
}

/// `value` with more digits written after it.
fn digits(mut value: u64, text: &[u8]) -> Result<u64, NumberError> {
    for (i, &byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(NumberError::NotANumber);
        }
        value = match value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit))) {
            Some(value) => value,
            // Too large to hold, but the rest has to consist of digits too.
            None if text[i..].iter().all(u8::is_ascii_digit) => return Err(NumberError::OutOfRange),
            None => return Err(NumberError::NotANumber),
        };
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::NumberError::{Fraction, Negative, NotANumber, OutOfRange, TooPrecise};
    use super::*;

    #[test]
    fn integers() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("18446744073709551616", Err(OutOfRange)),
            ("99999999999999999999999", Err(OutOfRange)),
            ("9999999999999999999999x", Err(NotANumber)),
            ("", Err(NotANumber)),
            ("-1", Err(Negative)),
            ("-1.5", Err(Negative)),
            ("--1", Err(NotANumber)),
            ("+1", Err(NotANumber)),
            (" 1", Err(NotANumber)),
            ("1.0", Err(Fraction)),
            ("0.5", Err(Fraction)),
            ("1.", Err(NotANumber)),
            ("1.2.3", Err(NotANumber)),
            ("１", Err(NotANumber)),
        ] {
            assert_eq!(integer(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn decimals_are_rounded_where_that_is_wanted() {
        for (text, down, up) in
            [("7", 7000, 7000), ("7.0001", 7000, 7001), ("7.0000", 7000, 7000), ("0.5", 500, 500)]
        {
            assert_eq!(decimal_down(text.as_bytes(), 3), Ok(down), "{text}");
            assert_eq!(decimal_up(text.as_bytes(), 3), Ok(up), "{text}");
        }
        assert_eq!(decimal_up(b"7.x", 3), Err(NotANumber));
    }

    #[test]
    fn decimals_are_exact() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("7", Ok(7000)),
            ("7.5", Ok(7500)),
            ("0.001", Ok(1)),
            ("7.010", Ok(7010)),
            ("18446744073709551.615", Ok(u64::MAX)),
            ("18446744073709551.616", Err(OutOfRange)),
            ("18446744073709552", Err(OutOfRange)),
            ("7.0000", Err(TooPrecise { places: 3 })),
            ("7.", Err(NotANumber)),
            (".7", Err(NotANumber)),
            ("", Err(NotANumber)),
            (".", Err(NotANumber)),
            ("1.2.3", Err(NotANumber)),
            ("1e3", Err(NotANumber)),
            ("-0.5", Err(Negative)),
            ("-.5", Err(NotANumber)),
            ("nan", Err(NotANumber)),
        ] {
            assert_eq!(decimal(text.as_bytes(), 3), expected, "{text:?}");
        }
    }
}
