//! Operations on instances.
//!
//! An instance has at most one operation in progress. Each operation is a file: its states are
//! drawn there, and its [`Rules`] say when it may begin, what the agent is to bring about, and what
//! a success or a failure leaves.
//!
//! | file | operations |
//! |---|---|
//! | `build.rs` | schedule, spawn |
//! | `power.rs` | start, stop, pause, unpause, suspend, resume |
//! | `reboot.rs` | reboot |
//! | `rebuild.rs` | rebuild |
//! | `rescue.rs` | rescue, unrescue |
//! | `shelve.rs` | shelve, unshelve |
//! | `resize.rs`, `resize/` | resize, cold migration: prepare, leave, arrive, confirm, revert |
//! | `evacuate.rs`, `evacuate/` | evacuation of an instance, and of all on a host |
//! | `live.rs`, `live/` | live migration, of an instance, and of all on a host |
//! | `delete.rs` | delete |
//!
//! What all share: `report.rs` (an agent's report), `unexpected.rs` (guests that change without
//! Berth), `restart.rs` (after a restart of the service). A new operation needs a variant of
//! [`Operation`], a file with its rules, and a number in the stored records.

mod build;
mod delete;
mod evacuate;
mod live;
mod power;
mod reboot;
mod rebuild;
mod report;
mod rescue;
mod resize;
mod restart;
mod shelve;
mod unexpected;

use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::Fleet;
use crate::error::FleetError;
use crate::instance::{Goal, Instance, Lock, Power, VmState, vm_state};
use crate::named::Named;

pub use evacuate::{EvacuationPhase, EvacuationRequest, HostEvacuation, HostEvacuationState};
pub use live::{LiveLimits, LiveRequest};
pub use rebuild::RebuildRecord;
pub use report::{GuestReport, GuestState};
pub use resize::ResizeRequest;
pub use shelve::Unshelving;

/// An operation on an instance. Nova's `task_state` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A host is chosen for it.
    Schedule,
    /// Its guest is built.
    Spawn,
    /// Its guest is switched on, or its saved memory restored.
    Start,
    /// Its guest is switched off.
    Stop,
    /// Its guest boots again.
    Reboot {
        /// At once, and from a new definition.
        hard: bool,
    },
    /// Its guest is paused.
    Pause,
    /// Its guest continues.
    Unpause,
    /// The memory of its guest is saved.
    Suspend,
    /// The memory of its guest is restored.
    Resume,
    /// Its guest is switched off, and its capacity is released; its disk is kept.
    Shelve,
    /// It gets capacity on its host again, and boots.
    Unshelve,
    /// It is removed, whatever it was doing.
    Delete,
    /// A target is chosen for its move.
    ResizePrep,
    /// Its guest is switched off on the source, and the disks are set aside there.
    ResizeMigrating,
    /// Its guest is built on the target, from the disks of the source.
    ResizeFinish,
    /// The disks that the source has set aside are removed.
    ResizeConfirming,
    /// Its guest is removed from the target.
    ResizeReverting,
    /// The source takes its disks back, and builds the guest again.
    ResizeRestoring,
    /// A target is chosen for its evacuation.
    EvacuatePrep,
    /// Its guest is built on the target.
    EvacuateFinish,
    /// Its live migration waits for its turn, or for a target.
    LiveQueued,
    /// The target prepares to receive its guest.
    LivePreparing,
    /// Its guest is sent to the target.
    LiveRunning,
    /// The source is to stop sending its guest.
    LiveAborting,
    /// The target has its guest, and takes its disks over.
    LiveSettling,
    /// Its disks are built again.
    Rebuild,
    /// Its guest boots from a temporary disk.
    Rescue,
    /// Its guest boots from its own disks again.
    Unrescue,
}

/// The rules of an operation.
pub(crate) trait Rules: Sync {
    /// Its name, in events and messages.
    fn name(&self) -> &'static str;

    /// Nova's `task_state`.
    fn task_state(&self) -> &'static str;

    /// The states in which a user may ask for it, as in Nova where the rules do not say otherwise.
    fn from(&self) -> &'static [VmState] {
        &[]
    }

    /// The state that the agent is to bring the guest of the instance to; `None` while no agent has
    /// to act.
    fn goal(&self, instance: &Instance) -> Option<Goal>;

    /// Whether the guest boots by it.
    fn boots(&self, _: Power) -> bool {
        false
    }

    /// Whether a guest exists while it is in progress: one that is missing is lost.
    fn expects_guest(&self) -> bool {
        true
    }

    /// The state of the instance when the agent has applied the desired state and observes this
    /// one; `None` while the operation goes on.
    fn done(&self, found: GuestState) -> Option<VmState>;

    /// Whether the capacity is released by a success that leaves the guest in this state, or by a
    /// failure.
    fn releases_capacity(&self, _found: GuestState, _is_failure: bool) -> bool {
        false
    }

    /// Applies a failure that leaves the guest in this state. The operation has ended: the instance
    /// is what its guest is.
    fn apply_failure(&self, instance: &mut Instance, found: GuestState, now: Timestamp) {
        instance.follow_failed(found, now);
    }
}

impl Operation {
    /// The rules of the operation.
    pub(crate) fn rules(self) -> &'static dyn Rules {
        match self {
            Self::Schedule => &build::Schedule,
            Self::Spawn => &build::Spawn,
            Self::Start => &power::Start,
            Self::Stop => &power::Stop,
            Self::Reboot { hard: false } => &reboot::Reboot { hard: false },
            Self::Reboot { hard: true } => &reboot::Reboot { hard: true },
            Self::Pause => &power::Pause,
            Self::Unpause => &power::Unpause,
            Self::Suspend => &power::Suspend,
            Self::Resume => &power::Resume,
            Self::Shelve => &shelve::Shelve,
            Self::Unshelve => &shelve::Unshelve,
            Self::Delete => &delete::Delete,
            Self::ResizePrep => &resize::Prepare,
            Self::ResizeMigrating => &resize::Leave,
            Self::ResizeFinish => &resize::Arrive { on_source: false },
            Self::ResizeConfirming => &resize::Confirm,
            Self::ResizeReverting => &resize::Revert,
            Self::ResizeRestoring => &resize::Arrive { on_source: true },
            Self::EvacuatePrep => &evacuate::Prepare,
            Self::EvacuateFinish => &evacuate::Finish,
            Self::LiveQueued => &live::Queued,
            Self::LivePreparing => &live::Preparing,
            Self::LiveRunning => &live::Running,
            Self::LiveAborting => &live::Aborting,
            Self::LiveSettling => &live::Settling,
            Self::Rebuild => &rebuild::Rebuild,
            Self::Rescue => &rescue::Rescue,
            Self::Unrescue => &rescue::Unrescue,
        }
    }

    /// Nova's `task_state`.
    #[must_use]
    pub fn task_state(self) -> &'static str {
        self.rules().task_state()
    }

    /// Whether it repairs a guest that something outside of Berth has paused.
    fn repairs(self, instance: &Instance) -> bool {
        self == Self::Unpause
            && instance.vm_state == VmState::Active
            && instance.observed.power == Power::Paused
    }
}

impl Instance {
    /// Begins an operation that a user asks for.
    fn begin(&mut self, operation: Operation, user: &str, now: Timestamp) {
        let rules = operation.rules();
        self.operation = Some(operation);
        self.desired.generation += 1;
        self.desired.boot += u32::from(rules.boots(self.observed.power));
        self.desired.hard = operation == Operation::Reboot { hard: true };
        self.observed.stopped_by_itself = false;
        self.note(now, rules.name(), user, "");
    }

    fn check_lock(&self, may_override: bool) -> Result<(), FleetError> {
        match &self.lock {
            Some(lock) if !may_override => {
                let message = format!("instance {} is locked: {}", self.uuid, lock.reason);
                Err(FleetError::precondition("LOCKED", message))
            }
            _ => Ok(()),
        }
    }

    fn check(&self, operation: Operation, may_override: bool) -> Result<(), FleetError> {
        self.check_lock(may_override)?;
        let rules = operation.rules();
        // A reboot that hangs can be replaced by a hard reboot.
        let is_free = match self.operation {
            None => true,
            Some(current) => {
                current == Operation::Reboot { hard: false } && operation == Operation::Reboot { hard: true }
            }
        };
        let has_host = !self.location.host.is_empty();
        let is_allowed = rules.from().contains(&self.vm_state) || operation.repairs(self);
        let ends_move = matches!(operation, Operation::ResizeConfirming | Operation::ResizeReverting);
        if is_free && has_host && is_allowed && self.migration().is_some() == ends_move {
            return Ok(());
        }
        Err(self.wrong_state(rules))
    }

    /// The refusal of an operation that its state does not allow.
    fn wrong_state(&self, rules: &dyn Rules) -> FleetError {
        let has_host = !self.location.host.is_empty();
        let current = self.operation.map(|current| format!(" and {}", current.task_state()));
        let place = match (has_host, self.migration()) {
            (false, _) => ", on no host",
            (true, Some(_)) if self.operation.is_none() => " with an open migration",
            _ => "",
        };
        let message = format!(
            "instance {} is {}{}{place}; {} can be done when it is {}",
            self.uuid,
            vm_state(self.vm_state),
            current.unwrap_or_default(),
            rules.name(),
            rules.from().iter().map(|&state| vm_state(state)).collect::<Vec<_>>().join(" or "),
        );
        FleetError::precondition("WRONG_STATE", message)
    }
}

impl Fleet {
    /// Begins an operation that a user asks for. `may_override`: also on a locked instance.
    ///
    /// # Errors
    /// An unknown instance, a locked one, or one in a state that does not allow it.
    pub fn act(
        &mut self,
        uuid: Uuid,
        operation: Operation,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        let changed = self.change_instance(uuid, |instance| {
            instance.check(operation, may_override)?;
            instance.begin(operation, user, now);
            Ok(())
        });
        changed.unwrap_or_else(|| Err(not_found(uuid)))?;
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }

    /// Begins the deletion of an instance, whatever it is doing. A UUID that no instance has is no
    /// error: it is deleted already.
    ///
    /// # Errors
    /// An unknown name, or a locked instance.
    pub fn delete_instance(
        &mut self,
        named: Named<'_>,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<(), FleetError> {
        let is_unknown =
            |uuid: &str| Uuid::try_parse(uuid).is_ok_and(|uuid| self.state.instance(uuid).is_none());
        let uuid = match self.instance(named) {
            Err(FleetError::NotFound { .. }) if is_unknown(named.name) => return Ok(()),
            instance => instance?.uuid,
        };
        let changed = self.change_instance(uuid, |instance| {
            instance.check_lock(may_override)?;
            if instance.operation != Some(Operation::Delete) {
                instance.leave_all_hosts();
                instance.operation = Some(Operation::Delete);
                instance.desired.generation += 1;
                instance.note(now, "delete", user, "");
            }
            Ok(())
        });
        changed.unwrap_or(Ok(()))
    }

    /// Locks an instance, or unlocks it with `None`.
    ///
    /// # Errors
    /// An unknown instance, a long reason, or a lock of an operator.
    pub fn lock_instance(
        &mut self,
        named: Named<'_>,
        reason: Option<&str>,
        (user, is_operator): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        if reason.is_some_and(|reason| reason.chars().count() > 255) {
            return Err(FleetError::field("reason", "has more than 255 characters"));
        }
        let uuid = self.instance(named)?.uuid;
        let changed = self.change_instance(uuid, |instance| {
            if instance.lock.as_ref().is_some_and(|lock| lock.by_operator) && !is_operator {
                return instance.check_lock(false);
            }
            let action = if reason.is_some() { "lock" } else { "unlock" };
            instance.lock = reason.map(|reason| Lock { reason: reason.to_owned(), by_operator: is_operator });
            instance.note(now, action, user, reason.unwrap_or_default());
            Ok(())
        });
        changed.unwrap_or_else(|| Err(not_found(uuid)))?;
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }
}

/// The goal of the state before the move.
fn goal_before(instance: &Instance) -> Option<Goal> {
    instance.migration().and_then(|migration| migration.state_before.goal())
}

fn not_found(uuid: Uuid) -> FleetError {
    FleetError::not_found("instance", uuid.to_string())
}
