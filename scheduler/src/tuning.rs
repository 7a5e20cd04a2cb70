//! When to rank all hosts anew.
//!
//! Weighted searches are short while the ranking's order is close to that of their scores. The scores' ranges move as the
//! fleet fills, so searches grow longer, and ranking anew by the latest ranges makes them short again. That costs about as
//! much as opening a number of leaves in proportion to the fleet. So, as one decides between hiring and buying skis: rank
//! anew when the searches since the last time have cost that much too much. No more than twice the least possible is ever
//! spent; and where ranking anew does not help, the next one waits twice as long.

/// Leaves that a search opens when all is well.
const WELL: usize = 16;
/// Ranking anew costs as much as opening this many leaves per block of 64 hosts.
const COST_PER_BLOCK: usize = 64;

/// The searches since the last ranking.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tuning {
    wasted: usize,
    searches: usize,
    searches_before: usize,
    patience: u32,
}

impl Tuning {
    /// Counts a search; whether it is time to rank anew.
    pub(crate) fn is_due(&mut self, effort: usize, blocks: usize) -> bool {
        self.searches += 1;
        self.wasted += effort.saturating_sub(WELL);
        if self.wasted <= (COST_PER_BLOCK * blocks) << self.patience {
            return false;
        }
        // It helped if this time took clearly more searches to waste as much.
        let helped = self.searches > self.searches_before * 3 / 2;
        self.patience = if helped { 0 } else { (self.patience + 1).min(16) };
        (self.searches_before, self.searches, self.wasted) = (self.searches, 0, 0);
        true
    }
}
