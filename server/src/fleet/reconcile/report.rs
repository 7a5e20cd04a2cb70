//! What agents say of guests, and what follows from it.

use berth_api::v1::GuestReport;
use berth_api::v1::guest_report::State;
use uuid::Uuid;

use super::unexpected::{Consequence, natural};
use crate::fleet::Fleet;
use crate::fleet::agents::Session;
use crate::fleet::entry::{Instance, Power, Task, VmState};
use crate::fleet::error::FleetError;
use crate::fleet::hosts::parse_uuid;
use crate::fleet::instances::{power_state, task_state, vm_state};
use crate::service::now;

impl Fleet {
    /// An agent tells how a guest is.
    pub(crate) fn report(
        &self,
        host: &str,
        session: Session,
        report: &GuestReport,
    ) -> Result<(), FleetError> {
        let uuid = parse_uuid("guest.instance", &report.instance)?;
        if !self.agents.is_current(host, session) {
            return Ok(());
        }
        let Some(instance) = self.instance_by_uuid(uuid) else {
            if report.state() != State::Absent {
                // It may be there for a good reason, such as a state that was restored from a backup.
                tracing::warn!(host, instance = %uuid, "a guest of no known instance is left alone");
            }
            return Ok(());
        };
        // The generation that follows the largest is larger still.
        let most = MAX_GENERATION.max(instance.generation);
        for (field, generation) in
            [("guest.generation", report.generation), ("guest.known_generation", report.known_generation)]
        {
            if generation > most {
                return Err(FleetError::field(field, "is larger than any that was ever sent"));
            }
        }
        self.agents.note_report(host, session, uuid);
        if !instance.places().any(|place| place == host) {
            tracing::warn!(host, instance = %uuid, "a guest of an instance that is elsewhere is left alone");
            return Ok(());
        }
        self.advance_past(&instance, report);
        if instance.host != host {
            if report.state() == State::Absent {
                self.is_gone_from(uuid, host);
            }
        } else if report.generation > instance.generation
            && report.error.is_empty()
            && instance.task() == Task::None
        {
            self.catch_up(host, &instance, report.state());
        } else if let Some(instance) = self.instance_by_uuid(uuid) {
            self.hear_of_guest(host, &instance, report);
        }
        Ok(())
    }

    /// Advances past the generations that the agent knows, if these are later than the record's: the state was restored from a
    /// backup. What is desired from now on has to be new to the agent.
    fn advance_past(&self, instance: &Instance, report: &GuestReport) {
        let heard = report.generation.max(report.known_generation);
        if heard > instance.generation {
            self.change_instance(instance.uuid(), |instance| {
                instance.generation = instance.generation.max(heard + 1);
            });
        }
    }

    /// The agent has fulfilled a later desired state than the record knows of: the record is of a backup, and the guest is right.
    fn catch_up(&self, host: &str, instance: &Instance, found: State) {
        let uuid = instance.uuid();
        match found {
            State::Absent if instance.goal().is_some() => return self.lose(host, uuid),
            State::Shelved => self.give_back(uuid), // it was shelved
            _ => {}
        }
        self.change_instance(uuid, |instance| {
            instance.set_power(power(found));
            if found == State::Shelved {
                instance.set_vm_state(VmState::ShelvedOffloaded);
            } else if let Some(state) = natural(found)
                && instance.vm_state() != VmState::ShelvedOffloaded
            {
                instance.adopt(state);
            }
        });
    }

    /// The agent has told of all its guests, and this is none of them.
    pub(super) fn miss(&self, host: &str, uuid: Uuid) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        if instance.host != host || instance.task() == Task::Deleting {
            self.is_gone_from(uuid, host);
        } else if instance.task() != Task::Spawning && instance.goal().is_some() {
            self.lose(host, uuid);
        } else {
            self.note_due(uuid); // its agent never heard the wish
        }
    }

    /// Nothing is left of an instance that was built. What it holds stays until it is deleted.
    fn lose(&self, host: &str, uuid: Uuid) {
        let is_going = self.change_instance(uuid, |instance| {
            // Somebody may have deleted it since it was looked at.
            if instance.task() == Task::Deleting || instance.host != host {
                return true;
            }
            instance.fail("guest lost", format!("the guest is gone from {host}"));
            false
        });
        if is_going == Some(true) {
            self.is_gone_from(uuid, host);
        }
    }

    fn hear_of_guest(&self, host: &str, instance: &Instance, report: &GuestReport) {
        let uuid = instance.uuid();
        if report.generation < instance.generation {
            // It speaks of an earlier wish; it is told this one again if it has not heard it.
            self.change_instance(uuid, |instance| instance.set_power(power(report.state())));
            self.note_due(uuid);
            return;
        }
        if !report.error.is_empty() {
            return self.hear_of_failure(host, instance, report);
        }
        if report.state() == State::Absent {
            return match instance.task() {
                Task::Deleting => self.is_gone_from(uuid, host),
                _ if instance.goal().is_some() => self.lose(host, uuid),
                _ => {}
            };
        }
        if instance.task() == Task::ShelvingOffloading && report.state() == State::Shelved {
            self.give_back(uuid);
        }
        self.change_instance(uuid, |instance| {
            instance.set_power(power(report.state()));
            instance.settle(report.state(), host);
        });
    }

    fn hear_of_failure(&self, host: &str, instance: &Instance, report: &GuestReport) {
        let uuid = instance.uuid();
        match (instance.task(), report.state()) {
            (Task::Spawning, _) => return self.build_failed(uuid, host, &report.error),
            (Task::Unshelving | Task::ShelvingOffloading, State::Shelved) => self.give_back(uuid),
            (Task::Deleting, _) => {}
            (_, State::Absent) => return self.lose(host, uuid),
            _ => {}
        }
        self.change_instance(uuid, |instance| {
            instance.set_power(power(report.state()));
            let task = instance.task();
            if instance.fault != report.error || task != Task::None {
                instance.fault.clone_from(&report.error);
                let action = task_state(task).to_owned();
                instance.note(now(), &action, "", format!("failed on {host}: {}", report.error));
            }
            // What shall go is tried again; anything else is as it is.
            if task != Task::Deleting {
                instance.set_task(Task::None);
                instance.accept_failure(task, report.state());
            }
        });
    }
}

impl Instance {
    /// The agent has applied the latest desired state: the task is done. The guest may have changed since.
    fn settle(&mut self, found: State, host: &str) {
        let done = match self.task() {
            Task::None => return self.follow(found, host),
            Task::Scheduling | Task::Deleting => return,
            Task::ShelvingOffloading if found != State::Shelved => return,
            Task::ShelvingOffloading => VmState::ShelvedOffloaded,
            Task::PoweringOff => VmState::Stopped,
            Task::Pausing => VmState::Paused,
            Task::Suspending => VmState::Suspended,
            Task::Spawning
            | Task::PoweringOn
            | Task::Rebooting
            | Task::RebootingHard
            | Task::Unpausing
            | Task::Resuming
            | Task::Unshelving => VmState::Active,
        };
        let action = task_state(self.task());
        self.set_vm_state(done);
        self.fault.clear();
        self.failures.clear();
        self.set_task(Task::None);
        self.note(now(), action, "", "done");
        self.follow(found, host);
    }

    /// The guest may be in a state that nobody asked for.
    fn follow(&mut self, found: State, host: &str) {
        match self.consequence(found) {
            Consequence::Ignore => {}
            Consequence::Adopt(state) => {
                self.fault.clear();
                self.adopt(state);
            }
            Consequence::Enforce => {
                self.generation += 1;
                let (found, wanted) = (power_state(power(found)), vm_state(self.vm_state()));
                let message = format!("is {found} on {host} without Berth; it is made {wanted} again");
                self.note(now(), "guest", "", message);
            }
            Consequence::Undefined => self.fail(
                "guest undefined",
                format!(
                    "the guest was undefined on {host} without Berth; its disks are kept: a hard reboot defines \
                     and starts it again"
                ),
            ),
        }
    }

    /// The desired state of `task` could not be applied: the instance is what the guest is.
    fn accept_failure(&mut self, task: Task, found: State) {
        match (task, found) {
            (Task::Unshelving | Task::ShelvingOffloading, State::Shelved) => {
                self.set_vm_state(VmState::ShelvedOffloaded);
            }
            (Task::None, _) => match self.consequence(found) {
                Consequence::Ignore => {}
                Consequence::Adopt(state) => self.adopt(state),
                // That was tried.
                Consequence::Enforce => natural(found).into_iter().for_each(|state| self.adopt(state)),
                Consequence::Undefined => self.set_vm_state(VmState::Error),
            },
            (_, State::Shelved) => self.set_vm_state(VmState::Error),
            _ => {
                if task == Task::Unshelving {
                    self.set_vm_state(VmState::Stopped); // it holds its capacity again
                }
                natural(found).into_iter().for_each(|state| self.adopt(state));
            }
        }
    }

    /// The instance is what its guest has become.
    fn adopt(&mut self, found: VmState) {
        if found == self.vm_state() {
            return;
        }
        self.set_vm_state(found);
        self.stopped_by_itself = found == VmState::Stopped;
        self.generation += 1;
        self.note(now(), "guest", "", format!("is {} by itself", vm_state(found)));
    }

    /// Something happened to the guest that only its user can decide about.
    fn fail(&mut self, action: &str, fault: String) {
        self.fault.clone_from(&fault);
        self.set_vm_state(VmState::Error);
        self.set_task(Task::None);
        self.set_power(Power::NoState);
        self.note(now(), action, "", fault);
    }
}

/// Larger than any generation that counts changes.
const MAX_GENERATION: u64 = 1 << 62;

const fn power(state: State) -> Power {
    match state {
        State::Running => Power::Running,
        State::Paused => Power::Paused,
        State::ShutDown => Power::Shutdown,
        State::Crashed => Power::Crashed,
        State::Saved => Power::Suspended,
        State::Absent | State::Shelved | State::Unspecified => Power::NoState,
    }
}
