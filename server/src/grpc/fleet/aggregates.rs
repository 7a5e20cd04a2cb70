//! Host aggregates and zones.

use berth_api::v1;
use berth_fleet::{Aggregate, AggregateChange, Fleet};

use crate::fleet::new_uuid;
use crate::grpc::call::Call;
use crate::grpc::fleet::CallError;
use crate::grpc::page::Page;

pub(super) fn list(
    call: &Call<'_>,
    wanted: &v1::ListAggregatesRequest,
) -> Result<v1::ListAggregatesResponse, CallError> {
    let page = Page::of_names(wanted.page_size, &wanted.page_token)?;
    let (aggregates, next_page_token) = call.fleet.read(|fleet| {
        page.take(fleet.aggregates().map(|aggregate| (aggregate.name.clone(), aggregate.clone())))
    });
    let aggregates = aggregates.into_iter().map(message).collect();
    Ok(v1::ListAggregatesResponse { aggregates, next_page_token })
}

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetAggregateRequest) -> Result<v1::Aggregate, CallError> {
    Ok(message(call.fleet.read(|fleet| fleet.aggregate(&wanted.name).cloned())?))
}

pub(super) fn create(
    call: &Call<'_>,
    wanted: &v1::CreateAggregateRequest,
) -> Result<v1::Aggregate, CallError> {
    let metadata = wanted.metadata.clone().into_iter().collect();
    let created = call.fleet.command(|fleet, _| fleet.create_aggregate(&wanted.name, metadata, new_uuid()));
    Ok(message(created?))
}

pub(super) fn update(
    call: &Call<'_>,
    wanted: &v1::UpdateAggregateRequest,
) -> Result<v1::Aggregate, CallError> {
    let change = AggregateChange {
        add_hosts: wanted.add_hosts.clone(),
        remove_hosts: wanted.remove_hosts.clone(),
        set: wanted.set_metadata.clone().into_iter().collect(),
        unset: wanted.unset_metadata.clone(),
    };
    Ok(message(call.fleet.update_aggregate(&wanted.name, &change)?))
}

pub(super) fn delete(
    call: &Call<'_>,
    wanted: &v1::DeleteAggregateRequest,
) -> Result<v1::DeleteAggregateResponse, CallError> {
    call.fleet.command(|fleet, _| fleet.delete_aggregate(&wanted.name))?;
    Ok(v1::DeleteAggregateResponse {})
}

pub(super) fn zones(call: &Call<'_>, _: &v1::ListZonesRequest) -> Result<v1::ListZonesResponse, CallError> {
    let zones = call.fleet.read(Fleet::zones).into_iter();
    let zones =
        zones.map(|(name, zone)| v1::Zone { name, hosts: zone.hosts, is_available: zone.is_available });
    Ok(v1::ListZonesResponse { zones: zones.collect() })
}

fn message(aggregate: Aggregate) -> v1::Aggregate {
    let uuid = aggregate.uuid.to_string();
    let Aggregate { name, hosts, metadata, .. } = aggregate;
    v1::Aggregate { name, uuid, hosts, metadata: metadata.into_iter().collect() }
}
