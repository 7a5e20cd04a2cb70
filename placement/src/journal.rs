//! The change journal: which rows changed, in order, in a bounded lock-free ring.
//!
//! Writers never wait. A reader that falls a whole ring behind receives [`JournalRead::Overrun`]
//! and reads every row instead. An entry says only *that* a row changed: the reader then reads the
//! row's current state, so an entry that is read late or twice is harmless.

use std::cmp;

use crate::ids::Row;
use crate::sync::{AtomicU64, Ordering};

/// Entries of the ring; a power of two.
#[cfg(not(loom))]
const CAPACITY: u64 = 1 << 16;
#[cfg(loom)]
const CAPACITY: u64 = 2;

/// ```text
/// bits 63..25  lap: how often the ring had been filled before this entry, plus one (0: never written)
/// bit  24      layout: more than the used amounts may have changed
/// bits 23..0   row
/// ```
/// Later laps compare greater, so storing the maximum prevents a writer that was delayed for a
/// whole lap from overwriting its successor's entry. Laps last for 2^55 entries.
#[derive(Clone, Copy)]
struct Slot(u64);

impl Slot {
    const LAYOUT: u64 = 1 << 24;
    const ROW: u64 = Self::LAYOUT - 1;
    const LAP_SHIFT: u32 = 25;

    fn new(sequence: u64, row: Row, layout: bool) -> Self {
        debug_assert!(u64::from(row.0) <= Self::ROW);
        let layout = if layout { Self::LAYOUT } else { 0 };
        Self(Self::lap_of(sequence) << Self::LAP_SHIFT | layout | u64::from(row.0))
    }

    const fn lap_of(sequence: u64) -> u64 {
        sequence / CAPACITY + 1
    }

    const fn lap(self) -> u64 {
        self.0 >> Self::LAP_SHIFT
    }

    #[allow(clippy::cast_possible_truncation)] // the mask leaves 24 bits
    const fn entry(self) -> JournalEntry {
        JournalEntry { row: Row((self.0 & Self::ROW) as u32), layout: self.0 & Self::LAYOUT != 0 }
    }
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalEntry {
    /// The row that changed.
    pub row: Row,
    /// Whether its inventories, traits, aggregates or position in the tree may have changed too.
    pub layout: bool,
}

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalRead {
    /// The next change.
    Changed(JournalEntry),
    /// No further entry yet.
    UpToDate,
    /// Entries were overwritten before they were read: every row may have changed.
    Overrun,
}

/// The ring of changes.
pub struct Journal {
    next: AtomicU64,
    slots: Box<[AtomicU64]>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { next: AtomicU64::new(0), slots: (0..CAPACITY).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Journal {
    /// Appends that `row` changed. Call it after the change itself: a reader of the entry, and a
    /// reader that starts after the entry, then observes the change.
    #[inline]
    pub fn push(&self, row: Row, layout: bool) {
        let sequence = self.next.fetch_add(1, Ordering::Release);
        self.slot(sequence).fetch_max(Slot::new(sequence, row, layout).0, Ordering::Release);
    }

    /// The position after the newest entry, where a new reader starts.
    pub fn end(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Reads the entry at `cursor` and advances the cursor.
    ///
    /// Reading stops at an entry whose writer has taken its number but has not stored it yet; the
    /// next read continues there. After [`JournalRead::Overrun`] the cursor is at the end.
    #[inline]
    pub fn read(&self, cursor: &mut u64) -> JournalRead {
        let slot = Slot(self.slot(*cursor).load(Ordering::Acquire));
        match slot.lap().cmp(&Slot::lap_of(*cursor)) {
            cmp::Ordering::Less => JournalRead::UpToDate,
            cmp::Ordering::Equal => {
                *cursor += 1;
                JournalRead::Changed(slot.entry())
            }
            cmp::Ordering::Greater => {
                *cursor = self.end();
                JournalRead::Overrun
            }
        }
    }

    #[allow(clippy::cast_possible_truncation)] // the mask leaves far fewer bits than usize has
    fn slot(&self, sequence: u64) -> &AtomicU64 {
        &self.slots[(sequence & (CAPACITY - 1)) as usize]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order_and_then_no_more() {
        let journal = Journal::default();
        let mut cursor = journal.end();
        journal.push(Row(7), false);
        journal.push(Row(3), true);
        assert_eq!(
            journal.read(&mut cursor),
            JournalRead::Changed(JournalEntry { row: Row(7), layout: false })
        );
        assert_eq!(
            journal.read(&mut cursor),
            JournalRead::Changed(JournalEntry { row: Row(3), layout: true })
        );
        assert_eq!(journal.read(&mut cursor), JournalRead::UpToDate);
    }

    #[test]
    fn a_reader_that_falls_a_ring_behind_sees_an_overrun() {
        let journal = Journal::default();
        let mut cursor = 0;
        for row in 0..=CAPACITY {
            journal.push(Row(u32::try_from(row).unwrap()), false);
        }
        assert_eq!(journal.read(&mut cursor), JournalRead::Overrun);
        assert_eq!(journal.read(&mut cursor), JournalRead::UpToDate);
        journal.push(Row(1), false);
        assert_eq!(
            journal.read(&mut cursor),
            JournalRead::Changed(JournalEntry { row: Row(1), layout: false })
        );
    }
}
