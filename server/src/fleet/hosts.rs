//! Compute hosts: what their agents tell, and what operators set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use berth_api::v1;
use berth_placement::{Index, Inventory, Row, TopologyError, TraitId, Units, Writer};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::agents::{Liveness, Session};
use super::entry::{AgentProvider, Host, HostStatus, Hypervisor, Instance, Task};
use super::error::{FleetError, IN_USE};
use super::{Fleet, check_name};
use crate::service::now;

/// What a host has that operators have disabled.
const DISABLED_TRAIT: &str = "COMPUTE_STATUS_DISABLED";

/// Providers of one host, at most.
const MAX_PROVIDERS: usize = 4096;

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
        let root = Uuid::from_slice(&host.uuid).ok().and_then(|uuid| self.index.find(uuid));
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
        let Some(row) = find(&self.index, &host.uuid) else { return };
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
        // Whoever deletes a host says that nothing on it will ever run again.
        for uuid in there {
            self.is_gone_from(uuid, name);
            if self.instance_by_uuid(uuid).is_some_and(|instance| instance.task() == Task::Deleting) {
                self.give_back(uuid);
            }
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

    fn remove_providers(&self, host: &Host) -> Result<(), FleetError> {
        let mut writer = self.index.write_at(now());
        let Some(root) = find(&self.index, &host.uuid) else { return Ok(()) };
        let rows: Vec<Row> = writer.topology().tree(root).to_vec();
        let refuse = |error: TopologyError| FleetError::precondition(IN_USE, error.to_string());
        // Children stand behind their parents.
        rows.into_iter().rev().try_for_each(|row| writer.remove_provider(row)).map_err(refuse)
    }

    /// An agent has introduced itself.
    pub(crate) fn join(
        &self,
        hello: &v1::Hello,
        sender: mpsc::UnboundedSender<v1::ServiceMessage>,
    ) -> Result<Session, FleetError> {
        check_name("hello.host", &hello.host, 255)?;
        let uuid = parse_uuid("hello.host_uuid", &hello.host_uuid)?;
        let hypervisor = hello.hypervisor.clone().map(Hypervisor::from);
        self.transact(|fleet| {
            let known = fleet.state.hosts.get(&hello.host);
            if let Some(known) = known.filter(|known| known.uuid != uuid.as_bytes()) {
                let other = Uuid::from_slice(&known.uuid).unwrap_or_default();
                let message = format!("host {:?} has the UUID {other}, not {uuid}", hello.host);
                return Err(FleetError::precondition("OTHER_HOST", message));
            }
            if let Some(other) = fleet.state.host_name(uuid).filter(|other| *other != hello.host) {
                let message = format!("the UUID {uuid} is that of host {other:?}");
                return Err(FleetError::precondition("OTHER_HOST", message));
            }
            let before = known.cloned().unwrap_or_default();
            let host = Host {
                name: hello.host.clone(),
                uuid: uuid.as_bytes().to_vec(),
                hypervisor,
                ..before.clone()
            };
            if host != before {
                fleet.put_host(host);
            }
            Ok(())
        })?;
        Ok(self.agents.connect(&hello.host, sender, now()))
    }

    /// Makes the providers of a host what its agent told. Traits and providers that are not the agent's stay.
    pub(crate) fn set_providers(&self, host: &str, tree: &v1::ProviderTree) -> Result<(), FleetError> {
        let known =
            self.state().hosts.get(host).cloned().ok_or_else(|| FleetError::not_found("host", host))?;
        let told = read_tree(tree, &known)?;
        {
            let mut writer = self.index.write_at(now());
            told.iter().try_for_each(|provider| provider.write(&self.index, &mut writer, &known))?;
            remove_gone(&self.index, &mut writer, &known, &told);
        }
        let is_new = known.providers.is_empty();
        let providers: Vec<AgentProvider> = told.into_iter().map(Told::into_entry).collect();
        self.transact(|fleet| {
            if let Some(host) = fleet.state.hosts.get(host).filter(|host| host.providers != providers) {
                let host = Host { providers, ..host.clone() };
                fleet.put_host(host);
            }
        });
        self.tell_status(host);
        self.tell_aggregates(host);
        if is_new {
            self.note_layout();
        } else {
            self.note_hosts([host]);
        }
        Ok(())
    }

    /// The agent was heard of.
    pub(crate) fn hear(&self, host: &str, session: Session) {
        if self.agents.hear(host, session, now()) {
            tracing::info!(host, "the host is up");
            self.note_hosts([host]);
            self.has_risen.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn heartbeat(&self, host: &str, session: Session, disk_available_gb: u32) {
        self.agents.set_disk_available(host, session, disk_available_gb);
        self.hear(host, session);
    }

    /// Whether no other connection of the host has come since.
    pub(crate) fn is_current(&self, host: &str, session: Session) -> bool {
        self.agents.is_current(host, session)
    }

    pub(crate) fn leave(&self, host: &str, session: Session, on_purpose: bool) {
        if self.agents.disconnect(host, session, on_purpose, now()) {
            tracing::info!(host, "the agent has ended");
            self.note_hosts([host]);
        }
    }

    /// Hosts that were silent for too long are down.
    pub(super) fn judge_liveness(&self) {
        let silent = self.agents.silent(self.options.down_after, now());
        for host in &silent {
            tracing::warn!(host, "the host is down: nothing was heard of its agent");
        }
        self.note_hosts(silent.iter().map(String::as_str));
    }
}

fn find(index: &Index, uuid: &[u8]) -> Option<Row> {
    index.find(Uuid::from_slice(uuid).ok()?)
}

pub(super) fn parse_uuid(field: &str, text: &str) -> Result<Uuid, FleetError> {
    Uuid::try_parse(text).map_err(|_| FleetError::field(field, format!("{text:?} is no UUID")))
}

/// A provider as an agent told it, checked.
struct Told {
    uuid: Uuid,
    name: String,
    parent: Option<Uuid>,
    inventories: Vec<(String, Inventory)>,
    traits: Vec<String>,
}

fn read_tree(tree: &v1::ProviderTree, host: &Host) -> Result<Vec<Told>, FleetError> {
    if tree.providers.len() > MAX_PROVIDERS {
        return Err(FleetError::field("providers", format!("more than {MAX_PROVIDERS}")));
    }
    let told: Vec<Told> = tree.providers.iter().map(Told::read).collect::<Result<_, _>>()?;
    let mut known = BTreeSet::new();
    for (place, provider) in told.iter().enumerate() {
        let is_in_order = match (place, provider.parent) {
            (0, None) => provider.uuid.as_bytes() == &*host.uuid,
            (0, Some(_)) | (_, None) => false,
            (_, Some(parent)) => known.contains(&parent),
        };
        if !is_in_order || !known.insert(provider.uuid) {
            let problem =
                "the root comes first and has the host's UUID; others come once, after their parents";
            return Err(FleetError::field(format!("providers[{place}]"), problem));
        }
    }
    if told.is_empty() {
        return Err(FleetError::field("providers", "there are none"));
    }
    Ok(told)
}

impl Told {
    fn read(provider: &v1::AgentProvider) -> Result<Self, FleetError> {
        check_name("providers.name", &provider.name, 200)?;
        let parent = (!provider.parent.is_empty()).then(|| parse_uuid("providers.parent", &provider.parent));
        let inventories = provider.inventories.iter().map(|(class, record)| {
            let inventory = inventory(record);
            inventory.validate().map_err(|error| {
                FleetError::field(format!("providers.inventories.{class}"), error.to_string())
            })?;
            Ok((class.clone(), inventory))
        });
        Ok(Self {
            uuid: parse_uuid("providers.uuid", &provider.uuid)?,
            name: provider.name.clone(),
            parent: parent.transpose()?,
            inventories: inventories.collect::<Result<_, FleetError>>()?,
            traits: provider.traits.clone(),
        })
    }

    fn into_entry(self) -> AgentProvider {
        AgentProvider { uuid: self.uuid.into_bytes().to_vec(), traits: self.traits }
    }

    /// Makes the provider so. An agent may write its own tree only.
    fn write(&self, index: &Index, writer: &mut Writer<'_>, host: &Host) -> Result<(), FleetError> {
        let refuse = |error: TopologyError| {
            FleetError::precondition("PROVIDER", format!("provider {}: {error}", self.uuid))
        };
        let parent = self.parent.and_then(|parent| index.find(parent));
        let row = match index.find(self.uuid) {
            Some(row) => {
                let root = writer.topology().provider(row).map(|provider| provider.root);
                if root != find(index, &host.uuid) {
                    let message = format!("provider {} is in the tree of another host", self.uuid);
                    return Err(FleetError::precondition("OTHER_HOST", message));
                }
                row
            }
            None => writer.add_provider(self.uuid, &self.name, parent).map_err(refuse)?,
        };
        let inventories = self.inventories(writer)?;
        let (_, mut known) = index.inventories(row);
        known.sort_unstable_by_key(|(class, _)| *class);
        if known != inventories {
            writer.set_inventories(row, None, inventories).map_err(refuse)?;
        }
        let traits = self.traits(writer, row, host)?;
        if writer.topology().provider(row).is_some_and(|provider| *provider.traits != *traits) {
            writer.set_traits(row, &traits).map_err(refuse)?;
        }
        Ok(())
    }

    fn inventories(
        &self,
        writer: &mut Writer<'_>,
    ) -> Result<Vec<(berth_placement::ClassId, Inventory)>, FleetError> {
        let mut inventories = Vec::new();
        for (name, inventory) in &self.inventories {
            let class = writer
                .topology()
                .class(name)
                .or_else(|| name.starts_with("CUSTOM_").then(|| writer.resource_class(name).ok()).flatten());
            let class = class.ok_or_else(|| {
                FleetError::field("providers.inventories", format!("there is no resource class {name:?}"))
            })?;
            inventories.push((class, *inventory));
        }
        inventories.sort_unstable_by_key(|(class, _)| *class);
        Ok(inventories)
    }

    /// The agent's traits, and those that are on the provider and never were the agent's.
    fn traits(&self, writer: &mut Writer<'_>, row: Row, host: &Host) -> Result<Vec<TraitId>, FleetError> {
        let before: BTreeSet<&str> = host
            .providers
            .iter()
            .find(|known| known.uuid == self.uuid.as_bytes())
            .into_iter()
            .flat_map(|known| known.traits.iter().map(String::as_str))
            .collect();
        let topology = writer.topology();
        let kept = topology.provider(row).map(|provider| provider.traits.to_vec()).unwrap_or_default();
        let is_others = |id: &TraitId| topology.traits().name(id.0).is_none_or(|name| !before.contains(name));
        let mut traits: Vec<TraitId> = kept.into_iter().filter(is_others).collect();
        for name in &self.traits {
            let known = writer.topology().find_trait(name);
            let id = known.or_else(|| name.starts_with("CUSTOM_").then(|| writer.trait_named(name)));
            traits.push(id.ok_or_else(|| {
                FleetError::field("providers.traits", format!("there is no trait {name:?}"))
            })?);
        }
        traits.sort_unstable();
        traits.dedup();
        Ok(traits)
    }
}

/// Removes providers that the agent told before and tells no more, as far as nothing is used of them.
fn remove_gone(index: &Index, writer: &mut Writer<'_>, host: &Host, told: &[Told]) {
    let gone = host
        .providers
        .iter()
        .rev()
        .filter(|known| !told.iter().any(|told| told.uuid.as_bytes() == &*known.uuid));
    for provider in gone {
        let Some(row) = find(index, &provider.uuid) else { continue };
        if let Err(error) = writer.remove_provider(row) {
            tracing::warn!(host = host.name, %error, "a provider that its agent tells no more stays");
        }
    }
}

/// An inventory as messages have it.
pub(crate) fn inventory(record: &v1::Inventory) -> Inventory {
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    let units = Units {
        min_unit: or(record.min_unit, 1),
        max_unit: or(record.max_unit, Inventory::MAX_AMOUNT),
        step_size: or(record.step_size, 1),
    };
    // Zero is what an absent field reads as.
    let allocation_ratio = if record.allocation_ratio == 0.0 { 1.0 } else { record.allocation_ratio };
    Inventory { total: record.total, reserved: record.reserved, units, allocation_ratio }
}

impl From<v1::Hypervisor> for Hypervisor {
    fn from(told: v1::Hypervisor) -> Self {
        let v1::Hypervisor {
            kind,
            version,
            libvirt_version,
            is_accelerated,
            architecture,
            cpu_model,
            address,
            agent_version,
        } = told;
        Self {
            kind,
            version,
            libvirt_version,
            is_accelerated,
            architecture,
            cpu_model,
            address,
            agent_version,
        }
    }
}
