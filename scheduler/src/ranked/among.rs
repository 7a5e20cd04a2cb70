//! The hosts that a search is about.

use berth_placement::HostFree;
use berth_placement::kernel::{CLASSES, NOT_ASKED};

use crate::HostMask;
use crate::hosts::{HostRow, HostTable};
use crate::mask::{lanes, row_at};

/// The hosts among which the best ones are searched: those with enough free, and of them the
/// eligible ones. By default all.
#[derive(Clone, Copy)]
pub struct Among<'a> {
    /// The amount of each host class that must be free; [`NOT_ASKED`] for one that is not
    /// requested.
    pub need: HostFree,
    /// The rows that may be chosen; `None` for all.
    pub eligible: Option<&'a HostMask>,
    /// Of what `eligible` is: for one request it is another number whenever that changes.
    pub version: u64,
    /// Whether an eligible host may be chosen, where that costs more to find out: asked last, and
    /// only where a host could win.
    pub accepts: Option<&'a dyn Fn(HostRow) -> bool>,
}

impl Default for Among<'_> {
    fn default() -> Self {
        Self { need: [NOT_ASKED; CLASSES], eligible: None, version: 0, accepts: None }
    }
}

impl Among<'_> {
    pub(super) fn admits(&self, row: HostRow) -> bool {
        self.eligible.is_none_or(|eligible| eligible.contains(row.slot()))
    }

    /// The classes that some eligible host has.
    pub(super) fn classes(&self, hosts: &HostTable) -> Vec<bool> {
        let mut classes = vec![self.eligible.is_none(); hosts.class_count()];
        for (block, &word) in self.eligible.iter().flat_map(|eligible| eligible.words().iter().enumerate()) {
            for row in lanes(word).map(|lane| HostRow::at(row_at(block, lane))) {
                if let Some(class) = hosts.class_ids().get(row.index()) {
                    classes[class.0 as usize] = true;
                }
            }
        }
        classes
    }

    pub(super) fn accepts(&self, row: HostRow) -> bool {
        self.accepts.is_none_or(|accepts| accepts(row))
    }
}
