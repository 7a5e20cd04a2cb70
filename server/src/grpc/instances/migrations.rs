//! Moves: their beginning, and what is shown of them.

use std::sync::Arc;

use berth_api::v1;
use berth_fleet::{Fleet, FleetError, Instance, LiveDisks, LiveOptions, Migration, Named};
use berth_placement::Timestamp;
use tonic::Status;
use uuid::Uuid;

use super::message::{instance, migration};
use crate::fleet::Evacuation;
use crate::grpc::call::Call;
use crate::grpc::fleet::CallError;
use crate::grpc::fleet::evacuations::target_state;
use crate::grpc::page::Page;

/// Begins a move to another flavor, or to another host.
pub(super) fn begin(
    call: &Call<'_>,
    named: Named<'_>,
    (flavor, host): (Option<&str>, Option<&str>),
    by: (&str, bool),
) -> Result<v1::Instance, CallError> {
    let moving = tokio::task::block_in_place(|| call.fleet.move_instance(named, flavor, host, by))?;
    Ok(call.fleet.read(|fleet| instance(fleet, &moving)))
}

/// Begins a live migration.
pub(super) fn begin_live(
    call: &Call<'_>,
    wanted: &v1::LiveMigrateInstanceRequest,
    by: (&str, bool),
) -> Result<v1::Instance, CallError> {
    use v1::live_migrate_instance_request::Disks;
    let disks = match Disks::try_from(wanted.disks) {
        Ok(Disks::Unspecified) => LiveDisks::Any,
        Ok(Disks::Shared) => LiveDisks::Shared,
        Ok(Disks::Sent) => LiveDisks::Sent,
        Err(_) => {
            let problem = format!("{} is neither SHARED nor SENT", wanted.disks);
            return Err(FleetError::field("disks", problem).into());
        }
    };
    let &v1::LiveMigrateInstanceRequest { bandwidth_mib, timeout_s, forces_at_timeout, .. } = wanted;
    let options = LiveOptions { disks, bandwidth_mib, timeout_s, forces_at_timeout };
    let named = Named { name: &wanted.instance, project: &wanted.project };
    let host = Some(wanted.host.as_str()).filter(|host| !host.is_empty());
    let moving = tokio::task::block_in_place(|| call.fleet.live_migrate(named, host, options, by))?;
    Ok(call.fleet.read(|fleet| instance(fleet, &moving)))
}

/// A command for an open live migration.
type Steer = fn(&mut Fleet, Uuid, (&str, bool), Timestamp) -> Result<Arc<Instance>, FleetError>;

/// Aborts or forces a live migration.
pub(super) fn steer(
    call: &Call<'_>,
    wanted: &v1::GetMigrationRequest,
    command: Steer,
    by: (&str, bool),
) -> Result<v1::Migration, CallError> {
    get(call, wanted)?; // it is of the project
    let unknown = || FleetError::not_found("migration", &wanted.migration);
    let uuid = Uuid::try_parse(&wanted.migration).map_err(|_| unknown())?;
    call.fleet.command(|fleet, now| command(fleet, uuid, by, now.wall))?;
    get(call, wanted)
}

/// Begins an evacuation.
pub(super) fn evacuate(
    call: &Call<'_>,
    wanted: &v1::EvacuateInstanceRequest,
    by: (&str, bool),
) -> Result<v1::Instance, CallError> {
    let named = Named { name: &wanted.instance, project: &wanted.project };
    let evacuation =
        Evacuation { host: wanted.host.clone(), rebuild: wanted.rebuild, state: target_state(wanted.state)? };
    let moving = tokio::task::block_in_place(|| call.fleet.evacuate_instance(named, &evacuation, by))?;
    Ok(call.fleet.read(|fleet| instance(fleet, &moving)))
}

/// The migrations that match, oldest first.
pub(super) fn list(
    call: &Call<'_>,
    wanted: &v1::ListMigrationsRequest,
) -> Result<v1::ListMigrationsResponse, Status> {
    let page = Page::of_names(wanted.page_size, &wanted.page_token)?;
    let named = Named { name: &wanted.instance, project: &wanted.project };
    let only = (!wanted.instance.is_empty()).then(|| call.fleet.read(|fleet| fleet.instance_uuid(named)));
    let only = only.transpose().map_err(|error| Status::from(CallError::from(error)))?;
    let is_so = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    let matches = |instance: &Instance, migration: &Migration| {
        only.is_none_or(|only| instance.uuid == only)
            && is_so(&wanted.project, &instance.spec.project)
            && is_so(&wanted.status, migration.status(instance))
            && (is_so(&wanted.host, &migration.source) || wanted.host == migration.target)
    };
    let found = call.fleet.read(|fleet| fleet.migrations(matches));
    let key = |migration: &Migration| format!("{:020} {}", migration.created_at.0, migration.uuid);
    let keyed = found.into_iter().map(|found| (key(&found.1), found));
    let (page, next_page_token) = page.take(keyed);
    let migrations = page.iter().map(|(instance, found)| migration(instance, found)).collect();
    Ok(v1::ListMigrationsResponse { migrations, next_page_token })
}

/// One migration.
pub(super) fn get(call: &Call<'_>, wanted: &v1::GetMigrationRequest) -> Result<v1::Migration, CallError> {
    let matches = |instance: &Instance, migration: &Migration| {
        (wanted.project.is_empty() || wanted.project == instance.spec.project)
            && migration.uuid.to_string() == wanted.migration
    };
    match call.fleet.read(|fleet| fleet.migrations(matches)).pop() {
        Some((instance, found)) => Ok(migration(&instance, &found)),
        None => Err(FleetError::not_found("migration", &wanted.migration).into()),
    }
}
