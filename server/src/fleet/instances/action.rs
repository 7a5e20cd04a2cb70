//! What can be done with an instance, and when.

use std::sync::PoisonError;

use uuid::Uuid;

use super::words::{task_state, vm_state};
use crate::fleet::entry::{Instance, Power, Task, VmState};
use crate::fleet::error::FleetError;
use crate::fleet::{Fleet, Named};
use crate::service::now;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    Stop,
    Reboot { hard: bool },
    Pause,
    Unpause,
    Suspend,
    Resume,
    Shelve,
    Unshelve,
}

impl Action {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Reboot { .. } => "reboot",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Shelve => "shelve",
            Self::Unshelve => "unshelve",
        }
    }

    /// The states in which it can be done, as in Nova but for what is said below.
    const fn from(self) -> &'static [VmState] {
        use VmState::{Active, Error, Paused, ShelvedOffloaded, Stopped, Suspended};
        match self {
            // Nova does not start what is suspended: there, nothing but a user suspends.
            Self::Start => &[Stopped, Suspended],
            Self::Stop => &[Active, Error],
            Self::Reboot { hard: false } | Self::Pause | Self::Suspend => &[Active],
            Self::Reboot { hard: true } => &[Active, Stopped, Paused, Suspended, Error],
            Self::Unpause => &[Paused],
            Self::Resume => &[Suspended],
            Self::Shelve => &[Active, Stopped, Paused, Suspended],
            Self::Unshelve => &[ShelvedOffloaded],
        }
    }

    const fn task(self) -> Task {
        match self {
            Self::Start => Task::PoweringOn,
            Self::Stop => Task::PoweringOff,
            Self::Reboot { hard: false } => Task::Rebooting,
            Self::Reboot { hard: true } => Task::RebootingHard,
            Self::Pause => Task::Pausing,
            Self::Unpause => Task::Unpausing,
            Self::Suspend => Task::Suspending,
            Self::Resume => Task::Resuming,
            Self::Shelve => Task::ShelvingOffloading,
            Self::Unshelve => Task::Unshelving,
        }
    }

    /// Whether the guest boots by it: a start brings back its memory, where that is saved.
    fn boots(self, power: Power) -> bool {
        match self {
            Self::Start => power != Power::Suspended,
            Self::Reboot { .. } | Self::Unshelve => true,
            _ => false,
        }
    }

    /// Whether it helps a guest that something outside of Berth has paused.
    fn helps(self, instance: &Instance) -> bool {
        self == Self::Unpause && instance.vm_state() == VmState::Active && instance.power() == Power::Paused
    }
}

impl Fleet {
    /// Notes the wish; the agent of its host is told afterwards. `may_override`: also if the instance is locked.
    pub(crate) fn act(
        &self,
        named: Named<'_>,
        action: Action,
        user: &str,
        may_override: bool,
    ) -> Result<Instance, FleetError> {
        let uuid = self.instance_uuid(named)?;
        let unshelving = (action == Action::Unshelve)
            .then(|| self.unshelving.lock().unwrap_or_else(PoisonError::into_inner));
        let has_claimed = unshelving.is_some() && {
            self.check_now(uuid, action, may_override)?;
            self.claim_again(uuid)?
        };
        let changed = self.change_instance(uuid, |instance| {
            check(instance, action, may_override)?;
            instance.set_task(action.task());
            instance.generation += 1;
            instance.boot += u32::from(action.boots(instance.power()));
            instance.stopped_by_itself = false;
            instance.hard = matches!(action, Action::Reboot { hard: true });
            instance.note(now(), action.name(), user, "");
            Ok(instance.clone())
        });
        let outcome = changed.unwrap_or_else(|| Err(FleetError::not_found("instance", named.name)));
        if outcome.is_err() && has_claimed {
            self.give_back(uuid);
        }
        outcome
    }

    fn check_now(&self, uuid: Uuid, action: Action, may_override: bool) -> Result<(), FleetError> {
        let instance = self.instance_by_uuid(uuid);
        check(
            &instance.ok_or_else(|| FleetError::not_found("instance", uuid.to_string()))?,
            action,
            may_override,
        )
    }

    /// Removes an instance, whatever it is doing. A UUID that no instance has is no error: it is gone already.
    pub(crate) fn delete_instance(
        &self,
        named: Named<'_>,
        user: &str,
        may_override: bool,
    ) -> Result<(), FleetError> {
        let uuid = match self.instance_uuid(named) {
            Err(FleetError::NotFound { .. }) if self.is_gone(named.name) => return Ok(()),
            uuid => uuid?,
        };
        let changed = self.change_instance(uuid, |instance| {
            check_lock(instance, may_override)?;
            if instance.task() != Task::Deleting {
                instance.set_task(Task::Deleting);
                instance.generation += 1;
                instance.note(now(), "delete", user, "");
            }
            Ok(())
        });
        changed.unwrap_or(Ok(()))
    }

    /// Whether this is the UUID of no instance.
    fn is_gone(&self, uuid: &str) -> bool {
        Uuid::try_parse(uuid).is_ok_and(|uuid| !self.state().instances.contains_key(&uuid))
    }

    /// Locks an instance, or unlocks it.
    pub(crate) fn lock_instance(
        &self,
        named: Named<'_>,
        locked: bool,
        reason: &str,
        (user, is_operator): (&str, bool),
    ) -> Result<Instance, FleetError> {
        if reason.chars().count() > 255 {
            return Err(FleetError::field("reason", "has more than 255 characters"));
        }
        let uuid = self.instance_uuid(named)?;
        let changed = self.change_instance(uuid, |instance| {
            if instance.locked_by_operator && !is_operator {
                return check_lock(instance, false).map(|()| instance.clone());
            }
            instance.locked = locked;
            instance.locked_by_operator = locked && is_operator;
            instance.locked_reason = reason.to_owned();
            instance.note(now(), if locked { "lock" } else { "unlock" }, user, reason);
            Ok(instance.clone())
        });
        changed.unwrap_or_else(|| Err(FleetError::not_found("instance", named.name)))
    }
}

fn check_lock(instance: &Instance, may_override: bool) -> Result<(), FleetError> {
    if instance.locked && !may_override {
        let message = format!("instance {} is locked: {}", instance.uuid(), instance.locked_reason);
        return Err(FleetError::precondition("LOCKED", message));
    }
    Ok(())
}

fn check(instance: &Instance, action: Action, may_override: bool) -> Result<(), FleetError> {
    check_lock(instance, may_override)?;
    let (state, task) = (instance.vm_state(), instance.task());
    // A reboot that hangs can be made a hard one.
    let is_free = task == Task::None || (task == Task::Rebooting && action == Action::Reboot { hard: true });
    let is_somewhere = !instance.host.is_empty();
    if is_free && is_somewhere && (action.from().contains(&state) || action.helps(instance)) {
        return Ok(());
    }
    let doing = match task_state(task) {
        "" => String::new(),
        task => format!(" and {task}"),
    };
    let place = if is_somewhere { "" } else { ", on no host" };
    let message = format!(
        "instance {} is {}{doing}{place}; {} can be done when it is {}",
        instance.uuid(),
        vm_state(state),
        action.name(),
        action.from().iter().map(|&state| vm_state(state)).collect::<Vec<_>>().join(" or "),
    );
    Err(FleetError::precondition("WRONG_STATE", message))
}
