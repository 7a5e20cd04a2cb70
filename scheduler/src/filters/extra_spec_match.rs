//! Comparing a value with what an extra spec requires: operators such as `>=`, `<in>` and `<or>`.

use crate::python::{NotANumber, float, words};

/// A requirement that makes no sense for the value. Nova fails the whole request then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// A numeric operator met something else.
    #[error(transparent)]
    NotANumber(#[from] NotANumber),
    /// `<or>` without a value.
    #[error("<or> without a value")]
    NoAlternative,
}

/// Whether the value meets the requirement.
///
/// The first word of the requirement may be an operator; otherwise the value has to equal the whole
/// requirement. `=` means `>=`. Operators take their first operand, except `<all-in>` and `<or>`.
///
/// # Errors
///
/// [`MatchError`].
pub fn matches(value: &str, requirement: &str) -> Result<bool, MatchError> {
    let mut operands = words(requirement);
    let Some(operator) = operands.next() else { return Ok(value == requirement) };
    let first = || words(requirement).nth(1);
    let numbers = |holds: fn(f64, f64) -> bool| {
        first().map_or(Ok(false), |operand| Ok(holds(float(value)?, float(operand)?)))
    };
    let texts = |holds: fn(&str, &str) -> bool| Ok(first().is_some_and(|operand| holds(value, operand)));
    match operator {
        "=" | ">=" => numbers(|value, operand| value >= operand),
        "<=" => numbers(|value, operand| value <= operand),
        "==" => numbers(|value, operand| value == operand),
        "!=" => numbers(|value, operand| value != operand),
        "s==" => texts(|value, operand| value == operand),
        "s!=" => texts(|value, operand| value != operand),
        "s<" => texts(|value, operand| value < operand),
        "s<=" => texts(|value, operand| value <= operand),
        "s>" => texts(|value, operand| value > operand),
        "s>=" => texts(|value, operand| value >= operand),
        "<in>" => texts(|value, operand| value.contains(operand)),
        "<all-in>" => Ok(first().is_some() && operands.all(|operand| value.contains(operand))),
        "<or>" => is_alternative(value, operands),
        _ => Ok(value == requirement),
    }
}

/// `<or> a <or> b`: every second word is an alternative, whatever stands between them.
fn is_alternative<'a>(value: &str, operands: impl Iterator<Item = &'a str>) -> Result<bool, MatchError> {
    let mut alternatives = operands.step_by(2).peekable();
    if alternatives.peek().is_none() {
        return Err(MatchError::NoAlternative);
    }
    Ok(alternatives.any(|alternative| alternative == value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators() {
        let met = [
            ("4", "= 4"),
            ("5", "= 4"),
            ("4", "== 4.0 ignored"),
            ("1_0", "<= 1e1"),
            ("b", "s> a"),
            ("abc", "<in> bc"),
            ("abc", "<all-in> c a"),
            ("b", "<or> a <or> b"),
            ("b", "<or> a b b"),
            ("a", "a"),
            ("<", "<"),
            (" ", " "),
            ("< 4", "< 4"),
            ("inf", ">= 1"),
        ];
        let unmet = [
            ("3", "= 4"),
            ("nan", "== nan"),
            ("abc", "<all-in> c d"),
            ("a", " a"),
            ("a", "s=="),
            ("a", "=="),
            ("abc", "<all-in>"),
            ("<or>", "<or> a <or>"),
            ("3", "< 4"),
        ];
        assert!(met.iter().all(|(value, wanted)| matches(value, wanted) == Ok(true)));
        assert!(unmet.iter().all(|(value, wanted)| matches(value, wanted) == Ok(false)));
    }

    #[test]
    fn nonsense_is_an_error() {
        assert_eq!(matches("a", "<or>"), Err(MatchError::NoAlternative));
        assert!(matches("a", "== 1").is_err() && matches("1", ">= a").is_err());
    }
}
