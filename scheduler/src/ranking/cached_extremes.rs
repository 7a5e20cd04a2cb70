//! The hosts that had the extremes when a request was last decided.
//!
//! Between two decisions few hosts change. If the host that had an extreme still satisfies the
//! request, the extreme is at least what this host has now, and a search has only to show that no
//! other host has more. That holds whatever else has changed, so nothing has to be kept true.

use berth_placement::Row;

use crate::ranking::search::Query;

/// The hosts with the smallest and largest amounts of each column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CachedExtremes<const N: usize> {
    pub(crate) low: [Option<Row>; N],
    pub(crate) high: [Option<Row>; N],
}

impl<const N: usize> Default for CachedExtremes<N> {
    fn default() -> Self {
        Self { low: [None; N], high: [None; N] }
    }
}

/// The extremes of former decisions, with what their hosts have now.
pub(crate) struct Recheck<'a, const N: usize, F> {
    pub(crate) cached: &'a mut CachedExtremes<N>,
    /// The amounts of a row; none if it is no host.
    pub(crate) amounts: F,
}

impl<const N: usize, F: Fn(Row) -> Option<[i32; N]>> Recheck<'_, N, F> {
    /// The holder's value in a column, if it still satisfies the query.
    #[inline]
    pub(crate) fn of<A: FnMut(Row) -> bool>(
        &self,
        holder: Row,
        column: usize,
        query: &mut Query<A>,
    ) -> Option<i32> {
        let amounts = (self.amounts)(holder)?;
        let has_enough = amounts.iter().zip(query.need).all(|(amount, need)| *amount >= need);
        (has_enough && (query.acceptable)(holder)).then(|| amounts[column])
    }
}
