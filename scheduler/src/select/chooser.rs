//! Random choices.

/// A source of random choices. This crate generates no random numbers: a service uses a seeded
/// generator, a test a fixed sequence.
///
/// Any function that maps a length to a number below it implements the trait:
///
/// ```
/// use berth_scheduler::select::Chooser;
///
/// let mut last = |len: usize| len - 1;
/// assert_eq!(Chooser::choose(&mut last, 3), 2);
/// ```
pub trait Chooser {
    /// Returns a number below `len`, which is at least 1.
    fn choose(&mut self, len: usize) -> usize;

    /// Shuffles the positions 0, 1, 2, …. If all choices are equally likely, so are all orders.
    fn shuffle(&mut self, positions: &mut [usize]) {
        for last in (1..positions.len()).rev() {
            positions.swap(last, self.choose(last + 1));
        }
    }
}

impl<F: FnMut(usize) -> usize> Chooser for F {
    fn choose(&mut self, len: usize) -> usize {
        self(len)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Each sequence of choices yields a different order, so equally likely choices yield equally
    /// likely orders.
    #[test]
    fn a_shuffle_gives_every_order_once() {
        let mut orders: BTreeMap<Vec<usize>, u32> = BTreeMap::new();
        for (first, second, third) in (0..4)
            .flat_map(|first| (0..3).flat_map(move |second| (0..2).map(move |third| (first, second, third))))
        {
            let mut choices = [(4, first), (3, second), (2, third)].into_iter();
            let mut scripted = |len: usize| {
                let (expected, choice) = choices.next().expect("three choices order four positions");
                assert_eq!(len, expected);
                choice
            };
            let mut positions = vec![0, 1, 2, 3];
            scripted.shuffle(&mut positions);
            *orders.entry(positions).or_default() += 1;
        }
        assert_eq!(orders.len(), 24);
        assert!(orders.values().all(|&count| count == 1));
    }
}
