//! Filters as column passes: each narrows the mask of hosts, a word of 64 rows at a time.
//!
//! Words stand for blocks of 64 rows. A pass may be split: each part then has the words of some
//! blocks, from a multiple of 64 blocks on.

use berth_placement::kernel::fits;
use berth_placement::{Index, View};

use crate::amounts::prepare::Prepared;
use crate::mask::{HostMask, keep, retain};

/// A constraint on hosts.
pub trait MaskFilter: Sync {
    /// Removes from `words`, those of the blocks from `first` on, the hosts that do not satisfy it.
    /// `first` is a multiple of 64.
    fn narrow_part(&self, first: usize, words: &mut [u64]);

    /// Removes from `mask` the hosts that do not satisfy it.
    fn narrow(&self, mask: &mut HostMask) {
        self.narrow_part(0, mask.words_mut());
    }
}

/// Traits, aggregates and unit rules, compiled when the request was prepared.
pub struct Eligible<'a>(pub &'a Prepared);

impl MaskFilter for Eligible<'_> {
    fn narrow_part(&self, first: usize, words: &mut [u64]) {
        let Some(eligible) = self.0.eligible() else { return };
        keep(words, eligible.words().get(first..).unwrap_or_default());
    }
}

/// Enough of the host classes is free. Blocks whose largest free amounts do not suffice are not
/// looked at.
pub struct Capacity<'a> {
    /// The request.
    pub prepared: &'a Prepared,
    /// The fleet.
    pub view: &'a View,
}

impl MaskFilter for Capacity<'_> {
    fn narrow_part(&self, first: usize, words: &mut [u64]) {
        let need = self.prepared.need();
        let (blocks, summaries) = (&self.view.blocks()[first..], &self.view.summaries()[first / 64..]);
        for ((words, blocks), summary) in words.chunks_mut(64).zip(blocks.chunks(64)).zip(summaries) {
            let promising = fits(summary, need);
            for (lane, (word, block)) in words.iter_mut().zip(blocks).enumerate() {
                let worth_it = promising >> lane & 1 == 1 && *word != 0;
                *word = if worth_it { *word & fits(block, need) } else { 0 };
            }
        }
    }
}

/// Enough of the other classes is free, asked of the index host by host: few requests have any, few
/// hosts are left.
pub struct OtherClasses<'a> {
    /// The request.
    pub prepared: &'a Prepared,
    /// The fleet.
    pub index: &'a Index,
}

impl MaskFilter for OtherClasses<'_> {
    fn narrow_part(&self, first: usize, words: &mut [u64]) {
        if !self.prepared.others().is_empty() {
            retain(first, words, |row| has_others(self.index, self.prepared, row));
        }
    }
}

/// Whether the host grants what is asked of the classes outside the view.
pub(crate) fn has_others(index: &Index, prepared: &Prepared, row: berth_placement::Row) -> bool {
    prepared.others().iter().all(|&(class, amount)| {
        index.free(row, class).is_some_and(|free| free >= i64::from(amount))
            && index.inventory(row, class).is_some_and(|inventory| inventory.units.allow(amount))
    })
}
