//! What agents say of guests, and what follows from it.

use berth_api::v1::GuestReport;
use berth_api::v1::guest_report::State;
use uuid::Uuid;

use crate::fleet::Fleet;
use crate::fleet::agents::Session;
use crate::fleet::entry::{Instance, Power, Task, VmState};
use crate::fleet::error::FleetError;
use crate::fleet::hosts::parse_uuid;
use crate::fleet::instances::{task_state, vm_state};
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
        for (field, generation) in
            [("guest.generation", report.generation), ("guest.known_generation", report.known_generation)]
        {
            if generation > MAX_GENERATION {
                return Err(FleetError::field(field, "is larger than any that was ever wished"));
            }
        }
        let known = self.instance_by_uuid(uuid);
        if known.is_some() {
            self.agents.note_report(host, session, uuid);
        }
        match known {
            None if report.state() == State::Gone => {}
            // It may be there for a good reason, such as a state that was restored from a backup.
            None => tracing::warn!(host, instance = %uuid, "a guest of no known instance is left alone"),
            Some(instance) if instance.places().any(|place| place == host) => {
                self.outrank(&instance, report);
                if instance.host == host {
                    self.hear_of_guest(host, &instance, report);
                } else if report.state() == State::Gone {
                    self.is_gone_from(uuid, host);
                }
            }
            Some(_) => {
                tracing::warn!(host, instance = %uuid, "a guest of an instance that is elsewhere is left alone");
            }
        }
        Ok(())
    }

    /// An agent that has heard later wishes than were ever made: the state was restored from a backup. What is wished from now on
    /// has to be new to it.
    fn outrank(&self, instance: &Instance, report: &GuestReport) {
        let heard = report.generation.max(report.known_generation);
        if heard > instance.generation {
            self.change_instance(instance.uuid(), |instance| {
                instance.generation = instance.generation.max(heard + 1);
            });
        }
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
            instance.fault = format!("the guest is gone from {host}");
            instance.set_vm_state(VmState::Error);
            instance.set_task(Task::None);
            instance.set_power(Power::NoState);
            let fault = instance.fault.clone();
            instance.note(now(), "guest lost", "", fault);
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
        if instance.task() == Task::Deleting && report.state() == State::Gone {
            return self.is_gone_from(uuid, host);
        }
        if report.state() == State::Gone && instance.task() == Task::None && instance.goal().is_some() {
            return self.lose(host, uuid);
        }
        if instance.task() == Task::ShelvingOffloading && report.state() == State::Kept {
            self.give_back(uuid);
        }
        self.change_instance(uuid, |instance| {
            instance.set_power(power(report.state()));
            instance.settle(report);
        });
    }

    fn hear_of_failure(&self, host: &str, instance: &Instance, report: &GuestReport) {
        let uuid = instance.uuid();
        match instance.task() {
            Task::Spawning => return self.build_failed(uuid, host, &report.error),
            Task::Unshelving if report.state() == State::Kept => self.give_back(uuid),
            Task::Deleting => {}
            _ if report.state() == State::Gone => return self.lose(host, uuid),
            _ => {}
        }
        self.change_instance(uuid, |instance| {
            instance.set_power(power(report.state()));
            if instance.fault != report.error || instance.task() != Task::None {
                instance.fault.clone_from(&report.error);
                let action = task_state(instance.task()).to_owned();
                instance.note(now(), &action, "", format!("failed on {host}: {}", report.error));
            }
            // What shall go is tried again; anything else is as it is.
            if instance.task() != Task::Deleting {
                let was_shelved = instance.task() == Task::Unshelving;
                instance.set_task(Task::None);
                if was_shelved && report.state() != State::Kept {
                    instance.set_vm_state(VmState::Stopped); // it holds its room again
                }
                instance.follow(report.state());
            }
        });
    }
}

impl Instance {
    /// What is being done is done, if the guest is as it was wished; and what the guest did by itself is taken in.
    fn settle(&mut self, report: &GuestReport) {
        let is_fulfilled = match self.task() {
            Task::None => return self.follow(report.state()),
            Task::Scheduling | Task::Deleting => return,
            Task::PoweringOff => matches!(report.state(), State::ShutDown | State::Crashed),
            Task::Pausing => report.state() == State::Paused,
            Task::Suspending => report.state() == State::Saved,
            Task::ShelvingOffloading => report.state() == State::Kept,
            _ => report.state() == State::Running && report.boot >= self.boot,
        };
        if is_fulfilled {
            let done = task_state(self.task());
            self.set_vm_state(natural(report.state()).unwrap_or(self.vm_state()));
            self.fault.clear();
            self.failures.clear();
            self.set_task(Task::None);
            self.note(now(), done, "", "done");
        } else if report.boot >= self.boot && matches!(report.state(), State::ShutDown | State::Crashed) {
            // It came up and went down again before anybody looked.
            self.set_task(Task::None);
            self.follow(report.state());
        }
    }

    /// The guest does something else than it was wished to: that is how it is from now on.
    fn follow(&mut self, state: State) {
        let Some(found) = natural(state) else { return };
        // A shelved instance holds no room: somebody else's doing makes it nothing else.
        if found != self.vm_state() && self.vm_state() != VmState::ShelvedOffloaded {
            self.set_vm_state(found);
            self.generation += 1;
            self.note(now(), "guest", "", format!("is {} by itself", vm_state(found)));
        }
    }
}

/// Larger than any generation that counts changes.
const MAX_GENERATION: u64 = 1 << 62;

/// What an instance is whose guest is so.
const fn natural(state: State) -> Option<VmState> {
    match state {
        State::Running => Some(VmState::Active),
        State::Paused => Some(VmState::Paused),
        State::ShutDown | State::Crashed => Some(VmState::Stopped),
        State::Saved => Some(VmState::Suspended),
        State::Kept => Some(VmState::ShelvedOffloaded),
        State::Gone | State::Unspecified => None,
    }
}

const fn power(state: State) -> Power {
    match state {
        State::Running => Power::Running,
        State::Paused => Power::Paused,
        State::ShutDown => Power::Shutdown,
        State::Crashed => Power::Crashed,
        State::Saved => Power::Suspended,
        State::Gone | State::Kept | State::Unspecified => Power::NoState,
    }
}
