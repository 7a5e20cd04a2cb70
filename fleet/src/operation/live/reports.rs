//! Reports about the two sides of a live migration.

use berth_placement::Timestamp;

use crate::Fleet;
use crate::instance::{Instance, Power};
use crate::migration::MigrationOutcome;
use crate::operation::report::{GuestReport, GuestState, power};
use crate::operation::{Operation, unexpected::natural};

impl Fleet {
    /// Applies a report about the guest of an instance that is being live-migrated.
    pub(in crate::operation) fn report_live(
        &mut self,
        host: &str,
        instance: &Instance,
        report: &GuestReport,
        now: Timestamp,
    ) {
        let Some(migration) = instance.migration() else { return };
        let (is_source, is_target) = (migration.source == host, migration.target == host);
        if instance.operation == Some(Operation::LiveQueued) && is_source {
            // What happens to the guest meanwhile is noticed when it is to be sent.
            self.change_instance(instance.uuid, |instance| instance.observed.power = power(report.state));
        } else if report.generation < instance.desired.generation {
            self.due.insert(instance.uuid);
        } else if is_source {
            self.report_sending(instance, report, now);
        } else if is_target {
            self.report_receiving(instance, report, now);
        }
    }

    fn report_sending(&mut self, instance: &Instance, report: &GuestReport, now: Timestamp) {
        let uuid = instance.uuid;
        let has_guest = matches!(report.state, GuestState::Running | GuestState::Paused);
        let has_left = matches!(report.state, GuestState::Absent | GuestState::Shelved);
        match instance.operation {
            Some(Operation::LiveRunning | Operation::LiveAborting) if has_left => {
                self.change_instance(uuid, |instance| instance.leave_live("the guest has left", now));
            }
            // A guest that is off may have left, and its definition not be removed yet: only the
            // target knows.
            Some(Operation::LiveRunning | Operation::LiveAborting)
                if natural(report.state).is_some() && !has_guest =>
            {
                self.change_instance(uuid, |instance| {
                    instance.observed.power = power(report.state);
                    instance.leave_live("the guest is off", now);
                });
            }
            Some(Operation::LiveAborting) if has_guest => {
                self.end_live(uuid, MigrationOutcome::Aborted, "aborted", Some(report.state), now);
            }
            Some(Operation::LiveRunning) if has_guest && !report.error.is_empty() => {
                self.end_live(uuid, MigrationOutcome::Failed, &report.error, Some(report.state), now);
            }
            _ => {}
        }
    }

    fn report_receiving(&mut self, instance: &Instance, report: &GuestReport, now: Timestamp) {
        let uuid = instance.uuid;
        let has_guest = natural(report.state).is_some();
        let is_lost = instance.has_left() && matches!(report.state, GuestState::Absent | GuestState::Shelved);
        match instance.operation {
            Some(Operation::LivePreparing) if !report.error.is_empty() => {
                self.change_instance(uuid, |instance| instance.refused_by_target(&report.error, now));
            }
            Some(Operation::LivePreparing) => {
                self.change_instance(uuid, |instance| instance.send(now));
            }
            // The target was asked after the source has reported, so the guest runs on neither.
            Some(Operation::LiveRunning) if is_lost && is_off(instance) => {
                let (outcome, reason) = (MigrationOutcome::Failed, "the guest went off while it was sent");
                self.end_live(uuid, outcome, reason, Some(GuestState::ShutDown), now);
            }
            Some(Operation::LiveRunning) if is_lost => self.lose_live(uuid, now),
            // Where its vCPUs run, the guest is, whatever was asked meanwhile.
            Some(Operation::LiveRunning | Operation::LiveAborting) if has_guest => {
                self.change_instance(uuid, |instance| instance.settle(report.state, now));
            }
            Some(Operation::LiveSettling) => self.report_settling(instance, report, now),
            _ => {}
        }
    }

    fn report_settling(&mut self, instance: &Instance, report: &GuestReport, now: Timestamp) {
        let uuid = instance.uuid;
        let Some(migration) = instance.migration() else { return };
        if !report.error.is_empty() && migration.live.is_shared {
            // The disks are still the source's, which must not be asked to remove them: the target
            // tries again.
            self.change_instance(uuid, |instance| instance.observed.fault.clone_from(&report.error));
            return;
        }
        if natural(report.state).is_none() && report.error.is_empty() {
            return;
        }
        self.release_migration(uuid); // nothing runs on the source
        self.change_instance(uuid, |instance| instance.settled(report.state, &report.error, now));
        self.wake_queued(migration);
    }
}

/// Whether the source has reported that the guest is off there.
const fn is_off(instance: &Instance) -> bool {
    matches!(instance.observed.power, Power::Shutdown | Power::Crashed | Power::Suspended)
}
