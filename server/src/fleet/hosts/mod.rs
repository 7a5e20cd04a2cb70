//! Compute hosts: what operators see of them and set. Which may join: [`admission`]. What their agents report: [`connection`]
//! and [`tree`].

mod admission;
mod connection;
mod ratios;
mod retired;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::{Inventory, Row, TraitId};
use uuid::Uuid;

use super::Fleet;
use super::agents::Liveness;
use super::entry::{Host, HostStatus, Instance, Task};
use super::error::{FleetError, IN_USE};
use super::state::State;
use crate::request::message::message_of;
use crate::service::now;

/// What a host has that operators have disabled.
const DISABLED_TRAIT: &str = "COMPUTE_STATUS_DISABLED";

/// A host as operators see it.
#[derive(Debug, Clone)]
pub(crate) struct HostState {
    pub(crate) host: Host,
    pub(crate) liveness: Liveness,
    pub(crate) zone: String,
    pub(crate) aggregates: Vec<String>,
    pub(crate) instances: usize,
    /// Inventories by class, summed over its tree, and what is used of them.
    pub(crate) stock: BTreeMap<String, (Inventory, u64)>,
}

impl Fleet {
    pub(crate) fn hosts(&self) -> Vec<HostState> {
        let names: Vec<String> = self.state().hosts.keys().cloned().collect();
        names.iter().filter_map(|name| self.host(name).ok()).collect()
    }

    pub(crate) fn host_names(&self) -> Vec<String> {
        self.state().hosts.keys().cloned().collect()
    }

    pub(crate) fn host(&self, name: &str) -> Result<HostState, FleetError> {
        let state = self.state();
        let host = state.hosts.get(name).ok_or_else(|| FleetError::not_found("host", name))?.clone();
        let aggregates = state.aggregates.values().filter(|aggregate| aggregate.has(name));
        Ok(HostState {
            liveness: self.agents.liveness(name),
            zone: self.zone_of(&state, name),
            aggregates: aggregates.map(|aggregate| aggregate.name.clone()).collect(),
            instances: state.by_host.get(name).map_or(0, BTreeSet::len),
            stock: self.stock(&host),
            host,
        })
    }

    /// What the host's tree has, and what is used of it.
    pub(super) fn stock(&self, host: &Host) -> BTreeMap<String, (Inventory, u64)> {
        let topology = self.index.topology();
        let mut stock: BTreeMap<String, (Inventory, u64)> = BTreeMap::new();
        let root = self.index.find(host.uuid());
        for &row in root.into_iter().flat_map(|root| topology.tree(root)) {
            for (class, inventory) in self.index.inventories(row).1 {
                let Some(name) = topology.classes().name(class.0.into()) else { continue };
                let used = u64::try_from(self.index.used(row, class)).unwrap_or(0);
                match stock.get_mut(name) {
                    Some((sum, sum_used)) => {
                        sum.total = sum.total.saturating_add(inventory.total);
                        sum.reserved = sum.reserved.saturating_add(inventory.reserved);
                        *sum_used += used;
                    }
                    None => drop(stock.insert(name.to_string(), (inventory, used))),
                }
            }
        }
        stock
    }

    /// An operator's wish.
    pub(crate) fn set_host(
        &self,
        name: &str,
        status: HostStatus,
        reason: &str,
    ) -> Result<HostState, FleetError> {
        if reason.chars().count() > 255 {
            return Err(FleetError::field("reason", "has more than 255 characters"));
        }
        let host = self.transact(|fleet| {
            let host = fleet.state.hosts.get(name).ok_or_else(|| FleetError::not_found("host", name))?;
            let reason = if status == HostStatus::Enabled { String::new() } else { reason.to_owned() };
            let host = Host { status: status.into(), reason, ..host.clone() };
            fleet.put_host(host.clone());
            Ok(host)
        })?;
        self.tell_status(&host.name);
        self.note_hosts([name]);
        self.host(name)
    }

    /// Gives the host's provider the trait of disabled hosts, or takes it.
    fn tell_status(&self, name: &str) {
        // With the writer, so that of two changes the later one is told last.
        let mut writer = self.index.write_at(now());
        let Some(host) = self.state().hosts.get(name).cloned() else { return };
        let Some(row) = self.index.find(host.uuid()) else { return };
        let disabled = writer.trait_named(DISABLED_TRAIT);
        let mut traits: Vec<TraitId> =
            writer.topology().provider(row).map(|provider| provider.traits.to_vec()).unwrap_or_default();
        let is_told = traits.contains(&disabled);
        if is_told != (host.status() != HostStatus::Enabled) {
            if is_told {
                traits.retain(|&id| id != disabled);
            } else {
                traits.push(disabled);
            }
            if let Err(error) = writer.set_traits(row, &traits) {
                tracing::error!(host = host.name, %error, "a host's status cannot be told to the scheduler");
            }
        }
    }

    /// Forgets a host, and removes its providers.
    pub(crate) fn delete_host(&self, name: &str) -> Result<(), FleetError> {
        let state = self.host(name)?;
        if state.liveness.is_connected {
            return Err(FleetError::precondition(
                "AGENT_CONNECTED",
                format!("the agent of host {name:?} is connected"),
            ));
        }
        let there: Vec<Uuid> = self.state().by_host.get(name).into_iter().flatten().copied().collect();
        let stays = |instance: &Instance| instance.host == name && instance.task() != Task::Deleting;
        let staying = there.iter().filter_map(|&uuid| self.instance_by_uuid(uuid)).filter(stays).count();
        if staying > 0 {
            return Err(FleetError::precondition(
                IN_USE,
                format!("{staying} instances are on host {name:?}"),
            ));
        }
        let others = self.holders_beside(&state.host, &there);
        if others > 0 {
            return Err(FleetError::precondition(
                IN_USE,
                format!("{others} consumers that are no instances hold room on host {name:?}"),
            ));
        }
        // Whoever deletes a host says that nothing on it will ever run again.
        for uuid in there {
            // First its capacity: as soon as the host is no place of it, it may be scheduled elsewhere.
            if self.host_of_room(uuid).is_some_and(|host| host == name) {
                self.give_back(uuid);
            }
            self.is_gone_from(uuid, name);
        }
        self.remove_providers(&state.host)?;
        self.transact(|fleet| {
            let aggregates: Vec<_> =
                fleet.state.aggregates.values().filter(|known| known.has(name)).cloned().collect();
            for mut aggregate in aggregates {
                aggregate.hosts.retain(|host| host != name);
                fleet.put_aggregate(aggregate);
            }
            fleet.remove_host(name);
        });
        self.agents.forget(name);
        self.note_layout();
        Ok(())
    }

    /// How many consumers besides these hold room on the host.
    fn holders_beside(&self, host: &Host, instances: &[Uuid]) -> usize {
        self.holders(host).iter().filter(|holder| !instances.contains(holder)).count()
    }

    /// The consumers with allocations on the host.
    fn holders(&self, host: &Host) -> BTreeSet<Uuid> {
        let topology = self.index.topology();
        let rows = self.index.find(host.uuid()).map(|root| topology.tree(root)).unwrap_or_default();
        rows.iter().flat_map(|&row| self.index.holders(row)).map(Uuid::from).collect()
    }

    /// How many instances are on the host, have their disks there, or have claimed capacity there.
    pub(super) fn instances_on(&self, state: &State, name: &str) -> usize {
        let is_here = |uuid: &Uuid| state.instances.get(uuid).is_some_and(|instance| instance.host == name);
        let there = state.by_host.get(name).into_iter().flatten().copied().filter(is_here);
        let holders = state.hosts.get(name).map(|host| self.holders(host)).unwrap_or_default();
        let holders = holders.into_iter().filter(|uuid| state.instances.contains_key(uuid));
        there.chain(holders).collect::<BTreeSet<_>>().len()
    }

    fn remove_providers(&self, host: &Host) -> Result<(), FleetError> {
        let mut writer = self.index.write_at(now());
        let Some(root) = self.index.find(host.uuid()) else { return Ok(()) };
        let rows: Vec<Row> = writer.topology().tree(root).to_vec();
        // Children stand behind their parents.
        let removed = rows.into_iter().rev().try_for_each(|row| writer.remove_provider(row));
        removed.map_err(|error| FleetError::precondition(IN_USE, message_of(writer.topology(), &error)))
    }
}

pub(super) fn parse_uuid(field: &str, text: &str) -> Result<Uuid, FleetError> {
    Uuid::try_parse(text).map_err(|_| FleetError::field(field, format!("{text:?} is no UUID")))
}
