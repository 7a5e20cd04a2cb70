//! Live migration: the memory of a guest follows it to another host while it runs.
//!
//! ```text
//!                  claimed            the target is ready       the target has the guest     and its disks
//!   active, ─► live_queued ─► live_preparing ─────────► live_running ─────────► live_settling ─────────► active, paused
//!   paused       │    ▲          │     │               │     │  ▲                                       on the target
//!      no host,  │    └──────────┘     │ no target     │     │  │ too late: the guest has left
//!      aborted   │    a target failed  │ is left,      │     ▼  │
//!                ▼                     │ aborted       │   live_aborting
//!            as before                 ▼               ▼     │ the source has the guest
//!                                  as before ◄───────────────┘
//!                                                failed: the source has the guest
//! ```
//!
//! What each side has to have, for an instance *I* with a migration *M*:
//!
//! | step | source | target | claims of *I*, *M* |
//! |---|---|---|---|
//! | `live_queued` | *I* as before | | source, none; then target, source |
//! | `live_preparing` | *I* as before, which it describes to the target | disks for *I*, unless both hosts share them | target, source |
//! | `live_running` | *I* is sent | *I* may arrive | target, source |
//! | `live_aborting` | *I* is sent no longer | *I* may arrive | target, source |
//! | `live_settling` | is not asked | *I* as before; shared disks are its own | target, source |
//! | at rest | nothing | *I* | target, none |
//!
//! - The guest is where its vCPUs run, and only reports say where that is. `host` is the source
//!   until the target reports the guest.
//! - An abort asks the source first. Only when that has reported the guest is the target to remove
//!   what it has: a target that is asked first might remove the only running guest.
//! - The source is asked to remove what it has only after the disks are the target's. Until then,
//!   shared disks are the source's.
//! - However a live migration ends, what is left on the other host is a leftover of the instance,
//!   which delays nothing.
//! - Going back exchanges both claims (`Fleet::exchange_claims`), as a resize does. `restart.rs`
//!   repairs what a crash leaves.

mod advance;
mod host;
mod limits;
mod receivers;
mod reports;
mod request;
mod steps;

use super::{GuestState, Rules};
use crate::instance::{Goal, Instance, VmState};

pub use limits::LiveLimits;
pub use request::LiveRequest;

/// Waits for its turn and for a target.
pub(super) struct Queued;

/// Prepares the target.
pub(super) struct Preparing;

/// Sends the guest.
pub(super) struct Running;

/// Stops sending it.
pub(super) struct Aborting;

/// Makes the target's guest like any other.
pub(super) struct Settling;

/// The name and the `task_state` of all steps, as in Nova.
const NAME: &str = "live migrate";
const TASK: &str = "migrating";

macro_rules! step {
    ($step:ident, $goal:expr) => {
        impl Rules for $step {
            fn name(&self) -> &'static str {
                NAME
            }

            fn task_state(&self) -> &'static str {
                TASK
            }

            fn from(&self) -> &'static [VmState] {
                &[VmState::Active, VmState::Paused]
            }

            fn goal(&self, instance: &Instance) -> Option<Goal> {
                let goal: fn(&Instance) -> Option<Goal> = $goal;
                goal(instance)
            }

            fn done(&self, _: GuestState) -> Option<VmState> {
                None
            }
        }
    };
}

step!(Queued, |instance| instance.vm_state.goal());
step!(Preparing, |_| Some(Goal::Leaving));
step!(Running, |_| Some(Goal::Leaving));
step!(Aborting, |_| Some(Goal::Leaving));
step!(Settling, |instance| instance.vm_state.goal());
