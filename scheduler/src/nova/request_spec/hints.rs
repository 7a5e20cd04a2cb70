//! Scheduler hints.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Hints by name. Each is a list, as Nova stores them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct SchedulerHints(BTreeMap<String, Vec<String>>);

/// What a filter makes of a hint: a list of exactly one item is the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint<'a> {
    /// A single value.
    One(&'a str),
    /// None or several values.
    Many(&'a [String]),
}

impl Hint<'_> {
    /// Whether the hint says nothing: an empty text or an empty list.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::One(value) => value.is_empty(),
            Self::Many(values) => values.is_empty(),
        }
    }

    /// Whether the value is, or is among, the given.
    #[must_use]
    pub fn contains(&self, value: &str) -> bool {
        match self {
            Self::One(one) => *one == value,
            Self::Many(values) => values.iter().any(|one| one == value),
        }
    }
}

impl SchedulerHints {
    /// A hint as filters see it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Hint<'_>> {
        self.list(name).map(|values| match values {
            [one] => Hint::One(one),
            values => Hint::Many(values),
        })
    }

    /// A hint, unless it is absent or empty.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<Hint<'_>> {
        self.get(name).filter(|hint| !hint.is_empty())
    }

    /// A hint as it is stored.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The names of all hints.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Removes a hint.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Whether a hint is there at all.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
