//! Repairs what a crash left between the record of an instance and its capacity, which are committed one after the other.
//!
//! A crash can separate a release from the record that explains it, or a claim from the record that needs it. Where the
//! reconciliation continues by itself, nothing is to be done here.

use berth_placement::Timestamp;

use crate::Fleet;
use crate::instance::{Instance, VmState};
use crate::operation::Operation;

impl Fleet {
    /// Makes records and capacity agree, before the first request.
    pub fn repair(&mut self, now: Timestamp) {
        let affected = self.instances(|instance| {
            instance.needs_no_capacity() || instance.operation == Some(Operation::Unshelve)
        });
        for instance in affected {
            let uuid = instance.uuid;
            let holds = self.holds_capacity(uuid);
            if holds && instance.needs_no_capacity() {
                self.release(uuid);
            } else if !holds && !instance.needs_no_capacity() {
                self.change_instance(uuid, |instance| instance.stay_shelved(now));
            }
        }
    }
}

impl Instance {
    /// Whether no operation is in progress, and it is shelved or on no host.
    fn needs_no_capacity(&self) -> bool {
        self.operation.is_none()
            && (self.vm_state == VmState::ShelvedOffloaded || self.location.host.is_empty())
    }

    /// Its capacity was released because unshelving had failed.
    fn stay_shelved(&mut self, now: Timestamp) {
        self.operation = None;
        self.desired.generation += 1;
        self.note(now, "unshelve", "", "failed");
    }
}
