//! Requests as the fleet takes them.

use std::collections::BTreeMap;

use berth_api::v1;
use berth_api::v1::schedule_request::Size;
use berth_fleet::{MAX_INSTANCES, RequestedZone};
use berth_scheduler::request_spec::SchedulerHints;

use crate::fleet::message::{read_flavor, read_image};
use crate::fleet::{Ask, group_hint};
use crate::grpc::call::Call;
use crate::grpc::field;
use crate::grpc::fleet::CallError;
use crate::grpc::status::bad_field;

pub(super) fn ask(call: &Call<'_>, wanted: &v1::ScheduleRequest) -> Result<Ask, CallError> {
    let flavor = match &wanted.size {
        Some(Size::Flavor(flavor)) => read_flavor(flavor.clone()),
        Some(Size::FlavorName(name)) => call.fleet.read(|fleet| fleet.flavor(name).cloned())?,
        None => return Err(bad_field("flavor", "is missing, and so is flavor_name").into()),
    };
    let hints = hints(&wanted.hints);
    Ok(Ask {
        instances: field::uuids("instances", &wanted.instances, MAX_INSTANCES)?,
        flavor,
        image: wanted.image.clone().map(read_image),
        project: wanted.project.clone(),
        user: wanted.user.clone(),
        availability_zone: RequestedZone::parse(&wanted.availability_zone),
        group: group_hint(&hints)?,
        hints,
        ignore_hosts: wanted.ignore_hosts.clone(),
        alternates: wanted.alternates as usize,
        migration: None,
        rebuilds: false,
    })
}

/// The hints that users may give; internal ones are dropped, as if the client had not sent them.
pub(crate) fn hints(hints: &BTreeMap<String, v1::Hints>) -> BTreeMap<String, Vec<String>> {
    let given = hints.iter().filter(|(name, _)| !SchedulerHints::is_internal(name));
    given.map(|(name, hint)| (name.clone(), hint.values.clone())).collect()
}
