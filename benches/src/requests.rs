//! Requests: a cloud's 24 flavors, 1,700 request types of which few are frequent, and requests that
//! no host satisfies.

use berth_scheduler::Request;
use berth_traces::rng::{Stream, stream};
use rand::Rng;

use crate::fleet::{DISABLED, TRAITS, zone};

/// The amounts of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlavorAmounts {
    /// vCPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Disk in GB.
    pub disk_gb: u32,
}

/// The smallest flavor, which fills the gaps of a full fleet.
pub const SMALLEST: FlavorAmounts = FlavorAmounts { vcpus: 1, memory_mb: 1_024, disk_gb: 12 };

/// vCPUs and their frequency.
const SIZES: [(u32, f64); 6] = [(1, 0.42), (2, 0.30), (4, 0.18), (8, 0.07), (16, 0.02), (32, 0.01)];

/// MiB of memory per vCPU and their frequency: burstable, compute, general, memory.
const FAMILIES: [(u32, f64); 4] = [(1_024, 0.10), (2_048, 0.35), (4_096, 0.40), (8_192, 0.15)];

/// The number of request types of a large cloud.
pub const TYPES: usize = 1_700;

/// Items that are drawn by their weights.
#[derive(Debug, Clone)]
pub struct Weighted<T> {
    items: Vec<T>,
    /// The sum of the weights up to and including each item; the last is 1.
    cumulative: Vec<f64>,
}

impl<T> Weighted<T> {
    fn new(weighted: impl IntoIterator<Item = (T, f64)>) -> Self {
        let (items, weights): (Vec<T>, Vec<f64>) = weighted.into_iter().unzip();
        let sum: f64 = weights.iter().sum();
        let mut reached = 0.0;
        let add = |weight: f64| {
            reached += weight / sum;
            reached
        };
        Self { items, cumulative: weights.into_iter().map(add).collect() }
    }

    /// The items, in a fixed order.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// Draws the index of an item.
    pub fn draw(&self, random: &mut Stream) -> usize {
        let draw: f64 = random.random();
        self.cumulative.partition_point(|&sum| sum <= draw).min(self.items.len() - 1)
    }

    /// Draws an item.
    pub fn pick(&self, random: &mut Stream) -> &T {
        &self.items[self.draw(random)]
    }
}

/// The 24 flavors: 1 to 32 vCPUs, with 1 to 8 GiB of memory for each.
pub struct FlavorMix(Weighted<FlavorAmounts>);

impl Default for FlavorMix {
    fn default() -> Self {
        let each = SIZES.iter().flat_map(|&(vcpus, share)| {
            FAMILIES.iter().map(move |&(memory, of_family)| {
                let flavor = FlavorAmounts { vcpus, memory_mb: vcpus * memory, disk_gb: 4 + 8 * vcpus };
                (flavor, share * of_family)
            })
        });
        Self(Weighted::new(each))
    }
}

impl FlavorMix {
    /// Draws a flavor.
    pub fn pick(&self, random: &mut Stream) -> &FlavorAmounts {
        self.0.pick(random)
    }
}

/// The recurrent requests: one for every flavor. None goes to a disabled host, three in four name
/// an availability zone, and every third requires a trait.
#[must_use]
pub fn recurrent() -> Weighted<Request> {
    let FlavorMix(Weighted { items, cumulative }) = FlavorMix::default();
    let items = (0..).zip(items).map(|(number, flavor)| constrained(flavor, number)).collect();
    Weighted { items, cumulative }
}

/// Requests for this flavor only, without constraints.
#[must_use]
pub fn only(flavor: FlavorAmounts) -> Weighted<Request> {
    Weighted::new([(Request::of(flavor.vcpus, flavor.memory_mb, flavor.disk_gb), 1.0)])
}

/// The types of a large cloud: other flavors, traits and zones, the most frequent one 1,700 times
/// as frequent as the rarest (Zipf).
#[must_use]
pub fn types(seed: u64) -> Weighted<Request> {
    let mut random = stream(seed, "types");
    let flavors = FlavorMix::default();
    Weighted::new((0..TYPES).map(|number| {
        let mut flavor = *flavors.pick(&mut random);
        flavor.disk_gb += u32::try_from(number).expect("few types") / 24;
        #[allow(clippy::cast_precision_loss)] // few types
        let weight = 1.0 / (number + 1) as f64;
        (constrained(flavor, random.random_range(0..1_000)), weight)
    }))
}

/// A request that differs from the other first 64,000: no decider has prepared it.
#[must_use]
pub fn unique(number: u32) -> Request {
    let flavors = FlavorMix::default();
    let mut flavor = flavors.0.items[number as usize % 24];
    // The additional memory is less than that of a VM, in amounts that no other request has.
    flavor.memory_mb += 1 + number % 1_000;
    flavor.disk_gb += number / 1_000 % 64;
    constrained(flavor, number)
}

/// Requests that no host, or almost none, satisfies, each with a short reason. The caller measures
/// those that no host of the fleet satisfies.
#[must_use]
pub fn hopeless() -> Vec<(&'static str, Request)> {
    let large = FlavorAmounts { vcpus: 96, memory_mb: 1_500_000, disk_gb: 7_000 };
    // Each amount is free somewhere, but never together, so the bounds of blocks are misleading.
    let apart = FlavorAmounts { vcpus: 32, memory_mb: 900_000, disk_gb: 6_000 };
    let mut nowhere = constrained(SMALLEST, 1);
    nowhere.required_traits.push("CUSTOM_NOWHERE".to_owned());
    vec![
        ("too large", constrained(large, 3)),
        ("never together", constrained(apart, 7)),
        ("unknown trait", nowhere),
    ]
}

fn constrained(flavor: FlavorAmounts, number: u32) -> Request {
    let mut request = Request::of(flavor.vcpus, flavor.memory_mb, flavor.disk_gb);
    request.forbidden_traits.push(DISABLED.to_owned());
    if number % 4 != 3 {
        request.member_of.push(vec![zone(number)]);
    }
    if number.is_multiple_of(3) {
        request.required_traits.push(TRAITS[number as usize / 3 % 3].0.to_owned());
    }
    request
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn frequent_things_are_drawn_often() {
        let mut random = stream(1, "test");
        let types = types(1);
        let mut drawn = vec![0; TYPES];
        (0..100_000).for_each(|_| drawn[types.draw(&mut random)] += 1);
        assert!((11_000..14_500).contains(&drawn[0]), "the first of 1,700 has 1 in 8: {}", drawn[0]);
        assert!(drawn[1_000..].iter().sum::<u32>() < 10_000);
        assert_eq!(recurrent().items().len(), 24);
    }

    #[test]
    fn unique_requests_are() {
        let texts: BTreeSet<String> = (0..50_000).map(|number| format!("{:?}", unique(number))).collect();
        assert_eq!(texts.len(), 50_000);
    }
}
