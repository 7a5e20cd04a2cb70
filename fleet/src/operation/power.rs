//! Operations that change the power state of a guest.
//!
//! ```text
//!               stop                         pause                       suspend
//!   active ──────────────► stopped  active ────────► paused    active ──────────► suspended
//!      ▲   powering-off       │        ▲   pausing      │         ▲   suspending      │
//!      └──────────────────────┘        └────────────────┘         └───────────────────┘
//!        start, powering-on             unpause, unpausing           resume, resuming
//! ```
//!
//! A failure leaves the instance in the state of its guest, with the reason in its fault.

use super::{GuestState, Rules};
use crate::instance::{Goal, Instance, Power, VmState};

/// Switches a guest on. A suspended instance is started by restoring its memory. (Nova does not
/// start it: there, only a user suspends.)
pub(super) struct Start;

impl Rules for Start {
    fn name(&self) -> &'static str {
        "start"
    }

    fn task_state(&self) -> &'static str {
        "powering-on"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Stopped, VmState::Suspended]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn boots(&self, power: Power) -> bool {
        power != Power::Suspended
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Active)
    }
}

/// Switches a guest off.
pub(super) struct Stop;

impl Rules for Stop {
    fn name(&self) -> &'static str {
        "stop"
    }

    fn task_state(&self) -> &'static str {
        "powering-off"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Active, VmState::Error]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Stopped)
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Stopped)
    }
}

/// Pauses a guest.
pub(super) struct Pause;

impl Rules for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn task_state(&self) -> &'static str {
        "pausing"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Active]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Paused)
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Paused)
    }
}

/// Continues a paused guest, also one of an active instance that was paused without Berth.
pub(super) struct Unpause;

impl Rules for Unpause {
    fn name(&self) -> &'static str {
        "unpause"
    }

    fn task_state(&self) -> &'static str {
        "unpausing"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Paused]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Active)
    }
}

/// Saves the memory of a guest on disk.
pub(super) struct Suspend;

impl Rules for Suspend {
    fn name(&self) -> &'static str {
        "suspend"
    }

    fn task_state(&self) -> &'static str {
        "suspending"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Active]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Suspended)
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Suspended)
    }
}

/// Restores the saved memory of a guest.
pub(super) struct Resume;

impl Rules for Resume {
    fn name(&self) -> &'static str {
        "resume"
    }

    fn task_state(&self) -> &'static str {
        "resuming"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Suspended]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Active)
    }
}
