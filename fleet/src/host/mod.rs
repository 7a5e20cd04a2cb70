//! Compute hosts: their records, and what operators see and set.
//!
//! | file | content |
//! |---|---|
//! | `admission.rs` | which hosts may join, and which providers belong to each |
//! | `connection.rs` | agents join, send heartbeats and leave |
//! | `liveness.rs` | the connections of agents, and which hosts are up |
//! | `fence.rs` | fence records of hosts that are down |
//! | `cpu.rs` | the features of CPUs |
//! | `tree.rs` | the provider tree that an agent reports |
//! | `names.rs` | the names of resource classes and traits that agents introduce |
//! | `retired.rs` | parts of it that the agent reports no longer, while they are in use |
//! | `ratios.rs` | allocation ratios |
//! | `facts.rs` | a host as the scheduler sees it |

mod admission;
mod connection;
mod cpu;
mod facts;
mod fence;
mod liveness;
mod names;
mod ratios;
mod retired;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::message::message_of;
use berth_placement::{Inventory, Row, Timestamp, TraitId, Writer};
use uuid::Uuid;

use crate::Fleet;
use crate::error::{FleetError, IN_USE};
use crate::instance::Instance;
use crate::operation::{HostEvacuation, Operation};

pub use admission::HostNameRule;
pub use connection::Introduction;
pub use cpu::CpuFeatures;
pub use fence::Fence;
pub(crate) use liveness::{Connections, MAX_WARNINGS};
pub use liveness::{Liveness, Session};
pub use names::IntroducedName;
pub use tree::{ReportedInventory, ReportedProvider};

/// The trait of hosts that operators disabled.
const DISABLED_TRAIT: &str = "COMPUTE_STATUS_DISABLED";

/// A compute host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// The UUID of the root of its provider tree. It never changes.
    pub uuid: Uuid,
    /// Whether it accepts instances.
    pub status: HostStatus,
    /// Why it accepts none.
    pub reason: String,
    /// Its hypervisor, as its agent reported it.
    pub hypervisor: Option<HypervisorInfo>,
    /// The providers that its agent created.
    pub providers: Vec<AgentProvider>,
    /// The statement that nothing runs on it, as long as it has sent no heartbeat since.
    pub fence: Option<Fence>,
    /// Its latest evacuation.
    pub evacuation: Option<HostEvacuation>,
}

/// Whether a host accepts instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostStatus {
    /// It does.
    #[default]
    Enabled,
    /// An operator disabled it.
    Disabled,
    /// It is in maintenance.
    Maintenance,
}

/// The hypervisor of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HypervisorInfo {
    /// Its type, such as `QEMU`.
    pub kind: String,
    /// Its version, as libvirt encodes it.
    pub version: u32,
    /// The version of libvirt, encoded alike.
    pub libvirt_version: u32,
    /// Whether guests use hardware virtualization.
    pub is_accelerated: bool,
    /// The architecture of the host.
    pub architecture: String,
    /// The model of its CPUs.
    pub cpu_model: String,
    /// The address of the host.
    pub address: String,
    /// The version of the agent.
    pub agent_version: String,
    /// The port where its agent offers disks to other hosts; 0 for none.
    pub disks_port: u32,
    /// Identifies the storage of its guests' disks: hosts with the same identity share it. Nil if
    /// it is unknown.
    pub storage: Uuid,
    /// How other hosts send running guests to it; `None` if they cannot.
    pub migration_target: Option<MigrationTarget>,
    /// The features of the CPUs that it gives guests.
    pub cpu_features: CpuFeatures,
}

/// How other hosts send running guests to a hypervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationTarget {
    /// Where their hypervisors reach this one.
    pub uri: String,
    /// The directory with the disks of guests.
    pub instances_directory: String,
    /// The directory with images.
    pub images_directory: String,
}

/// A provider that an agent reported: which of its traits are the agent's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentProvider {
    /// Its UUID.
    pub uuid: Uuid,
    /// The traits that the agent reported.
    pub traits: Vec<String>,
    /// Resource classes that the agent reports no longer and that are in use: nothing of them is
    /// granted.
    pub retired_classes: Vec<String>,
    /// Whether the agent reports nothing of it any longer, and something of it is in use.
    pub is_retired: bool,
}

impl AgentProvider {
    fn new(uuid: Uuid) -> Self {
        Self { uuid, ..Self::default() }
    }

    /// Whether a part of it is removed as soon as it is free.
    pub(crate) fn has_retired(&self) -> bool {
        self.is_retired || !self.retired_classes.is_empty()
    }
}

/// A host as operators see it.
#[derive(Debug, Clone)]
pub struct HostState {
    /// Its record.
    pub host: Host,
    /// Whether it is up.
    pub liveness: Liveness,
    /// Its availability zone.
    pub zone: String,
    /// The names of its aggregates.
    pub aggregates: Vec<String>,
    /// The number of instances that are on it or may have remains on it.
    pub instances: usize,
    /// Inventories by class, summed over its tree, and what is used of them.
    pub stock: BTreeMap<String, (Inventory, u64)>,
}

/// How many hosts are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetHostCounts {
    /// Hosts whose agents report.
    pub up: usize,
    /// All others.
    pub down: usize,
    /// Hosts that are disabled or in maintenance, up or down.
    pub disabled: usize,
}

impl Fleet {
    /// How many hosts are in which state.
    #[must_use]
    pub fn count_hosts(&self) -> FleetHostCounts {
        let mut counts = FleetHostCounts::default();
        for (name, host) in &self.state.hosts {
            let is_up = self.connections.is_up(name);
            counts.up += usize::from(is_up);
            counts.down += usize::from(!is_up);
            counts.disabled += usize::from(host.status != HostStatus::Enabled);
        }
        counts
    }

    /// The names of all hosts, in order.
    pub fn host_names(&self) -> impl Iterator<Item = &String> {
        self.state.hosts.keys()
    }

    /// A host as operators see it.
    ///
    /// # Errors
    /// No such host.
    pub fn host(&self, name: &str) -> Result<HostState, FleetError> {
        let host = self.known_host(name)?.clone();
        let aggregates = self.state.aggregates.values().filter(|aggregate| aggregate.has(name));
        Ok(HostState {
            liveness: self.connections.liveness(name),
            zone: self.zone_of(name).to_owned(),
            aggregates: aggregates.map(|aggregate| aggregate.name.clone()).collect(),
            instances: self.state.by_host.get(name).map_or(0, BTreeSet::len),
            stock: self.stock(&host),
            host,
        })
    }

    /// The record of a host.
    pub(crate) fn known_host(&self, name: &str) -> Result<&Host, FleetError> {
        self.state.hosts.get(name).ok_or_else(|| FleetError::not_found("host", name))
    }

    /// The inventories of the host's tree by class, and what is used of them.
    fn stock(&self, host: &Host) -> BTreeMap<String, (Inventory, u64)> {
        let topology = self.index.topology();
        let mut stock: BTreeMap<String, (Inventory, u64)> = BTreeMap::new();
        let root = self.index.find(host.uuid);
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

    /// Sets whether a host accepts instances. Its provider does not follow until
    /// [`Self::publish_status`].
    ///
    /// # Errors
    /// An unknown host, a long reason, or a host that is to be enabled and has not removed what is
    /// left of evacuated instances.
    pub fn set_host(&mut self, name: &str, status: HostStatus, reason: &str) -> Result<(), FleetError> {
        if reason.chars().count() > 255 {
            return Err(FleetError::field("reason", "has more than 255 characters"));
        }
        if status == HostStatus::Enabled {
            self.known_host(name)?;
            self.check_cleaned(name)?;
        }
        let reason = if status == HostStatus::Enabled { String::new() } else { reason.to_owned() };
        let host = Host { status, reason, ..self.known_host(name)?.clone() };
        self.state.put_host(host);
        self.note_hosts([name]);
        Ok(())
    }

    /// Adds the trait of disabled hosts to the host's provider, or removes it.
    ///
    /// The caller holds the writer from before it reads the fleet, so of two changes the later one
    /// is written last.
    pub fn publish_status(&self, writer: &mut Writer<'_>, name: &str) {
        let Some(host) = self.state.hosts.get(name) else { return };
        let Some(row) = self.index.find(host.uuid) else { return };
        let disabled = writer.trait_named(DISABLED_TRAIT);
        let mut traits: Vec<TraitId> =
            writer.topology().provider(row).map(|provider| provider.traits.to_vec()).unwrap_or_default();
        let has_trait = traits.contains(&disabled);
        if has_trait != (host.status != HostStatus::Enabled) {
            if has_trait {
                traits.retain(|&id| id != disabled);
            } else {
                traits.push(disabled);
            }
            if let Err(error) = writer.set_traits(row, &traits) {
                tracing::error!(host = host.name, %error, "the status of a host cannot be set on its provider");
            }
        }
    }

    /// Removes a host with its providers. The caller states that nothing on it will ever run again.
    ///
    /// # Errors
    /// An unknown host, one whose agent is connected, or one with instances, moves or other
    /// consumers.
    pub fn delete_host(
        &mut self,
        writer: &mut Writer<'_>,
        name: &str,
        now: Timestamp,
    ) -> Result<(), FleetError> {
        let host = self.known_host(name)?.clone();
        if self.connections.liveness(name).is_connected {
            let message = format!("the agent of host {name:?} is connected");
            return Err(FleetError::precondition("AGENT_CONNECTED", message));
        }
        let there: Vec<Uuid> = self.state.on_host(name).collect();
        let stays = |instance: &&Instance| {
            (instance.location.host == name || instance.moves_over(name))
                && instance.operation != Some(Operation::Delete)
                && !instance.only_waits_for(name)
        };
        let staying = there.iter().filter_map(|&uuid| self.state.instance(uuid)).map(AsRef::as_ref);
        let staying = staying.filter(stays).count();
        if staying > 0 {
            let message = format!("{staying} instances are on host {name:?}, or move from it or to it");
            return Err(FleetError::precondition(IN_USE, message));
        }
        let is_on_it = |holder: &Uuid| there.contains(self.state.migrations.get(holder).unwrap_or(holder));
        let others = self.holders(&host).iter().filter(|holder| !is_on_it(holder)).count();
        if others > 0 {
            let message = format!("{others} consumers that are no instances hold capacity on host {name:?}");
            return Err(FleetError::precondition(IN_USE, message));
        }
        for uuid in there {
            self.abandon_host(uuid, name, now);
        }
        remove_providers(&self.index, writer, &host)?;
        let aggregates: Vec<_> =
            self.state.aggregates.values().filter(|known| known.has(name)).cloned().collect();
        for mut aggregate in aggregates {
            aggregate.hosts.retain(|host| host != name);
            self.state.put_aggregate(aggregate);
        }
        self.state.remove_host(name);
        self.connections.forget(name);
        self.host_changes.layout = true;
        Ok(())
    }

    /// Nothing of the instance is left on a host that is deleted.
    fn abandon_host(&mut self, uuid: Uuid, name: &str, now: Timestamp) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        let migration = instance.migration().map(|migration| migration.uuid);
        // First the capacity: as soon as its record no longer names the host, it may be scheduled
        // on another.
        for consumer in [Some(uuid), migration].into_iter().flatten() {
            if self.host_of_capacity(consumer).is_some_and(|host| host == name) {
                self.release(consumer);
            }
        }
        if instance.operation == Some(Operation::Delete) && instance.moves_over(name) {
            self.release_migration(uuid); // the disks that the host had set aside are gone with it
        }
        self.change_instance(uuid, |instance| instance.lose_side(name, now));
        self.left_host(uuid, name);
        self.restore_source(uuid, now);
    }

    /// The consumers with allocations on the host.
    fn holders(&self, host: &Host) -> BTreeSet<Uuid> {
        let topology = self.index.topology();
        let rows = self.index.find(host.uuid).map(|root| topology.tree(root)).unwrap_or_default();
        rows.iter().flat_map(|&row| self.index.holders(row)).map(Uuid::from).collect()
    }

    /// How many instances are on the host, have their disks there, or have claimed capacity there.
    pub(crate) fn instances_on(&self, name: &str) -> usize {
        let instances = &self.state.instances;
        let is_here = |uuid: &Uuid| {
            instances.get(uuid).is_some_and(|of| of.location.host == name || of.moves_over(name))
        };
        let there = self.state.on_host(name).filter(is_here);
        let holders = self.state.hosts.get(name).map(|host| self.holders(host)).unwrap_or_default();
        let holders = holders.into_iter().filter(|uuid| instances.contains_key(uuid));
        there.chain(holders).collect::<BTreeSet<_>>().len()
    }

    /// Notes that the scheduler has to read these hosts again.
    pub(crate) fn note_hosts<'a>(&mut self, hosts: impl IntoIterator<Item = &'a str>) {
        let hosts = hosts.into_iter().filter(|host| !host.is_empty());
        self.host_changes.hosts.extend(hosts.map(str::to_owned));
    }
}

fn remove_providers(
    index: &berth_placement::Index,
    writer: &mut Writer<'_>,
    host: &Host,
) -> Result<(), FleetError> {
    let Some(root) = index.find(host.uuid) else { return Ok(()) };
    let rows: Vec<Row> = writer.topology().tree(root).to_vec();
    // Children come after their parents.
    let removed = rows.into_iter().rev().try_for_each(|row| writer.remove_provider(row));
    removed.map_err(|error| FleetError::precondition(IN_USE, message_of(writer.topology(), &error)))
}
