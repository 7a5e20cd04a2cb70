//! Repairs what a crash left between the record of an instance and its capacity, which are
//! committed one after the other.
//!
//! A crash can separate a release from the record that explains it, or a claim from the record that
//! needs it. Where the reconciliation continues by itself, nothing is to be done here.

use berth_placement::Timestamp;

use crate::Fleet;
use crate::instance::{Instance, VmState};
use crate::migration::Migration;
use crate::operation::Operation;

impl Fleet {
    /// Makes records and capacity agree, before the first request.
    pub fn repair(&mut self, now: Timestamp) {
        let affected = self.instances(|instance| {
            instance.needs_no_capacity() || instance.operation == Some(Operation::Unshelve)
        });
        self.repair_moves(now);
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

impl Fleet {
    /// An evacuation whose claims were exchanged was to end where the instance was.
    fn repair_evacuation(&mut self, instance: &Instance, now: Timestamp) {
        match instance.operation {
            Some(Operation::EvacuatePrep) => {
                self.cancel_move(instance.uuid, "the evacuation was cancelled", now);
            }
            _ => self.abandon_move(instance.uuid, "", now),
        }
    }

    /// A move whose claims were exchanged was to go back.
    fn repair_moves(&mut self, now: Timestamp) {
        let is_exchanged = |instance: &Instance| {
            let goes_back = matches!(
                instance.operation,
                Some(Operation::ResizeReverting | Operation::ResizeRestoring | Operation::Delete)
            );
            !goes_back && instance.migration().is_some_and(|migration| self.has_exchanged_claims(migration))
        };
        let is_cancelled = |instance: &Instance| {
            let is_claimed =
                !matches!(instance.operation, Some(Operation::LiveQueued | Operation::LiveSettling));
            let holds = |migration: &Migration| self.holds_capacity(migration.uuid);
            let is_live = instance.is_live_migrating() && is_claimed;
            is_live && !instance.migration().is_some_and(holds)
        };
        for instance in self.instances(|instance| is_exchanged(instance) || is_cancelled(instance)) {
            if instance.is_live_migrating() {
                self.cancel_move(instance.uuid, "the migration was cancelled", now);
                continue;
            }
            if instance.is_evacuating() {
                self.repair_evacuation(&instance, now);
                continue;
            }
            let failures = instance.migration().map_or(0, |migration| migration.failures.len());
            let error = if failures > 0 { "the move failed" } else { "" };
            self.change_instance(instance.uuid, |instance| instance.go_back("", error, now));
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
