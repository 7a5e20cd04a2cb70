//! Giving an instance a host, again if its build failed.

use uuid::Uuid;

use crate::clock::monotonic;
use crate::fleet::Fleet;
use crate::fleet::ask::Ask;
use crate::fleet::entry::{Instance, Task, VmState};
use crate::fleet::error::FleetError;
use crate::service::now;

impl Fleet {
    /// Claims room for an instance that has none, and has it built there.
    pub(super) fn build(&self, uuid: Uuid) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        if !self.release_failed(&instance) {
            return; // its host has still to report that it is gone
        }
        let attempts = self.attempts();
        if instance.failures.len() >= attempts {
            return self.give_up(uuid, &format!("the build failed on {attempts} hosts"));
        }
        match self.schedule(&instance.ask(), false) {
            Ok(placed) => placed.first().map_or((), |placed| drop(self.spawn(uuid, &placed.place.host))),
            // Agents may not have come back yet.
            Err(error) if error.is_no_valid_host() && self.is_young() => {}
            Err(error) => self.give_up(uuid, &error.to_string()),
        }
    }

    /// Whether hosts that are up may not have been heard of since the start.
    fn is_young(&self) -> bool {
        monotonic().since(self.started) < self.options.down_after
    }

    /// Releases the capacity on a host on which the build failed, when nothing is left there: until then, the guest may run.
    /// Returns whether no such capacity is held any more.
    fn release_failed(&self, instance: &Instance) -> bool {
        let host = self.host_of_room(instance.uuid());
        let Some(host) = host.filter(|host| instance.failures.contains_key(host)) else { return true };
        let is_gone = !instance.leftovers.contains(&host);
        if is_gone {
            self.give_back(instance.uuid());
        }
        is_gone
    }

    /// The build failed on its host: it is to be tried on another, or given up.
    pub(super) fn build_failed(&self, uuid: Uuid, host: &str, error: &str) {
        self.change_instance(uuid, |instance| {
            if instance.task() != Task::Spawning || instance.host != host {
                return;
            }
            instance.failures.insert(host.to_owned(), error.to_owned());
            instance.leftovers.retain(|left| left != host);
            instance.leftovers.push(host.to_owned());
            instance.host.clear();
            instance.generation += 1;
            instance.note(now(), "build", "", format!("failed on {host}: {error}"));
            instance.set_task(Task::Scheduling);
        });
    }

    /// Hosts on which a build is tried.
    fn attempts(&self) -> usize {
        self.options.scheduler.scheduler.max_attempts as usize
    }

    fn give_up(&self, uuid: Uuid, why: &str) {
        self.change_instance(uuid, |instance| {
            if instance.task() == Task::Scheduling {
                instance.give_up(why);
            }
        });
    }

    /// Claims room for a shelved instance, on the host that has its disk.
    ///
    /// Returns whether it held none before.
    pub(in crate::fleet) fn claim_again(&self, uuid: Uuid) -> Result<bool, FleetError> {
        let instance =
            self.instance_by_uuid(uuid).ok_or_else(|| FleetError::not_found("instance", uuid.to_string()))?;
        let others = self.host_names().into_iter().filter(|host| *host != instance.host).collect();
        let mut ask = instance.ask();
        // Its own host alone, and with every filter: a host that is down or disabled gets nothing new.
        ask.ignore_hosts = others;
        ask.availability_zone.clear();
        let held_none = !self.holds(uuid);
        let placed = self.schedule(&ask, false)?;
        match placed.first() {
            Some(placed) if placed.place.host == instance.host => Ok(held_none),
            _ => {
                // On a host that has joined since they were listed.
                if held_none {
                    self.give_back(uuid);
                }
                Err(FleetError::precondition("ELSEWHERE", "the instance holds room on another host"))
            }
        }
    }
}

impl Instance {
    /// It finds no host.
    fn give_up(&mut self, why: &str) {
        let failures: Vec<String> =
            self.failures.iter().map(|(host, error)| format!("{host}: {error}")).collect();
        let detail = if failures.is_empty() { String::new() } else { format!(" ({})", failures.join("; ")) };
        self.fault = format!("{why}{detail}");
        self.set_vm_state(VmState::Error);
        self.set_task(Task::None);
        self.note(now(), "create", "", self.fault.clone());
    }

    /// What it asks the scheduler for.
    pub(in crate::fleet) fn ask(&self) -> Ask {
        Ask {
            instances: vec![self.uuid()],
            flavor: self.flavor.clone(),
            image: self.image.clone(),
            project: self.project.clone(),
            user: self.user.clone(),
            availability_zone: self.availability_zone.clone(),
            hints: self.hints.clone(),
            ignore_hosts: self.failures.keys().cloned().collect(),
            alternates: 0,
        }
    }
}
