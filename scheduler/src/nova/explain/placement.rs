//! What Placement demands of hosts: room, traits, aggregates, zone.

use std::collections::BTreeSet;
use std::fmt;

use berth_placement::Row;

use crate::nova::filters::{Filter, FilterName, Reason, RequestState, Scene, Scope, Verdict};
use crate::nova::request_spec::RequestSpec;

/// Traits and aggregates of each host's provider, by row. Its inventory is that of the host table.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    traits: Vec<BTreeSet<String>>,
    aggregates: Vec<BTreeSet<String>>,
}

impl Providers {
    /// Adds the provider of the next row: its traits and the ids of its aggregates.
    pub fn push(&mut self, traits: BTreeSet<String>, aggregates: BTreeSet<String>) {
        self.traits.push(traits);
        self.aggregates.push(aggregates);
    }

    /// Adds a provider with the traits and aggregates of another.
    pub(super) fn push_twin(&mut self, of: Row) {
        let at = of.0 as usize;
        let twin = |sets: &[BTreeSet<String>]| sets.get(at).cloned().unwrap_or_default();
        self.push(twin(&self.traits), twin(&self.aggregates));
    }

    fn has_trait(&self, row: Row, name: &str) -> bool {
        self.traits.get(row.0 as usize).is_some_and(|traits| traits.contains(name))
    }

    /// Which of these aggregates the provider is in.
    fn found_in<'a>(&self, row: Row, mut aggregates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let own = self.aggregates.get(row.0 as usize)?;
        aggregates.find(|id| own.contains(*id))
    }
}

/// A constraint that Placement applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacementConstraint {
    /// Room for the vCPUs.
    Vcpus,
    /// Room for the memory.
    Memory,
    /// Room for root disk, ephemeral disks and swap.
    Disk,
    /// A trait that the provider must have.
    RequiredTrait(String),
    /// A trait that it must not have.
    ForbiddenTrait(String),
    /// The availability zone.
    Zone,
    /// Ids of aggregates, separated by commas, of which one must hold the provider.
    Aggregates(String),
    /// Ids of aggregates that must not hold it.
    ForbiddenAggregates(String),
}

impl fmt::Display for PlacementConstraint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcpus => out.write_str("VCPU"),
            Self::Memory => out.write_str("MEMORY_MB"),
            Self::Disk => out.write_str("DISK_GB"),
            Self::RequiredTrait(name) => write!(out, "trait {name}"),
            Self::ForbiddenTrait(name) => write!(out, "no trait {name}"),
            Self::Zone => out.write_str("availability zone"),
            Self::Aggregates(ids) => write!(out, "aggregates {ids}"),
            Self::ForbiddenAggregates(ids) => write!(out, "no aggregates {ids}"),
        }
    }
}

impl PlacementConstraint {
    /// Those of a request, in the order in which they are applied.
    #[must_use]
    pub fn of(request: &RequestSpec) -> Vec<Self> {
        let mut constraints = vec![Self::Vcpus, Self::Memory, Self::Disk];
        constraints.extend(traits(request));
        if request.availability_zone.as_ref().is_some_and(|zone| !zone.is_empty()) {
            constraints.push(Self::Zone);
        }
        if let Some(destination) = &request.requested_destination {
            constraints.extend(destination.aggregates.iter().cloned().map(Self::Aggregates));
            constraints
                .extend(destination.forbidden_aggregates.iter().cloned().map(Self::ForbiddenAggregates));
        }
        constraints
    }

    pub(super) fn prepare<'a>(
        &'a self,
        scene: &'a Scene<'a>,
        providers: Option<&'a Providers>,
    ) -> Box<dyn Filter + 'a> {
        match self {
            Self::Zone => FilterName::AvailabilityZoneFilter.prepare(scene),
            _ => Box::new(Demand { constraint: self, scene, providers }),
        }
    }
}

/// Traits that the flavor and the image require or forbid.
fn traits(request: &RequestSpec) -> Vec<PlacementConstraint> {
    let of_flavor = request.flavor.extra_specs.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("trait:")?.to_owned();
        match value {
            "required" => Some(PlacementConstraint::RequiredTrait(name)),
            "forbidden" => Some(PlacementConstraint::ForbiddenTrait(name)),
            _ => None,
        }
    });
    let of_image = request.image_properties().map_or(&[][..], |image| image.required_traits());
    let mut traits: Vec<_> = of_flavor.collect();
    for name in of_image {
        let wanted = PlacementConstraint::RequiredTrait(name.clone());
        if !traits.contains(&wanted) {
            traits.push(wanted);
        }
    }
    traits
}

struct Demand<'a> {
    constraint: &'a PlacementConstraint,
    scene: &'a Scene<'a>,
    providers: Option<&'a Providers>,
}

impl Filter for Demand<'_> {
    fn scope(&self) -> Scope {
        if self.scene.request.is_rebuild() { Scope::Everything } else { Scope::Host }
    }

    fn judge(&self, row: Row, _: &mut RequestState) -> Verdict {
        if self.scene.request.is_rebuild() {
            return Ok(Ok(()));
        }
        Ok(match self.constraint {
            PlacementConstraint::Vcpus => self.vcpus(row),
            PlacementConstraint::Memory => self.memory(row),
            PlacementConstraint::Disk => self.disk(row),
            _ => self.providers.map_or(Ok(()), |providers| self.membership(row, providers)),
        })
    }
}

impl Demand<'_> {
    fn vcpus(&self, row: Row) -> Result<(), Reason> {
        let report = self.scene.hosts.report(row).ok_or(Reason::NotReported)?;
        let used = self.scene.hosts.usage().vcpus_used[row.0 as usize];
        let (asked, total) = (self.scene.request.flavor.vcpus, report.vcpus_total);
        fits(asked, room(total, report.ratios.cpu.get(), used), |free| Reason::TooFewCpus { asked, free })
    }

    fn memory(&self, row: Row) -> Result<(), Reason> {
        let report = self.scene.hosts.report(row).ok_or(Reason::NotReported)?;
        let total = report.total_usable_ram_mb;
        let used = total.saturating_sub(self.scene.hosts.usage().free_ram_mb[row.0 as usize]);
        let asked = self.scene.request.flavor.memory_mb;
        fits(asked, room(total, report.ratios.ram.get(), used), |free| Reason::TooLittleMemory {
            asked,
            free,
        })
    }

    /// Disk is counted in whole GiB; the root disk of an instance on a volume takes none.
    fn disk(&self, row: Row) -> Result<(), Reason> {
        let report = self.scene.hosts.report(row).ok_or(Reason::NotReported)?;
        let (request, total) = (self.scene.request, report.total_usable_disk_gb);
        let used = self.scene.hosts.usage().disk_mb_used[row.0 as usize] / 1024;
        let root = if request.is_bfv { 0 } else { request.flavor.root_gb };
        let swap = request.flavor.swap.saturating_add(1023) / 1024;
        let asked = root.saturating_add(request.flavor.ephemeral_gb).saturating_add(swap);
        fits(asked, room(total, report.ratios.disk.get(), used), |free| Reason::TooLittleDisk {
            asked: asked.saturating_mul(1024),
            free: free * 1024.0,
        })
    }

    fn membership(&self, row: Row, providers: &Providers) -> Result<(), Reason> {
        let found = |ids: &String| providers.found_in(row, ids.split(',')).map(str::to_owned);
        let refusal = match self.constraint {
            PlacementConstraint::RequiredTrait(name) => {
                (!providers.has_trait(row, name)).then(|| Reason::NoTrait { name: name.clone() })
            }
            PlacementConstraint::ForbiddenTrait(name) => {
                providers.has_trait(row, name).then(|| Reason::ForbiddenTrait { name: name.clone() })
            }
            PlacementConstraint::Aggregates(ids) => {
                found(ids).is_none().then(|| Reason::OutsideAggregates { asked: ids.clone() })
            }
            PlacementConstraint::ForbiddenAggregates(ids) => {
                found(ids).map(|found| Reason::ForbiddenAggregate { found })
            }
            _ => None,
        };
        refusal.map_or(Ok(()), Err)
    }
}

/// What may still be allocated at once: never more than there is, whatever the overcommit.
fn room(total: i64, ratio: f64, used: i64) -> f64 {
    ((total as f64 * ratio).floor() - used as f64).min(total as f64)
}

/// Nothing fits everywhere: Placement is not asked for it.
fn fits(asked: i64, free: f64, refusal: impl FnOnce(f64) -> Reason) -> Result<(), Reason> {
    if asked <= 0 || asked as f64 <= free { Ok(()) } else { Err(refusal(free)) }
}
