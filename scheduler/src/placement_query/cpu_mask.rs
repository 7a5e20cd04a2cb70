//! CPU masks of flavors and images: `0-3,^1,6`.

use super::error::QueryError;
use super::words;
use crate::python;

/// A set of CPU numbers, as sorted ranges that do not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CpuMask(Vec<(u64, u64)>);

impl CpuMask {
    /// Reads a mask; one that starts with `^` is taken away from all of a flavor's `vcpus`.
    ///
    /// # Errors
    /// A rule that is no number, no range, or a range that runs backwards.
    pub(super) fn of_flavor(mask: &str, vcpus: u64) -> Result<Self, QueryError> {
        if python::strip(mask).starts_with('^') {
            Self::parse(&format!("0-{},{mask}", vcpus as i128 - 1))
        } else {
            Self::parse(mask)
        }
    }

    fn parse(text: &str) -> Result<Self, QueryError> {
        let (mut included, mut excluded) = (Vec::new(), Vec::new());
        for rule in text.split(',').map(python::strip).filter(|rule| !rule.is_empty()) {
            let (list, range) = match rule.strip_prefix('^') {
                Some(rest) => (&mut excluded, rest),
                None => (&mut included, rule),
            };
            list.push(parse_range(range).ok_or_else(|| invalid(rule))?);
        }
        Ok(Self(subtract(merge(included), &merge(excluded))))
    }

    /// The mask of all of a flavor's `vcpus`.
    pub(super) fn all(vcpus: u64) -> Self {
        Self(if vcpus == 0 { Vec::new() } else { vec![(0, vcpus - 1)] })
    }

    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| (last - first).saturating_add(1)).fold(0, u64::saturating_add)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every CPU is one of the first `vcpus`.
    pub(super) fn is_within(&self, vcpus: u64) -> bool {
        self.0.last().is_none_or(|(_, last)| *last < vcpus)
    }

    /// Whether each of the first `vcpus` is in the set.
    pub(super) fn covers(&self, vcpus: u64) -> bool {
        vcpus == 0 || self.0.first().is_some_and(|(first, last)| *first == 0 && *last >= vcpus - 1)
    }
}

fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = (words::whole_number(python::strip(first))?, words::whole_number(python::strip(last))?);
    (range.0 <= range.1).then_some(range)
}

fn invalid(rule: &str) -> QueryError {
    let kind = match (rule.contains('-'), rule.starts_with('^')) {
        (true, _) => "range",
        (false, true) => "exclusion",
        (false, false) => "inclusion",
    };
    QueryError::Invalid(format!("Invalid {kind} expression {}", python::quoted(rule)))
}

fn merge(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn subtract(mut ranges: Vec<(u64, u64)>, excluded: &[(u64, u64)]) -> Vec<(u64, u64)> {
    for (first, last) in excluded {
        ranges = ranges.into_iter().flat_map(|range| without(range, *first, *last)).flatten().collect();
    }
    ranges
}

fn without(range: (u64, u64), first: u64, last: u64) -> [Option<(u64, u64)>; 2] {
    if last < range.0 || range.1 < first {
        return [Some(range), None];
    }
    [(range.0 < first).then(|| (range.0, first - 1)), (last < range.1).then(|| (last + 1, range.1))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn members(mask: &CpuMask) -> BTreeSet<u64> {
        mask.0.iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    proptest! {
        /// Against the definition: what is included less what is excluded, number by number.
        #[test]
        fn ranges_are_sets(rules in prop::collection::vec((any::<bool>(), 0_u64..20, 0_u64..6), 0..6), vcpus in 1_u64..20) {
            let (mut included, mut excluded) = (BTreeSet::new(), BTreeSet::new());
            let mut text = Vec::new();
            for (exclude, first, more) in rules {
                let list = if exclude { &mut excluded } else { &mut included };
                list.extend(first..=first + more);
                text.push(format!("{}{first}-{}", if exclude { "^" } else { "" }, first + more));
            }
            let mask = CpuMask::parse(&text.join(",")).unwrap();
            let expected: BTreeSet<u64> = &included - &excluded;
            prop_assert_eq!(mask.len(), expected.len() as u64);
            prop_assert_eq!(mask.is_empty(), expected.is_empty());
            prop_assert_eq!(mask.is_within(vcpus), expected.iter().all(|cpu| *cpu < vcpus));
            prop_assert_eq!(mask.covers(vcpus), (0..vcpus).all(|cpu| expected.contains(&cpu)));
            prop_assert_eq!(members(&mask), expected);
        }
    }

    #[test]
    fn a_huge_range_costs_nothing() {
        let mask = CpuMask::of_flavor("0-18446744073709551614", 4).unwrap();
        assert!(mask.covers(4) && !mask.is_within(4));
    }
}
