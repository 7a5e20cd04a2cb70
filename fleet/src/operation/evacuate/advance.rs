//! What an evacuation needs next, and reports of its targets.

use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::Fleet;
use crate::instance::Instance;
use crate::operation::Operation;
use crate::operation::report::{GuestReport, GuestState, power};
use crate::time::Moment;

impl Fleet {
    /// The instance, if a target is to be claimed for its evacuation now. Steps that need no
    /// decision are taken.
    pub(in crate::operation) fn next_refuge(
        &mut self,
        instance: Arc<Instance>,
        now: Moment,
    ) -> Option<Arc<Instance>> {
        let uuid = instance.uuid;
        let migration = instance.migration()?;
        if instance.operation == Some(Operation::EvacuatePrep) {
            if let Err(refused) = self.check_fenced(&migration.source, now) {
                if !self.is_young(now) {
                    self.cancel_move(uuid, &refused.to_string(), now.wall);
                }
                return None;
            }
            if !self.has_refuge(&instance) {
                return Some(instance);
            }
            // A crash separated the claim from its record.
            let target = self.host_of_capacity(uuid)?.to_owned();
            self.leave_source(uuid, &target, now.wall);
            return None;
        }
        if !migration.target.is_empty() {
            let target = migration.target.clone();
            if self.is_fenced(&target) {
                self.change_instance(uuid, |instance| {
                    instance.target_failed("the host was fenced", now.wall);
                });
                self.disable_evacuated(&target);
            }
            return None;
        }
        let claimed = self.host_of_capacity(uuid).unwrap_or_default().to_owned();
        let mut left =
            instance.location.leftovers.iter().filter(|left| migration.failures.contains_key(*left));
        if left.any(|left| !self.is_fenced(left)) {
            return None; // it has not reported yet that it has no remains
        }
        if claimed != migration.source && !claimed.is_empty() && !migration.failures.contains_key(&claimed) {
            self.retarget(uuid, &claimed, now.wall); // a crash separated the claim from its record
            return None;
        }
        let attempts = self.options.scheduler.scheduler.max_attempts as usize;
        if migration.failures.len() >= attempts || !migration.requested_host.is_empty() {
            self.abandon_evacuation(uuid, "", now.wall);
            return None;
        }
        Some(instance)
    }

    /// Ends an evacuation that no target could complete: the instance is on the source, with its
    /// claim.
    pub(in crate::operation) fn abandon_evacuation(&mut self, uuid: Uuid, reason: &str, now: Timestamp) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        let Some(migration) = instance.migration() else { return };
        let mut failed = migration.failures.keys();
        if failed.any(|host| instance.location.leftovers.contains(host)) {
            return; // the disks may be that host's: again when it has reported
        }
        let error = migration.failure("the evacuation failed", reason);
        match self.exchange_claims(&instance, now) {
            Ok(()) => {
                self.release(migration.uuid);
                self.change_instance(uuid, |instance| instance.evacuation_failed(error, now));
            }
            Err(refused) => {
                let fault = format!("{error}; the way back is blocked: {refused}");
                self.change_instance(uuid, |instance| instance.observed.fault = fault);
            }
        }
    }

    /// Ends an evacuation of which no guest knows: the instance holds what it held before.
    pub(in crate::operation) fn cancel_evacuation(&mut self, uuid: Uuid, reason: &str, now: Timestamp) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        let Some(migration) = instance.migration() else { return };
        if self.exchange_claims(&instance, now).is_ok() {
            self.release(migration.uuid);
            self.change_instance(uuid, |instance| instance.cancel_evacuation(reason, now));
        }
    }

    /// Applies a report of the target.
    pub(in crate::operation) fn report_evacuated(
        &mut self,
        uuid: Uuid,
        report: &GuestReport,
        now: Timestamp,
    ) {
        let error = match (report.error.as_str(), report.state) {
            ("", GuestState::Absent | GuestState::Shelved) => "the guest is gone",
            ("", GuestState::Unknown) => return,
            (error, _) => error,
        };
        if error.is_empty() {
            self.release_migration(uuid); // the source runs nothing: it is fenced
        }
        self.change_instance(uuid, |instance| {
            instance.observed.power = power(report.state);
            if error.is_empty() { instance.evacuated(now) } else { instance.target_failed(error, now) }
        });
    }
}
