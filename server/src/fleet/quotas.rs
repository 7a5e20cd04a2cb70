//! What projects may have.

use super::Fleet;
use super::entry::{Flavor, Quota};
use super::error::{FleetError, QUOTA_EXCEEDED};
use super::state::State;
use super::usage::Usage;

/// A project's limits, and what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct QuotaState {
    pub(crate) limits: Quota,
    pub(crate) instances: u64,
    pub(crate) vcpus: u64,
    pub(crate) memory_mb: u64,
}

impl Fleet {
    pub(crate) fn quota(&self, project: &str) -> Result<QuotaState, FleetError> {
        check_project(project)?;
        let state = self.state();
        let Usage { instances, vcpus, memory_mb } = state.usage.get(project).copied().unwrap_or_default();
        let limits = state.quotas.get(project).cloned().unwrap_or_default();
        Ok(QuotaState { limits, instances, vcpus, memory_mb })
    }

    pub(crate) fn set_quota(&self, project: &str, limits: Quota) -> Result<QuotaState, FleetError> {
        check_project(project)?;
        self.transact(|fleet| fleet.put_quota(project, limits));
        self.quota(project)
    }
}

pub(super) fn check_project(project: &str) -> Result<(), FleetError> {
    super::check_name("project", project, 255)
}

/// How many instances the project may have more, between `least` and `most`.
pub(super) fn granted(
    state: &State,
    project: &str,
    flavor: &Flavor,
    (least, most): (u64, u64),
) -> Result<u64, FleetError> {
    let Some(quota) = state.quotas.get(project) else { return Ok(most) };
    let usage = state.usage.get(project).copied().unwrap_or_default();
    let (room, limit) = usage.room(quota, flavor, most);
    if room < least {
        let message = format!(
            "project {project:?} may have no more than {room} further instances of this size: its quota of {limit}"
        );
        return Err(FleetError::exhausted(QUOTA_EXCEEDED, message));
    }
    Ok(room)
}
