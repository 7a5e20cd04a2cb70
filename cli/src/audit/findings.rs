//! What is wrong with a fleet, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use super::fleet::{About, Consumer, Fleet, Provider};
use super::leave::Problem;

/// The consumers that may hold allocations.
pub(super) struct Known {
    pub(super) instances: BTreeSet<Uuid>,
    /// `None` if they were not given: then consumers of type MIGRATION are not checked.
    pub(super) migrations: Option<BTreeSet<Uuid>>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    /// `None` if it was not requested.
    pub(super) leaked: Option<Vec<Leaked>>,
    pub(super) usage: Vec<Usage>,
    pub(super) over_capacity: Vec<OverCapacity>,
    /// Providers that kept changing while they were read, so that their usage is unknown.
    pub(super) restless: Vec<Uuid>,
}

/// A consumer that is in none of the lists.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Leaked {
    pub(super) consumer: Uuid,
    #[serde(flatten)]
    pub(super) about: Who,
    pub(super) holds: Vec<Held>,
}

/// The owner of a consumer, and the age of its allocations.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Who {
    pub(super) project: Option<String>,
    pub(super) user: Option<String>,
    pub(super) consumer_type: Option<String>,
    pub(super) generation: Option<u64>,
    /// In seconds since 1970.
    pub(super) since: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Held {
    pub(super) provider: Uuid,
    pub(super) name: String,
    pub(super) class: String,
    pub(super) amount: u32,
}

/// What the service counts as used is not what consumers hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Usage {
    pub(super) provider: Uuid,
    pub(super) name: String,
    pub(super) class: String,
    pub(super) used: i64,
    pub(super) allocated: i64,
}

/// A provider whose allocations exceed its capacity.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OverCapacity {
    pub(super) provider: Uuid,
    pub(super) name: String,
    /// When the provider was last changed, in seconds since 1970: it has been so since then at the
    /// latest.
    pub(super) changed: Option<u64>,
    pub(super) classes: Vec<Excess>,
    /// Consumers that would have to leave so that the rest fits.
    pub(super) leaving: Vec<Leaving>,
    /// Whether no fewer would do.
    pub(super) is_smallest: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Excess {
    pub(super) class: String,
    pub(super) total: u32,
    pub(super) reserved: u32,
    pub(super) allocation_ratio: f64,
    pub(super) capacity: i64,
    pub(super) used: i64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Leaving {
    pub(super) consumer: Uuid,
    #[serde(flatten)]
    pub(super) about: Option<Who>,
    pub(super) holds: Vec<Held>,
}

impl Findings {
    pub(super) fn is_empty(&self) -> bool {
        self.leaked.as_ref().is_none_or(Vec::is_empty)
            && self.usage.is_empty()
            && self.over_capacity.is_empty()
    }
}

/// Consumers that are in none of the lists. [`leaked`] needs more details of them.
pub(super) fn unknown(fleet: &Fleet, known: &Known) -> Vec<Uuid> {
    let is_known = |consumer: &Uuid| {
        let migrations = known.migrations.as_ref();
        known.instances.contains(consumer)
            || migrations.is_some_and(|migrations| migrations.contains(consumer))
    };
    fleet.consumers.keys().copied().filter(|consumer| !is_known(consumer)).collect()
}

/// Those of the unknown consumers that are leaked by what is known about them.
pub(super) fn leaked(fleet: &Fleet, known: &Known, unknown: &[Uuid]) -> Vec<Leaked> {
    let leaked = unknown.iter().filter_map(|consumer| {
        let entry = fleet.consumers.get(consumer)?;
        let about = entry.about.as_ref()?;
        let may_migrate = known.migrations.is_none() && about.kind.as_deref() == Some("MIGRATION");
        let is_leaked = !may_migrate && !entry.holds.is_empty();
        is_leaked.then(|| Leaked { consumer: *consumer, about: about.into(), holds: held(fleet, entry) })
    });
    leaked.collect()
}

fn held(fleet: &Fleet, consumer: &Consumer) -> Vec<Held> {
    let held = consumer.holds.iter().map(|((provider, class), &amount)| Held {
        provider: *provider,
        name: fleet.name(*provider),
        class: class.clone(),
        amount,
    });
    held.collect()
}

impl From<&About> for Who {
    fn from(about: &About) -> Self {
        let About { generation, project, user, kind, written_at } = about.clone();
        Self { project, user, consumer_type: kind, generation, since: written_at }
    }
}

/// Where use and allocations differ.
pub(super) fn usage(fleet: &Fleet) -> Vec<Usage> {
    let mut allocated: BTreeMap<(Uuid, &str), i64> = BTreeMap::new();
    for consumer in fleet.consumers.values() {
        for ((provider, class), &amount) in &consumer.holds {
            *allocated.entry((*provider, class)).or_default() += i64::from(amount);
        }
    }
    let mut found = Vec::new();
    for (&uuid, provider) in &fleet.providers {
        let classes: BTreeSet<&str> = provider
            .used
            .keys()
            .map(String::as_str)
            .chain(
                allocated
                    .range((uuid, "")..)
                    .take_while(|((of, _), _)| *of == uuid)
                    .map(|((_, class), _)| *class),
            )
            .collect();
        for class in classes {
            let used = provider.used.get(class).copied().unwrap_or(0);
            let allocated = allocated.get(&(uuid, class)).copied().unwrap_or(0);
            if used != allocated && !fleet.restless.contains(&uuid) {
                let (name, class) = (provider.name.clone(), class.to_owned());
                found.push(Usage { provider: uuid, name, class, used, allocated });
            }
        }
    }
    found
}

/// Providers whose allocations exceed their capacity, and the consumers that would have to leave.
pub(super) fn over_capacity(fleet: &Fleet) -> Vec<OverCapacity> {
    let mut holders: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for (&consumer, entry) in &fleet.consumers {
        let providers: BTreeSet<Uuid> = entry.holds.keys().map(|(provider, _)| *provider).collect();
        providers.into_iter().for_each(|provider| holders.entry(provider).or_default().push(consumer));
    }
    let over = fleet.providers.iter().filter_map(|(&uuid, provider)| {
        let classes = excesses(provider);
        (!classes.is_empty()).then(|| {
            let holders = holders.get(&uuid).map(Vec::as_slice).unwrap_or_default();
            explain(fleet, uuid, provider, classes, holders)
        })
    });
    over.collect()
}

fn excesses(provider: &Provider) -> Vec<Excess> {
    let excess = provider.inventories.iter().filter_map(|(class, inventory)| {
        let (capacity, used) = (inventory.capacity(), provider.used.get(class).copied().unwrap_or(0));
        (used > capacity).then(|| Excess {
            class: class.clone(),
            total: inventory.total,
            reserved: inventory.reserved,
            allocation_ratio: inventory.allocation_ratio,
            capacity,
            used,
        })
    });
    excess.collect()
}

fn explain(
    fleet: &Fleet,
    uuid: Uuid,
    provider: &Provider,
    classes: Vec<Excess>,
    holders: &[Uuid],
) -> OverCapacity {
    let excess = classes.iter().map(|excess| excess.used - excess.capacity).collect();
    let frees = |consumer: &Uuid| {
        let holds = &fleet.consumers[consumer].holds;
        let amount = |excess: &Excess| holds.get(&(uuid, excess.class.clone())).copied().unwrap_or(0);
        classes.iter().map(|excess| i64::from(amount(excess))).collect()
    };
    let problem = Problem { excess, frees: holders.iter().map(frees).collect() };
    let solved = problem.solve();
    let leaving = solved.consumers.into_iter().map(|place| {
        let consumer = holders[place];
        let entry = &fleet.consumers[&consumer];
        let holds = held(fleet, entry).into_iter().filter(|held| held.provider == uuid).collect();
        Leaving { consumer, about: entry.about.as_ref().map(Who::from), holds }
    });
    OverCapacity {
        provider: uuid,
        name: provider.name.clone(),
        changed: provider.changed_at,
        leaving: leaving.collect(),
        is_smallest: solved.is_smallest,
        classes,
    }
}
