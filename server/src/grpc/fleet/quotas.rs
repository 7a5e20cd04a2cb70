//! Quotas of projects.

use berth_api::v1;
use berth_fleet::{Quota, QuotaState};

use crate::grpc::call::Call;
use crate::grpc::fleet::CallError;

pub(super) fn get(call: &Call<'_>, wanted: &v1::GetQuotaRequest) -> Result<v1::Quota, CallError> {
    Ok(message(&wanted.project, &call.fleet.read(|fleet| fleet.quota(&wanted.project))?))
}

pub(super) fn set(call: &Call<'_>, wanted: &v1::SetQuotaRequest) -> Result<v1::Quota, CallError> {
    let v1::SetQuotaRequest { instances, vcpus, memory_mb, key_pairs, .. } = *wanted;
    let limits = Quota { instances, vcpus, memory_mb, key_pairs };
    Ok(message(&wanted.project, &call.fleet.command(|fleet, _| fleet.set_quota(&wanted.project, limits))?))
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
        key_pairs: state.limits.key_pairs,
        used_key_pairs: state.key_pairs,
    }
}
