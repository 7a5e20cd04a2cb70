//! Reports about the two sides of a move.

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::Fleet;
use crate::host::Session;
use crate::instance::Instance;
use crate::migration::MigrationOutcome;
use crate::operation::report::{GuestReport, GuestState, power};
use crate::operation::{Operation, unexpected::natural};

impl Fleet {
    /// Applies a report about the guest of an instance that is moving.
    pub(crate) fn report_moving(
        &mut self,
        host: &str,
        instance: &Instance,
        report: &GuestReport,
        now: Timestamp,
    ) {
        let uuid = instance.uuid;
        if instance.location.leftovers.iter().any(|left| left == host) {
            return self.report_leftover(host, instance, report, now);
        }
        if instance.is_live_migrating() {
            return self.report_live(host, instance, report, now);
        }
        if instance.acting_host() != host {
            return; // the other side is asked about the disks that it has set aside
        }
        if report.generation < instance.desired.generation {
            self.due.insert(uuid);
            return;
        }
        match instance.operation {
            Some(Operation::ResizeMigrating) => self.report_leaving(uuid, report, now),
            Some(Operation::ResizeFinish) => self.report_arriving(uuid, report, now),
            Some(Operation::ResizeRestoring) => self.report_restoring(uuid, report, now),
            Some(Operation::EvacuateFinish) => self.report_evacuated(uuid, report, now),
            // What happens to the guest meanwhile is noticed when the step is done.
            _ => {
                self.change_instance(uuid, |instance| instance.observed.power = power(report.state));
            }
        }
    }

    /// A host that is to have nothing of the guest.
    pub(crate) fn report_leftover(
        &mut self,
        host: &str,
        instance: &Instance,
        report: &GuestReport,
        now: Timestamp,
    ) {
        // An earlier report may have been sent before a step that was under way.
        if report.state != GuestState::Absent || report.generation < instance.desired.generation {
            self.due.insert(instance.uuid);
            return;
        }
        self.left_host(instance.uuid, host);
        self.restore_source(instance.uuid, now);
    }

    fn report_leaving(&mut self, uuid: Uuid, report: &GuestReport, now: Timestamp) {
        if !report.error.is_empty() {
            self.abandon_move(uuid, &report.error, now);
        } else if report.state == GuestState::Absent {
            self.change_instance(uuid, |instance| {
                instance.observed.power = power(report.state);
                instance.arrive(now);
            });
        }
    }

    fn report_arriving(&mut self, uuid: Uuid, report: &GuestReport, now: Timestamp) {
        let error = match (report.error.as_str(), report.state) {
            ("", GuestState::Absent | GuestState::Shelved) => "the guest is gone",
            ("", GuestState::Unknown) => return,
            (error, _) => error,
        };
        self.change_instance(uuid, |instance| {
            instance.observed.power = power(report.state);
            if error.is_empty() { instance.arrived(now) } else { instance.target_failed(error, now) }
        });
    }

    fn report_restoring(&mut self, uuid: Uuid, report: &GuestReport, now: Timestamp) {
        let has_guest = natural(report.state).is_some();
        self.change_instance(uuid, |instance| {
            instance.observed.power = power(report.state);
            if has_guest {
                instance.restored(now);
                if !report.error.is_empty() {
                    instance.observed.fault.clone_from(&report.error);
                }
            } else {
                let error = if report.error.is_empty() { "the guest is gone" } else { &report.error };
                instance.move_failed(format!("the source cannot take the instance back: {error}"), now);
            }
        });
    }

    /// Applies a report about the disks that the source of an open migration has set aside.
    pub(crate) fn report_set_aside(
        &mut self,
        (host, session): (&str, Session),
        instance: &Instance,
        report: &GuestReport,
        now: Timestamp,
    ) {
        let Some(migration) = instance.migration().filter(|migration| migration.source == host) else {
            self.warn_of_guest((host, session), report.instance, "it is of a migration with another source");
            return;
        };
        let uuid = instance.uuid;
        self.connections.note_report(host, session, migration.uuid);
        self.advance_past(instance, report);
        if report.generation < instance.desired.generation {
            self.due.insert(uuid);
            return;
        }
        let is_gone = report.state == GuestState::Absent && report.error.is_empty();
        match instance.operation {
            Some(Operation::ResizeConfirming) if is_gone => {
                self.release(migration.uuid);
                self.change_instance(uuid, |instance| instance.confirmed(now));
            }
            Some(Operation::Delete) if is_gone && !instance.has_remains_on(host) => {
                self.release(migration.uuid);
                self.change_instance(uuid, |instance| {
                    instance.close_migration(MigrationOutcome::Deleted, now);
                });
            }
            _ if !report.error.is_empty() => self.note_set_aside_fault(uuid, host, &report.error, now),
            _ => {}
        }
    }

    fn note_set_aside_fault(&mut self, uuid: Uuid, host: &str, error: &str, now: Timestamp) {
        self.change_instance(uuid, |instance| {
            let fault = format!("the former disks on {host}: {error}");
            if instance.observed.fault != fault {
                instance.note(now, "resize", "", fault.clone());
                instance.observed.fault = fault;
            }
        });
    }
}

impl Instance {
    /// Whether the guest itself may be on the host.
    pub(crate) fn has_remains_on(&self, host: &str) -> bool {
        self.location.host == host || self.location.leftovers.iter().any(|left| left == host)
    }
}
