//! Resize and cold migration: the guest is switched off, its disks follow it to another host, or it
//! gets another flavor there.
//!
//! ```text
//!  active, stopped            claimed             disks set aside            guest exists
//!  ─────────────► resize_prep ──────► resize_migrating ──────► resize_finish ─────────────► resized
//!                      │                     │                  │  ▲    │                    │   │
//!    no host: as before│        source failed│                  └──┘    │ no target is left  │   │
//!                      ▼                     │    a target failed and   │                    │   │
//!               active, stopped              │    has no remains: the   │             revert │   │ confirm
//!                                            │    next one is claimed   │                    │   │
//!                                            ▼                          ▼                    ▼   ▼
//!  active, stopped ◄──── resize_restoring ◄──────────────────────── resize_reverting   resize_confirming
//!    on the source   guest            target has no remains                                  │
//!                    exists                                    set-aside disks are gone      ▼
//!                                                                         active, stopped on the target
//! ```
//!
//! What each side has to have, for an instance *I* with a migration *M*:
//!
//! | step | source | target | claims of *I*, *M* |
//! |---|---|---|---|
//! | `resize_prep` | *I* as before | | source, none; then target, source |
//! | `resize_migrating` | *I* off, its disks set aside as *M* | | target, source |
//! | `resize_finish` | *M* kept, offered to the target | *I* as before, from the disks of *M* | target, source |
//! | resized (at rest) | *M* kept | *I* | target, source |
//! | `resize_confirming` | nothing | *I* | target, source; then target, none |
//! | `resize_reverting` | *M* kept | nothing | source, target; then source, none |
//! | `resize_restoring` | *I* as before, from the disks of *M* | | source, none |
//!
//! - Source and target may be one host: *I* and *M* are two guests there.
//! - `host` is the source until the target reports *I*, and from then on the target until the
//!   source reports *I*.
//! - A step ends by the report of one side at the generation of the instance. All other reports
//!   only cause the desired state to be sent again.
//! - Claims change before the record of the step that needs them, and are released before the
//!   record of the step that no longer does. `restart.rs` repairs what a crash leaves in between.
//! - Going back exchanges both claims (`Fleet::exchange_claims`) before any guest is touched. A
//!   migration that was exchanged has been written twice.

mod advance;
mod claims;
mod reports;
mod request;
mod steps;

use super::{GuestState, Rules, goal_before};
use crate::instance::{Goal, Instance, Power, VmState};

pub use request::ResizeRequest;

/// Chooses a target.
pub(super) struct Prepare;

/// Switches the guest off and sets its disks aside.
pub(super) struct Leave;

/// Builds the guest from its moved disks: on the target, or on the source again.
pub(super) struct Arrive {
    /// Whether the move is being reverted.
    pub(super) on_source: bool,
}

/// Removes the disks that were set aside.
pub(super) struct Confirm;

/// Removes the guest from the target.
pub(super) struct Revert;

impl Rules for Prepare {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn task_state(&self) -> &'static str {
        "resize_prep"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Active, VmState::Stopped]
    }

    fn goal(&self, instance: &Instance) -> Option<Goal> {
        instance.vm_state.goal()
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        None
    }
}

impl Rules for Leave {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn task_state(&self) -> &'static str {
        "resize_migrating"
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Outgoing)
    }

    fn expects_guest(&self) -> bool {
        false
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        None
    }
}

impl Rules for Arrive {
    fn name(&self) -> &'static str {
        if self.on_source { "resize revert" } else { "resize" }
    }

    fn task_state(&self) -> &'static str {
        if self.on_source { "resize_reverting" } else { "resize_finish" }
    }

    fn goal(&self, instance: &Instance) -> Option<Goal> {
        goal_before(instance)
    }

    fn boots(&self, _: Power) -> bool {
        true
    }

    fn expects_guest(&self) -> bool {
        false
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        None
    }
}

impl Rules for Confirm {
    fn name(&self) -> &'static str {
        "resize confirm"
    }

    fn task_state(&self) -> &'static str {
        "resize_confirming"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Resized]
    }

    fn goal(&self, instance: &Instance) -> Option<Goal> {
        goal_before(instance)
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        None
    }
}

impl Rules for Revert {
    fn name(&self) -> &'static str {
        "resize revert"
    }

    fn task_state(&self) -> &'static str {
        "resize_reverting"
    }

    fn from(&self) -> &'static [VmState] {
        // In ERROR, the guest is lost on the target, or the way back was blocked.
        &[VmState::Resized, VmState::Error]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        None
    }

    fn expects_guest(&self) -> bool {
        false
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        None
    }
}
