//! Guests in a state that Berth was not asked for.
//!
//! A guest changes its state without Berth: it shuts itself down, or an operator, a backup program
//! or libvirt-guests acts on it. What follows depends on the instance. The table is Nova's (the
//! power state synchronization of its compute manager) but for the rows that `docs/fleet.md` marks
//! as different.

use super::GuestState;
use crate::instance::{Instance, VmState};

/// The consequence of an unexpected state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consequence {
    /// Nothing: only the power state shows it.
    Ignore,
    /// The instance is in this state from now on.
    Adopt(VmState),
    /// The guest is brought back to the state of the instance.
    Enforce,
    /// The instance is in ERROR: its domain was removed, and its disks are kept.
    Undefined,
}

/// The consequence when the guest of an instance without an operation is found in a state.
pub(super) const fn consequence(
    instance: VmState,
    stopped_by_itself: bool,
    found: GuestState,
) -> Consequence {
    use Consequence::{Adopt, Enforce, Ignore, Undefined};
    use VmState::{
        Active, Building, Deleted, Error, Paused, Rescued, Resized, ShelvedOffloaded, Stopped, Suspended,
    };
    match (instance, found) {
        // A shelved instance holds no capacity: whatever runs of it, it stays shelved.
        (Building | Deleted | ShelvedOffloaded, _)
        | (_, GuestState::Absent | GuestState::Arriving | GuestState::Unknown) => Ignore,
        (Error, GuestState::Shelved | GuestState::Paused) => Ignore,
        (_, GuestState::Shelved) => Undefined,

        // Its state follows when the move is confirmed or reverted.
        (Resized, _) => Ignore,

        // What its user does with the rescue system is the user's.
        (Rescued, _) => Ignore,

        // `virsh dump`, backups and migrations pause a guest for a moment, and so does a full disk.
        (Active, GuestState::Paused) => Ignore,
        // libvirt-guests saves guests when their host shuts down.
        (Active | Paused, GuestState::Saved) => Enforce,
        (Active | Paused | Suspended, GuestState::ShutDown | GuestState::Crashed) => Adopt(Stopped),

        // A guest that went off without its user, such as by `virsh save`, may come back the same
        // way.
        (Stopped, GuestState::Running) if stopped_by_itself => Adopt(Active),
        (Stopped, GuestState::Paused) if stopped_by_itself => Ignore,
        (Stopped, GuestState::Running | GuestState::Paused) => Enforce,
        (Stopped, GuestState::Saved) => Ignore,

        (Paused | Suspended, GuestState::Running) | (Suspended, GuestState::Paused) => Ignore,

        // A guest that was lost is found again.
        (Error, GuestState::Running) => Adopt(Active),
        (Error, GuestState::ShutDown | GuestState::Crashed) => Adopt(Stopped),
        (Error, GuestState::Saved) => Adopt(Suspended),

        (Active, GuestState::Running)
        | (Stopped, GuestState::ShutDown | GuestState::Crashed)
        | (Paused, GuestState::Paused)
        | (Suspended, GuestState::Saved) => Ignore,
    }
}

/// The state of an instance that follows its guest.
pub(super) const fn natural(state: GuestState) -> Option<VmState> {
    match state {
        GuestState::Running => Some(VmState::Active),
        GuestState::Paused => Some(VmState::Paused),
        GuestState::ShutDown | GuestState::Crashed => Some(VmState::Stopped),
        GuestState::Saved => Some(VmState::Suspended),
        GuestState::Absent | GuestState::Shelved | GuestState::Arriving | GuestState::Unknown => None,
    }
}

impl Instance {
    pub(super) fn consequence(&self, found: GuestState) -> Consequence {
        consequence(self.vm_state, self.observed.stopped_by_itself, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Consequence::{Adopt, Enforce, Ignore, Undefined};
    use VmState::{Active, Error, Paused, Rescued, Resized, ShelvedOffloaded, Stopped, Suspended};

    const STATES: [GuestState; 7] = [
        GuestState::Running,
        GuestState::Paused,
        GuestState::ShutDown,
        GuestState::Crashed,
        GuestState::Saved,
        GuestState::Shelved,
        GuestState::Absent,
    ];

    /// The table of `docs/fleet.md`.
    #[test]
    fn every_unexpected_state_has_its_consequence() {
        let stop = Adopt(Stopped);
        let table = [
            (Active, [Ignore, Ignore, stop, stop, Enforce, Undefined, Ignore]),
            (Stopped, [Enforce, Enforce, Ignore, Ignore, Ignore, Undefined, Ignore]),
            (Paused, [Ignore, Ignore, stop, stop, Enforce, Undefined, Ignore]),
            (Suspended, [Ignore, Ignore, stop, stop, Ignore, Undefined, Ignore]),
            (ShelvedOffloaded, [Ignore; 7]),
            (Resized, [Ignore, Ignore, Ignore, Ignore, Ignore, Undefined, Ignore]),
            (Rescued, [Ignore, Ignore, Ignore, Ignore, Ignore, Undefined, Ignore]),
            (Error, [Adopt(Active), Ignore, stop, stop, Adopt(Suspended), Ignore, Ignore]),
        ];
        for (instance, row) in table {
            let found = STATES.map(|state| consequence(instance, false, state));
            assert_eq!(found, row, "{instance:?} and each of {STATES:?}");
        }
        assert_eq!(consequence(Stopped, true, GuestState::Running), Adopt(Active));
        assert_eq!(consequence(Stopped, true, GuestState::Paused), Ignore);
    }
}
