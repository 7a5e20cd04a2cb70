//! Append-only registries that give names dense numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Names in the order they were first seen; a name's position is its number and never changes.
#[derive(Debug, Clone, Default)]
pub struct Names {
    by_number: Vec<Arc<str>>,
    numbers: BTreeMap<Arc<str>, u32>,
}

impl Names {
    /// The number of `name`, if it is known.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The name with this number.
    #[must_use]
    pub fn name(&self, number: u32) -> Option<&str> {
        self.by_number.get(number as usize).map(AsRef::as_ref)
    }

    /// How many names there are; numbers run from 0 to this.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// The number of `name`, which is added if it is new.
    pub(crate) fn intern(&mut self, name: &str) -> u32 {
        if let Some(number) = self.find(name) {
            return number;
        }
        let number = u32::try_from(self.by_number.len()).expect("fewer than 2^32 names");
        let name: Arc<str> = name.into();
        self.by_number.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }
}
