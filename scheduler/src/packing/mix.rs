//! The shapes that are requested.

use berth_placement::HostFree;
use berth_placement::kernel::CLASSES;
use rustc_hash::FxHashMap;

/// After so many requests, older ones count half.
const MEMORY: u64 = 100_000;
/// Shapes that are distinguished: the most requested ones.
const MOST: usize = 10;

/// How often each shape is requested.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestMix {
    places: FxHashMap<HostFree, usize>,
    /// Shapes in order of their first request.
    shapes: Vec<(HostFree, u64)>,
    requests: u64,
}

/// A shape and its share of the demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Demand {
    pub(crate) amounts: HostFree,
    pub(crate) share: f64,
}

impl RequestMix {
    /// Counts a request.
    #[inline]
    pub(crate) fn add(&mut self, amounts: HostFree) {
        let Self { places, shapes, requests } = self;
        let place = *places.entry(amounts).or_insert_with(|| {
            shapes.push((amounts, 0));
            shapes.len() - 1
        });
        shapes[place].1 += 1;
        *requests += 1;
        if *requests > MEMORY {
            shapes.iter_mut().for_each(|(_, count)| *count = count.div_ceil(2));
            *requests = shapes.iter().map(|(_, count)| count).sum();
        }
    }

    /// The shapes with the largest shares of the demand, which a shape's requests are of, each by
    /// the share of a host that it takes.
    pub(crate) fn demands(&self, capacity: [f64; CLASSES]) -> Vec<Demand> {
        let share = |amounts: &HostFree, count: u64| {
            let of = |class: usize| f64::from(amounts[class].max(0)) / capacity[class];
            count as f64 * (0..CLASSES).map(of).fold(0.0, f64::max)
        };
        let mut demands: Vec<Demand> = self
            .shapes
            .iter()
            .map(|(amounts, count)| Demand { amounts: *amounts, share: share(amounts, *count) })
            .filter(|demand| demand.share > 0.0)
            .collect();
        demands.sort_by(|a, b| b.share.total_cmp(&a.share));
        demands.truncate(MOST);
        let sum: f64 = demands.iter().map(|demand| demand.share).sum();
        demands.iter_mut().for_each(|demand| demand.share /= sum);
        demands
    }

    /// How much of each class is requested, compared with the scarcest, of which it is 1.
    pub(crate) fn scarcity(&self, capacity: [f64; CLASSES]) -> [f64; CLASSES] {
        let load: [f64; CLASSES] = std::array::from_fn(|class| {
            let requested = |(amounts, count): &(HostFree, u64)| {
                f64::from(amounts[class].max(0)) / capacity[class] * *count as f64
            };
            self.shapes.iter().map(requested).sum()
        });
        let most = load.iter().copied().fold(0.0, f64::max);
        load.map(|load| if most > 0.0 { load / most } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_what_the_requests_take() {
        let mut mix = RequestMix::default();
        (0..8).for_each(|_| mix.add([1, 1024, 0]));
        (0..2).for_each(|_| mix.add([4, 8192, 0]));
        let capacity = [16.0, 65_536.0, 1e9];
        let demands = mix.demands(capacity);
        assert_eq!(demands[0], Demand { amounts: [1, 1024, 0], share: 0.5 });
        assert_eq!(demands[1], Demand { amounts: [4, 8192, 0], share: 0.5 });
        let [cpu, memory, disk] = mix.scarcity(capacity);
        assert_eq!((cpu, memory, disk), (1.0, 0.375, 0.0));
    }
}
