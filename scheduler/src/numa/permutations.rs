//! Ordered choices of some positions out of many, one at a time.

use smallvec::SmallVec;

/// The k-permutations of `0..n` in lexicographic order.
pub(super) struct Permutations {
    n: usize,
    chosen: SmallVec<[usize; 8]>,
}

impl Permutations {
    /// Starts at the first: `0, 1, … k-1`. `k` is at most `n`.
    pub(super) fn new(n: usize, k: usize) -> Self {
        Self { n, chosen: (0..k).collect() }
    }

    /// The present permutation.
    pub(super) fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    /// Moves to the next permutation that differs in the first `depth + 1` positions. False if
    /// there is none.
    pub(super) fn advance(&mut self, depth: usize) -> bool {
        for at in (0..=depth).rev() {
            let next = (self.chosen[at] + 1..self.n).find(|value| !self.chosen[..at].contains(value));
            if let Some(value) = next {
                self.chosen[at] = value;
                self.fill_from(at + 1);
                return true;
            }
        }
        false
    }

    fn fill_from(&mut self, start: usize) {
        for at in start..self.chosen.len() {
            let least = (0..self.n).find(|value| !self.chosen[..at].contains(value));
            self.chosen[at] = least.unwrap_or(self.n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Permutations;

    fn all(n: usize, k: usize, depth: usize) -> Vec<Vec<usize>> {
        let mut permutations = Permutations::new(n, k);
        let mut seen = vec![permutations.chosen().to_vec()];
        while permutations.advance(depth) {
            seen.push(permutations.chosen().to_vec());
        }
        seen
    }

    #[test]
    fn come_in_lexicographic_order() {
        assert_eq!(all(3, 2, 1), [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]);
        let many = all(5, 3, 2);
        assert_eq!(many.len(), 60);
        assert!(many.is_sorted());
    }

    #[test]
    fn a_prefix_can_be_left_behind() {
        assert_eq!(all(3, 3, 0), [[0, 1, 2], [1, 0, 2], [2, 0, 1]]);
    }
}
