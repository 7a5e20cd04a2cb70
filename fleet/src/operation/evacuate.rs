//! Evacuation: an instance whose host is down and fenced gets a guest on another host.
//!
//! ```text
//!   any state but    host fenced            claimed              guest exists
//!   deleted, shelved ─────────► evacuate_prep ──────► evacuate_finish ─────────► active, stopped on the target
//!                                   │                  │  ▲    │                 the source is a leftover, disabled
//!     no host, or the source is back:                  └──┘    │ no target is left
//!     as before                     ▼    a target failed and   ▼
//!                              as before  has no remains: the  error, on the source, with its claim and its disks
//!                                         next one is claimed
//! ```
//!
//! What each host has to have, for an instance *I* with a migration *M*:
//!
//! | step | source | target | failed targets | claims of *I*, *M* |
//! |---|---|---|---|---|
//! | `evacuate_prep` | is not asked | | | source, none; then target, source |
//! | `evacuate_finish` | is not asked | *I*, from the disks on the shared storage, or rebuilt | nothing; the disks are returned | target, source |
//! | evacuated (at rest) | nothing | *I* | | target, none |
//!
//! - Disks on storage that both hosts share are taken over: whichever host has them, they belong to
//!   one, and a host erases only its own. A failed target returns them to the host that had them
//!   before.
//! - The source receives nothing until the evacuation is over, so a failed one has changed nothing
//!   there. Afterwards it is a leftover of the instance, and cannot be enabled before its agent
//!   reports that nothing is left.
//! - The fence record is checked again when a target is claimed. A host that comes back before that
//!   ends the evacuation.
//! - A target that is fenced itself counts as failed. Its remains do not delay the next target, but
//!   the evacuation cannot fail before they are reported to be gone: the disks are the target's
//!   until then.
//! - `HostEvacuation` moves all instances of a host: none leaves before all have a claim.

mod advance;
mod claims;
mod request;
mod run;
mod steps;

use super::{GuestState, Rules, goal_before};
use crate::instance::{Goal, Instance, Power, VmState};

pub use request::EvacuationRequest;
pub use run::{EvacuationPhase, HostEvacuation, HostEvacuationState};

/// Chooses a target.
pub(super) struct Prepare;

/// Builds the guest on the target.
pub(super) struct Finish;

impl Rules for Prepare {
    fn name(&self) -> &'static str {
        "evacuate"
    }

    fn task_state(&self) -> &'static str {
        "rebuilding"
    }

    fn from(&self) -> &'static [VmState] {
        &[
            VmState::Active,
            VmState::Stopped,
            VmState::Paused,
            VmState::Suspended,
            VmState::Rescued,
            VmState::Error,
            VmState::Building,
        ]
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

impl Rules for Finish {
    fn name(&self) -> &'static str {
        "evacuate"
    }

    fn task_state(&self) -> &'static str {
        "rebuild_spawning"
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
