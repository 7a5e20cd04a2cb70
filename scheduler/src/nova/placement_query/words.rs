//! Numbers and truth as extra specs spell them.

use crate::nova::python;

/// The whole number that `int(text)` reads, when it is not negative. What exceeds 64 bits becomes the largest number,
/// which no provider has: a wish may be refused, never forgotten.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    if let Ok(number) = python::integer(text) {
        return u64::try_from(number).ok();
    }
    let digits = python::strip(text).trim_start_matches('+').replace('_', "");
    let is_number = digits.len() >= 19 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// An amount of a flavor or port. Less than nothing is nothing.
pub(super) fn amount(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Whether a word means yes; every other word means no.
pub(super) fn truth(text: &str) -> bool {
    matches!(python::strip(text).to_lowercase().as_str(), "1" | "t" | "true" | "on" | "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let read = [" +7 ", "1_0", "-0", "-1", "abc", "", "99999999999999999999999"].map(whole_number);
        assert_eq!(read, [Some(7), Some(10), Some(0), None, None, None, Some(u64::MAX)]);
    }
}
