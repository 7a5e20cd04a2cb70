//! Server groups.

use berth_api::v1;
use berth_api::v1::server_group::Policy as Wanted;
use berth_fleet::{Group, Named, ServerGroupPolicy};
use uuid::Uuid;

use crate::fleet::new_uuid;
use crate::grpc::call::Call;
use crate::grpc::fleet::CallError;
use crate::grpc::page::Page;
use crate::grpc::status::bad_field;

pub(super) fn list(
    call: &Call<'_>,
    wanted: &v1::ListServerGroupsRequest,
) -> Result<v1::ListServerGroupsResponse, CallError> {
    let page = Page::of_names(wanted.page_size, &wanted.page_token)?;
    let all = call.fleet.read(|fleet| fleet.groups(&wanted.project)).into_iter();
    let (groups, next_page_token) =
        page.take(all.map(|(uuid, group)| (format!("{}/{uuid}", group.name), (uuid, group))));
    let groups = groups.into_iter().map(|found| message(call, found)).collect();
    Ok(v1::ListServerGroupsResponse { groups, next_page_token })
}

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetServerGroupRequest) -> Result<v1::ServerGroup, CallError> {
    let named = Named { name: &wanted.group, project: &wanted.project };
    Ok(message(call, call.fleet.read(|fleet| fleet.group(named))?))
}

pub(super) fn create(
    call: &Call<'_>,
    wanted: &v1::CreateServerGroupRequest,
) -> Result<v1::ServerGroup, CallError> {
    let policy = match wanted.policy() {
        Wanted::Affinity => ServerGroupPolicy::Affinity,
        Wanted::AntiAffinity => ServerGroupPolicy::AntiAffinity,
        Wanted::SoftAffinity => ServerGroupPolicy::SoftAffinity,
        Wanted::SoftAntiAffinity => ServerGroupPolicy::SoftAntiAffinity,
        Wanted::Unspecified => {
            let policies = "AFFINITY, ANTI_AFFINITY, SOFT_AFFINITY or SOFT_ANTI_AFFINITY";
            return Err(bad_field("policy", format!("has to be {policies}")).into());
        }
    };
    let group = Group {
        name: wanted.name.clone(),
        policy,
        max_server_per_host: wanted.max_server_per_host,
        project: wanted.project.clone(),
        idempotency_key: wanted.idempotency_key.clone(),
    };
    Ok(message(call, call.fleet.command(|fleet, _| fleet.create_group(group, new_uuid()))?))
}

pub(super) fn delete(
    call: &Call<'_>,
    wanted: &v1::DeleteServerGroupRequest,
) -> Result<v1::DeleteServerGroupResponse, CallError> {
    call.fleet.delete_group(Named { name: &wanted.group, project: &wanted.project })?;
    Ok(v1::DeleteServerGroupResponse {})
}

fn message(call: &Call<'_>, (uuid, group): (Uuid, Group)) -> v1::ServerGroup {
    let policy = match group.policy {
        ServerGroupPolicy::Affinity => Wanted::Affinity,
        ServerGroupPolicy::AntiAffinity => Wanted::AntiAffinity,
        ServerGroupPolicy::SoftAffinity => Wanted::SoftAffinity,
        ServerGroupPolicy::SoftAntiAffinity => Wanted::SoftAntiAffinity,
    };
    v1::ServerGroup {
        uuid: uuid.to_string(),
        name: group.name,
        policy: policy.into(),
        max_server_per_host: group.max_server_per_host,
        project: group.project,
        members: call.fleet.read(|fleet| fleet.group_members(uuid)).iter().map(Uuid::to_string).collect(),
    }
}
