//! Row sets that support insertion only.

use crate::ids::Row;

/// A row set as 64-row words, up to the highest row inserted.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows(Vec<u64>);

impl Rows {
    pub(super) fn insert(&mut self, row: Row) {
        let (block, lane) = row.block_and_lane();
        if block >= self.0.len() {
            self.0.resize(block + 1, 0);
        }
        self.0[block] |= 1 << lane;
    }

    pub(super) fn contains(&self, row: Row) -> bool {
        let (block, lane) = row.block_and_lane();
        self.0.get(block).is_some_and(|word| word >> lane & 1 == 1)
    }

    pub(super) fn is_subset(&self, others: &Self) -> bool {
        let theirs = others.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter().zip(theirs).all(|(own, their)| own & !their == 0)
    }

    /// Iterates in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row> {
        (0..).zip(&self.0).flat_map(|(block, &word)| members(block, word))
    }

    /// Iterates in order.
    pub(super) fn into_iter(self) -> impl Iterator<Item = Row> {
        (0..).zip(self.0).flat_map(|(block, word)| members(block, word))
    }
}

impl Extend<Row> for Rows {
    fn extend<I: IntoIterator<Item = Row>>(&mut self, rows: I) {
        rows.into_iter().for_each(|row| self.insert(row));
    }
}

/// The rows of one word.
fn members(block: u32, mut word: u64) -> impl Iterator<Item = Row> {
    std::iter::from_fn(move || {
        let lane = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(Row(block * 64 + lane))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_order_and_once() {
        let mut rows = Rows::default();
        rows.extend([200, 3, 64, 3, 63, 200].map(Row));
        assert_eq!(rows.iter().collect::<Vec<_>>(), [3, 63, 64, 200].map(Row));
        assert!(rows.contains(Row(63)) && !rows.contains(Row(62)) && !rows.contains(Row(1_000)));
        let mut more = rows.clone();
        more.insert(Row(5_000));
        assert!(rows.is_subset(&more) && !more.is_subset(&rows));
        assert_eq!(more.into_iter().last(), Some(Row(5_000)));
    }
}
