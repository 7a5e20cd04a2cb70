//! The states of instances in Nova's words.

use crate::fleet::entry::{Instance, Power, Task, VmState};

pub(crate) const fn vm_state(state: VmState) -> &'static str {
    match state {
        VmState::Building => "building",
        VmState::Active => "active",
        VmState::Stopped => "stopped",
        VmState::Paused => "paused",
        VmState::Suspended => "suspended",
        VmState::ShelvedOffloaded => "shelved_offloaded",
        VmState::Error => "error",
        VmState::Deleted => "deleted",
    }
}

pub(crate) const fn task_state(task: Task) -> &'static str {
    match task {
        Task::None => "",
        Task::Scheduling => "scheduling",
        Task::Spawning => "spawning",
        Task::PoweringOn => "powering-on",
        Task::PoweringOff => "powering-off",
        Task::Rebooting => "rebooting",
        Task::RebootingHard => "rebooting_hard",
        Task::Pausing => "pausing",
        Task::Unpausing => "unpausing",
        Task::Suspending => "suspending",
        Task::Resuming => "resuming",
        Task::ShelvingOffloading => "shelving_offloading",
        Task::Unshelving => "unshelving",
        Task::Deleting => "deleting",
    }
}

pub(crate) const fn power_state(power: Power) -> &'static str {
    match power {
        Power::NoState => "NOSTATE",
        Power::Running => "RUNNING",
        Power::Paused => "PAUSED",
        Power::Shutdown => "SHUTDOWN",
        Power::Crashed => "CRASHED",
        Power::Suspended => "SUSPENDED",
    }
}

/// What users see, as Nova derives it.
pub(crate) fn status(instance: &Instance) -> &'static str {
    match (instance.vm_state(), instance.task()) {
        (VmState::Active | VmState::Stopped, Task::Rebooting) => "REBOOT",
        (VmState::Error, _) => "ERROR",
        (VmState::Deleted, _) => "DELETED",
        (VmState::Active | VmState::Stopped | VmState::Paused | VmState::Suspended, Task::RebootingHard) => {
            "HARD_REBOOT"
        }
        (VmState::Building, _) => "BUILD",
        (VmState::Active, _) => "ACTIVE",
        (VmState::Stopped, _) => "SHUTOFF",
        (VmState::Paused, _) => "PAUSED",
        (VmState::Suspended, _) => "SUSPENDED",
        (VmState::ShelvedOffloaded, _) => "SHELVED_OFFLOADED",
    }
}
