//! Seeded fleets: several kinds of hosts, zones, traits, disabled hosts, filled to a given share of
//! their vCPUs.

use std::sync::Arc;

use berth_placement::{
    Allocation, ConsumerId, HOST_CLASSES, Index, Inventory, Row, TopologyError, TraitId, Units, Writer,
};
use berth_traces::rng::{Stream, stream};
use rand::Rng;
use uuid::Uuid;

use crate::requests::{FlavorAmounts, FlavorMix, SMALLEST};

/// The trait of hosts that accept no new VMs.
pub const DISABLED: &str = "COMPUTE_STATUS_DISABLED";

/// Traits, with the share of the hosts that have each.
pub const TRAITS: [(&str, f64); 7] = [
    ("HW_CPU_X86_AVX2", 0.95),
    ("STORAGE_DISK_SSD", 0.70),
    ("HW_CPU_X86_AVX512F", 0.55),
    ("COMPUTE_VOLUME_MULTI_ATTACH", 0.50),
    ("HW_CPU_X86_SGX", 0.08),
    ("CUSTOM_ISOLATED", 0.02),
    (DISABLED, 0.01),
];

/// The number of availability zones of every fleet.
pub const ZONES: u32 = 4;

/// The aggregate of an availability zone.
#[must_use]
pub const fn zone(number: u32) -> Uuid {
    Uuid::from_u128(0x5a6f_6e65 << 64 | (number % ZONES) as u128)
}

/// A kind of host: total, reserved and overcommitted vCPUs, memory in MiB and disk in GB.
struct Kind {
    share: f64,
    total: [u32; 3],
    reserved: [u32; 3],
    ratio: [f64; 3],
}

const KINDS: [Kind; 4] = [
    // General purpose, overcommitted.
    Kind { share: 0.55, total: [48, 1_048_576, 7_680], reserved: [0, 8_192, 100], ratio: [4.0, 1.0, 1.0] },
    // Dedicated CPUs.
    Kind { share: 0.20, total: [64, 262_144, 1_920], reserved: [0, 8_192, 100], ratio: [1.0, 1.0, 1.0] },
    // Large memory.
    Kind { share: 0.15, total: [96, 1_572_864, 7_680], reserved: [0, 16_384, 100], ratio: [2.0, 1.0, 1.0] },
    // The previous hardware generation.
    Kind { share: 0.10, total: [16, 262_144, 2_000], reserved: [0, 4_096, 50], ratio: [4.0, 1.0, 1.0] },
];

impl Kind {
    fn inventory(&self, class: usize) -> Inventory {
        let total = self.total[class];
        Inventory {
            reserved: self.reserved[class],
            units: Units { min_unit: 1, max_unit: total, step_size: 1 },
            allocation_ratio: self.ratio[class],
            ..Inventory::of(total)
        }
    }

    fn capacity(&self) -> [u32; 3] {
        [0, 1, 2].map(|class| u32::try_from(self.inventory(class).capacity()).expect("a small number"))
    }
}

/// The parameters of a fleet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilledFleetSpec {
    /// The number of hosts.
    pub hosts: u32,
    /// The percentage of all vCPUs held by VMs.
    pub fill: u32,
    /// The seed.
    pub seed: u64,
}

/// A fleet with its VMs. Row `i` is host `i`.
pub struct FilledFleet {
    /// The index, shared by every decider.
    pub index: Arc<Index>,
    /// The parameters.
    pub spec: FilledFleetSpec,
}

impl FilledFleet {
    /// Builds the fleet. VMs go to random hosts that fit them, which resembles a fleet after years
    /// of churn.
    ///
    /// # Errors
    /// More hosts than an index holds.
    pub fn build(spec: FilledFleetSpec) -> Result<Self, TopologyError> {
        let index = Index::default();
        let mut random = stream(spec.seed, "hosts");
        let mut writer = index.write();
        let traits = TRAITS.map(|(name, share)| (writer.trait_named(name), share));
        let mut kinds = Vec::with_capacity(spec.hosts as usize);
        for number in 0..spec.hosts {
            kinds.push(add_host(&mut writer, number, &traits, &mut random)?);
        }
        drop(writer);
        Filler::new(&index, &kinds).fill(spec);
        Ok(Self { index: Arc::new(index), spec })
    }

    /// Releases every VM that [`build`](Self::build) placed on a host.
    pub fn empty_host(&self, row: Row) {
        let mut number = 0;
        while self.index.release(resident(row, number)).is_ok() {
            number += 1;
        }
    }

    /// The share of all vCPUs that is used.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // for display
    pub fn share_used(&self) -> f64 {
        let vcpu = HOST_CLASSES[0];
        let rows = (0..self.spec.hosts).map(Row);
        let (used, free) = rows.fold((0, 0), |(used, free), row| {
            (used + self.index.used(row, vcpu), free + self.index.free(row, vcpu).unwrap_or(0))
        });
        used as f64 / (used + free).max(1) as f64
    }
}

fn add_host(
    writer: &mut Writer<'_>,
    number: u32,
    traits: &[(TraitId, f64)],
    random: &mut Stream,
) -> Result<&'static Kind, TopologyError> {
    let uuid = Uuid::from_u128(0x486f_7374 << 64 | u128::from(number));
    let row = writer.add_provider(uuid, &format!("host-{number:07}"), None)?;
    let kind = pick_kind(random);
    for (position, class) in HOST_CLASSES.into_iter().enumerate() {
        writer.set_inventory(row, class, Some(&kind.inventory(position)))?;
    }
    let has: Vec<TraitId> =
        traits.iter().filter(|(_, share)| random.random_bool(*share)).map(|&(id, _)| id).collect();
    writer.set_traits(row, &has)?;
    writer.set_aggregates(row, &[zone(random.random_range(0..ZONES))])?;
    Ok(kind)
}

fn pick_kind(random: &mut Stream) -> &'static Kind {
    let mut draw: f64 = random.random();
    let mut picked = &KINDS[0];
    for kind in &KINDS {
        picked = kind;
        draw -= kind.share;
        if draw < 0.0 {
            break;
        }
    }
    picked
}

/// A consumer that holds part of the VMs' use of a host. Several VMs share one: a million hosts
/// have fifty million VMs.
const fn resident(row: Row, number: u32) -> ConsumerId {
    ConsumerId(1 << 120 | (row.0 as u128) << 32 | number as u128)
}

/// The number of consecutive failures to place a random VM after which the smallest ones fill the
/// rest.
const PATIENCE: u32 = 64;

struct Filler<'a> {
    index: &'a Index,
    kinds: &'a [&'static Kind],
    free: Vec<[u32; 3]>,
    /// For each host, the amounts of its VMs that are not claimed yet, and the number of claims.
    held: Vec<([u32; 3], u32)>,
}

impl<'a> Filler<'a> {
    fn new(index: &'a Index, kinds: &'a [&'static Kind]) -> Self {
        let free = kinds.iter().map(|kind| kind.capacity()).collect();
        Self { index, kinds, free, held: vec![([0; 3], 0); kinds.len()] }
    }

    fn fill(mut self, spec: FilledFleetSpec) {
        let capacity: u64 = self.free.iter().map(|free| u64::from(free[0])).sum();
        let mut wanted = capacity * u64::from(spec.fill) / 100;
        let mut random = stream(spec.seed, "fill");
        let flavors = FlavorMix::default();
        let mut misses = 0;
        while wanted > 0 && misses < PATIENCE {
            let host = random.random_range(0..self.free.len());
            let flavor = flavors.pick(&mut random);
            if u64::from(flavor.vcpus) <= wanted && self.put(host, flavor) {
                wanted -= u64::from(flavor.vcpus);
                misses = 0;
            } else {
                misses += 1;
            }
        }
        self.top_up(wanted);
        for host in 0..self.held.len() {
            self.claim(host);
        }
    }

    /// Puts the smallest VM on every host that fits it, repeatedly, until enough is used.
    fn top_up(&mut self, mut wanted: u64) {
        let mut progress = true;
        while wanted > 0 && progress {
            progress = false;
            for host in 0..self.free.len() {
                if wanted > 0 && self.put(host, &SMALLEST) {
                    wanted -= u64::from(SMALLEST.vcpus);
                    progress = true;
                }
            }
        }
    }

    fn put(&mut self, host: usize, flavor: &FlavorAmounts) -> bool {
        let asked = [flavor.vcpus, flavor.memory_mb, flavor.disk_gb];
        let total = &self.kinds[host].total;
        if [0, 1, 2].iter().any(|&class| asked[class] > self.free[host][class].min(total[class])) {
            return false;
        }
        // One claim may not take more than max_unit.
        let held = self.held[host].0;
        if [0, 1, 2].iter().any(|&class| held[class] + asked[class] > total[class]) {
            self.claim(host);
        }
        for (class, amount) in asked.into_iter().enumerate() {
            self.free[host][class] -= amount;
            self.held[host].0[class] += amount;
        }
        true
    }

    fn claim(&mut self, host: usize) {
        let row = Row(u32::try_from(host).expect("bounded by the index"));
        let (held, number) = self.held[host];
        if held[0] == 0 {
            return;
        }
        self.held[host] = ([0; 3], number + 1);
        let allocations =
            [0, 1, 2].map(|class| Allocation { row, class: HOST_CLASSES[class], amount: held[class] });
        self.index.claim(resident(row, number), &allocations).expect("the host has enough free");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_filled_as_far_as_asked_and_its_books_balance() {
        for fill in [0, 30, 80, 98, 99, 100] {
            let fleet = FilledFleet::build(FilledFleetSpec { hosts: 500, fill, seed: 1 }).unwrap();
            let used = fleet.share_used() * 100.0;
            // In a full fleet, some vCPUs remain on hosts without free memory, which no VM can use.
            let off = if fill == 100 { 0.5 } else { 0.1 };
            assert!((used - f64::from(fill)).abs() < off, "wanted {fill} %, got {used} %");
            assert_eq!(fleet.index.check(), Ok(()));
        }
    }

    #[test]
    fn every_trait_and_zone_has_its_share() {
        let fleet = FilledFleet::build(FilledFleetSpec { hosts: 5_000, fill: 0, seed: 1 }).unwrap();
        let topology = fleet.index.topology();
        for (name, share) in TRAITS {
            let rows = topology.rows_with_trait(topology.find_trait(name).unwrap()).unwrap();
            let has = f64::from(u32::try_from(rows.len()).unwrap()) / 5_000.0;
            assert!((has - share).abs() < 0.03, "{name}: wanted {share}, got {has}");
        }
        let zones = (0..ZONES).map(|number| topology.rows_in_aggregate(zone(number)).unwrap().len());
        assert_eq!(zones.sum::<u64>(), 5_000);
    }

    #[test]
    fn the_same_seed_builds_the_same_fleet() {
        let free = |seed| {
            let fleet = FilledFleet::build(FilledFleetSpec { hosts: 200, fill: 80, seed }).unwrap();
            (0..200).map(|row| fleet.index.host_free(Row(row))).collect::<Vec<_>>()
        };
        assert_eq!(free(1), free(1));
        assert_ne!(free(1), free(2));
    }

    #[test]
    fn an_emptied_host_has_everything_free() {
        let fleet = FilledFleet::build(FilledFleetSpec { hosts: 10, fill: 99, seed: 1 }).unwrap();
        fleet.empty_host(Row(3));
        assert_eq!(fleet.index.used(Row(3), HOST_CLASSES[0]), 0);
        assert_eq!(fleet.index.check(), Ok(()));
    }
}
