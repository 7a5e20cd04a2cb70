//! The weigh pass: a score for every host that is left.

use berth_placement::kernel::{lane_of, scores};
use berth_placement::{Row, View};

use crate::best::{Best, Scored};
use crate::mask::{HostMask, lanes};
use crate::objective::{Extremes, Goal, Weights};
use crate::policy::{Policy, Rank};

/// The ranks of the hosts of `mask`, in order of row.
#[must_use]
pub(crate) fn rank(view: &View, policy: Policy, mask: &HostMask) -> Vec<Rank> {
    hosts(view, mask).map(|(free, row)| policy.rank(free, row)).collect()
}

/// The `most` highest weighted scores among the hosts of `mask`, best first.
pub(crate) fn highest(view: &View, weights: Weights, mask: &HostMask, most: usize) -> Best {
    let mut extremes = Extremes::NONE;
    hosts(view, mask).for_each(|(free, _)| extremes.add(free));
    let goal = Goal::new(&weights.into(), &extremes);
    let mut best = Best::new(most);
    let mut column = [0.0; 64];
    for (number, (block, &word)) in
        (0..).zip(view.blocks().iter().zip(mask.words())).filter(|(_, (_, word))| **word != 0)
    {
        scores(block, &goal.terms, &mut column);
        for lane in lanes(word) {
            best.offer(Scored { score: column[lane as usize], row: Row(number * 64 + lane) });
        }
    }
    best
}

fn hosts(view: &View, mask: &HostMask) -> impl Iterator<Item = (berth_placement::HostFree, Row)> {
    let blocks = (0..).zip(view.blocks().iter().zip(mask.words()));
    blocks.flat_map(|(number, (block, &word))| {
        lanes(word).map(move |lane| (lane_of(block, lane as usize), Row(number * 64 + lane)))
    })
}
