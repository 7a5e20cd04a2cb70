//! The features of CPUs: those that a hypervisor gives guests, and those that a guest has.

use std::fmt::{self, Display, Formatter};

/// Features of CPUs, such as `avx512f`; none if they are unknown.
///
/// Names in order, each once, in one text: a fleet has a copy for each host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuFeatures(String);

/// The most features, and the longest name.
const MOST: usize = 1024;
const LONGEST: usize = 64;

impl CpuFeatures {
    /// The features with these names. What can be no name of a feature is left out.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = |name: &&str| (1..=LONGEST).contains(&name.len()) && name.bytes().all(is_part);
        let mut names: Vec<&str> = names.into_iter().filter(is_name).take(MOST).collect();
        names.sort_unstable();
        names.dedup();
        Self(names.join(" "))
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace()
    }

    /// The features that a guest has and the hypervisor of another host does not give it; none if
    /// the features of either host are unknown. `self` are those of the guest's host, without
    /// `missing`.
    pub(crate) fn lacking(&self, missing: &Self, other: &Self) -> Vec<&str> {
        if self == other || other.0.is_empty() {
            return Vec::new();
        }
        without(without(self.names(), missing), other).collect()
    }
}

/// The names, separated by spaces. [`CpuFeatures::new`] reads them.
impl Display for CpuFeatures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names, in order, that are not among the others.
fn without<'a>(names: impl Iterator<Item = &'a str>, others: &CpuFeatures) -> impl Iterator<Item = &'a str> {
    let mut others = others.names().peekable();
    names.filter(move |name| {
        while others.next_if(|other| other < name).is_some() {}
        others.peek() != Some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(names: &str) -> CpuFeatures {
        CpuFeatures::new(names.split(' '))
    }

    #[test]
    fn names_are_ordered_and_what_is_none_is_left_out() {
        let long = "x".repeat(65);
        let names = ["sse4.1", "avx", "", "a b", "avx", "é", "3dnow", &long];
        assert!(CpuFeatures::new(names).names().eq(["3dnow", "avx", "sse4.1"]));
        let many: Vec<String> = (0..2000).map(|number| format!("f{number}")).collect();
        assert_eq!(CpuFeatures::new(many.iter().map(String::as_str)).names().count(), MOST);
    }

    #[test]
    fn what_a_guest_has_is_compared_not_what_its_host_has() {
        let (host, lesser) = (features("aes avx avx512f sse"), features("avx sse"));
        let none = CpuFeatures::default();
        assert_eq!(host.lacking(&none, &lesser), ["aes", "avx512f"]);
        assert_eq!(host.lacking(&features("avx512f"), &lesser), ["aes"]);
        assert!(host.lacking(&features("aes avx512f"), &lesser).is_empty(), "it came from the lesser host");
        assert!(lesser.lacking(&none, &host).is_empty());
        assert!(host.lacking(&none, &host).is_empty());
    }

    #[test]
    fn unknown_features_are_not_compared() {
        let (known, none) = (features("avx"), CpuFeatures::default());
        assert!(known.lacking(&none, &none).is_empty() && none.lacking(&none, &known).is_empty());
    }
}
