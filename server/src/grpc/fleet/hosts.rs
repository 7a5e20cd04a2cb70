//! Compute hosts.

use berth_api::v1;
use berth_fleet::{HostState, HostStatus, HypervisorInfo};

use crate::amounts;
use crate::grpc::call::Call;
use crate::grpc::field;
use crate::grpc::fleet::CallError;
use crate::grpc::page::Page;
use crate::grpc::status::bad_field;
use crate::lengthy::Reads;

pub(super) fn list(
    call: &Call<'_>,
    wanted: &v1::ListHostsRequest,
) -> Result<v1::ListHostsResponse, CallError> {
    let page = Page::of_names(wanted.page_size, &wanted.page_token)?;
    let (names, next_page_token) =
        call.fleet.read(|fleet| page.take(fleet.host_names().map(|name| (name.clone(), name.clone()))));
    let state = |name: &String| call.fleet.read(|fleet| fleet.host(name)).ok();
    let hosts = names.iter().filter_map(state).map(host).collect();
    Ok(v1::ListHostsResponse { hosts, next_page_token })
}

/// Whether the host has many providers.
pub(super) fn is_lengthy(call: &Call<'_>, wanted: &v1::GetHostRequest) -> bool {
    let uuid = call.fleet.read(|fleet| fleet.state().host(&wanted.name).map(|host| host.uuid.to_string()));
    uuid.is_some_and(|uuid| Reads::Tree(&uuid).is_lengthy(call.index))
}

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetHostRequest) -> Result<v1::Host, CallError> {
    Ok(host(call.fleet.read(|fleet| fleet.host(&wanted.name))?))
}

pub(super) fn approve(call: &Call<'_>, wanted: &v1::ApproveHostRequest) -> Result<v1::Host, CallError> {
    let uuid = field::uuid("host_uuid", &wanted.host_uuid)?;
    Ok(host(call.fleet.approve_host(&wanted.name, uuid)?))
}

pub(super) fn set(call: &Call<'_>, wanted: &v1::SetHostRequest) -> Result<v1::Host, CallError> {
    let status = match wanted.status() {
        v1::host::Status::Enabled => HostStatus::Enabled,
        v1::host::Status::Disabled => HostStatus::Disabled,
        v1::host::Status::Maintenance => HostStatus::Maintenance,
        v1::host::Status::Unspecified => {
            return Err(bad_field("status", "has to be ENABLED, DISABLED or MAINTENANCE").into());
        }
    };
    Ok(host(call.fleet.set_host(&wanted.name, status, &wanted.reason)?))
}

pub(super) fn delete(
    call: &Call<'_>,
    wanted: &v1::DeleteHostRequest,
) -> Result<v1::DeleteHostResponse, CallError> {
    call.fleet.delete_host(&wanted.name)?;
    Ok(v1::DeleteHostResponse {})
}

pub(super) fn fence(
    call: &Call<'_>,
    wanted: &v1::FenceHostRequest,
    user: &str,
) -> Result<v1::Host, CallError> {
    Ok(host(call.fleet.fence_host(&wanted.name, user, !wanted.fenced)?))
}

pub(super) fn statistics(call: &Call<'_>, _: &v1::GetStatisticsRequest) -> Result<v1::Statistics, CallError> {
    let mut sums = v1::Statistics::default();
    let names: Vec<String> = call.fleet.read(|fleet| fleet.host_names().cloned().collect());
    for state in names.iter().filter_map(|name| call.fleet.read(|fleet| fleet.host(name)).ok()) {
        sums.hosts += 1;
        sums.hosts_up += u32::from(state.liveness.is_up);
        sums.hosts_enabled += u32::from(state.host.status == HostStatus::Enabled);
        sums.instances += u32::try_from(state.instances).unwrap_or(u32::MAX);
        for (class, (inventory, used)) in state.stock {
            let capacity = u64::try_from(inventory.capacity()).unwrap_or(0);
            *sums.capacity.entry(class.clone()).or_default() += capacity;
            *sums.used.entry(class).or_default() += used;
        }
    }
    Ok(sums)
}

fn host(state: HostState) -> v1::Host {
    let HostState { host, liveness, zone, aggregates, instances, stock } = state;
    let status = match host.status {
        HostStatus::Enabled => v1::host::Status::Enabled,
        HostStatus::Disabled => v1::host::Status::Disabled,
        HostStatus::Maintenance => v1::host::Status::Maintenance,
    };
    let fence = host.fence.clone().unwrap_or_default();
    let usages = stock.iter().map(|(class, (_, used))| (class.clone(), *used)).collect();
    v1::Host {
        provider: host.uuid.to_string(),
        name: host.name,
        status: status.into(),
        reason: host.reason,
        is_up: liveness.is_up,
        last_seen: liveness.last_seen.0,
        since: liveness.since.0,
        availability_zone: zone,
        aggregates,
        hypervisor: host.hypervisor.map(hypervisor),
        inventories: stock
            .into_iter()
            .map(|(class, (stock, _))| (class, amounts::inventory(&stock)))
            .collect(),
        usages,
        instances: u32::try_from(instances).unwrap_or(u32::MAX),
        fenced_at: fence.at.0,
        fenced_by: fence.user,
        fenced_by_command: fence.by_command,
    }
}

fn hypervisor(known: HypervisorInfo) -> v1::Hypervisor {
    let HypervisorInfo {
        kind,
        version,
        libvirt_version,
        is_accelerated,
        architecture,
        cpu_model,
        address,
        agent_version,
        disks_port,
        storage,
        migration_target,
        cpu_features,
    } = known;
    v1::Hypervisor {
        kind,
        version,
        libvirt_version,
        is_accelerated,
        architecture,
        cpu_model,
        address,
        agent_version,
        disks_port,
        storage: if storage.is_nil() { String::new() } else { storage.to_string() },
        migration_target: migration_target.map(crate::fleet::message::migration_target),
        cpu_features: cpu_features.names().map(str::to_owned).collect(),
    }
}
