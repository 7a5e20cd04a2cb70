//! Sets of hosts as bits, 64 rows a word.

use berth_placement::Row;

/// A set of rows; bit `r % 64` of word `r / 64` stands for row `r`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostMask {
    words: Vec<u64>,
}

impl HostMask {
    /// The set with these words.
    #[must_use]
    pub const fn from_words(words: Vec<u64>) -> Self {
        Self { words }
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The words, to narrow.
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Whether the row is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, row: Row) -> bool {
        let (block, lane) = row.block_and_lane();
        self.words.get(block).is_some_and(|word| word >> lane & 1 == 1)
    }

    /// Keeps the rows that are in `words`.
    pub fn keep(&mut self, words: &[u64]) {
        keep(&mut self.words, words);
    }

    /// Removes the rows that are in `words`.
    pub fn remove(&mut self, words: &[u64]) {
        self.words.iter_mut().zip(words).for_each(|(word, other)| *word &= !other);
    }

    /// Adds the rows that are in `words`, as far as the set has words for them.
    pub fn add(&mut self, words: &[u64]) {
        self.words.iter_mut().zip(words).for_each(|(word, other)| *word |= other);
    }

    /// Adds or removes the row, growing as needed.
    pub fn set(&mut self, row: Row, member: bool) {
        let (block, lane) = row.block_and_lane();
        if block >= self.words.len() {
            self.words.resize(block + 1, 0);
        }
        self.words[block] = self.words[block] & !(1 << lane) | u64::from(member) << lane;
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Keeps the rows for which `keep` holds.
    pub fn retain(&mut self, keep: impl FnMut(Row) -> bool) {
        retain(0, &mut self.words, keep);
    }
}

/// Keeps of `words` the bits that are in `others`, too.
pub(crate) fn keep(words: &mut [u64], others: &[u64]) {
    let shared = others.len().min(words.len());
    words.iter_mut().zip(others).for_each(|(word, other)| *word &= other);
    words[shared..].fill(0);
}

/// Keeps of `words`, those of the blocks from `first` on, the rows for which `keep` holds.
pub(crate) fn retain(first: usize, words: &mut [u64], mut keep: impl FnMut(Row) -> bool) {
    for (block, word) in (first..).zip(words) {
        for lane in lanes(*word) {
            if !keep(row_at(block, lane)) {
                *word &= !(1 << lane);
            }
        }
    }
}

/// The row of a lane of a block.
#[inline]
pub(crate) fn row_at(block: usize, lane: u32) -> Row {
    Row(u32::try_from(block).expect("an index has fewer rows than 2³²") * 64 + lane)
}

/// The set bits of a mask word, lowest first.
#[inline]
pub(crate) fn lanes(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let lane = word.trailing_zeros();
            word &= word - 1;
            lane
        })
    })
}

/// The lowest `len` bits.
#[inline]
pub(crate) const fn first_lanes(len: usize) -> u64 {
    if len >= 64 { u64::MAX } else { (1 << len) - 1 }
}
