//! Guests in a state that nobody asked Berth for.
//!
//! A guest changes its state without Berth: it shuts itself down, or an operator, a backup program or libvirt-guests acts on it.
//! What follows depends on the instance. The table is Nova's (the power state synchronization of its compute manager) but for
//! the rows that `docs/fleet.md` marks as different.

use berth_api::v1::guest_report::State;

use crate::fleet::entry::{Instance, VmState};

/// What follows from an unexpected state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consequence {
    /// Nothing: only the power state shows it.
    Ignore,
    /// The instance is so from now on.
    Adopt(VmState),
    /// The guest is brought back to what the instance is.
    Enforce,
    /// The instance is in ERROR: its domain was removed, and its disks are kept.
    Undefined,
}

/// What follows when the guest of an instance without a task is found in a state.
pub(super) const fn consequence(instance: VmState, stopped_by_itself: bool, found: State) -> Consequence {
    use Consequence::{Adopt, Enforce, Ignore, Undefined};
    use VmState::{Active, Building, Deleted, Error, Paused, ShelvedOffloaded, Stopped, Suspended};
    match (instance, found) {
        // A shelved instance holds no capacity: whatever runs of it, it stays shelved.
        (Building | Deleted | ShelvedOffloaded, _) | (_, State::Absent | State::Unspecified) => Ignore,
        (Error, State::Shelved | State::Paused) => Ignore,
        (_, State::Shelved) => Undefined,

        // `virsh dump`, backups and migrations pause a guest for a moment, and so does a full disk.
        (Active, State::Paused) => Ignore,
        // libvirt-guests saves guests when their host shuts down.
        (Active | Paused, State::Saved) => Enforce,
        (Active | Paused | Suspended, State::ShutDown | State::Crashed) => Adopt(Stopped),

        // What went off without its user, such as by `virsh save`, may come back the same way.
        (Stopped, State::Running) if stopped_by_itself => Adopt(Active),
        (Stopped, State::Paused) if stopped_by_itself => Ignore,
        (Stopped, State::Running | State::Paused) => Enforce,
        (Stopped, State::Saved) => Ignore,

        (Paused | Suspended, State::Running) | (Suspended, State::Paused) => Ignore,

        // A guest that was lost is found again.
        (Error, State::Running) => Adopt(Active),
        (Error, State::ShutDown | State::Crashed) => Adopt(Stopped),
        (Error, State::Saved) => Adopt(Suspended),

        (Active, State::Running)
        | (Stopped, State::ShutDown | State::Crashed)
        | (Paused, State::Paused)
        | (Suspended, State::Saved) => Ignore,
    }
}

/// What an instance is whose guest is so, if it is to follow the guest.
pub(super) const fn natural(state: State) -> Option<VmState> {
    match state {
        State::Running => Some(VmState::Active),
        State::Paused => Some(VmState::Paused),
        State::ShutDown | State::Crashed => Some(VmState::Stopped),
        State::Saved => Some(VmState::Suspended),
        State::Absent | State::Shelved | State::Unspecified => None,
    }
}

impl Instance {
    pub(super) fn consequence(&self, found: State) -> Consequence {
        consequence(self.vm_state(), self.stopped_by_itself, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Consequence::{Adopt, Enforce, Ignore, Undefined};
    use VmState::{Active, Error, Paused, ShelvedOffloaded, Stopped, Suspended};

    const STATES: [State; 7] = [
        State::Running,
        State::Paused,
        State::ShutDown,
        State::Crashed,
        State::Saved,
        State::Shelved,
        State::Absent,
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
            (Error, [Adopt(Active), Ignore, stop, stop, Adopt(Suspended), Ignore, Ignore]),
        ];
        for (instance, row) in table {
            let found = STATES.map(|state| consequence(instance, false, state));
            assert_eq!(found, row, "{instance:?} and each of {STATES:?}");
        }
        assert_eq!(consequence(Stopped, true, State::Running), Adopt(Active));
        assert_eq!(consequence(Stopped, true, State::Paused), Ignore);
    }
}
