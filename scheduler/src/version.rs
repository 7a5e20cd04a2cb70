//! Versions as Python packages number them (PEP 440), and predicates over them such as `>=2.6,<4`.

use std::cmp::Ordering;
use std::str::FromStr;

use super::python::is_space;

/// The text is not a version or not a predicate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VersionError {
    /// Not a version.
    #[error("'{0}' is not a version")]
    Version(String),
    /// Not an operator and a version.
    #[error("'{0}' is not one of < <= == > >= != and a version")]
    Predicate(String),
}

/// A number, or something before or after all numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part<T> {
    BeforeAll,
    Given(T),
    AfterAll,
}

/// The parts after a plus sign; texts before numbers.
type Local = Part<Vec<Part<(u64, String)>>>;

/// A version. The fields are in the order in which they decide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    epoch: u64,
    /// Without zeros at the end, so that 2.6 equals 2.6.0.
    release: Vec<u64>,
    pre: Part<(char, u64)>,
    post: Part<u64>,
    dev: Part<u64>,
    local: Local,
}

impl Version {
    /// The version of a hypervisor, which Nova keeps as one number: 2006001 is 2.6.1.
    #[must_use]
    pub(crate) fn of_hypervisor(number: u64) -> Self {
        let mut release = Vec::new();
        let mut rest = number;
        while rest != 0 {
            release.insert(0, rest % 1000);
            rest /= 1000;
        }
        Self::released(0, release)
    }

    fn released(epoch: u64, mut release: Vec<u64>) -> Self {
        while release.last() == Some(&0) {
            release.pop();
        }
        let (pre, post) = (Part::AfterAll, Part::BeforeAll);
        Self { epoch, release, pre, post, dev: Part::AfterAll, local: Part::BeforeAll }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let lower = text.trim_matches(is_space).to_ascii_lowercase();
        Scanner { rest: lower.strip_prefix('v').unwrap_or(&lower) }
            .version()
            .ok_or_else(|| VersionError::Version(text.to_owned()))
    }
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn version(mut self) -> Option<Version> {
        let (epoch, release) = self.release()?;
        let mut version = Version::released(epoch, release);
        let pre = self.labelled(&["alpha", "a", "beta", "b", "preview", "pre", "c", "rc"]);
        let post = self.post();
        let dev = self.labelled(&["dev"]);
        version.pre = match (pre, post, &dev) {
            (Some((label, number)), ..) => Part::Given((phase(label), number)),
            (None, None, Some(_)) => Part::BeforeAll,
            _ => Part::AfterAll,
        };
        version.post = post.map_or(Part::BeforeAll, Part::Given);
        version.dev = dev.map_or(Part::AfterAll, |(_, number)| Part::Given(number));
        version.local = self.local()?;
        self.rest.is_empty().then_some(version)
    }

    fn release(&mut self) -> Option<(u64, Vec<u64>)> {
        let mut first = self.number()?;
        let mut epoch = 0;
        if let Some(rest) = self.rest.strip_prefix('!') {
            self.rest = rest;
            epoch = first;
            first = self.number()?;
        }
        let mut release = vec![first];
        while self.rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            self.rest = &self.rest[1..];
            release.push(self.number()?);
        }
        Some((epoch, release))
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        number(digits)
    }

    /// `[-_.]label[-_.][number]`
    fn labelled(&mut self, labels: &[&'a str]) -> Option<(&'a str, u64)> {
        let rest = without_separator(self.rest);
        let label = labels.iter().copied().find(|label| rest.starts_with(label))?;
        let after = &rest[label.len()..];
        let numbered = without_separator(after);
        let has_number = numbered.starts_with(|c: char| c.is_ascii_digit());
        self.rest = if has_number { numbered } else { after };
        let number = if has_number { self.number()? } else { 0 };
        Some((label, number))
    }

    fn post(&mut self) -> Option<u64> {
        let bare = self.rest.strip_prefix('-').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(rest) = bare {
            self.rest = rest;
            return self.number();
        }
        self.labelled(&["post", "rev", "r"]).map(|(_, number)| number)
    }

    fn local(&mut self) -> Option<Local> {
        let Some(local) = self.rest.strip_prefix('+') else { return Some(Part::BeforeAll) };
        self.rest = "";
        local.split(['-', '_', '.']).map(local_part).collect::<Option<_>>().map(Part::Given)
    }
}

fn without_separator(text: &str) -> &str {
    text.strip_prefix(['-', '_', '.']).unwrap_or(text)
}

/// The number of ASCII digits. A number beyond 64 bits is beyond the versions of hypervisors, too:
/// the largest stands for it.
fn number(digits: &str) -> Option<u64> {
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))
}

fn phase(label: &str) -> char {
    match label {
        "alpha" | "a" => 'a',
        "beta" | "b" => 'b',
        _ => 'r',
    }
}

fn local_part(text: &str) -> Option<Part<(u64, String)>> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| number(text)).flatten();
    Some(
        number
            .map_or_else(|| Part::Given((0, text.to_owned())), |number| Part::Given((number, String::new()))),
    )
}

/// Conditions that a version has to meet, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionPredicate {
    conditions: Vec<(Comparison, Version)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    NotEqual,
}

impl Comparison {
    /// Longer operators first, so that `<=` is not read as `<`.
    const BY_TEXT: [(&'static str, Self); 6] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("<", Self::Less),
        (">", Self::Greater),
        ("!=", Self::NotEqual),
        ("==", Self::Equal),
    ];

    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
            Self::NotEqual => order.is_ne(),
        }
    }
}

impl VersionPredicate {
    /// Whether the version meets every condition.
    #[must_use]
    pub(crate) fn is_met_by(&self, version: &Version) -> bool {
        self.conditions.iter().all(|(comparison, other)| comparison.holds(version.cmp(other)))
    }
}

impl FromStr for VersionPredicate {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        text.split(',').map(condition).collect::<Result<_, _>>().map(|conditions| Self { conditions })
    }
}

fn condition(text: &str) -> Result<(Comparison, Version), VersionError> {
    let invalid = || VersionError::Predicate(text.to_owned());
    let trimmed = text.trim_matches(is_space);
    let (operator, comparison) = Comparison::BY_TEXT
        .into_iter()
        .find(|(operator, _)| trimmed.starts_with(operator))
        .ok_or_else(invalid)?;
    let version = trimmed[operator.len()..].trim_start_matches(is_space);
    if version.is_empty() || version.contains(is_space) {
        return Err(invalid());
    }
    Ok((comparison, version.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn orders_as_pep_440() {
        let ascending = [
            "1.dev1",
            "1.0a1.dev2",
            "1a1",
            "1.0-b2",
            "1rc1",
            "1",
            "1+abc",
            "1+5",
            "1.post1.dev3",
            "1-2",
            "1.1",
            "1!0.5",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("v2.6.0"), version("2.6"));
        assert_eq!(Version::of_hypervisor(2_006_000), version("2.6"));
    }

    #[test]
    fn predicates_need_all_conditions() {
        let predicate: VersionPredicate = " >= 2.6 ,!=3.0".parse().expect("a predicate");
        let met = ["2.5.9", "2.6", "3", "3.0.1"].map(|text| predicate.is_met_by(&version(text)));
        assert_eq!(met, [false, true, false, true]);
        for bad in ["", "2.6", "=> 1", ">=", "> 1 2", ">=x", ">1,"] {
            assert!(bad.parse::<VersionPredicate>().is_err(), "{bad}");
        }
    }
}
