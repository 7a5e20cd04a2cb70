//! The weigh pass: a score for every host that is left.

use berth_placement::View;
use berth_placement::kernel::lane_of;

use crate::mask::{HostMask, lanes};
use crate::policy::{Policy, Rank};
use berth_placement::Row;

/// The hosts that are left with their ranks, in order of row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scores {
    /// One per host.
    pub ranks: Vec<Rank>,
}

impl Scores {
    /// Ranks the hosts of `mask` by `policy`.
    #[must_use]
    pub fn weigh(view: &View, policy: Policy, mask: &HostMask) -> Self {
        let blocks = (0..).zip(view.blocks().iter().zip(mask.words()));
        let ranks = blocks.flat_map(|(number, (block, &word))| {
            lanes(word).map(move |lane| policy.rank(lane_of(block, lane as usize), Row(number * 64 + lane)))
        });
        Self { ranks: ranks.collect() }
    }
}
