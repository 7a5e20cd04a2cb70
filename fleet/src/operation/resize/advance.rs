//! What a move needs next, where no report decides it.

use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::Fleet;
use crate::instance::Instance;
use crate::operation::Operation;
use crate::time::Moment;

impl Fleet {
    /// The instance, if a target is to be claimed for it now. Steps that need no decision are
    /// taken.
    pub fn next_target(&mut self, uuid: Uuid, now: Moment) -> Option<Arc<Instance>> {
        let instance = self.instance_by_uuid(uuid)?;
        if self.is_placing(uuid) {
            return None;
        }
        if instance.is_evacuating() {
            return self.next_refuge(instance, now);
        }
        if instance.is_live_migrating() {
            return self.next_live(instance, now);
        }
        let migration = instance.migration()?;
        match instance.operation {
            Some(Operation::ResizePrep) => {
                if !self.holds_capacity(migration.uuid) {
                    return Some(instance);
                }
                // A crash separated the claim from its record.
                let target = self.host_of_capacity(uuid)?.to_owned();
                self.leave_source(uuid, &target, now.wall);
                None
            }
            Some(Operation::ResizeFinish) if migration.target.is_empty() => {
                let host = self.host_of_capacity(uuid).unwrap_or_default().to_owned();
                if instance.location.leftovers.contains(&host) {
                    return None; // it has not reported yet that it has no remains
                }
                if !host.is_empty() && !migration.failures.contains_key(&host) {
                    self.retarget(uuid, &host, now.wall); // as above
                    return None;
                }
                let attempts = self.options.scheduler.scheduler.max_attempts as usize;
                if migration.failures.len() >= attempts || !migration.requested_host.is_empty() {
                    self.abandon_move(uuid, "", now.wall);
                    return None;
                }
                Some(instance)
            }
            Some(Operation::ResizeReverting) => {
                self.restore_source(uuid, now.wall);
                None
            }
            _ => None,
        }
    }

    /// Begins to move an instance to a target that it has claimed. One that is to be deleted stays;
    /// one that was deleted holds nothing afterwards.
    pub fn leave_source(&mut self, uuid: Uuid, target: &str, now: Timestamp) {
        if let Some(instance) = self.state.instance(uuid)
            && instance.operation == Some(Operation::EvacuatePrep)
            && !self.is_fenced(&instance.location.host)
        {
            return self.cancel_evacuation(uuid, "the host is back", now);
        }
        if self.state.instance(uuid).is_some_and(|it| it.operation == Some(Operation::LiveQueued)) {
            return self.prepare_live(uuid, target, now);
        }
        let begun = self.change_instance(uuid, |instance| {
            match instance.operation {
                Some(Operation::ResizePrep) => instance.leave(target, now),
                Some(Operation::EvacuatePrep) => instance.retarget(target, now),
                _ => return None,
            }
            Some(instance.location.host.clone())
        });
        match begun {
            None => self.release(uuid),
            Some(Some(source)) if self.is_fenced(&source) => self.disable_evacuated(&source),
            Some(_) => {}
        }
    }

    /// Ends a move that found no target: the instance is as before.
    pub fn cancel_move(&mut self, uuid: Uuid, reason: &str, now: Timestamp) {
        if self.state.instance(uuid).is_some_and(|instance| instance.is_evacuating()) {
            return self.cancel_evacuation(uuid, reason, now);
        }
        if self.state.instance(uuid).is_some_and(|instance| instance.is_live_migrating()) {
            return self.cancel_live(uuid, reason, now);
        }
        self.change_instance(uuid, |instance| {
            if instance.operation == Some(Operation::ResizePrep) {
                instance.stay(reason, now);
            }
        });
    }

    /// Goes on with a target that was claimed in place of one that failed.
    pub fn retarget(&mut self, uuid: Uuid, target: &str, now: Timestamp) {
        self.change_instance(uuid, |instance| {
            let has_target = instance.migration().is_none_or(|migration| !migration.target.is_empty());
            let is_due =
                matches!(instance.operation, Some(Operation::ResizeFinish | Operation::EvacuateFinish));
            if is_due && !has_target {
                instance.retarget(target, now);
            }
        });
    }

    /// Takes an instance back to its source, because no target can build it.
    pub fn abandon_move(&mut self, uuid: Uuid, reason: &str, now: Timestamp) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        let Some(migration) = instance.migration() else { return };
        if instance.is_evacuating() {
            return self.abandon_evacuation(uuid, reason, now);
        }
        let error = migration.failure("the move failed", reason);
        match self.exchange_claims(&instance, now) {
            Ok(()) => drop(self.change_instance(uuid, |instance| instance.go_back("", &error, now))),
            Err(refused) => {
                let error = format!("{error}; the way back is blocked: {refused}");
                self.change_instance(uuid, |instance| instance.move_failed(error, now));
            }
        }
        self.restore_source(uuid, now);
    }

    /// Goes on to the source as soon as the target has no remains.
    pub(crate) fn restore_source(&mut self, uuid: Uuid, now: Timestamp) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        let Some(migration) = instance.migration() else { return };
        let is_reverting = instance.operation == Some(Operation::ResizeReverting);
        if !is_reverting || instance.location.leftovers.contains(&migration.target) {
            return;
        }
        self.release(migration.uuid);
        self.change_instance(uuid, |instance| instance.restore(now));
    }
}
