//! Amounts as extra specs spell them.

use crate::python;

/// The whole number that `int(text)` reads, unless it is negative. A number beyond 64 bits becomes
/// the largest one, which no provider has: a request may be refused, but never ignored.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    let number = python::integer(text).ok()?;
    (number >= 0).then(|| u64::try_from(number).unwrap_or(u64::MAX))
}

/// An amount of a flavor or port. Less than nothing is nothing.
pub(super) fn amount(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
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
