//! When to rank all hosts again.
//!
//! Weighted searches are short while the ranking's order is close to that of their scores. The
//! scores' ranges move as the fleet fills, so searches grow longer, and ranking by the latest
//! ranges makes them short again. That costs about as much as opening a number of leaves in
//! proportion to the fleet. So, as one decides between hiring and buying skis: rank again when the
//! searches since the last time have cost that much too much: then about half of the work is
//! ranking, at worst. Where that does not help, the next one waits twice as long.

/// Leaves that a search opens when all is well.
const WELL: usize = 8;
/// Ranking again costs as much as opening this many leaves per block of 64 hosts.
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
    /// Counts a search; whether it is time to rank again.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches of this effort until the next ranking.
    fn until_due(tuning: &mut Tuning, effort: usize, blocks: usize) -> usize {
        (1..).find(|_| tuning.is_due(effort, blocks)).unwrap()
    }

    #[test]
    fn short_searches_never_make_it_due() {
        let mut tuning = Tuning::default();
        assert!((0..100_000).all(|_| !tuning.is_due(WELL, 1)));
    }

    #[test]
    fn it_is_due_when_as_much_was_wasted_as_ranking_costs() {
        let mut tuning = Tuning::default();
        assert_eq!(until_due(&mut tuning, WELL + COST_PER_BLOCK, 10), 11);
        assert_eq!(tuning.wasted, 0);
    }

    #[test]
    fn the_wait_doubles_while_it_does_not_help_and_is_short_again_when_it_does() {
        let mut tuning = Tuning::default();
        let one = COST_PER_BLOCK + WELL;
        assert_eq!(until_due(&mut tuning, one, 100), 101); // the first has nothing to compare with
        assert_eq!(until_due(&mut tuning, one, 100), 101);
        assert_eq!(tuning.patience, 1);
        // Half as wasteful, so it helped.
        let waits = until_due(&mut tuning, COST_PER_BLOCK / 2 + WELL, 100);
        assert_eq!((waits, tuning.patience), (401, 0));
    }

    /// With no more patience than there are bits, whatever comes.
    #[test]
    fn patience_ends() {
        let mut tuning = Tuning { patience: 16, searches_before: usize::MAX / 4, ..Tuning::default() };
        assert!(tuning.is_due(usize::MAX / 2, 1));
        assert_eq!(tuning.patience, 16);
    }
}
