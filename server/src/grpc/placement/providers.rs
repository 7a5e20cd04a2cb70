//! Resource providers themselves.

use berth_api::v1;
use berth_placement::{Index, Row, Topology, Writer};
use tonic::Status;
use uuid::Uuid;

use super::refusals;
use crate::amounts;
use crate::grpc::call::Call;
use crate::grpc::field;
use crate::grpc::page::Page;
use crate::grpc::status::{already_exists, bad_field, not_found};
use crate::request::FoundProvider;
use crate::request::message::class_name;

const NAME_LENGTH: usize = 200;

pub(super) fn list(
    call: &Call<'_>,
    wanted: &v1::ListProvidersRequest,
) -> Result<v1::ListProvidersResponse, Status> {
    let page = Page::of(wanted.page_size, &wanted.page_token)?;
    let in_tree = field::optional_uuid("in_tree", &wanted.in_tree)?;
    let topology = call.index.topology();
    let rows = matching(call.index, &topology, in_tree, &wanted.name);
    let keyed = rows.filter_map(|row| Some((topology.provider(row)?.uuid, row)));
    let (rows, next_page_token) = page.take(keyed);
    let providers = rows.into_iter().filter_map(|row| describe(call.index, &topology, row)).collect();
    Ok(v1::ListProvidersResponse { providers, next_page_token })
}

/// The providers of a tree, with a name, both, or all.
fn matching<'a>(
    index: &'a Index,
    topology: &'a Topology,
    in_tree: Option<Uuid>,
    name: &'a str,
) -> Box<dyn Iterator<Item = Row> + 'a> {
    let all: Box<dyn Iterator<Item = Row>> = match in_tree {
        None if name.is_empty() => return Box::new(topology.providers().map(|(row, _)| row)),
        None => Box::new(index.find_named(name).into_iter()),
        Some(uuid) => {
            let root = index.find(uuid).and_then(|row| Some(topology.provider(row)?.root));
            Box::new(root.into_iter().flat_map(|root| topology.tree(root).iter().copied()))
        }
    };
    let is_named = move |row: &Row| {
        name.is_empty() || topology.provider(*row).is_some_and(|provider| *provider.name == *name)
    };
    Box::new(all.filter(is_named))
}

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetProviderRequest) -> Result<v1::Provider, Status> {
    let found = find(call, "uuid", &wanted.uuid)?;
    shown(call, &found.topology, found.row, &wanted.uuid)
}

pub(super) fn put(call: &Call<'_>, wanted: &v1::PutProviderRequest) -> Result<v1::Provider, Status> {
    let uuid = field::uuid("uuid", &wanted.uuid)?;
    let name = field::text("name", &wanted.name, NAME_LENGTH)?;
    let parent = field::optional_uuid("parent", &wanted.parent)?;
    let mut writer = call.index.write_at(call.now);
    let known = call.index.find(uuid);
    let parent = parent.map(|parent| parent_row(call, parent, uuid)).transpose()?;
    let is_taken = call.index.find_named(name).is_some_and(|other| Some(other) != known);
    if is_taken && !call.fleet.yield_name(&mut writer, name) {
        return Err(already_exists("resource provider", name));
    }
    let row = match known {
        Some(row) => change(&mut writer, row, name, parent).map(|()| row),
        None => writer.add_provider(uuid, name, parent),
    };
    let row = row.map_err(|error| refusals::of_topology(writer.topology(), &error, &wanted.uuid))?;
    finish(call, writer, row, &wanted.uuid)
}

/// The provider to stand below. While the writer is held, it stays.
fn parent_row(call: &Call<'_>, parent: Uuid, child: Uuid) -> Result<Row, Status> {
    match call.index.find(parent) {
        None if parent == child => Err(refusals::below_itself(&child.to_string())),
        None => Err(not_found("resource provider", &parent.to_string())),
        Some(row) => Ok(row),
    }
}

/// The move comes first, since it may be refused; the name is known to be free.
fn change(
    writer: &mut Writer<'_>,
    row: Row,
    name: &str,
    parent: Option<Row>,
) -> Result<(), berth_placement::TopologyError> {
    writer.move_provider(row, parent)?;
    writer.rename_provider(row, name)
}

pub(super) fn delete(
    call: &Call<'_>,
    wanted: &v1::DeleteProviderRequest,
) -> Result<v1::DeleteProviderResponse, Status> {
    let row = find(call, "uuid", &wanted.uuid)?.row;
    let mut writer = call.index.write_at(call.now);
    writer
        .remove_provider(row)
        .map_err(|error| refusals::of_topology(writer.topology(), &error, &wanted.uuid))?;
    Ok(v1::DeleteProviderResponse {})
}

/// The provider that a field names.
pub(super) fn find(call: &Call<'_>, field: &str, text: &str) -> Result<FoundProvider, Status> {
    let uuid = field::uuid(field, text)?;
    let found = FoundProvider::find(call.index, uuid);
    found.ok_or_else(|| not_found("resource provider", &uuid.to_string()))
}

/// Publishes what was written, and shows the provider as it is then.
pub(super) fn finish(
    call: &Call<'_>,
    writer: Writer<'_>,
    row: Row,
    uuid: &str,
) -> Result<v1::Provider, Status> {
    let topology = writer.topology().clone();
    drop(writer);
    shown(call, &topology, row, uuid)
}

fn shown(call: &Call<'_>, topology: &Topology, row: Row, uuid: &str) -> Result<v1::Provider, Status> {
    describe(call.index, topology, row).ok_or_else(|| not_found("resource provider", uuid))
}

fn describe(index: &Index, topology: &Topology, row: Row) -> Option<v1::Provider> {
    let provider = topology.provider(row)?;
    let uuid_of = |row| topology.provider(row).map(|provider| provider.uuid.to_string()).unwrap_or_default();
    let (generation, inventories) = index.inventories(row);
    let used = |class| u64::try_from(index.used(row, class)).unwrap_or_default();
    let name_of = |class| class_name(topology, class).to_owned();
    let traits = provider.traits.iter().filter_map(|id| topology.traits().name(id.0));
    let mut traits: Vec<String> = traits.map(str::to_owned).collect();
    traits.sort_unstable();
    Some(v1::Provider {
        uuid: provider.uuid.to_string(),
        name: provider.name.to_string(),
        parent: provider.parent.map(uuid_of).unwrap_or_default(),
        root: uuid_of(provider.root),
        generation,
        usages: inventories.iter().map(|&(class, _)| (name_of(class), used(class))).collect(),
        inventories: inventories
            .iter()
            .map(|(class, inventory)| (name_of(*class), amounts::inventory(inventory)))
            .collect(),
        traits,
        aggregates: provider.aggregates.iter().map(Uuid::to_string).collect(),
    })
}

/// The generation that the provider has to have. While the writer is held, only claims change it.
pub(super) fn expect_generation(
    writer: &Writer<'_>,
    found: &FoundProvider,
    given: u64,
    uuid: &str,
) -> Result<(), Status> {
    if writer.topology().provider(found.row).is_none() {
        return Err(not_found("resource provider", uuid)); // removed a moment ago
    }
    writer
        .expect_generation(found.row, given)
        .map_err(|error| refusals::of_topology(writer.topology(), &error, uuid))
}

/// A name that is neither known nor can be made up.
pub(super) fn unknown_name(field: String) -> Status {
    bad_field(field, format!("is not known, and no custom name: that {}", berth_placement::custom::RULE))
}
