//! What a crash leaves between the record of an instance and its room, which are committed one after the other.
//!
//! Whoever gives back room and then says so, or claims room and then says what for, may have got no further than the first. Where
//! the loop takes that up again by itself, there is nothing to do here.

use uuid::Uuid;

use crate::fleet::Fleet;
use crate::fleet::entry::{Instance, Task, VmState};
use crate::service::now;

impl Fleet {
    /// Brings instances and their room together, before anybody can ask for anything.
    pub(in crate::fleet) fn mend(&self) {
        let instances =
            self.instances(|instance| instance.needs_no_room() || instance.task() == Task::Unshelving);
        for instance in instances {
            let uuid = instance.uuid();
            let held = self.holds(uuid);
            if held && instance.needs_no_room() {
                self.give_back(uuid);
            } else if !held && !instance.needs_no_room() {
                self.stay_shelved(uuid);
            }
        }
    }

    /// Its room was given back because unshelving had failed.
    fn stay_shelved(&self, uuid: Uuid) {
        self.change_instance(uuid, |instance| {
            instance.set_task(Task::None);
            instance.generation += 1;
            instance.note(now(), "unshelve", "", "failed");
        });
    }
}

impl Instance {
    /// Nothing is being done with it, and it is shelved or on no host.
    fn needs_no_room(&self) -> bool {
        self.task() == Task::None && (self.vm_state() == VmState::ShelvedOffloaded || self.host.is_empty())
    }
}
