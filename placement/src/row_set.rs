//! Row sets in two forms: compressed for storage and set operations, plain words for fast
//! intersection.

use std::ops::Deref;
use std::sync::OnceLock;

use roaring::RoaringBitmap;

use crate::ids::Row;

/// A set of rows: a roaring bitmap, plus its bits as 64-row words, created on first use and updated
/// from then on.
#[derive(Debug, Clone, Default)]
pub struct RowSet {
    rows: RoaringBitmap,
    words: OnceLock<Box<[u64]>>,
}

impl RowSet {
    /// The bits: row `r` is bit `r % 64` of word `r / 64`. Rows beyond the words are not members.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        self.words.get_or_init(|| {
            let mut words = vec![0; self.rows.max().map_or(0, |last| last as usize / 64 + 1)];
            for row in &self.rows {
                words[row as usize / 64] |= 1 << (row % 64);
            }
            words.into()
        })
    }

    /// Adds or removes the row.
    pub(crate) fn set(&mut self, row: Row, member: bool) {
        if let Some(words) = self.words.take() {
            let mut words = words.into_vec();
            let (block, lane) = row.block_and_lane();
            if block >= words.len() {
                words.resize(block + 1, 0);
            }
            words[block] = words[block] & !(1 << lane) | u64::from(member) << lane;
            self.words = OnceLock::from(words.into_boxed_slice());
        }
        if member {
            self.rows.insert(row.0);
        } else {
            self.rows.remove(row.0);
        }
    }
}

impl Deref for RowSet {
    type Target = RoaringBitmap;

    fn deref(&self) -> &RoaringBitmap {
        &self.rows
    }
}
