//! Amounts and extra specs of a flavor.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// A flavor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RequestedFlavor {
    /// Its name, which aggregates may be limited to.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: i64,
    /// Memory in MiB.
    pub memory_mb: i64,
    /// Root disk in GiB.
    pub root_gb: i64,
    /// Ephemeral disks in GiB.
    pub ephemeral_gb: i64,
    /// Swap in MiB.
    pub swap: i64,
    /// Requirements as keys and values.
    pub extra_specs: ExtraSpecs,
}

impl Default for RequestedFlavor {
    fn default() -> Self {
        Self {
            name: "m1.small".to_owned(),
            vcpus: 1,
            memory_mb: 512,
            root_gb: 1,
            ephemeral_gb: 0,
            swap: 0,
            extra_specs: ExtraSpecs::default(),
        }
    }
}

impl RequestedFlavor {
    /// Local disk in MiB as a host counts it: root and ephemeral, not swap.
    #[must_use]
    pub(crate) const fn disk_mb(&self) -> i64 {
        (self.root_gb.saturating_add(self.ephemeral_gb)).saturating_mul(1024)
    }
}

/// Keys and values in the order in which they came, which is the order in which filters look at
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraSpecs {
    entries: Vec<(String, String)>,
}

impl ExtraSpecs {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Every key and its value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        self.entries.retain(|(name, _)| name != key);
    }

    /// Sets a key: an existing one keeps its place.
    pub fn insert(&mut self, key: String, value: String) {
        match self.entries.iter_mut().find(|(name, _)| *name == key) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((key, value)),
        }
    }
}

impl FromIterator<(String, String)> for ExtraSpecs {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(entries: I) -> Self {
        let mut specs = Self::default();
        entries.into_iter().for_each(|(key, value)| specs.insert(key, value));
        specs
    }
}

impl<'de> Deserialize<'de> for ExtraSpecs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SpecsVisitor)
    }
}

struct SpecsVisitor;

impl<'de> Visitor<'de> for SpecsVisitor {
    type Value = ExtraSpecs;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("extra specs: texts by key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<ExtraSpecs, A::Error> {
        let mut specs = ExtraSpecs::default();
        while let Some((key, value)) = entries.next_entry()? {
            specs.insert(key, value);
        }
        Ok(specs)
    }
}
