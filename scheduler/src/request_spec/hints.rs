//! Scheduler hints.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

/// Hints of users by name. Each is a list, as Nova stores them.
///
/// **Invariant:** no name begins with `_`. Such names are internal to Nova, which lets them switch
/// checks off; hints come from users, so every way to make this type drops them. What Nova's
/// services say in such a hint is [`RequestSpec::check_type`](super::RequestSpec::check_type).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulerHints(BTreeMap<String, Vec<String>>);

impl FromIterator<(String, Vec<String>)> for SchedulerHints {
    fn from_iter<I: IntoIterator<Item = (String, Vec<String>)>>(hints: I) -> Self {
        Self(hints.into_iter().filter(|(name, _)| !Self::is_internal(name)).collect())
    }
}

impl<'de> Deserialize<'de> for SchedulerHints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, Vec<String>>::deserialize(deserializer).map(Self::from_iter)
    }
}

/// A hint as a filter reads it: a list of exactly one item is the item.
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
    /// Bytes of all names and values.
    pub(crate) fn text_bytes(&self) -> usize {
        let bytes = |(name, values): (&String, &Vec<String>)| {
            name.len() + values.iter().map(String::len).sum::<usize>()
        };
        self.0.iter().map(bytes).sum()
    }

    /// Whether hints of this name are internal to Nova: users cannot set them.
    #[must_use]
    pub fn is_internal(name: &str) -> bool {
        name.starts_with('_')
    }

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

    /// The instances that hints name: the request goes to their hosts, or to others.
    pub fn instances(&self) -> impl Iterator<Item = Uuid> {
        let lists = ["same_host", "different_host"].into_iter().filter_map(|hint| self.list(hint));
        lists.flatten().filter_map(|text| instance(text))
    }

    /// The names of all hints.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Removes a hint.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Whether the hint is given.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// The instance that a value of a hint names. Nova compares texts, so only the form with hyphens
/// and lower-case letters names one.
pub(crate) fn instance(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    (uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_names_are_dropped_however_hints_are_made() {
        let given = [("_nova_check_type", "rebuild"), ("_", "x"), ("__a", "x"), ("same_host", "a")];
        let given = given.map(|(name, value)| (name.to_owned(), vec![value.to_owned()]));
        let json = serde_json::to_string(&BTreeMap::from(given.clone())).expect("JSON");
        let read: SchedulerHints = serde_json::from_str(&json).expect("hints");
        assert_eq!(read, given.into_iter().collect());
        assert_eq!(read.names().collect::<Vec<_>>(), ["same_host"]);
    }

    /// Nova finds no instance by another spelling of its UUID.
    #[test]
    fn hints_name_instances_by_the_usual_spelling_alone() {
        let uuid = Uuid::from_u128(0xab);
        let spellings =
            [uuid.to_string(), uuid.to_string().to_uppercase(), uuid.simple().to_string(), "x".to_owned()];
        let hints: SchedulerHints = [("same_host".to_owned(), spellings.into())].into_iter().collect();
        assert_eq!(hints.instances().collect::<Vec<_>>(), [uuid]);
    }
}
