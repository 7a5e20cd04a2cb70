//! The provider trees of hosts, as their agents report them.

use std::collections::BTreeSet;

use berth_placement::message::message_of;
use berth_placement::{ClassId, Index, Inventory, Row, TopologyError, TraitId, Writer, custom};
use uuid::Uuid;

use super::ratios::Ratios;
use super::{AgentProvider, Host, admission, retired};
use crate::Fleet;
use crate::error::{FleetError, check_name};
use crate::state::State;

/// The most providers of one host.
const MAX_PROVIDERS: usize = 4096;

/// An inventory as an agent reports it.
#[derive(Debug, Clone)]
pub struct ReportedInventory {
    /// Its resource class.
    pub class: String,
    /// The inventory.
    pub inventory: Inventory,
    /// Its allocation ratio; `None` if the configuration determines it.
    pub ratio: Option<f64>,
}

/// A provider as an agent reports it.
#[derive(Debug, Clone)]
pub struct ReportedProvider {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// The UUID of its parent; `None` for the root.
    pub parent: Option<Uuid>,
    /// Its inventories.
    pub inventories: Vec<ReportedInventory>,
    /// Its traits.
    pub traits: Vec<String>,
}

impl Fleet {
    /// Applies the tree that a host's agent reported. Traits and providers that are not the agent's
    /// stay. Parts that the agent reports no longer and that are in use are retired.
    ///
    /// The caller holds the writer from before it reads the fleet.
    ///
    /// # Errors
    /// An unknown host, an invalid tree, or a provider that belongs to another host. The providers
    /// before the invalid one may have been written.
    pub fn set_providers(
        &mut self,
        writer: &mut Writer<'_>,
        host: &str,
        tree: &[ReportedProvider],
    ) -> Result<(), FleetError> {
        let is_new = self.write_providers(writer, host, tree)?;
        self.publish_status(writer, host);
        self.publish_aggregates(writer, host);
        if is_new {
            self.host_changes.layout = true;
        } else {
            self.note_hosts([host]);
        }
        Ok(())
    }

    /// Checks a tree, and records the new providers and names as the agent's. The caller commits
    /// this record before it calls [`Self::set_providers`]: then a crash in between leaves no
    /// provider and no name that is not known to be the agent's.
    ///
    /// Removes inventories and traits from the tree for whose names the host has no share left;
    /// returns an error that names them, for the agent. The rest of the tree can be applied.
    ///
    /// # Errors
    /// As [`Self::set_providers`].
    pub fn announce_providers(
        &mut self,
        writer: &mut Writer<'_>,
        host: &str,
        tree: &mut [ReportedProvider],
    ) -> Result<Option<FleetError>, FleetError> {
        let mut known = self.checked_host(writer, host, tree)?;
        let left_out = self.introduce_names(writer, &known, tree);
        let new = tree.iter().map(|provider| provider.uuid).filter(|&uuid| !known.has_created(uuid));
        let new: Vec<_> = new.map(AgentProvider::new).collect();
        if !new.is_empty() {
            known.providers.extend(new);
            self.state.put_host(known);
        }
        Ok(left_out)
    }

    fn checked_host(
        &self,
        writer: &mut Writer<'_>,
        host: &str,
        tree: &[ReportedProvider],
    ) -> Result<Host, FleetError> {
        let known = self.known_host(host)?.clone();
        check_tree(tree, &known)?;
        check_names(writer, tree)?;
        check_places(&self.index, writer, &self.state, tree, &known)?;
        Ok(known)
    }

    /// Returns whether these are the host's first.
    fn write_providers(
        &mut self,
        writer: &mut Writer<'_>,
        host: &str,
        tree: &[ReportedProvider],
    ) -> Result<bool, FleetError> {
        let known = self.known_host(host)?.clone();
        let is_new = self.index.find(known.uuid).is_none();
        let ratios = Ratios::new(&self.options.scheduler.general);
        let mut entries = Vec::with_capacity(tree.len());
        let mut refused = None;
        for provider in tree {
            match provider.write(&self.index, writer, &known, &ratios) {
                Ok(retired_classes) => entries.push(provider.entry(retired_classes)),
                Err(error) => {
                    entries = self.with_begun(&known.providers, &tree[..=entries.len()]);
                    refused = Some(error);
                    break;
                }
            }
        }
        if refused.is_none() {
            entries.extend(retire_gone(&self.index, writer, &known, tree));
        }
        if known.providers != entries {
            self.state.put_host(Host { providers: entries, ..known });
        }
        refused.map_or(Ok(is_new), Err)
    }

    /// The agent's providers when the last of `begun` could not be written. The others are the
    /// agent's, too, so they are removed when the agent reports them no longer.
    fn with_begun(&self, known: &[AgentProvider], begun: &[ReportedProvider]) -> Vec<AgentProvider> {
        let mut providers = known.to_vec();
        for (reported, place) in begun.iter().zip(1..) {
            let mut entry = reported.entry(Vec::new());
            if place == begun.len() {
                entry.traits.clear(); // they are written last
            }
            match providers.iter_mut().find(|known| known.uuid == entry.uuid) {
                Some(known) => {
                    known.traits.extend(entry.traits);
                    known.traits.sort_unstable();
                    known.traits.dedup();
                    (known.is_retired, known.retired_classes) = (false, Vec::new());
                }
                None if self.index.find(reported.uuid).is_some() => providers.push(entry),
                None => {}
            }
        }
        providers
    }
}

/// Checks the order of a tree, and the names of its providers.
fn check_tree(tree: &[ReportedProvider], host: &Host) -> Result<(), FleetError> {
    if tree.len() > MAX_PROVIDERS {
        return Err(FleetError::field("providers", format!("more than {MAX_PROVIDERS}")));
    }
    let mut known = BTreeSet::new();
    for (place, provider) in tree.iter().enumerate() {
        check_name(&format!("providers[{place}].name"), &provider.name, 200)?;
        for ReportedInventory { class, inventory, .. } in &provider.inventories {
            inventory.validate().map_err(|error| {
                FleetError::field(format!("providers[{place}].inventories[{class}]"), error.to_string())
            })?;
        }
        let is_in_order = match (place, provider.parent) {
            (0, None) => provider.uuid == host.uuid,
            (0, Some(_)) | (_, None) => false,
            (_, Some(parent)) => known.contains(&parent),
        };
        if !is_in_order || !known.insert(provider.uuid) {
            let problem =
                "the root comes first and has the host's UUID; others come once, after their parents";
            return Err(FleetError::field(format!("providers[{place}]"), problem));
        }
    }
    if tree.is_empty() {
        return Err(FleetError::field("providers", "there are none"));
    }
    Ok(())
}

impl ReportedProvider {
    fn entry(&self, retired_classes: Vec<String>) -> AgentProvider {
        AgentProvider { traits: self.traits.clone(), retired_classes, ..AgentProvider::new(self.uuid) }
    }

    /// Writes the provider as reported. Returns the further resource classes that it keeps because
    /// they are in use.
    fn write(
        &self,
        index: &Index,
        writer: &mut Writer<'_>,
        host: &Host,
        ratios: &Ratios,
    ) -> Result<Vec<String>, FleetError> {
        let refuse = |writer: &Writer<'_>, error: TopologyError| {
            let message = format!("provider {:?}: {}", self.name, message_of(writer.topology(), &error));
            FleetError::precondition("PROVIDER", message)
        };
        let parent = self.parent.and_then(|parent| index.find(parent));
        let row = match index.find(self.uuid) {
            Some(row) => row,
            None => {
                writer.add_provider(self.uuid, &self.name, parent).map_err(|error| refuse(writer, error))?
            }
        };
        let (_, present) = index.inventories(row);
        let inventories =
            self.inventories(writer, ratios, &present).map_err(|error| refuse(writer, error))?;
        let retired = retired::set_inventories(index, writer, row, &inventories);
        let retired = retired.map_err(|error| refuse(writer, error))?;
        let traits = self.traits(writer, row, host).map_err(|error| refuse(writer, error))?;
        if writer.topology().provider(row).is_some_and(|provider| *provider.traits != *traits) {
            writer.set_traits(row, &traits).map_err(|error| refuse(writer, error))?;
        }
        let classes = writer.topology().classes();
        Ok(retired.iter().filter_map(|class| classes.name(class.0.into()).map(str::to_owned)).collect())
    }

    /// The reported inventories with their ratios, given the present inventories.
    fn inventories(
        &self,
        writer: &mut Writer<'_>,
        ratios: &Ratios,
        present: &[(ClassId, Inventory)],
    ) -> Result<Vec<(ClassId, Inventory)>, TopologyError> {
        let inventories =
            self.inventories.iter().map(|ReportedInventory { class: name, inventory, ratio }| {
                let class = writer.resource_class(name)?;
                let present =
                    present.iter().find(|(known, _)| *known == class).map(|(_, of)| of.allocation_ratio);
                Ok((class, Inventory { allocation_ratio: ratios.ratio(name, *ratio, present), ..*inventory }))
            });
        let mut inventories: Vec<(ClassId, Inventory)> = inventories.collect::<Result<_, TopologyError>>()?;
        inventories.sort_unstable_by_key(|(class, _)| *class);
        Ok(inventories)
    }

    /// The agent's traits, and those on the provider that never were the agent's.
    fn traits(&self, writer: &mut Writer<'_>, row: Row, host: &Host) -> Result<Vec<TraitId>, TopologyError> {
        let before: BTreeSet<&str> = host
            .providers
            .iter()
            .find(|known| known.uuid == self.uuid)
            .into_iter()
            .flat_map(|known| known.traits.iter().map(String::as_str))
            .collect();
        let topology = writer.topology();
        let kept = topology.provider(row).map(|provider| provider.traits.to_vec()).unwrap_or_default();
        let is_others = |id: &TraitId| topology.traits().name(id.0).is_none_or(|name| !before.contains(name));
        let mut traits: Vec<TraitId> = kept.into_iter().filter(is_others).collect();
        for name in &self.traits {
            traits.push(custom::trait_named(writer, name)?);
        }
        traits.sort_unstable();
        traits.dedup();
        Ok(traits)
    }
}

/// Checks that each name of a resource class or trait is a standard or a custom one.
fn check_names(writer: &Writer<'_>, reported: &[ReportedProvider]) -> Result<(), FleetError> {
    let topology = writer.topology();
    let unknown = |place: usize, field: String| {
        let problem = format!("is not known, and no custom name: that {}", custom::RULE);
        Err(FleetError::field(format!("providers[{place}].{field}"), problem))
    };
    for (place, provider) in reported.iter().enumerate() {
        for ReportedInventory { class, .. } in &provider.inventories {
            if topology.class(class).is_none() && !custom::is_name(class) {
                return unknown(place, format!("inventories[{class}]"));
            }
        }
        for (number, name) in provider.traits.iter().enumerate() {
            if topology.find_trait(name).is_none() && !custom::is_name(name) {
                return unknown(place, format!("traits[{number}]"));
            }
        }
    }
    Ok(())
}

/// Checks that the agent created the providers that exist, and that the names of new providers are
/// free.
fn check_places(
    index: &Index,
    writer: &mut Writer<'_>,
    state: &State,
    tree: &[ReportedProvider],
    host: &Host,
) -> Result<(), FleetError> {
    let mut names = BTreeSet::new();
    for (place, provider) in tree.iter().enumerate() {
        let uuid = provider.uuid;
        let others = |whose: String| {
            let message = format!("providers[{place}]: {uuid} {whose}");
            Err(FleetError::precondition("OTHER_HOST", message))
        };
        if let Some(other) = state.host_name(uuid).filter(|other| *other != host.name) {
            return others(format!("is in the tree of another host: it is the UUID of {other:?}"));
        }
        let Some(row) = index.find(uuid) else {
            admission::check_child(state, host, place, provider)?;
            check_new_name(index, writer, state, tree, (place, host), &mut names)?;
            continue;
        };
        if writer.topology().provider(row).map(|provider| provider.root) != index.find(host.uuid) {
            return others("is in the tree of another host".to_owned());
        }
        if !host.has_created(uuid) {
            return others("was not made by the agent of this host".to_owned());
        }
    }
    Ok(())
}

/// Checks that the name of a new provider is free. A child of the same host that leaves with this
/// tree yields its name.
fn check_new_name<'a>(
    index: &Index,
    writer: &mut Writer<'_>,
    state: &State,
    tree: &'a [ReportedProvider],
    (place, host): (usize, &Host),
    names: &mut BTreeSet<&'a str>,
) -> Result<(), FleetError> {
    let name = tree[place].name.as_str();
    let leaves = |uuid: Uuid| host.has_created(uuid) && !tree.iter().any(|reported| reported.uuid == uuid);
    let is_free = names.insert(name) && admission::reclaim(index, writer, state, (&host.name, name), leaves);
    is_free.then_some(()).ok_or_else(|| {
        let message = format!("providers[{place}].name: another provider is named {name:?}");
        FleetError::precondition("PROVIDER", message)
    })
}

/// Removes providers that the agent reports no longer; returns those that are in use.
fn retire_gone(
    index: &Index,
    writer: &mut Writer<'_>,
    host: &Host,
    reported: &[ReportedProvider],
) -> Vec<AgentProvider> {
    let is_gone = |known: &&AgentProvider| !reported.iter().any(|reported| reported.uuid == known.uuid);
    let mut retired = Vec::new();
    // Children come after their parents.
    for provider in host.providers.iter().rev().filter(is_gone) {
        if retired::remove(index, writer, provider.uuid) {
            continue;
        }
        if !provider.is_retired {
            tracing::warn!(
                host = host.name,
                provider = %provider.uuid,
                "a provider that its agent reports no longer is in use: nothing more of it is granted"
            );
        }
        let classes = Vec::new(); // the whole provider is retired
        retired.push(AgentProvider { is_retired: true, retired_classes: classes, ..provider.clone() });
    }
    retired.reverse();
    retired
}
