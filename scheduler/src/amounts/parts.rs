//! Passes over all blocks of a fleet, in parts: one after the other, or on several cores.
//!
//! Results come in the order of the parts, and what is made of them (sums, extremes, the best by a
//! total order) does not depend on where a fleet was cut. So the number of cores never shows in an
//! answer.

use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// Blocks of 64 hosts from which a pass is split over the cores: half a million hosts. Below, a
/// pass is over before a second core has woken up for good: at 100,000 hosts the whole weighted
/// search takes 127 µs on one core, and took 154 µs on two of a busy machine.
pub(crate) const SPLIT_FROM: usize = 8192;
/// Blocks of a part: few enough that cores which others use as well end together, a multiple of the
/// 64 that a summary stands for.
const PART: usize = 1024;

/// The results of `work` on `blocks` blocks: on all at once if there are fewer than `split_from`,
/// else on each part.
pub(crate) fn map<R: Send>(
    blocks: usize,
    split_from: usize,
    work: impl Fn(Range<usize>) -> R + Send + Sync,
) -> Vec<R> {
    if blocks < split_from {
        return vec![work(0..blocks)];
    }
    let part = |number: usize| work(number * PART..blocks.min((number + 1) * PART));
    (0..blocks.div_ceil(PART)).into_par_iter().map(part).collect()
}

/// The results of `work` on each part of an earlier pass.
pub(crate) fn map_all<T: Sync, R: Send>(parts: &[T], work: impl Fn(&T) -> R + Send + Sync) -> Vec<R> {
    match parts {
        [only] => vec![work(only)],
        parts => parts.into_par_iter().map(work).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_block_once_and_in_order() {
        for blocks in [0, 1, PART - 1, PART, PART + 1, 5 * PART + 7] {
            for split_from in [0, usize::MAX] {
                let parts = map(blocks, split_from, |part| part);
                assert_eq!(
                    parts.iter().cloned().flatten().collect::<Vec<_>>(),
                    (0..blocks).collect::<Vec<_>>()
                );
                assert!(parts.iter().all(|part| part.start % 64 == 0));
            }
        }
    }
}
