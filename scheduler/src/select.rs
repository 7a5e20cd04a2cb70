//! Selection: the best of the weighed hosts.

use crate::policy::Rank;
use crate::weigh::Scores;

/// The lowest rank, which is the best host.
#[must_use]
pub fn lowest_rank(scores: &Scores) -> Option<Rank> {
    scores.ranks.iter().copied().min()
}
