//! Inventories of providers.

use berth_api::v1;
use berth_placement::{ClassId, Inventory, TopologyError, Writer, custom};
use tonic::Status;

use super::{providers, refusals};
use crate::amounts;
use crate::grpc::call::Call;
use crate::grpc::status::bad_field;
use crate::request::FoundProvider;

pub(super) fn set(call: &Call<'_>, wanted: &v1::SetInventoriesRequest) -> Result<v1::Provider, Status> {
    let found = providers::find(call, "uuid", &wanted.uuid)?;
    let records = wanted.inventories.iter().map(|(class, record)| Ok((&**class, read(class, record)?)));
    let records: Vec<(&str, Inventory)> = records.collect::<Result<_, Status>>()?;
    let mut writer = call.index.write_at(call.now);
    providers::expect_generation(&writer, &found, wanted.generation, &wanted.uuid)?;
    check_classes(&writer, &records)?;
    write(&mut writer, &found, wanted.generation, &records)
        .map_err(|error| refusals::of_topology(writer.topology(), &error, &wanted.uuid))?;
    providers::finish(call, writer, found.row, &wanted.uuid)
}

fn write(
    writer: &mut Writer<'_>,
    found: &FoundProvider,
    generation: u64,
    records: &[(&str, Inventory)],
) -> Result<(), TopologyError> {
    let resolved = records.iter().map(|&(class, inventory)| Ok((writer.resource_class(class)?, inventory)));
    let resolved: Vec<(ClassId, Inventory)> = resolved.collect::<Result<_, TopologyError>>()?;
    writer.set_inventories(found.row, Some(generation), resolved).map(|_| ())
}

/// Each class is known, or can be made.
fn check_classes(writer: &Writer<'_>, records: &[(&str, Inventory)]) -> Result<(), Status> {
    let is_good = |class: &str| writer.topology().class(class).is_some() || custom::is_name(class);
    match records.iter().find(|(class, _)| !is_good(class)) {
        Some((class, _)) => Err(providers::unknown_name(place(class))),
        None => Ok(()),
    }
}

fn place(class: &str) -> String {
    format!("inventories[{class}]")
}

/// One inventory of a request.
fn read(class: &str, record: &v1::Inventory) -> Result<Inventory, Status> {
    let inventory = amounts::read_inventory(record);
    let checked = inventory.validate().map(|()| inventory);
    checked.map_err(|error| {
        let field = format!("{}.{}", place(class), error.field);
        bad_field(field, format!("{} is not allowed, {}", error.value, error.rule))
    })
}
