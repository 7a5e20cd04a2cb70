//! The traits of providers, and the aggregates they are in.

use berth_api::v1;
use berth_placement::{TopologyError, TraitId, Writer, custom};
use tonic::Status;

use super::{providers, refusals};
use crate::grpc::call::Call;
use crate::grpc::field;

/// More than any provider has.
const MOST: usize = 10_000;

pub(super) fn set_traits(call: &Call<'_>, wanted: &v1::SetTraitsRequest) -> Result<v1::Provider, Status> {
    let found = providers::find(call, "uuid", &wanted.uuid)?;
    field::at_most("traits", wanted.traits.len(), MOST)?;
    let mut writer = call.index.write_at(call.now);
    providers::expect_generation(&writer, &found, wanted.generation, &wanted.uuid)?;
    check_traits(&writer, &wanted.traits)?;
    let traits = wanted.traits.iter().map(|name| custom::trait_named(&mut writer, name));
    let traits: Result<Vec<TraitId>, TopologyError> = traits.collect();
    let written = traits.and_then(|mut traits| {
        traits.sort_unstable();
        traits.dedup();
        writer.set_traits(found.row, &traits)
    });
    written.map_err(|error| refusals::of_topology(writer.topology(), &error, &wanted.uuid))?;
    providers::finish(call, writer, found.row, &wanted.uuid)
}

/// Each trait is known, or can be made.
fn check_traits(writer: &Writer<'_>, names: &[String]) -> Result<(), Status> {
    let is_good = |name: &str| writer.topology().find_trait(name).is_some() || custom::is_name(name);
    match names.iter().position(|name| !is_good(name)) {
        Some(place) => Err(providers::unknown_name(format!("traits[{place}]"))),
        None => Ok(()),
    }
}

pub(super) fn set_aggregates(
    call: &Call<'_>,
    wanted: &v1::SetAggregatesRequest,
) -> Result<v1::Provider, Status> {
    let found = providers::find(call, "uuid", &wanted.uuid)?;
    let aggregates = field::uuids("aggregates", &wanted.aggregates, MOST)?;
    let mut writer = call.index.write_at(call.now);
    providers::expect_generation(&writer, &found, wanted.generation, &wanted.uuid)?;
    let written = writer.set_aggregates(found.row, &aggregates);
    written.map_err(|error| refusals::of_topology(writer.topology(), &error, &wanted.uuid))?;
    providers::finish(call, writer, found.row, &wanted.uuid)
}
