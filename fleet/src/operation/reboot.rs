//! Reboots.
//!
//! ```text
//!                reboot, rebooting
//!   active ─────────────────────────────► active
//!                        │ hangs: a hard reboot may replace it
//!                        ▼
//!   active, stopped,     hard reboot, rebooting_hard
//!   paused, suspended, ─────────────────────────────► active
//!   error
//! ```
//!
//! A hard reboot discards saved memory, and defines the guest again.

use super::{GuestState, Rules};
use crate::instance::{Goal, Instance, Power, VmState};

/// Boots the guest again.
pub(super) struct Reboot {
    /// At once, and from a new definition.
    pub(super) hard: bool,
}

impl Rules for Reboot {
    fn name(&self) -> &'static str {
        "reboot"
    }

    fn task_state(&self) -> &'static str {
        if self.hard { "rebooting_hard" } else { "rebooting" }
    }

    fn from(&self) -> &'static [VmState] {
        if self.hard {
            &[VmState::Active, VmState::Stopped, VmState::Paused, VmState::Suspended, VmState::Error]
        } else {
            &[VmState::Active]
        }
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn boots(&self, _: Power) -> bool {
        true
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Active)
    }
}
