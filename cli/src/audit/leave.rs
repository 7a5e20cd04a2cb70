//! Which consumers would have to leave a provider so that what is left fits: as few as possible.

/// What has to leave, by class, and what each consumer would free of these classes: the same
/// classes in the same order.
pub(super) struct Problem {
    pub(super) excess: Vec<i64>,
    pub(super) frees: Vec<Vec<i64>>,
}

/// How many combinations are tried before the first good one is taken.
const PATIENCE: usize = 2_000;

/// Consumers that leave, by place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaving {
    pub(super) consumers: Vec<usize>,
    /// Whether no fewer would do.
    pub(super) is_smallest: bool,
}

impl Problem {
    /// The consumers that leave. Of sets of one size, that with the largest consumers is found
    /// first.
    pub(super) fn solve(&self) -> Leaving {
        let mut order: Vec<usize> = (0..self.frees.len()).filter(|&one| self.share(one) > 0.0).collect();
        order.sort_by(|&one, &other| self.share(other).total_cmp(&self.share(one)).then(one.cmp(&other)));
        let greedy = self.greedy(&order);
        let mut patience = PATIENCE;
        for size in 0..greedy.len() {
            let mut chosen = Vec::new();
            if self.choose(&order, size, &self.excess, &mut chosen, &mut patience) {
                return Leaving { consumers: chosen, is_smallest: true };
            }
            if patience == 0 {
                return Leaving { consumers: greedy, is_smallest: false };
            }
        }
        Leaving { consumers: greedy, is_smallest: true }
    }

    /// How much of the excess a consumer frees, over all classes.
    fn share(&self, consumer: usize) -> f64 {
        let parts = self.excess.iter().zip(&self.frees[consumer]);
        #[allow(clippy::cast_precision_loss, reason = "it only orders, and amounts are far below 2^53")]
        parts
            .filter(|(excess, _)| **excess > 0)
            .map(|(&excess, &frees)| frees.min(excess) as f64 / excess as f64)
            .sum()
    }

    fn greedy(&self, order: &[usize]) -> Vec<usize> {
        let (mut left, mut chosen) = (self.excess.clone(), Vec::new());
        for &consumer in order {
            if left.iter().all(|&excess| excess <= 0) {
                break;
            }
            if left.iter().zip(&self.frees[consumer]).any(|(&excess, &frees)| excess > 0 && frees > 0) {
                left.iter_mut().zip(&self.frees[consumer]).for_each(|(excess, frees)| *excess -= frees);
                chosen.push(consumer);
            }
        }
        chosen
    }

    /// Whether `size` of the consumers in `order` free what is left; they are added to `chosen`.
    fn choose(
        &self,
        order: &[usize],
        size: usize,
        left: &[i64],
        chosen: &mut Vec<usize>,
        patience: &mut usize,
    ) -> bool {
        if left.iter().all(|&excess| excess <= 0) {
            return true;
        }
        if *patience == 0 {
            return false;
        }
        *patience -= 1;
        if !self.could(order, size, left) {
            return false;
        }
        for (place, &consumer) in order.iter().enumerate() {
            let rest: Vec<i64> =
                left.iter().zip(&self.frees[consumer]).map(|(left, frees)| left - frees).collect();
            chosen.push(consumer);
            if self.choose(&order[place + 1..], size - 1, &rest, chosen, patience) {
                return true;
            }
            chosen.pop();
        }
        false
    }

    /// Whether the largest `size` amounts of each class by itself would be enough.
    fn could(&self, order: &[usize], size: usize, left: &[i64]) -> bool {
        left.iter().enumerate().filter(|(_, excess)| **excess > 0).all(|(class, &excess)| {
            let mut frees: Vec<i64> = order.iter().map(|&consumer| self.frees[consumer][class]).collect();
            frees.sort_unstable_by(|one, other| other.cmp(one));
            frees.into_iter().take(size).sum::<i64>() >= excess
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frees_enough(problem: &Problem, consumers: &[usize]) -> bool {
        let freed = |class: usize| consumers.iter().map(|&one| problem.frees[one][class]).sum::<i64>();
        problem.excess.iter().enumerate().all(|(class, &excess)| freed(class) >= excess)
    }

    /// By trying every set.
    fn fewest(problem: &Problem) -> Option<u32> {
        let sets = 0_u32..1 << problem.frees.len();
        let enough = sets.filter(|set| {
            let chosen: Vec<usize> = (0..problem.frees.len()).filter(|one| set >> one & 1 == 1).collect();
            frees_enough(problem, &chosen)
        });
        enough.map(u32::count_ones).min()
    }

    proptest! {
        #[test]
        fn no_fewer_would_do(
            (excess, frees) in (1_usize..4).prop_flat_map(|classes| (
                prop::collection::vec(0_i64..12, classes),
                prop::collection::vec(prop::collection::vec(0_i64..6, classes), 0..9),
            ))
        ) {
            let problem = Problem { excess, frees };
            let leaving = problem.solve();
            if let Some(fewest) = fewest(&problem) {
                prop_assert!(frees_enough(&problem, &leaving.consumers));
                prop_assert_eq!(leaving.consumers.len(), fewest as usize);
                prop_assert!(leaving.is_smallest);
            }
        }
    }

    #[test]
    fn a_large_host_is_answered_soon() {
        let frees = (0..400).map(|one| vec![1 + one % 7, 1 + one * 31 % 11, 1 + one * 17 % 13]).collect();
        let problem = Problem { excess: vec![500, 700, 900], frees };
        assert!(frees_enough(&problem, &problem.solve().consumers));
    }
}
