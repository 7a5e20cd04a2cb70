//! `/resource_providers`: who has something.

use axum::http::StatusCode;
use berth_placement::{ClassId, Index, Provider, Row, RowSet, Topology, TopologyError, TraitId, Writer};
use serde_json::Value;
use uuid::Uuid;

use super::call::{Call, no_provider};
use super::{filters, refusals, schemas};
use crate::error::{Code, Failure};
use crate::http::reply::Reply;
use crate::json;
use crate::policy::rules;

pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.may(rules::PROVIDERS_LIST)?;
    call.query.check(&schemas::provider_query(call.version))?;
    let topology = call.index().topology();
    let rows =
        Filter::of(call, &topology)?.map_or_else(Vec::new, |filter| filter.rows(call.index(), &topology));
    let mut document = json::Writer::with_capacity(64 + rows.len() * 768);
    document.object(|w| {
        w.key("resource_providers").array(|w| {
            for &row in &rows {
                w.object(|w| describe(w, call, &topology, row));
            }
        });
    });
    let last = rows.iter().map(|&row| call.index().changed_at(row)).max();
    Ok(Reply::json(document.finish()).modified(last.unwrap_or(call.now)))
}

/// Which providers are wanted.
#[derive(Default)]
struct Filter<'query> {
    name: Option<&'query str>,
    uuid: Option<&'query str>,
    tree: Option<Row>,
    /// Of each list, a provider has one.
    traits: Vec<Vec<TraitId>>,
    no_traits: Vec<TraitId>,
    aggregates: filters::AggregateFilter,
    resources: Vec<(ClassId, u64)>,
}

impl<'query> Filter<'query> {
    /// What the query asks for; `None` when nothing can match.
    fn of(call: &'query Call<'_>, topology: &Topology) -> Result<Option<Self>, Failure> {
        let query = &call.query;
        let aggregates = filters::aggregates(query, "", call.version)?;
        let traits = filters::traits(query, "required", call.version)?;
        let resources = query.get("resources").map(filters::resources).transpose()?.unwrap_or_default();
        let in_tree = query.get("in_tree").filter(|uuid| !uuid.is_empty());
        let tree = in_tree.map(|uuid| call.find(uuid).map(|found| found.provider().root));
        if tree == Some(None) {
            return Ok(None);
        }
        let find_trait = |name: &str| {
            topology.find_trait(name).ok_or_else(|| {
                let reason = refusals::no_such_trait(name);
                Failure::bad_request(format!("Invalid trait(s) in \"required\" parameter: {reason}"))
            })
        };
        let all =
            |names: &Vec<Box<str>>| names.iter().map(|name| find_trait(name)).collect::<Result<Vec<_>, _>>();
        let find_class = |(name, amount): (Box<str>, u64)| {
            let class = topology.class(&name).ok_or_else(|| {
                let reason = refusals::no_such_class(&name);
                Failure::bad_request(format!("Invalid resource class in resources parameter: {reason}"))
            })?;
            Ok((class, amount))
        };
        Ok(Some(Self {
            name: query.get("name").filter(|name| !name.is_empty()),
            uuid: query.get("uuid").filter(|uuid| !uuid.is_empty()),
            tree: tree.flatten(),
            traits: traits.required.iter().map(all).collect::<Result<_, _>>()?,
            no_traits: all(&traits.forbidden)?,
            aggregates,
            resources: resources.into_iter().map(find_class).collect::<Result<_, Failure>>()?,
        }))
    }

    fn rows(&self, index: &Index, topology: &Topology) -> Vec<Row> {
        let takes = |&(row, provider): &(Row, &Provider)| self.takes(index, topology, row, provider);
        if let Some(row) = self.name.map(|name| index.find_named(name)) {
            let found = row.and_then(|row| Some((row, topology.provider(row)?)));
            return found.filter(takes).into_iter().map(|(row, _)| row).collect();
        }
        match self.tree {
            Some(root) => {
                let tree = topology.tree(root).iter();
                let tree = tree.filter_map(|&row| Some((row, topology.provider(row)?)));
                tree.filter(takes).map(|(row, _)| row).collect()
            }
            None => topology.providers().filter(takes).map(|(row, _)| row).collect(),
        }
    }

    fn takes(&self, index: &Index, topology: &Topology, row: Row, provider: &Provider) -> bool {
        let has = |rows: Option<&RowSet>| rows.is_some_and(|rows| rows.contains(row.0));
        let has_trait = |&id: &TraitId| has(topology.rows_with_trait(id));
        let is_in = |&aggregate: &Uuid| has(topology.rows_in_aggregate(aggregate));
        self.name.is_none_or(|name| *provider.name == *name)
            && self.uuid.is_none_or(|uuid| super::call::canonical(uuid) == Some(provider.uuid))
            && self.tree.is_none_or(|root| provider.root == root)
            && self.traits.iter().all(|choice| choice.iter().any(has_trait))
            && !self.no_traits.iter().any(has_trait)
            && self.aggregates.required.iter().all(|choice| choice.iter().any(is_in))
            && !self.aggregates.forbidden.iter().any(is_in)
            && self.resources.iter().all(|&(class, amount)| fits(index, row, class, amount))
    }
}

fn fits(index: &Index, row: Row, class: ClassId, amount: u64) -> bool {
    let Ok(amount) = u32::try_from(amount) else { return false };
    let free = index.free(row, class).is_some_and(|free| free >= i64::from(amount));
    free && index.inventory(row, class).is_some_and(|inventory| inventory.units.allow(amount))
}

pub(super) fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.may(rules::PROVIDERS_CREATE)?;
    let body = call.json(&schemas::provider(call.version, true))?;
    let name = body["name"].as_str().unwrap_or_default();
    let uuid = body["uuid"].as_str().filter(|uuid| !uuid.is_empty());
    #[expect(clippy::disallowed_methods, reason = "the API gives UUIDs to providers that come without")]
    let uuid = uuid.and_then(|text| Uuid::try_parse(text).ok()).unwrap_or_else(Uuid::new_v4);
    let cannot = |reason: &str| {
        Failure::bad_request(format!("Unable to create resource provider \"{name}\", {uuid}: {reason}"))
    };
    if name.is_empty() {
        return Err(cannot("Object action create failed because: name is required"));
    }
    let mut writer = call.index().write_at(call.now);
    let parent = parent(call, &body, uuid).map_err(cannot)?;
    let row = writer.add_provider(uuid, name, parent).map_err(|error| match error {
        TopologyError::DuplicateUuid(_) | TopologyError::DuplicateName(_) => {
            duplicate(&writer, call, uuid, name)
        }
        TopologyError::UnknownProvider(_) => cannot(NO_PARENT),
        other => refusals::unexpected(other),
    })?;
    drop(writer);
    let reply = Reply::status(StatusCode::CREATED).at(path(uuid));
    if !call.version.at_least(20) {
        return Ok(reply);
    }
    let topology = call.index().topology();
    let body = json::Writer::document(|w| describe(w, call, &topology, row));
    Ok(Reply { body: body.into(), ..reply }.with_status(StatusCode::OK).modified(call.now))
}

const NO_PARENT: &str = "Object action create failed because: parent provider UUID does not exist.";

/// The parent that a body names, if it names one.
fn parent(call: &Call<'_>, body: &Value, child: Uuid) -> Result<Option<Row>, &'static str> {
    let Some(parent) = body["parent_provider_uuid"].as_str() else { return Ok(None) };
    if Uuid::try_parse(parent) == Ok(child) {
        return Err("Object action create failed because: parent provider UUID cannot be same as UUID. \
             Please set parent provider UUID to None if there is no parent.");
    }
    call.find(parent).map(|found| Some(found.row)).ok_or(NO_PARENT)
}

/// Another provider has the name, the UUID, or both.
fn duplicate(writer: &Writer<'_>, call: &Call<'_>, uuid: Uuid, name: &str) -> Failure {
    let _ = writer; // held: what is looked up stands still
    let uuid_is_taken = call.index().find(uuid).is_some();
    let name_is_taken = call.index().find_named(name).is_some();
    let both = [(uuid_is_taken, format!("uuid: {uuid}")), (name_is_taken, format!("name: {name}"))];
    let taken: Vec<String> = both.into_iter().filter(|(taken, _)| *taken).map(|(_, what)| what).collect();
    let reason = format!("Conflicting resource provider {} already exists.", taken.join(", "));
    Failure::conflict(reason).code(Code::DuplicateName)
}

pub(super) fn show(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.may(rules::PROVIDERS_SHOW)?;
    let found = call.provider(uuid)?;
    Ok(answer(call, &found.topology, found.row))
}

pub(super) fn update(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.may(rules::PROVIDERS_UPDATE)?;
    let row = call.provider(uuid)?.row;
    let body = call.json(&schemas::provider(call.version, false))?;
    let name = body["name"].as_str().unwrap_or_default();
    let cannot =
        |reason: &str| Failure::bad_request(format!("Unable to save resource provider {uuid}: {reason}"));
    let mut writer = call.index().write_at(call.now);
    let provider = writer.topology().provider(row).ok_or_else(|| Failure::not_found(no_provider(uuid)))?;
    let (old_parent, old_name) = (provider.parent, provider.name.clone());
    if *old_name != *name && call.index().find_named(name).is_some() {
        let reason = format!("Conflicting resource provider {name} already exists.");
        return Err(Failure::conflict(reason).code(Code::DuplicateName));
    }
    if body.get("parent_provider_uuid").is_some() {
        move_to(call, &mut writer, row, old_parent, &body).map_err(cannot)?;
    }
    writer.rename_provider(row, name).map_err(refusals::unexpected)?;
    let topology = writer.topology().clone();
    drop(writer);
    Ok(answer(call, &topology, row))
}

/// Gives the provider the parent that the body names.
fn move_to(
    call: &Call<'_>,
    writer: &mut Writer<'_>,
    row: Row,
    old: Option<Row>,
    body: &Value,
) -> Result<(), &'static str> {
    let may_move = call.version.at_least(37);
    let parent = match body["parent_provider_uuid"].as_str() {
        Some(uuid) => Some(call.find(uuid).ok_or(NO_PARENT)?.row),
        None => None,
    };
    match (old, parent) {
        (Some(_), None) if !may_move => {
            Err("Object action update failed because: un-parenting a provider is not currently allowed.")
        }
        (Some(old), Some(parent)) if old != parent && !may_move => {
            Err("Object action update failed because: re-parenting a provider is not currently allowed.")
        }
        _ => writer.move_provider(row, parent).map_err(|error| match error {
            TopologyError::Loop(_) => {
                "Object action update failed because: creating loop in the provider tree is not allowed."
            }
            _ => NO_PARENT, // removed a moment ago
        }),
    }
}

pub(super) fn delete(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.may(rules::PROVIDERS_DELETE)?;
    let gone = || Failure::not_found(format!("{} for delete", no_provider(uuid)));
    let row = call.find(uuid).ok_or_else(gone)?.row;
    call.index().write_at(call.now).remove_provider(row).map_err(|error| match error {
        TopologyError::UnknownProvider(_) => gone(),
        TopologyError::HasChildren(_) => Failure::conflict(format!(
            "Unable to delete parent resource provider {uuid}: It has child resource providers."
        ))
        .code(Code::CannotDeleteParent),
        // Consumers hold some of it.
        TopologyError::InUse(_) => Failure::conflict(format!(
            "Unable to delete resource provider {uuid}: Resource provider has allocations."
        ))
        .code(Code::ProviderInUse),
        other => refusals::unexpected(other),
    })?;
    Ok(Reply::no_content())
}

fn answer(call: &Call<'_>, topology: &Topology, row: Row) -> Reply {
    let modified = call.index().changed_at(row);
    Reply::object(|w| describe(w, call, topology, row)).modified(modified)
}

fn describe(w: &mut json::Writer, call: &Call<'_>, topology: &Topology, row: Row) {
    let Some(provider) = topology.provider(row) else { return };
    w.key("uuid").uuid(provider.uuid);
    w.key("name").string(&provider.name);
    w.key("generation").integer(call.index().generation(row));
    w.key("links").array(|w| links(w, call, provider.uuid));
    if call.version.at_least(14) {
        let uuid_of = |row: Row| topology.provider(row).map(|provider| provider.uuid);
        w.key("parent_provider_uuid").uuid_or_null(provider.parent.and_then(uuid_of));
        w.key("root_provider_uuid").uuid_or_null(uuid_of(provider.root));
    }
}

fn links(w: &mut json::Writer, call: &Call<'_>, uuid: Uuid) {
    let all = [(0, "inventories"), (0, "usages"), (1, "aggregates"), (6, "traits"), (11, "allocations")];
    let base = path(uuid);
    let mut link = |rel: &str, href: &str| {
        w.object(|w| {
            w.key("rel").string(rel);
            w.key("href").string(href);
        });
    };
    link("self", &base);
    for (_, rel) in all.into_iter().filter(|(since, _)| call.version.at_least(*since)) {
        link(rel, &format!("{base}/{rel}"));
    }
}

fn path(uuid: Uuid) -> String {
    format!("/resource_providers/{uuid}")
}
