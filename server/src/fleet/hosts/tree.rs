//! The provider trees of hosts, as their agents tell them.

use std::collections::BTreeSet;

use berth_api::v1;
use berth_placement::{ClassId, Index, Inventory, Row, TopologyError, TraitId, Writer};
use uuid::Uuid;

use super::{admission, parse_uuid};
use crate::fleet::entry::{AgentProvider, Host};
use crate::fleet::error::FleetError;
use crate::fleet::state::State;
use crate::fleet::{Fleet, check_name};
use crate::service::now;
use crate::{amounts, custom};

/// Providers of one host, at most.
const MAX_PROVIDERS: usize = 4096;

/// Different resource classes and traits of one host, at most.
const MAX_NAMES: usize = 1024;

impl Fleet {
    /// Makes the providers of a host what its agent told. Traits and providers that are not the agent's stay.
    pub(crate) fn set_providers(&self, host: &str, tree: &v1::ProviderTree) -> Result<(), FleetError> {
        let known =
            self.state().hosts.get(host).cloned().ok_or_else(|| FleetError::not_found("host", host))?;
        let told = read_tree(tree, &known)?;
        let mut is_new = known.providers.is_empty();
        let written = {
            let mut writer = self.index.write_at(now());
            check_names(&writer, &told)?;
            check_places(&self.index, &mut writer, &self.state(), &told, &known)?;
            is_new |= self.index.find(known.uuid()).is_none();
            self.note_begun(host, &told);
            let written = told.iter().zip(0..).try_for_each(|(provider, place)| {
                provider.write(&self.index, &mut writer, &known).map_err(|error| (error, place))
            });
            if written.is_ok() {
                remove_gone(&self.index, &mut writer, &known, &told);
            }
            written
        };
        let providers = match &written {
            Ok(()) => told.into_iter().map(Told::into_entry).collect(),
            Err((_, place)) => self.with_begun(&known.providers, told, *place),
        };
        self.transact(|fleet| {
            if let Some(host) = fleet.state.hosts.get(host).filter(|host| host.providers != providers) {
                let host = Host { providers, ..host.clone() };
                fleet.put_host(host);
            }
        });
        written.map_err(|(error, _)| error)?;
        self.tell_status(host);
        self.tell_aggregates(host);
        if is_new {
            self.note_layout();
        } else {
            self.note_hosts([host]);
        }
        Ok(())
    }

    /// Notes that the agent makes the providers: before they are there, so that a crash leaves none of which nobody knows that they
    /// are the agent's.
    fn note_begun(&self, host: &str, providers: &[Told]) {
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

    /// The agent's providers when the one in this place of those told now could not be written: what was written until then is
    /// the agent's, too, so that it goes when the agent tells it no more.
    fn with_begun(&self, known: &[AgentProvider], mut told: Vec<Told>, place: usize) -> Vec<AgentProvider> {
        let mut providers = known.to_vec();
        told.truncate(place + 1);
        told[place].traits.clear(); // they are written last
        for told in told.into_iter().map(Told::into_entry) {
            match providers.iter_mut().find(|known| known.uuid == told.uuid) {
                Some(known) => {
                    known.traits.extend(told.traits);
                    known.traits.sort_unstable();
                    known.traits.dedup();
                }
                None if self.index.find(told.uuid()).is_some() => providers.push(told),
                None => {}
            }
        }
        providers
    }
}

/// A provider as an agent told it, checked but for its names.
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
    let told: Vec<Told> = tree.providers.iter().enumerate().map(Told::read).collect::<Result<_, _>>()?;
    let mut known = BTreeSet::new();
    for (place, provider) in told.iter().enumerate() {
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
    if told.is_empty() {
        return Err(FleetError::field("providers", "there are none"));
    }
    Ok(told)
}

impl Told {
    fn read((place, provider): (usize, &v1::AgentProvider)) -> Result<Self, FleetError> {
        let field = |name: &str| format!("providers[{place}].{name}");
        check_name(&field("name"), &provider.name, 200)?;
        let parent = (!provider.parent.is_empty()).then(|| parse_uuid(&field("parent"), &provider.parent));
        let inventories = provider.inventories.iter().map(|(class, record)| {
            let inventory = amounts::read_inventory(record);
            inventory.validate().map_err(|error| {
                FleetError::field(field(&format!("inventories[{class}]")), error.to_string())
            })?;
            Ok((class.clone(), inventory))
        });
        Ok(Self {
            uuid: parse_uuid(&field("uuid"), &provider.uuid)?,
            name: provider.name.clone(),
            parent: parent.transpose()?,
            inventories: inventories.collect::<Result<_, FleetError>>()?,
            traits: provider.traits.clone(),
        })
    }

    fn into_entry(self) -> AgentProvider {
        AgentProvider { traits: self.traits, ..AgentProvider::new(self.uuid) }
    }

    /// Makes the provider so.
    fn write(&self, index: &Index, writer: &mut Writer<'_>, host: &Host) -> Result<(), FleetError> {
        let refuse = |error: TopologyError| {
            FleetError::precondition("PROVIDER", format!("provider {}: {error}", self.uuid))
        };
        let parent = self.parent.and_then(|parent| index.find(parent));
        let row = match index.find(self.uuid) {
            Some(row) => row,
            None => writer.add_provider(self.uuid, &self.name, parent).map_err(refuse)?,
        };
        let inventories = self.inventories(writer).map_err(refuse)?;
        let (_, mut known) = index.inventories(row);
        known.sort_unstable_by_key(|(class, _)| *class);
        if known != inventories {
            writer.set_inventories(row, None, inventories).map_err(refuse)?;
        }
        let traits = self.traits(writer, row, host).map_err(refuse)?;
        if writer.topology().provider(row).is_some_and(|provider| *provider.traits != *traits) {
            writer.set_traits(row, &traits).map_err(refuse)?;
        }
        Ok(())
    }

    fn inventories(&self, writer: &mut Writer<'_>) -> Result<Vec<(ClassId, Inventory)>, TopologyError> {
        let inventories = self.inventories.iter();
        let inventories = inventories.map(|(name, of)| Ok((writer.resource_class(name)?, *of)));
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
fn check_names(writer: &Writer<'_>, told: &[Told]) -> Result<(), FleetError> {
    let topology = writer.topology();
    let unknown = |place: usize, field: String| {
        let problem = format!("is not known, and no custom name: that {}", custom::RULE);
        Err(FleetError::field(format!("providers[{place}].{field}"), problem))
    };
    let mut names = BTreeSet::new();
    for (place, provider) in told.iter().enumerate() {
        for (class, _) in &provider.inventories {
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
    tree: &[Told],
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
    provider: &'a Told,
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

/// Removes providers that the agent told before and tells no more, as far as nothing is used of them.
fn remove_gone(index: &Index, writer: &mut Writer<'_>, host: &Host, told: &[Told]) {
    let gone = host.providers.iter().rev().filter(|known| !told.iter().any(|told| told.uuid == known.uuid()));
    for provider in gone {
        let Some(row) = index.find(provider.uuid()) else { continue };
        if let Err(error) = writer.remove_provider(row) {
            tracing::warn!(host = host.name, %error, "a provider that its agent tells no more stays");
        }
    }
}
