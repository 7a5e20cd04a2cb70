//! Requests as the fleet takes them.

use std::collections::BTreeMap;

use berth_api::v1;
use berth_api::v1::schedule_request::Size;
use berth_scheduler::request_spec::SchedulerHints;
use tonic::Status;

use crate::fleet::Ask;
use crate::fleet::MAX_INSTANCES;
use crate::fleet::entry::Hints;
use crate::grpc::call::Call;
use crate::grpc::field;
use crate::grpc::status::bad_field;

pub(super) fn ask(call: &Call<'_>, wanted: &v1::ScheduleRequest) -> Result<Ask, Status> {
    let flavor = match &wanted.size {
        Some(Size::Flavor(flavor)) => flavor.clone().into(),
        Some(Size::FlavorName(name)) => call.fleet.flavor(name)?,
        None => return Err(bad_field("flavor", "or flavor_name is required")),
    };
    Ok(Ask {
        instances: field::uuids("instances", &wanted.instances, MAX_INSTANCES)?,
        flavor,
        image: wanted.image.clone().map(Into::into),
        project: wanted.project.clone(),
        user: wanted.user.clone(),
        availability_zone: wanted.availability_zone.clone(),
        hints: hints(&wanted.hints),
        ignore_hosts: wanted.ignore_hosts.clone(),
        alternates: wanted.alternates as usize,
    })
}

/// The hints that users may give; internal ones are dropped, as if the client had not sent them.
pub(crate) fn hints(hints: &BTreeMap<String, v1::Hints>) -> BTreeMap<String, Hints> {
    let given = hints.iter().filter(|(name, _)| !SchedulerHints::is_internal(name));
    given.map(|(name, hint)| (name.clone(), Hints { values: hint.values.clone() })).collect()
}
