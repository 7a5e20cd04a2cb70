//! The provider trees of hosts, as their agents tell them.

use std::collections::BTreeSet;

use berth_api::v1;
use berth_placement::{ClassId, Index, Inventory, Row, TopologyError, TraitId, Writer};
use uuid::Uuid;

use super::ratios::Ratios;
use super::{admission, parse_uuid, retired};
use crate::amounts;
use crate::fleet::entry::{AgentProvider, Host};
use crate::fleet::error::FleetError;
use crate::fleet::state::State;
use crate::fleet::{Fleet, check_name};
use crate::request::custom;
use crate::request::message::message_of;
use crate::service::now;

/// Providers of one host, at most.
const MAX_PROVIDERS: usize = 4096;

/// Different resource classes and traits of one host, at most.
const MAX_NAMES: usize = 1024;

impl Fleet {
    /// Applies the tree that a host's agent reported. Traits and providers that are not the agent's stay. What the agent
    /// reports no more and is in use is retired ([`super::retired`]).
    pub(crate) fn set_providers(&self, host: &str, tree: &v1::ProviderTree) -> Result<(), FleetError> {
        let is_new = self.write_providers(host, tree)?;
        self.tell_status(host);
        self.tell_aggregates(host);
        if is_new {
            self.note_layout();
        } else {
            self.note_hosts([host]);
        }
        Ok(())
    }

    /// Returns whether these are the host's first.
    fn write_providers(&self, host: &str, tree: &v1::ProviderTree) -> Result<bool, FleetError> {
        // Until the host's record is written: what is retired may be removed at any other time.
        let mut writer = self.index.write_at(now());
        let known =
            self.state().hosts.get(host).cloned().ok_or_else(|| FleetError::not_found("host", host))?;
        let reported = read_tree(tree, &known)?;
        check_names(&writer, &reported)?;
        check_places(&self.index, &mut writer, &self.state(), &reported, &known)?;
        let is_new = known.providers.is_empty() || self.index.find(known.uuid()).is_none();
        self.note_begun(host, &reported);
        let ratios = Ratios::new(&self.options.scheduler.general);
        let mut entries = Vec::with_capacity(reported.len());
        let mut refused = None;
        for provider in &reported {
            match provider.write(&self.index, &mut writer, &known, &ratios) {
                Ok(retired_classes) => entries.push(provider.entry(retired_classes)),
                Err(error) => {
                    entries = self.with_begun(&known.providers, &reported[..=entries.len()]);
                    refused = Some(error);
                    break;
                }
            }
        }
        if refused.is_none() {
            entries.extend(retire_gone(&self.index, &mut writer, &known, &reported));
        }
        self.transact(|fleet| {
            if let Some(host) = fleet.state.hosts.get(host).filter(|host| host.providers != entries) {
                let host = Host { providers: entries, ..host.clone() };
                fleet.put_host(host);
            }
        });
        refused.map_or(Ok(is_new), Err)
    }

    /// Notes that the agent makes the providers: before they are there, so that a crash leaves none of which nobody knows that they
    /// are the agent's.
    fn note_begun(&self, host: &str, providers: &[Reported]) {
        self.transact(|fleet| {
            let Some(known) = fleet.state.hosts.get(host) else { return };
            let new = providers.iter().map(|provider| provider.uuid).filter(|&uuid| !known.has_made(uuid));
            let new: Vec<_> = new.map(AgentProvider::new).collect();
            if !new.is_empty() {
                let mut host = known.clone();
                host.providers.extend(new);
                fleet.put_host(host);
            }
        });
    }

    /// The agent's providers when the last of `begun` could not be written: what was written until then is the agent's, too, so that it
    /// goes when the agent reports it no more.
    fn with_begun(&self, known: &[AgentProvider], begun: &[Reported]) -> Vec<AgentProvider> {
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

/// An inventory as an agent reports it.
struct ReportedInventory {
    class: String,
    inventory: Inventory,
    /// Its ratio; none if the agent leaves it to the configuration.
    ratio: Option<f64>,
}

/// A provider as an agent reported it, checked but for its names.
struct Reported {
    uuid: Uuid,
    name: String,
    parent: Option<Uuid>,
    inventories: Vec<ReportedInventory>,
    traits: Vec<String>,
}

fn read_tree(tree: &v1::ProviderTree, host: &Host) -> Result<Vec<Reported>, FleetError> {
    if tree.providers.len() > MAX_PROVIDERS {
        return Err(FleetError::field("providers", format!("more than {MAX_PROVIDERS}")));
    }
    let reported: Vec<Reported> =
        tree.providers.iter().enumerate().map(Reported::read).collect::<Result<_, _>>()?;
    let mut known = BTreeSet::new();
    for (place, provider) in reported.iter().enumerate() {
        let is_in_order = match (place, provider.parent) {
            (0, None) => provider.uuid == host.uuid(),
            (0, Some(_)) | (_, None) => false,
            (_, Some(parent)) => known.contains(&parent),
        };
        if !is_in_order || !known.insert(provider.uuid) {
            let problem =
                "the root comes first and has the host's UUID; others come once, after their parents";
            return Err(FleetError::field(format!("providers[{place}]"), problem));
        }
    }
    if reported.is_empty() {
        return Err(FleetError::field("providers", "there are none"));
    }
    Ok(reported)
}

impl Reported {
    fn read((place, provider): (usize, &v1::AgentProvider)) -> Result<Self, FleetError> {
        let field = |name: &str| format!("providers[{place}].{name}");
        check_name(&field("name"), &provider.name, 200)?;
        let parent = (!provider.parent.is_empty()).then(|| parse_uuid(&field("parent"), &provider.parent));
        let inventories = provider.inventories.iter().map(|(class, record)| {
            let inventory = amounts::read_inventory(record);
            inventory.validate().map_err(|error| {
                FleetError::field(field(&format!("inventories[{class}]")), error.to_string())
            })?;
            let ratio = (record.allocation_ratio != 0.0).then_some(inventory.allocation_ratio);
            Ok(ReportedInventory { class: class.clone(), inventory, ratio })
        });
        Ok(Self {
            uuid: parse_uuid(&field("uuid"), &provider.uuid)?,
            name: provider.name.clone(),
            parent: parent.transpose()?,
            inventories: inventories.collect::<Result<_, FleetError>>()?,
            traits: provider.traits.clone(),
        })
    }

    fn entry(&self, retired_classes: Vec<String>) -> AgentProvider {
        AgentProvider { traits: self.traits.clone(), retired_classes, ..AgentProvider::new(self.uuid) }
    }

    /// Makes the provider so; returns the resource classes that it has besides, because they are in use.
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

    /// The reported inventories, with the ratios that they get beside the present ones.
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

    /// The agent's traits, and those that are on the provider and never were the agent's.
    fn traits(&self, writer: &mut Writer<'_>, row: Row, host: &Host) -> Result<Vec<TraitId>, TopologyError> {
        let before: BTreeSet<&str> = host
            .providers
            .iter()
            .find(|known| known.uuid() == self.uuid)
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

/// Each name is known, or one that clients may make up; and there are not too many.
fn check_names(writer: &Writer<'_>, reported: &[Reported]) -> Result<(), FleetError> {
    let topology = writer.topology();
    let unknown = |place: usize, field: String| {
        let problem = format!("is not known, and no custom name: that {}", custom::RULE);
        Err(FleetError::field(format!("providers[{place}].{field}"), problem))
    };
    let mut names = BTreeSet::new();
    for (place, provider) in reported.iter().enumerate() {
        for ReportedInventory { class, .. } in &provider.inventories {
            if topology.class(class).is_none() && !custom::is_name(class) {
                return unknown(place, format!("inventories[{class}]"));
            }
            names.insert(("class", class));
        }
        for (number, name) in provider.traits.iter().enumerate() {
            if topology.find_trait(name).is_none() && !custom::is_name(name) {
                return unknown(place, format!("traits[{number}]"));
            }
            names.insert(("trait", name));
        }
    }
    if names.len() > MAX_NAMES {
        let problem = format!("{} resource classes and traits; at most {MAX_NAMES} are allowed", names.len());
        return Err(FleetError::field("providers", problem));
    }
    Ok(())
}

/// An agent may write what it made itself, and its new providers need names that nobody has.
fn check_places(
    index: &Index,
    writer: &mut Writer<'_>,
    state: &State,
    tree: &[Reported],
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
            check_new_name(index, writer, state, provider, host, &mut names).map_err(|problem| {
                FleetError::precondition("PROVIDER", format!("providers[{place}].name: {problem}"))
            })?;
            continue;
        };
        if writer.topology().provider(row).map(|provider| provider.root) != index.find(host.uuid()) {
            return others("is in the tree of another host".to_owned());
        }
        if !host.has_made(uuid) {
            return others("was not made by the agent of this host".to_owned());
        }
    }
    Ok(())
}

/// Whether the new provider can have its name.
fn check_new_name<'a>(
    index: &Index,
    writer: &mut Writer<'_>,
    state: &State,
    provider: &'a Reported,
    host: &Host,
    names: &mut BTreeSet<&'a str>,
) -> Result<(), String> {
    let name = provider.name.as_str();
    let is_others = name != host.name && state.hosts.contains_key(name);
    if is_others || !names.insert(name) || !admission::reclaim(index, writer, state, &host.name, name) {
        return Err(format!("another provider is named {name:?}"));
    }
    Ok(())
}

/// Removes providers that the agent reported before and reports no more; returns those of which something is in use.
fn retire_gone(
    index: &Index,
    writer: &mut Writer<'_>,
    host: &Host,
    reported: &[Reported],
) -> Vec<AgentProvider> {
    let is_gone = |known: &&AgentProvider| !reported.iter().any(|reported| reported.uuid == known.uuid());
    let mut retired = Vec::new();
    // Children stand behind their parents.
    for provider in host.providers.iter().rev().filter(is_gone) {
        if retired::remove(index, writer, provider.uuid()) {
            continue;
        }
        if !provider.is_retired {
            tracing::warn!(
                host = host.name,
                provider = %provider.uuid(),
                "a provider that its agent reports no more is in use: nothing more of it is granted"
            );
        }
        let classes = Vec::new(); // all that it has is retired
        retired.push(AgentProvider { is_retired: true, retired_classes: classes, ..provider.clone() });
    }
    retired.reverse();
    retired
}
