//! The hosts that are left.

use super::{Filter, FilterError, Reason, RequestState, Scope};
use crate::HostMask;
use crate::hosts::{HostRow, HostTable};
use crate::mask::lanes;

/// Hosts that are left, in the order in which they entered. Ties between hosts go to the first in
/// this order.
#[derive(Debug, Clone)]
pub struct Survivors {
    mask: HostMask,
    len: usize,
    /// The order, unless it is that of the rows. It may hold rows that are not left any more.
    order: Option<Vec<HostRow>>,
}

impl Survivors {
    /// Every host, in row order.
    #[must_use]
    pub fn all(hosts: &HostTable) -> Self {
        let mut mask = HostMask::default();
        hosts.rows().for_each(|row| mask.set(row.slot(), true));
        Self { mask, len: hosts.len(), order: None }
    }

    /// These hosts in this order.
    #[must_use]
    pub fn ordered(rows: Vec<HostRow>) -> Self {
        let mut mask = HostMask::default();
        rows.iter().for_each(|&row| mask.set(row.slot(), true));
        Self { mask, len: rows.len(), order: Some(rows) }
    }

    /// How many are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The remaining hosts as a set; host rows are its positions.
    #[must_use]
    pub const fn mask(&self) -> &HostMask {
        &self.mask
    }

    /// Whether the host is left.
    #[must_use]
    pub fn contains(&self, row: HostRow) -> bool {
        self.mask.contains(row.slot())
    }

    /// The remaining hosts, in order.
    #[must_use]
    pub fn rows(&self) -> Vec<HostRow> {
        match &self.order {
            Some(order) => order.iter().copied().filter(|&row| self.mask.contains(row.slot())).collect(),
            None => (0..).zip(self.mask.words()).flat_map(|(block, &word)| rows_of(block, word)).collect(),
        }
    }

    /// Removes the hosts that the filter refuses.
    ///
    /// # Errors
    ///
    /// [`FilterError`] if the filter cannot judge a host.
    pub fn narrow(
        &mut self,
        filter: &dyn Filter,
        hosts: &HostTable,
        state: &mut RequestState,
    ) -> Result<(), FilterError> {
        match filter.scope() {
            Scope::Everything => Ok(()),
            Scope::Class => self.narrow_by_class(filter, hosts, state),
            Scope::Host => self.narrow_by_host(filter, state),
        }
    }

    fn narrow_by_host(&mut self, filter: &dyn Filter, state: &mut RequestState) -> Result<(), FilterError> {
        self.retain(|row| Ok(filter.judge(row, state)?.is_ok()))
    }

    fn narrow_by_class(
        &mut self,
        filter: &dyn Filter,
        hosts: &HostTable,
        state: &mut RequestState,
    ) -> Result<(), FilterError> {
        let mut memo: Vec<Option<bool>> = vec![None; hosts.class_count()];
        self.retain(|row| {
            let known = &mut memo[hosts.class_ids()[row.0 as usize].0 as usize];
            if let Some(passes) = *known {
                return Ok(passes);
            }
            let passes = filter.judge(row, state)?.is_ok();
            *known = Some(passes);
            Ok(passes)
        })
    }

    fn retain(
        &mut self,
        mut keep: impl FnMut(HostRow) -> Result<bool, FilterError>,
    ) -> Result<(), FilterError> {
        self.len = 0;
        for (block, word) in (0..).zip(self.mask.words_mut()) {
            for row in rows_of(block, *word) {
                if keep(row)? {
                    self.len += 1;
                } else {
                    *word &= !(1 << (row.0 % 64));
                }
            }
        }
        Ok(())
    }
}

/// The reason why the filter refuses one host; none if it passes.
///
/// # Errors
///
/// [`FilterError`] if it cannot judge the host.
pub(super) fn objection(
    filter: &dyn Filter,
    row: HostRow,
    state: &mut RequestState,
) -> Result<Option<Reason>, FilterError> {
    filter.judge(row, state).map(Result::err)
}

fn rows_of(block: u32, word: u64) -> impl Iterator<Item = HostRow> {
    lanes(word).map(move |lane| HostRow(block * 64 + lane))
}
