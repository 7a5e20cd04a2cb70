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
use crate::instance::{Goal, Power, VmState};

/// Asks the guest to boot again.
pub(super) struct Soft;

impl Rules for Soft {
    fn name(&self) -> &'static str {
        "reboot"
    }

    fn task_state(&self) -> &'static str {
        "rebooting"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Active]
    }

    fn goal(&self) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn boots(&self, _: Power) -> bool {
        true
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Active)
    }
}

/// Switches the guest off and boots it from a new definition.
pub(super) struct Hard;

impl Rules for Hard {
    fn name(&self) -> &'static str {
        "reboot"
    }

    fn task_state(&self) -> &'static str {
        "rebooting_hard"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Active, VmState::Stopped, VmState::Paused, VmState::Suspended, VmState::Error]
    }

    fn goal(&self) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn boots(&self, _: Power) -> bool {
        true
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Active)
    }
}
