//! Selection: the best of the weighed hosts.

use berth_placement::Row;

use crate::policy::Rank;

/// The hosts with the `most` lowest ranks, best first.
#[must_use]
pub(crate) fn lowest(mut ranks: Vec<Rank>, most: usize) -> Vec<Row> {
    if most < ranks.len() {
        ranks.select_nth_unstable(most);
        ranks.truncate(most);
    }
    ranks.sort_unstable();
    ranks.into_iter().map(|rank| rank.row()).collect()
}
