//! Filters as column passes: each narrows the mask of hosts, a word of 64 rows at a time.

use berth_placement::kernel::fits;
use berth_placement::{Index, View};

use crate::mask::HostMask;
use crate::prepare::Prepared;

/// A constraint on hosts.
pub trait Filter {
    /// Removes from `mask` the hosts that do not satisfy it.
    fn narrow(&self, mask: &mut HostMask);
}

/// Traits, aggregates and unit rules, worked out when the request was prepared.
pub struct Eligible<'a>(pub &'a Prepared);

impl Filter for Eligible<'_> {
    fn narrow(&self, mask: &mut HostMask) {
        let Some(eligible) = self.0.eligible() else { return };
        mask.keep(eligible.words());
    }
}

/// Enough of the host classes is free. Blocks whose largest free amounts do not suffice are not looked at.
pub struct Capacity<'a> {
    /// The request.
    pub prepared: &'a Prepared,
    /// The fleet.
    pub view: &'a View,
}

impl Filter for Capacity<'_> {
    fn narrow(&self, mask: &mut HostMask) {
        let need = self.prepared.need();
        let blocks = self.view.blocks().chunks(64);
        for ((words, blocks), summary) in
            mask.words_mut().chunks_mut(64).zip(blocks).zip(self.view.summaries())
        {
            let promising = fits(summary, need);
            for (lane, (word, block)) in words.iter_mut().zip(blocks).enumerate() {
                let worth_it = promising >> lane & 1 == 1 && *word != 0;
                *word = if worth_it { *word & fits(block, need) } else { 0 };
            }
        }
    }
}

/// Enough of the other classes is free, asked of the index host by host: few requests have any, few hosts are left.
pub struct OtherClasses<'a> {
    /// The request.
    pub prepared: &'a Prepared,
    /// The fleet.
    pub index: &'a Index,
}

impl Filter for OtherClasses<'_> {
    fn narrow(&self, mask: &mut HostMask) {
        if !self.prepared.others().is_empty() {
            mask.retain(|row| has_others(self.index, self.prepared, row));
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
