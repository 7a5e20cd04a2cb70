//! What a placement costs in slots for the shapes that are requested.

use berth_placement::kernel::CLASSES;
use berth_placement::{HostFree, Row};

use crate::packing::mix::{Demand, RequestMix};

/// The shapes are compiled again after so many requests; at first, each time.
const COMPILE_EVERY: u64 = 1_000;
const EAGER: u64 = 100;
/// Requests whose costs on all hosts are kept.
const MOST_REQUESTS: usize = 64;
/// What the free share of the scarcest class counts, in slots lost.
const FREE: f64 = 0.2;
/// How much less a class counts that is less scarce: its scarcity to this power.
const FOCUS: i32 = 8;

/// A host's capacity and free amounts.
#[derive(Debug, Clone, Copy, Default)]
struct Host {
    capacity: HostFree,
    free: HostFree,
    slots: f64,
}

/// A shape, compiled: reciprocals of its amounts, and what one slot counts.
#[derive(Debug, Clone, Copy)]
struct Shape {
    per_amount: [f64; CLASSES],
    amounts: HostFree,
    share: f64,
}

/// The cost of each request on each host, kept up to date.
#[derive(Debug, Default)]
pub(crate) struct SlotCosts {
    mix: RequestMix,
    requests: u64,
    hosts: Vec<Host>,
    shapes: Vec<Shape>,
    weights: [f64; CLASSES],
    /// By request: the cost on each host.
    costs: Vec<(HostFree, Vec<f32>)>,
}

impl SlotCosts {
    /// A host has these amounts now.
    pub(crate) fn update(&mut self, row: Row, capacity: HostFree, free: HostFree) {
        if self.hosts.len() <= row.index() {
            self.hosts.resize(row.index() + 1, Host::default());
            self.costs.clear();
        }
        let host = Host { capacity, free, slots: self.slots(capacity, free) };
        self.hosts[row.index()] = host;
        let mut costs = std::mem::take(&mut self.costs);
        costs.iter_mut().for_each(|(request, costs)| costs[row.index()] = self.cost(&host, request));
        self.costs = costs;
    }

    /// Counts a request, and returns its cost on each host, by row.
    pub(crate) fn of(&mut self, request: HostFree) -> &[f32] {
        self.mix.add(request);
        self.requests += 1;
        if self.requests < EAGER || self.requests.is_multiple_of(COMPILE_EVERY) {
            self.compile();
        }
        let place = self.costs.iter().position(|(known, _)| *known == request).unwrap_or_else(|| {
            if self.costs.len() >= MOST_REQUESTS {
                self.costs.clear();
            }
            let costs = self.hosts.iter().map(|host| self.cost(host, &request)).collect();
            self.costs.push((request, costs));
            self.costs.len() - 1
        });
        &self.costs[place].1
    }

    /// Compiles the shapes that are requested now. Shares are of a mean host.
    fn compile(&mut self) {
        let count = self.hosts.len().max(1) as f64;
        let mean: [f64; CLASSES] = std::array::from_fn(|class| {
            let all: f64 = self.hosts.iter().map(|host| f64::from(host.capacity[class].max(0))).sum();
            (all / count).max(1.0)
        });
        self.shapes = self.mix.demands(mean).iter().map(Shape::new).collect();
        self.weights =
            self.mix.scarcity(mean).map(|scarcity| FREE * (0..FOCUS).fold(1.0, |power, _| power * scarcity));
        for place in 0..self.hosts.len() {
            let Host { capacity, free, .. } = self.hosts[place];
            self.hosts[place].slots = self.slots(capacity, free);
        }
        self.costs.clear();
    }

    /// The slots that the amounts have for the shapes, as shares of those of the empty host, each
    /// by its share of the demand.
    #[inline]
    fn slots(&self, capacity: HostFree, free: HostFree) -> f64 {
        let of = |shape: &Shape| shape.share * shape.count(free) / shape.count(capacity).max(1.0);
        self.shapes.iter().map(of).sum()
    }

    /// The slots that the request takes; of hosts that are alike in this, the fuller one costs
    /// less.
    fn cost(&self, host: &Host, request: &HostFree) -> f32 {
        let left = std::array::from_fn(|class| host.free[class].saturating_sub(request[class].max(0)));
        let free: f64 = (0..CLASSES)
            .filter(|&class| host.capacity[class] > 0)
            .map(|class| self.weights[class] * f64::from(host.free[class]) / f64::from(host.capacity[class]))
            .sum();
        (host.slots - self.slots(host.capacity, left) + free) as f32
    }
}

impl Shape {
    fn new(demand: &Demand) -> Self {
        // Slightly above the reciprocal, so that an exact multiple is not rounded down.
        let per_amount =
            demand.amounts.map(|amount| if amount > 0 { (1.0 + 1e-12) / f64::from(amount) } else { 0.0 });
        Self { per_amount, amounts: demand.amounts, share: demand.share }
    }

    /// How many fit.
    #[inline]
    fn count(&self, free: HostFree) -> f64 {
        (0..CLASSES)
            .filter(|&class| self.amounts[class] > 0)
            .map(|class| (f64::from(free[class].max(0)) * self.per_amount[class]).floor())
            .fold(f64::MAX, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: HostFree = [16, 64, 0];

    #[test]
    fn exact_multiples_are_counted() {
        let shape = Shape::new(&Demand { amounts: [3, 7, 0], share: 1.0 });
        for slots in 0..2_000 {
            assert_eq!(shape.count([3 * slots, 7 * slots, 0]), f64::from(slots));
            assert_eq!(shape.count([3 * slots + 2, i32::MAX, 0]), f64::from(slots));
        }
    }

    /// A small request takes the leftovers of a host on which no large one fits any more, although
    /// another host is fuller.
    #[test]
    fn capacity_stays_usable_for_the_shapes_that_are_requested() {
        let mut slots = SlotCosts::default();
        let (small, large) = ([1, 1, 0], [8, 32, 0]);
        slots.update(Row(0), CAPACITY, [8, 32, 0]); // exactly one large
        slots.update(Row(1), CAPACITY, [9, 31, 0]); // none
        for _ in 0..200 {
            let _ = (slots.of(small).len(), slots.of(large).len());
        }
        let costs = slots.of(small);
        assert!(costs[1] < costs[0], "{costs:?}");
        // Costs follow the host.
        slots.update(Row(1), CAPACITY, [16, 64, 0]);
        let followed = slots.of(small).to_vec();
        slots.costs.clear();
        assert_eq!(slots.of(small), followed);
    }
}
