//! What a live migration needs next, where no report decides it.

use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::Fleet;
use crate::instance::Instance;
use crate::migration::MigrationOutcome;
use crate::operation::Operation;
use crate::operation::report::GuestState;
use crate::time::Moment;

/// The microseconds between attempts of a target to take disks over.
const SETTLING_PAUSE: u64 = 10_000_000;

impl Fleet {
    /// The instance, if a target is to be claimed for its live migration now. Steps that need no
    /// decision are taken.
    pub(in crate::operation) fn next_live(
        &mut self,
        instance: Arc<Instance>,
        now: Moment,
    ) -> Option<Arc<Instance>> {
        let uuid = instance.uuid;
        let migration = instance.migration()?;
        match instance.operation {
            Some(
                Operation::LiveQueued
                | Operation::LivePreparing
                | Operation::LiveRunning
                | Operation::LiveAborting,
            ) if self.is_fenced(&migration.source) => {
                self.source_was_fenced(&instance, now.wall);
                None
            }
            Some(Operation::LiveQueued) => {
                let held = self.host_of_capacity(uuid).unwrap_or_default().to_owned();
                let has_claimed = self.holds_capacity(migration.uuid) && held != migration.source;
                if has_claimed && !migration.failures.contains_key(&held) {
                    self.prepare_live(uuid, &held, now.wall); // a crash separated the claim from its record
                    return None;
                }
                let attempts = self.options.scheduler.scheduler.max_attempts as usize;
                let is_bound = !migration.requested_host.is_empty() && !migration.failures.is_empty();
                if migration.failures.len() >= attempts || is_bound {
                    self.cancel_live(uuid, "no other host may be tried", now.wall);
                    return None;
                }
                self.may_send(&migration.source).then_some(instance)
            }
            Some(Operation::LivePreparing) if !self.connections.is_up(&migration.target) => {
                // Nothing is sent yet, so another host can be tried.
                if !self.is_young(now) {
                    self.change_instance(uuid, |instance| {
                        instance.refused_by_target("its agent sends no heartbeats", now.wall);
                    });
                }
                None
            }
            Some(Operation::LiveSettling) if !instance.observed.fault.is_empty() => {
                if now.wall.0.saturating_sub(migration.updated_at.0) >= SETTLING_PAUSE {
                    self.change_instance(uuid, |instance| instance.settle_again(now.wall));
                }
                None
            }
            _ => None,
        }
    }

    /// Nothing runs on the source any longer. If it may have sent the guest, the target has to
    /// report whether it has it.
    fn source_was_fenced(&mut self, instance: &Instance, now: Timestamp) {
        let (uuid, reason) = (instance.uuid, "the source was fenced");
        let is_nowhere = instance.migration().is_some_and(|migration| self.is_fenced(&migration.target));
        if matches!(instance.operation, Some(Operation::LiveQueued | Operation::LivePreparing)) {
            self.end_live(uuid, MigrationOutcome::Failed, reason, None, now);
        } else if is_nowhere {
            self.lose_live(uuid, now);
        } else {
            self.change_instance(uuid, |instance| instance.leave_live(reason, now));
        }
    }

    /// Goes on with a target that was claimed. If other migrations have taken its turn meanwhile,
    /// it stays queued.
    pub(in crate::operation) fn prepare_live(&mut self, uuid: Uuid, target: &str, now: Timestamp) {
        let Some(instance) = self.state.instance(uuid) else { return };
        let source = &instance.location.host;
        if !self.may_send(source) || self.busy_targets().iter().any(|busy| busy == target) {
            return;
        }
        let is_shared = self.share_storage(source, target);
        self.change_instance(uuid, |instance| {
            if instance.operation == Some(Operation::LiveQueued) {
                instance.prepare(target, is_shared, now);
            }
        });
    }

    /// Ends a live migration for which there is no target, or no other one.
    pub(in crate::operation) fn cancel_live(&mut self, uuid: Uuid, reason: &str, now: Timestamp) {
        let failed = self.state.instance(uuid).and_then(|instance| instance.migration());
        let failed = failed.filter(|migration| !migration.failures.is_empty());
        let failure = failed.map(|migration| migration.failure("no target can receive the guest", reason));
        let reason = failure.as_deref().unwrap_or(reason);
        self.end_live(uuid, MigrationOutcome::Failed, reason, None, now);
    }

    /// Ends a live migration on the source: the instance holds what it held before. `found` is the
    /// state that the source has reported of the guest; `None` if it was not asked to send it.
    pub(in crate::operation) fn end_live(
        &mut self,
        uuid: Uuid,
        outcome: MigrationOutcome,
        reason: &str,
        found: Option<GuestState>,
        now: Timestamp,
    ) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        let Some(migration) = instance.migration() else { return };
        match self.exchange_claims(&instance, now) {
            Ok(()) => {
                self.release(migration.uuid);
                self.change_instance(uuid, |instance| instance.stay_live(outcome, reason, found, now));
            }
            Err(refused) => {
                let fault = format!("{reason}; the way back is blocked: {refused}");
                self.change_instance(uuid, |instance| instance.observed.fault = fault);
            }
        }
        self.wake_queued(migration);
    }

    /// Ends a live migration after which neither side has the guest.
    pub(super) fn lose_live(&mut self, uuid: Uuid, now: Timestamp) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        let Some(migration) = instance.migration() else { return };
        if self.exchange_claims(&instance, now).is_ok() {
            self.release(migration.uuid);
            self.change_instance(uuid, |instance| instance.lost_on_the_way(now));
        }
        self.wake_queued(migration);
    }
}
