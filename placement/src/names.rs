//! Registries that map names to dense numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::Timestamp;
use crate::records::NameRecord;

/// Names with their numbers. Removing a name retires its number. The number can be given to another
/// name when no caller knows the former meaning (`reuse.rs`).
#[derive(Debug, Clone, Default)]
pub struct Names {
    by_number: Vec<Option<Entry>>,
    numbers: BTreeMap<Arc<str>, u32>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: Arc<str>,
    since: Timestamp,
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
        self.entry(number).map(|entry| &*entry.name)
    }

    /// The name with this number, as a shared string.
    pub(crate) fn shared(&self, number: u32) -> Option<Arc<str>> {
        self.entry(number).map(|entry| Arc::clone(&entry.name))
    }

    /// The time when the name with this number was added or last changed.
    #[must_use]
    pub fn since(&self, number: u32) -> Option<Timestamp> {
        self.entry(number).map(|entry| entry.since)
    }

    /// The record of the name with this number.
    pub(crate) fn record(&self, number: u32) -> Option<NameRecord> {
        self.entry(number).map(|entry| NameRecord { name: Arc::clone(&entry.name), since: entry.since })
    }

    /// All names with their numbers, in order of number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..).zip(&self.by_number).filter_map(|(number, entry)| Some((number, &*entry.as_ref()?.name)))
    }

    /// The bound of the numbers, including retired ones: numbers run from 0 to this.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// The count of names.
    #[must_use]
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// The numbers below [`Self::len`] that no name has.
    pub(crate) fn holes(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.by_number).filter(|(_, entry)| entry.is_none()).map(|(number, _)| number)
    }

    /// Whether no number was assigned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// The number of `name`, which is added with the next number if it is new.
    pub(crate) fn intern(&mut self, name: &str, now: Timestamp) -> u32 {
        if let Some(number) = self.find(name) {
            return number;
        }
        let number = u32::try_from(self.by_number.len()).expect("fewer than 2^32 names");
        let name: Arc<str> = name.into();
        self.by_number.push(Some(Entry { name: Arc::clone(&name), since: now }));
        self.numbers.insert(name, number);
        number
    }

    /// Gives the number another name, which must be new.
    pub(crate) fn rename(&mut self, number: u32, name: &str, now: Timestamp) {
        self.remove(number);
        let name: Arc<str> = name.into();
        self.by_number[number as usize] = Some(Entry { name: Arc::clone(&name), since: now });
        self.numbers.insert(name, number);
    }

    /// Forgets the name and retires its number.
    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(entry) = self.by_number[number as usize].take() {
            self.numbers.remove(&entry.name);
        }
    }

    /// Retires the number, also one that this registry did not assign.
    pub(crate) fn retire(&mut self, number: u32) {
        let place = number as usize;
        if place >= self.by_number.len() {
            self.by_number.resize(place + 1, None);
        }
        self.remove(number);
    }

    /// Restores a name with its former number. Lower numbers that are not restored are retired.
    pub(crate) fn put_back(&mut self, number: u32, record: NameRecord) {
        self.retire(number);
        let NameRecord { name, since } = record;
        self.by_number[number as usize] = Some(Entry { name: Arc::clone(&name), since });
        self.numbers.insert(name, number);
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        self.by_number.get(number as usize)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_number_is_given_again_only_on_request() {
        let mut names = Names::default();
        let gold = names.intern("GOLD", Timestamp(1));
        names.remove(gold);
        assert_eq!((names.find("GOLD"), names.name(gold)), (None, None));
        let silver = names.intern("SILVER", Timestamp(2));
        let again = names.intern("GOLD", Timestamp(3));
        assert!(gold != silver && gold != again && silver != again);
        assert_eq!(names.since(again), Some(Timestamp(3)));
        assert_eq!(names.iter().collect::<Vec<_>>(), [(silver, "SILVER"), (again, "GOLD")]);
        assert_eq!((names.holes().collect::<Vec<_>>(), names.count(), names.len()), (vec![gold], 2, 3));
        names.put_back(gold, NameRecord { name: "BRONZE".into(), since: Timestamp(4) });
        assert_eq!((names.find("BRONZE"), names.name(gold)), (Some(gold), Some("BRONZE")));
    }

    #[test]
    fn a_renamed_number_goes_by_its_new_name_only() {
        let mut names = Names::default();
        let number = names.intern("OLD", Timestamp(1));
        names.rename(number, "NEW", Timestamp(2));
        assert_eq!((names.find("OLD"), names.find("NEW")), (None, Some(number)));
        assert_eq!(names.name(number), Some("NEW"));
    }
}
