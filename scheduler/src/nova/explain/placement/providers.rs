//! What Placement knows of the hosts, and what Nova looks up before it asks.

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::{Inventory, Row};
use uuid::Uuid;

use super::offer::{OF_HOSTS, Offer};
use crate::nova::aggregates::{AVAILABILITY_ZONE, Aggregate};
use crate::nova::hosts::HostRecord;
use crate::nova::placement_query::{ComputeNode, Known};

/// The provider of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    /// Its id.
    pub uuid: Uuid,
    /// Its traits.
    pub traits: BTreeSet<String>,
    /// Ids of its aggregates.
    pub aggregates: BTreeSet<String>,
    /// What it offers by resource class; none if only the host's own figures are known.
    pub offers: Option<BTreeMap<String, Offer>>,
}

/// The provider of each host, by row, and what Nova looks up before it asks for candidates.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    providers: Vec<Provider>,
    computes: Vec<ComputeNode>,
    aggregates: Vec<Aggregate>,
    oldest_compute: u32,
}

/// A record that makes no provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host {host}, {field}: {problem}")]
pub struct InvalidProvider {
    /// Service host.
    pub host: String,
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Providers of disabled services have it.
pub(super) const DISABLED: &str = "COMPUTE_STATUS_DISABLED";

impl Providers {
    /// No providers yet, in a cloud with these aggregates and this version of the oldest compute service.
    #[must_use]
    pub fn new(aggregates: Vec<Aggregate>, oldest_compute: u32) -> Self {
        Self { aggregates, oldest_compute, ..Self::default() }
    }

    /// Adds the provider of the next row, and the names of its compute node.
    pub fn push(&mut self, provider: Provider, compute: ComputeNode) {
        self.providers.push(provider);
        self.computes.push(compute);
    }

    /// The providers of these hosts. An aggregate without an id in Placement is known by its number.
    ///
    /// # Errors
    ///
    /// [`InvalidProvider`] for the first record that makes none.
    pub fn load(
        hosts: &[HostRecord],
        mut aggregates: Vec<Aggregate>,
        oldest_compute: u32,
    ) -> Result<Self, InvalidProvider> {
        for aggregate in &mut aggregates {
            aggregate.uuid.get_or_insert_with(|| aggregate.id.to_string());
        }
        let mut providers = Self::new(aggregates, oldest_compute);
        for host in hosts {
            let provider = provider(host, &providers.aggregates)?;
            let compute = ComputeNode {
                host: host.host.clone(),
                node: host.node.clone(),
                uuid: provider.uuid,
                cell_uuid: Some(host.cell_uuid.clone()),
            };
            providers.push(provider, compute);
        }
        Ok(providers)
    }

    /// Adds a provider like another, from which nothing is taken.
    pub(in crate::nova::explain) fn push_twin(&mut self, of: Row) {
        let twin = self.get(of).cloned().unwrap_or_default();
        let emptied = |offers: BTreeMap<String, Offer>| {
            offers.into_iter().map(|(class, offer)| (class, offer.emptied())).collect()
        };
        let mut traits = twin.traits;
        traits.remove(DISABLED);
        self.providers.push(Provider { uuid: Uuid::nil(), traits, offers: twin.offers.map(emptied), ..twin });
    }

    /// The provider of a row.
    #[must_use]
    pub fn get(&self, row: Row) -> Option<&Provider> {
        self.providers.get(row.0 as usize)
    }

    /// What the pre-filters may look up.
    pub(super) fn known(&self) -> Known<'_> {
        Known {
            aggregates: &self.aggregates,
            computes: &self.computes,
            oldest_compute: self.oldest_compute,
            networks: None,
        }
    }

    /// Ids of the aggregates that make the zone.
    pub(super) fn aggregates_of_zone(&self, zone: &str) -> BTreeSet<String> {
        let names = |aggregate: &&Aggregate| {
            aggregate.metadata.get(AVAILABILITY_ZONE).is_some_and(|name| name == zone)
        };
        self.aggregates.iter().filter(names).filter_map(|aggregate| aggregate.uuid.clone()).collect()
    }

    /// Whether some provider is known to offer the class.
    pub(super) fn some_offer(&self, class: &str) -> bool {
        let mut offers = self.providers.iter().filter_map(|provider| provider.offers.as_ref());
        offers.any(|offers| offers.contains_key(class))
    }

    /// Whether anything is known of the class.
    pub(super) fn is_known(&self, class: &str) -> bool {
        OF_HOSTS.contains(&class) || self.some_offer(class)
    }
}

fn provider(host: &HostRecord, aggregates: &[Aggregate]) -> Result<Provider, InvalidProvider> {
    let invalid = |field: &str, problem: String| InvalidProvider {
        host: host.host.clone(),
        field: field.to_owned(),
        problem,
    };
    let uuid = Uuid::try_parse(&host.uuid)
        .map_err(|_| invalid("uuid", format!("'{}' is no UUID, by which Placement knows it", host.uuid)))?;
    let holding = aggregates.iter().filter(|aggregate| aggregate.hosts.contains(&host.host));
    // A disabled service shows in the service itself; only a trait that was left behind is one of the provider.
    let is_own = |name: &&String| !(host.service.disabled && *name == DISABLED);
    let offer = |class: &String, inventory: Inventory| {
        let used = host.usages.get(class).copied().unwrap_or(0);
        inventory.validate().map_err(|error| invalid(&format!("inventories.{class}"), error.to_string()))?;
        Ok((class.clone(), Offer::new(&inventory, used)))
    };
    let offers = host.inventories.as_ref().map(|inventories| {
        inventories.iter().map(|(class, record)| offer(class, (*record).into())).collect::<Result<_, _>>()
    });
    Ok(Provider {
        uuid,
        traits: host.traits.iter().flatten().filter(is_own).cloned().collect(),
        aggregates: holding.filter_map(|aggregate| aggregate.uuid.clone()).collect(),
        offers: offers.transpose()?,
    })
}
