//! The desired guest of an instance, which follows from its record alone.

use std::sync::Arc;

use uuid::Uuid;

use super::{Desired, Instance, InstanceSpec, VmState};

/// The state that an agent is to bring a guest to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It runs.
    Running,
    /// It is off.
    Stopped,
    /// It is paused.
    Paused,
    /// Its memory is saved on disk.
    Suspended,
    /// Only its disk is kept.
    Shelved,
    /// Nothing of it is left.
    Absent,
}

/// What a host's agent is to do for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredGuest {
    /// The host.
    pub host: String,
    /// The instance.
    pub instance: Uuid,
    /// Generation and boots.
    pub desired: Desired,
    /// The state to bring it to.
    pub goal: Goal,
    /// Whether the guest was built before: one that is missing is lost.
    pub must_exist: bool,
    /// What the user asked for; `None` where nothing is to be left.
    pub spec: Option<Arc<InstanceSpec>>,
}

impl Instance {
    /// The state that the host's agent is to bring the guest to; `None` if it is unknown or nothing is desired.
    #[must_use]
    pub fn goal(&self) -> Option<Goal> {
        match self.operation {
            Some(operation) => operation.rules().goal(),
            None => self.vm_state.goal(),
        }
    }

    /// The desired guests for all hosts on which the instance is or may have remains.
    #[must_use]
    pub fn desired_guests(&self) -> Vec<DesiredGuest> {
        let absent = |host: &String| DesiredGuest {
            host: host.clone(),
            instance: self.uuid,
            desired: Desired { generation: self.desired.generation, ..Desired::default() },
            goal: Goal::Absent,
            must_exist: false,
            spec: None,
        };
        let mut guests: Vec<DesiredGuest> = self.location.leftovers.iter().map(absent).collect();
        if !self.location.host.is_empty()
            && let Some(goal) = self.goal()
        {
            guests.push(DesiredGuest {
                host: self.location.host.clone(),
                instance: self.uuid,
                desired: self.desired,
                goal,
                must_exist: self.operation.is_none_or(|operation| operation.rules().expects_guest()),
                spec: (goal != Goal::Absent).then(|| Arc::clone(&self.spec)),
            });
        }
        guests
    }
}

impl VmState {
    /// The goal of an instance at rest.
    const fn goal(self) -> Option<Goal> {
        match self {
            Self::Active => Some(Goal::Running),
            Self::Stopped => Some(Goal::Stopped),
            Self::Paused => Some(Goal::Paused),
            Self::Suspended => Some(Goal::Suspended),
            Self::ShelvedOffloaded => Some(Goal::Shelved),
            Self::Building | Self::Error | Self::Deleted => None,
        }
    }
}
