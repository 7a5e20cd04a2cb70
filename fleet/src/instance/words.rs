//! The states of instances in Nova's words.

use super::{Instance, Power, VmState};
use crate::operation::Operation;

/// Nova's name of a `vm_state`.
#[must_use]
pub const fn vm_state(state: VmState) -> &'static str {
    match state {
        VmState::Building => "building",
        VmState::Active => "active",
        VmState::Stopped => "stopped",
        VmState::Paused => "paused",
        VmState::Suspended => "suspended",
        VmState::ShelvedOffloaded => "shelved_offloaded",
        VmState::Rescued => "rescued",
        VmState::Resized => "resized",
        VmState::Error => "error",
        VmState::Deleted => "deleted",
    }
}

/// Nova's name of a `power_state`.
#[must_use]
pub const fn power_state(power: Power) -> &'static str {
    match power {
        Power::NoState => "NOSTATE",
        Power::Running => "RUNNING",
        Power::Paused => "PAUSED",
        Power::Shutdown => "SHUTDOWN",
        Power::Crashed => "CRASHED",
        Power::Suspended => "SUSPENDED",
    }
}

/// The status that users see, derived as in Nova.
#[must_use]
pub const fn status(instance: &Instance) -> &'static str {
    match (instance.vm_state, instance.operation) {
        (VmState::Active | VmState::Paused | VmState::Stopped, _) if instance.is_live_migrating() => {
            "MIGRATING"
        }
        (_, Some(Operation::EvacuatePrep | Operation::EvacuateFinish | Operation::Rebuild)) => "REBUILD",
        (VmState::Active | VmState::Stopped, Some(Operation::Reboot { hard: false })) => "REBOOT",
        (
            VmState::Resized | VmState::Active | VmState::Stopped | VmState::Error,
            Some(Operation::ResizeReverting | Operation::ResizeRestoring),
        ) => "REVERT_RESIZE",
        (VmState::Resized, _) => "VERIFY_RESIZE",
        (
            VmState::Active | VmState::Stopped,
            Some(Operation::ResizePrep | Operation::ResizeMigrating | Operation::ResizeFinish),
        ) => "RESIZE",
        (VmState::Error, _) => "ERROR",
        (VmState::Deleted, _) => "DELETED",
        (
            VmState::Active | VmState::Stopped | VmState::Paused | VmState::Suspended,
            Some(Operation::Reboot { hard: true }),
        ) => "HARD_REBOOT",
        (VmState::Building, _) => "BUILD",
        (VmState::Active, _) => "ACTIVE",
        (VmState::Rescued, _) => "RESCUE",
        (VmState::Stopped, _) => "SHUTOFF",
        (VmState::Paused, _) => "PAUSED",
        (VmState::Suspended, _) => "SUSPENDED",
        (VmState::ShelvedOffloaded, _) => "SHELVED_OFFLOADED",
    }
}
