//! How far the hosts of a forest ever reached.

use berth_placement::kernel::weighed;

/// The smallest and largest [`weighed`] amounts of each column that hosts ever had. They only
/// widen, until the forest is made again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spans<const N: usize> {
    least: [i32; N],
    most: [i32; N],
}

impl<const N: usize> Spans<N> {
    /// Of no hosts.
    pub(crate) const NONE: Self = Self { least: [i32::MAX; N], most: [i32::MIN; N] };

    /// Adds one host.
    #[inline]
    pub(crate) fn widen(&mut self, amounts: &[i32; N]) {
        for (column, &amount) in amounts.iter().enumerate() {
            self.least[column] = self.least[column].min(weighed(amount));
            self.most[column] = self.most[column].max(weighed(amount));
        }
    }

    /// The amount that every host has.
    #[inline]
    pub(crate) fn only(&self, column: usize) -> Option<i32> {
        (self.least[column] == self.most[column]).then_some(self.most[column])
    }

    /// The largest amount of a column, whatever its sign.
    #[inline]
    pub(crate) fn magnitude(&self, column: usize) -> u32 {
        self.least[column].unsigned_abs().max(self.most[column].unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_one_amount_has_only_that() {
        let mut spans = Spans::NONE;
        assert_eq!(spans.only(0), None);
        [[7, -3], [7, 2]].iter().for_each(|amounts| spans.widen(amounts));
        assert_eq!((spans.only(0), spans.only(1)), (Some(7), None));
        assert_eq!((spans.magnitude(0), spans.magnitude(1)), (7, 3));
    }
}
