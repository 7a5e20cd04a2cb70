//! Sets of CPU numbers.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;
use std::fmt;

/// CPUs of a host or of an instance, as bits. Up to 256 CPUs need no memory of their own.
///
/// The highest word is never zero, so equal sets are equal words.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CpuSet(SmallVec<[u64; 4]>);

/// A CPU number that no machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("CPU {0} is not in 0 to {max}", max = CpuSet::MAX_CPU)]
pub struct InvalidCpu(pub i64);

impl CpuSet {
    /// The largest CPU number a set can hold.
    pub const MAX_CPU: u32 = u16::MAX as u32;

    /// Adds a CPU.
    ///
    /// # Errors
    /// [`InvalidCpu`] for a number above [`CpuSet::MAX_CPU`].
    pub fn insert(&mut self, cpu: u32) -> Result<(), InvalidCpu> {
        if cpu > Self::MAX_CPU {
            return Err(InvalidCpu(cpu.into()));
        }
        let word = cpu as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (cpu % 64);
        Ok(())
    }

    /// Number of CPUs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this CPU is in the set.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.get(cpu as usize / 64).is_some_and(|word| word >> (cpu % 64) & 1 == 1)
    }

    /// The CPUs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().zip(0..).flat_map(|(&word, at)| ones(word).map(move |bit| at * 64 + bit))
    }

    /// How many CPUs are in both sets.
    #[must_use]
    pub(crate) fn count_common(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(a, b)| (a & b).count_ones() as usize).sum()
    }

    /// Whether some CPU is in both sets.
    #[must_use]
    pub(crate) fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// Whether every CPU of this set is in the other.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.len() <= other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    /// The CPUs that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self::trimmed(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    /// The CPUs of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let others = other.0.iter().copied().chain(std::iter::repeat(0));
        Self::trimmed(self.0.iter().zip(others).map(|(a, b)| a & !b).collect())
    }

    /// Adds the CPUs of the other set.
    pub(crate) fn extend_from(&mut self, other: &Self) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    fn trimmed(mut words: SmallVec<[u64; 4]>) -> Self {
        while words.last() == Some(&0) {
            words.pop();
        }
        Self(words)
    }
}

/// Positions of the bits that are set, ascending.
fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros();
            word &= word - 1;
            bit
        })
    })
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for CpuSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for CpuSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CpuNumbers)
    }
}

struct CpuNumbers;

impl<'de> Visitor<'de> for CpuNumbers {
    type Value = CpuSet;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of CPU numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<CpuSet, A::Error> {
        let mut set = CpuSet::default();
        while let Some(number) = numbers.next_element::<i64>()? {
            let cpu = u32::try_from(number).map_err(|_| A::Error::custom(InvalidCpu(number)))?;
            set.insert(cpu).map_err(A::Error::custom)?;
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::CpuSet;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(cpus: &BTreeSet<u32>) -> CpuSet {
        let mut set = CpuSet::default();
        cpus.iter().for_each(|&cpu| set.insert(cpu).expect("a small number"));
        set
    }

    proptest! {
        #[test]
        fn agrees_with_an_ordered_set(
            a in prop::collection::btree_set(0_u32..600, 0..40),
            b in prop::collection::btree_set(0_u32..600, 0..40),
        ) {
            let (left, right) = (set(&a), set(&b));
            let common: BTreeSet<u32> = &a & &b;
            prop_assert_eq!(left.len(), a.len());
            prop_assert_eq!(left.is_empty(), a.is_empty());
            prop_assert_eq!(left.iter().collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!(left.count_common(&right), common.len());
            prop_assert_eq!(left.intersects(&right), !common.is_empty());
            prop_assert_eq!(left.is_subset(&right), a.is_subset(&b));
            prop_assert_eq!(left.intersection(&right), set(&common));
            prop_assert_eq!(left.difference(&right), set(&(&a - &b)));
            let mut union = left.clone();
            union.extend_from(&right);
            prop_assert_eq!(union, set(&(&a | &b)));
            prop_assert!(a.iter().all(|&cpu| left.contains(cpu)));
        }

        #[test]
        fn json_is_the_ascending_list(a in prop::collection::btree_set(0_u32..600, 0..40)) {
            let text = serde_json::to_string(&set(&a)).expect("serialises");
            prop_assert_eq!(&text, &serde_json::to_string(&a).expect("serialises"));
            prop_assert_eq!(serde_json::from_str::<CpuSet>(&text).expect("parses"), set(&a));
        }
    }

    #[test]
    fn numbers_no_machine_has_are_refused() {
        for (text, number) in [("[-1]", "-1"), ("[70000]", "70000"), ("[4294967296]", "4294967296")] {
            let error = serde_json::from_str::<CpuSet>(text).expect_err("no such CPU").to_string();
            assert!(error.starts_with(&format!("CPU {number} is not in 0 to 65535")), "{error}");
        }
    }
}
