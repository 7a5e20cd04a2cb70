//! Sets of rows in both forms that are needed: compressed to keep and combine, plain words to intersect quickly.

use std::ops::Deref;
use std::sync::OnceLock;

use roaring::RoaringBitmap;

use crate::ids::Row;

/// A set of rows: a roaring bitmap, and its bits as words, 64 rows each, made when first asked for.
#[derive(Debug, Default)]
pub struct RowSet {
    rows: RoaringBitmap,
    words: OnceLock<Box<[u64]>>,
}

impl RowSet {
    /// The bits, row `r` at bit `r % 64` of word `r / 64`, up to the word of the highest row.
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

    /// Makes the row a member or not.
    pub(crate) fn set(&mut self, row: Row, member: bool) {
        self.words.take();
        if member {
            self.rows.insert(row.0);
        } else {
            self.rows.remove(row.0);
        }
    }
}

impl Clone for RowSet {
    /// Without the words: who clones a shared set is about to change it.
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), words: OnceLock::new() }
    }
}

impl Deref for RowSet {
    type Target = RoaringBitmap;

    fn deref(&self) -> &RoaringBitmap {
        &self.rows
    }
}
