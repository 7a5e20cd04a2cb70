//! What projects may have.

use berth_api::v1;
use tonic::Status;

use crate::fleet::QuotaState;
use crate::fleet::entry::Quota;
use crate::grpc::call::Call;

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetQuotaRequest) -> Result<v1::Quota, Status> {
    Ok(message(&wanted.project, &call.fleet.quota(&wanted.project)?))
}

pub(super) fn set(call: &Call<'_>, wanted: &v1::SetQuotaRequest) -> Result<v1::Quota, Status> {
    let limits = Quota { instances: wanted.instances, vcpus: wanted.vcpus, memory_mb: wanted.memory_mb };
    Ok(message(&wanted.project, &call.fleet.set_quota(&wanted.project, limits)?))
}

fn message(project: &str, state: &QuotaState) -> v1::Quota {
    v1::Quota {
        project: project.to_owned(),
        instances: state.limits.instances,
        vcpus: state.limits.vcpus,
        memory_mb: state.limits.memory_mb,
        used_instances: state.instances,
        used_vcpus: state.vcpus,
        used_memory_mb: state.memory_mb,
    }
}
