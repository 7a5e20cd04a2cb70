//! Quotas: the limits of projects.

use crate::Fleet;
use crate::error::{FleetError, QUOTA_EXCEEDED, check_project};
use crate::flavor::Flavor;
use crate::instance::Instance;
use crate::state::State;
use crate::usage::{Size, Usage};

/// The limits of a project; `None` for no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    /// The number of instances.
    pub instances: Option<u64>,
    /// The sum of their virtual CPUs.
    pub vcpus: Option<u64>,
    /// The sum of their memory in MiB.
    pub memory_mb: Option<u64>,
    /// The number of key pairs.
    pub key_pairs: Option<u64>,
}

/// The limits of a project, and what it uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaState {
    /// The limits.
    pub limits: Quota,
    /// Instances.
    pub instances: u64,
    /// Virtual CPUs.
    pub vcpus: u64,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// Key pairs.
    pub key_pairs: u64,
}

impl Fleet {
    /// The limits of a project, and what it uses.
    ///
    /// # Errors
    /// An invalid name.
    pub fn quota(&self, project: &str) -> Result<QuotaState, FleetError> {
        check_project(project)?;
        let usage = self.state.usage.get(project).copied().unwrap_or_default();
        let Usage { instances, vcpus, memory_mb } = usage;
        let limits = self.state.quotas.get(project).cloned().unwrap_or_default();
        let key_pairs = self.state.count_key_pairs(project);
        Ok(QuotaState { limits, instances, vcpus, memory_mb, key_pairs })
    }

    /// Sets the limits of a project. Instances that exceed them stay.
    ///
    /// # Errors
    /// An invalid name.
    pub fn set_quota(&mut self, project: &str, limits: Quota) -> Result<QuotaState, FleetError> {
        check_project(project)?;
        self.state.put_quota(project, limits);
        self.quota(project)
    }
}

impl Fleet {
    /// Checks that the quota of its project allows the instance another flavor.
    pub(crate) fn check_growth(&self, instance: &Instance, flavor: &Flavor) -> Result<(), FleetError> {
        let project = &instance.spec.project;
        let Some(quota) = self.state.quotas.get(project) else { return Ok(()) };
        let usage = self.state.usage.get(project).copied().unwrap_or_default();
        let (old, new) = (Size::of(instance), Size::from(flavor));
        match usage.exceeded_by_growth(quota, old, new) {
            Some(limit) => {
                let message = format!(
                    "the flavor {:?} would exceed the quota of {limit} of project {project:?}",
                    flavor.name
                );
                Err(FleetError::exhausted(QUOTA_EXCEEDED, message))
            }
            None => Ok(()),
        }
    }
}

/// How many more instances the quota of the project allows, between `least` and `most`.
pub(crate) fn granted(
    state: &State,
    project: &str,
    flavor: &Flavor,
    (least, most): (u64, u64),
) -> Result<u64, FleetError> {
    let Some(quota) = state.quotas.get(project) else { return Ok(most) };
    let usage = state.usage.get(project).copied().unwrap_or_default();
    let (allowed, limit) = usage.allowed(quota, flavor, most);
    if allowed < least {
        let message = format!(
            "project {project:?} may have no more than {allowed} further instances of this size: its quota of {limit}"
        );
        return Err(FleetError::exhausted(QUOTA_EXCEEDED, message));
    }
    Ok(allowed)
}
