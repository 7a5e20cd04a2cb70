//! Changes the use of several accounts at once: what the consumers of one request reserve, and what
//! they release.

use super::{ABSENT, Ledger, Record, Refusal, fence, stable_sequence, unchanged};
use crate::ids::{ClassId, Row};
use crate::inventory::Units;
use crate::sync::Ordering;

/// A change of the use of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shift {
    /// The provider.
    pub(crate) row: Row,
    /// The class.
    pub(crate) class: ClassId,
    /// The net increase of the use.
    pub(crate) delta: i64,
    /// The amounts of the allocations after the change; each has to satisfy the unit rules. When
    /// empty, the inventory is not checked.
    pub(crate) amounts: Vec<u32>,
}

impl Ledger {
    /// Applies all of the shifts, or none, and counts a change of each row in `counted`.
    ///
    /// Reservations come first and releases last, so no other claim takes capacity that this change
    /// may still need. In between, when the change can no longer fail, `granted` is called.
    ///
    /// # Errors
    /// The first refusal; see [`Ledger::reserve`] on premature ones.
    pub(crate) fn shift(
        &self,
        shifts: &[Shift],
        counted: &[Row],
        granted: impl FnOnce(),
    ) -> Result<(), Refusal> {
        shifts.iter().try_for_each(|shift| self.judge_shift(shift, false).map(|_| ()))?;
        loop {
            let mut sequences = 0;
            for (taken, shift) in shifts.iter().enumerate() {
                match self.judge_shift(shift, true) {
                    Ok(sequence) => sequences += u64::from(sequence),
                    Err(refusal) => {
                        shifts[..taken].iter().for_each(|shift| self.undo(shift));
                        return Err(refusal);
                    }
                }
            }
            counted.iter().for_each(|&row| self.bump_generation(row));
            fence(Ordering::SeqCst);
            let judged = shifts.iter().filter(|shift| !shift.amounts.is_empty());
            if self.sequences_of(judged.map(|shift| shift.row)) == sequences {
                break;
            }
            shifts.iter().for_each(|shift| self.undo(shift));
        }
        granted();
        shifts.iter().filter(|shift| shift.delta < 0).for_each(|shift| self.add_used(shift));
        Ok(())
    }

    /// Judges a shift and, with `take`, reserves its increase; returns the sequence for which the
    /// verdict is valid, or 0 when there was nothing to judge.
    fn judge_shift(&self, shift: &Shift, take: bool) -> Result<u32, Refusal> {
        let &Shift { row, class, delta, .. } = shift;
        if shift.amounts.is_empty() {
            return Ok(0);
        }
        let (head, account) = self.account_of(row, class)?;
        loop {
            let sequence = stable_sequence(head);
            let used = account.used.load(Ordering::Relaxed);
            let inventory = self.record(row, class).map(Record::units);
            let capacity = account.capacity.load(Ordering::Relaxed);
            match shift.judge(inventory.unwrap_or_default(), capacity, used) {
                Ok(()) if !take || delta <= 0 || account.take(used, delta) => {
                    if take || unchanged(head, sequence) {
                        return Ok(sequence);
                    }
                }
                Err(refusal) if unchanged(head, sequence) => return Err(refusal),
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn undo(&self, shift: &Shift) {
        if shift.delta > 0 && !shift.amounts.is_empty() {
            self.add_used(&Shift { delta: -shift.delta, amounts: Vec::new(), ..*shift });
        }
    }

    pub(super) fn add_used(&self, shift: &Shift) {
        let account =
            self.heads.get(shift.row.index()).and_then(|head| self.account(head, shift.row, shift.class));
        account.expect("a consumer holds some of it").used.fetch_add(shift.delta, Ordering::AcqRel);
    }
}

impl Shift {
    /// Checks the remaining allocations against the unit rules, and the increase against the free
    /// capacity. Amounts held before may be kept even where an inventory shrank below its use.
    pub(super) fn judge(&self, units: Units, capacity: i64, used: i64) -> Result<(), Refusal> {
        let &Self { row, class, delta, .. } = self;
        if capacity == ABSENT {
            return Err(Refusal::NoInventory { row, class });
        }
        if let Some(&amount) = self.amounts.iter().find(|&&amount| !units.allow(amount)) {
            return Err(Refusal::Units { row, class, amount, units });
        }
        let free = capacity.saturating_sub(used);
        if delta > 0 && free < delta {
            let amount = u32::try_from(delta).unwrap_or(u32::MAX);
            return Err(Refusal::Capacity { row, class, amount, free });
        }
        Ok(())
    }
}
