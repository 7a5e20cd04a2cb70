//! Lists of CPUs such as `0-7,^3`.

use std::collections::BTreeSet;

use crate::python::{integer, strip};

/// The text is not a list of CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a list of CPUs such as 0-7,^3")]
pub struct InvalidCpuSpec(pub String);

/// No machine has a CPU of a higher number; a longer range is a mistake.
const MAX_CPU: u32 = 65_535;

/// The CPUs of a list: numbers, ranges, and those to leave out (`^3`, `^4-6`), separated by commas.
///
/// # Errors
///
/// [`InvalidCpuSpec`].
pub(crate) fn cpu_spec(text: &str) -> Result<BTreeSet<u32>, InvalidCpuSpec> {
    let mut cpus = BTreeSet::new();
    let mut excluded = BTreeSet::new();
    for rule in text.split(',').map(strip).filter(|rule| !rule.is_empty()) {
        read_rule(rule, &mut cpus, &mut excluded).ok_or_else(|| InvalidCpuSpec(text.to_owned()))?;
    }
    Ok(&cpus - &excluded)
}

fn read_rule(rule: &str, cpus: &mut BTreeSet<u32>, excluded: &mut BTreeSet<u32>) -> Option<()> {
    let (set, range) = match rule.strip_prefix('^') {
        Some(range) => (excluded, range),
        None => (cpus, rule),
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then(|| set.extend(first..=last))
}

fn number(text: &str) -> Option<u32> {
    integer(strip(text))
        .ok()
        .and_then(|number| u32::try_from(number).ok())
        .filter(|&number| number <= MAX_CPU)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_ranges_and_exclusions() {
        assert_eq!(cpu_spec(" 0-4, ^2,7,"), Ok(BTreeSet::from([0, 1, 3, 4, 7])));
        // Nova's own answers.
        assert_eq!(cpu_spec("0-7,^1-3"), Ok(BTreeSet::from([0, 4, 5, 6, 7])));
        assert_eq!(cpu_spec("^ 1 - 3 ,0-7,^7"), Ok(BTreeSet::from([0, 4, 5, 6])));
        assert_eq!(cpu_spec("^0-3,1"), Ok(BTreeSet::new()));
        for bad in ["a", "3-1", "-1", "1-2-3", "0-99999999", "0-7,^3-1", "^-1", "^", "^^1", "0-7,^a-2"] {
            assert!(cpu_spec(bad).is_err(), "{bad}");
        }
    }
}
