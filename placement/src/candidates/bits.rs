//! Small sets of positions: the providers of one tree's search, numbered from 0.

use smallvec::{SmallVec, smallvec};

/// A set of positions below a fixed length; up to 64 positions need no heap allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits(SmallVec<[u64; 1]>);

impl Bits {
    pub(super) fn none(len: usize) -> Self {
        Self(smallvec![0; len.div_ceil(64).max(1)])
    }

    pub(super) fn only(len: usize, member: usize) -> Self {
        let mut bits = Self::none(len);
        bits.insert(member);
        bits
    }

    /// The positions for which `belongs` returns true.
    pub(super) fn filled(len: usize, mut belongs: impl FnMut(usize) -> bool) -> Self {
        let mut bits = Self::none(len);
        (0..len).filter(|&member| belongs(member)).for_each(|member| bits.insert(member));
        bits
    }

    pub(super) fn insert(&mut self, member: usize) {
        self.0[member / 64] |= 1 << (member % 64);
    }

    pub(super) fn remove(&mut self, member: usize) {
        self.0[member / 64] &= !(1 << (member % 64));
    }

    pub(super) fn contains(&self, member: usize) -> bool {
        self.0[member / 64] >> (member % 64) & 1 == 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The first member from `start` on.
    pub(super) fn next(&self, start: usize) -> Option<usize> {
        let (mut block, lane) = (start / 64, start % 64);
        let mut left = self.0.get(block)? & (u64::MAX << lane);
        while left == 0 {
            block += 1;
            left = *self.0.get(block)?;
        }
        Some(block * 64 + left.trailing_zeros() as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let member = self.next(start)?;
            start = member + 1;
            Some(member)
        })
    }

    pub(super) fn keep(&mut self, others: &Self) {
        self.0.iter_mut().zip(&others.0).for_each(|(word, other)| *word &= other);
    }

    pub(super) fn drop_all(&mut self, others: &Self) {
        self.0.iter_mut().zip(&others.0).for_each(|(word, other)| *word &= !other);
    }

    pub(super) fn is_subset(&self, others: &Self) -> bool {
        self.0.iter().zip(&others.0).all(|(word, other)| word & !other == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_order_across_words() {
        for len in [1, 63, 64, 65, 200] {
            let bits = Bits::filled(len, |member| member % 7 == 3 || member + 1 == len);
            let expected: Vec<usize> =
                (0..len).filter(|member| member % 7 == 3 || member + 1 == len).collect();
            assert_eq!(bits.iter().collect::<Vec<_>>(), expected);
            assert_eq!((bits.len(), bits.next(len)), (expected.len(), None));
        }
    }
}
