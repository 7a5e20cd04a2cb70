//! Selection: the best of the weighed hosts.

use crate::policy::Rank;

/// The `most` lowest ranks, best first.
#[must_use]
pub(crate) fn lowest(mut ranks: Vec<Rank>, most: usize) -> Vec<Rank> {
    if most < ranks.len() {
        ranks.select_nth_unstable(most);
        ranks.truncate(most);
    }
    ranks.sort_unstable();
    ranks
}
