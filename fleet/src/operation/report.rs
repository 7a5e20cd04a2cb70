//! Agents' reports about guests, and their effects.
//!
//! ```text
//!   reported generation           guest     effect
//!   ────────────────────────────────────────────────────────────────────────────────────────
//!   older than the record's       any       send the desired guest again
//!   equal, without an error       absent    deletion: release the place; else: lost, ERROR
//!                                 present   complete the operation; follow the guest's state
//!   equal, with an error          any       build: try another host; deletion: retry;
//!                                           else: the instance takes the guest's state
//!   newer than the record's       any       the record was restored from a backup:
//!                                           the instance takes the guest's state
//! ```

use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use super::Operation;
use super::unexpected::{Consequence, natural};
use crate::Fleet;
use crate::error::FleetError;
use crate::host::{CpuFeatures, MAX_WARNINGS, Session};
use crate::instance::{Event, Instance, Power, VmState, power_state, vm_state};

/// The state of a guest in an agent's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestState {
    /// The report does not state it.
    Unknown,
    /// The guest runs.
    Running,
    /// The guest is paused.
    Paused,
    /// The guest is off.
    ShutDown,
    /// The guest crashed.
    Crashed,
    /// The guest is off, and its memory is saved.
    Saved,
    /// The guest is not defined; its disks are kept.
    Shelved,
    /// The guest is received from another host, and its vCPUs do not run.
    Arriving,
    /// Nothing of the guest is left.
    Absent,
}

/// A report about a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestReport {
    /// The instance.
    pub instance: Uuid,
    /// The generation of the desired state that was applied, or whose application failed.
    pub generation: u64,
    /// The latest generation that the agent knows.
    pub known_generation: u64,
    /// The observed state.
    pub state: GuestState,
    /// The error of a desired state that could not be applied; empty without an error.
    pub error: String,
    /// Of the features of the host's CPUs, those that the guest does not have. Known while it runs.
    pub missing_cpu_features: CpuFeatures,
    /// The latest generation for which the former disks were removed, to build them again.
    pub rebuilt: u64,
    /// Whether the guest is defined with the temporary disk of a rescue.
    pub is_rescue: bool,
}

impl Fleet {
    /// Logs that a guest is left alone; no more than a number of times in a session, so an agent
    /// cannot fill the disk of the log.
    pub(crate) fn warn_of_guest(&mut self, (host, session): (&str, Session), guest: Uuid, why: &str) {
        match self.connections.count_warning(host, session) {
            MAX_WARNINGS.. => {}
            number => {
                tracing::warn!(host, instance = %guest, "an unmanaged guest is left alone: {why}");
                if number + 1 == MAX_WARNINGS {
                    tracing::warn!(
                        host,
                        "further unmanaged guests are not logged until the agent connects again"
                    );
                }
            }
        }
    }
}

/// An upper bound of the generations that the service assigns by counting changes.
const MAX_GENERATION: u64 = 1 << 62;

impl Fleet {
    /// Applies a report about a guest. A report of a session that has ended has no effect.
    ///
    /// # Errors
    /// The report names a generation that the service never sent.
    pub fn report(
        &mut self,
        host: &str,
        session: Session,
        report: &GuestReport,
        now: Timestamp,
    ) -> Result<(), FleetError> {
        let uuid = report.instance;
        if !self.connections.is_current(host, session) {
            return Ok(());
        }
        if let Some(instance) = self.instance_of_migration(uuid) {
            check_generations(&instance, report)?;
            self.report_set_aside((host, session), &instance, report, now);
            return Ok(());
        }
        let Some(instance) = self.instance_by_uuid(uuid) else {
            if report.state != GuestState::Absent {
                // The guest may exist for a good reason, for example because the state was restored
                // from a backup.
                self.warn_of_guest((host, session), uuid, "no such instance");
            }
            return Ok(());
        };
        check_generations(&instance, report)?;
        self.connections.note_report(host, session, uuid);
        if !instance.places().any(|place| place == host) {
            self.warn_of_guest((host, session), uuid, "the instance is on another host");
            return Ok(());
        }
        self.advance_past(&instance, report);
        self.note_cpu(host, report);
        if instance.has_abandoned_rebuild() && instance.location.host == host {
            self.change_instance(uuid, |instance| instance.end_rebuild(report));
        }
        if instance.is_moving() {
            let instance = self.instance_by_uuid(uuid).unwrap_or(instance);
            self.report_moving(host, &instance, report, now);
        } else if instance.location.host != host {
            if instance.migration().is_some() {
                self.report_leftover(host, &instance, report, now);
            } else if report.state == GuestState::Absent {
                self.left_host(uuid, host);
            }
        } else if report.generation > instance.desired.generation
            && report.error.is_empty()
            && instance.operation.is_none()
            && instance.migration().is_none()
        {
            self.catch_up(host, &instance, report.state, now);
        } else if let Some(instance) = self.instance_by_uuid(uuid) {
            self.observe(host, &instance, report, now);
        }
        Ok(())
    }

    /// Notes which CPU the guest has on its host, in case it is to be live-migrated.
    fn note_cpu(&mut self, host: &str, report: &GuestReport) {
        let runs = matches!(report.state, GuestState::Running | GuestState::Paused);
        let has_changed = self.state.instance(report.instance).is_some_and(|instance| {
            instance.location.host == host
                && instance.observed.missing_cpu_features != report.missing_cpu_features
        });
        if runs && has_changed {
            self.change_instance(report.instance, |instance| {
                instance.observed.missing_cpu_features = report.missing_cpu_features.clone();
            });
        }
    }

    /// Advances past the generations that the agent knows, if these are later than the record's:
    /// the state was restored from a backup. The next desired state has to be new to the agent.
    pub(super) fn advance_past(&mut self, instance: &Instance, report: &GuestReport) {
        let known = report.generation.max(report.known_generation);
        if known > instance.desired.generation {
            self.change_instance(instance.uuid, |instance| {
                instance.desired.generation = instance.desired.generation.max(known + 1);
            });
        }
    }

    /// Updates the record from a guest whose agent has applied a later desired state than the
    /// record contains: the record was restored from a backup.
    fn catch_up(&mut self, host: &str, instance: &Instance, found: GuestState, now: Timestamp) {
        let uuid = instance.uuid;
        match found {
            GuestState::Absent if instance.goal().is_some() => return self.lose(host, uuid, now),
            GuestState::Shelved => self.release(uuid), // it was shelved
            _ => {}
        }
        self.change_instance(uuid, |instance| {
            instance.observed.power = power(found);
            if found == GuestState::Shelved {
                instance.vm_state = VmState::ShelvedOffloaded;
            } else if let Some(state) = natural(found)
                && instance.vm_state != VmState::ShelvedOffloaded
            {
                instance.adopt(state, now);
            }
        });
    }

    /// Processes the end of an agent's initial reports: the desired guests that it did not report
    /// are missing.
    pub fn all_reported(&mut self, host: &str, session: Session, now: Timestamp) {
        if !self.connections.note_all_reported(host, session) {
            return;
        }
        let there: Vec<Uuid> = self.state.on_host(host).collect();
        for uuid in there {
            if self.connections.has_reported(host, uuid) {
                self.due.insert(uuid);
            } else {
                self.miss(host, uuid, now);
            }
        }
    }

    /// Handles a guest that is missing in the agent's reports.
    fn miss(&mut self, host: &str, uuid: Uuid, now: Timestamp) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        let expects_guest = instance.operation.is_none_or(|operation| operation.rules().expects_guest());
        if instance.is_moving() || (instance.migration().is_some() && instance.location.host != host) {
            self.left_leftover(uuid, host, now);
        } else if instance.location.host != host || instance.operation == Some(Operation::Delete) {
            self.left_host(uuid, host);
        } else if expects_guest && instance.goal().is_some() {
            self.lose(host, uuid, now);
        } else {
            self.due.insert(uuid); // the agent never received the desired guest
        }
    }

    /// A host of a move has no remains of the guest. If none were expected, the instance is no
    /// longer on that host; otherwise the host gets the desired guest again.
    fn left_leftover(&mut self, uuid: Uuid, host: &str, now: Timestamp) {
        self.left_host(uuid, host);
        self.restore_source(uuid, now);
        self.due.insert(uuid);
    }

    /// Nothing is left of an instance that was built. It keeps its capacity until it is deleted.
    fn lose(&mut self, host: &str, uuid: Uuid, now: Timestamp) {
        self.change_instance(uuid, |instance| {
            instance.fail("guest lost", format!("the guest is gone from {host}"), now);
        });
    }

    fn observe(&mut self, host: &str, instance: &Instance, report: &GuestReport, now: Timestamp) {
        let uuid = instance.uuid;
        if report.generation < instance.desired.generation && !instance.is_given_up() {
            // The report refers to an earlier desired state; the agent may not have received the
            // current one.
            self.change_instance(uuid, |instance| instance.observed.power = power(report.state));
            self.due.insert(uuid);
            return;
        }
        if !report.error.is_empty() {
            return self.observe_failure(host, instance, report, now);
        }
        if let Some(error) = instance.ignored_by(report) {
            let failed = GuestReport { error: error.to_owned(), ..report.clone() };
            return self.observe_failure(host, instance, &failed, now);
        }
        if report.state == GuestState::Absent {
            return match instance.operation {
                Some(Operation::Delete) => self.left_host(uuid, host),
                _ if instance.goal().is_some() => self.lose(host, uuid, now),
                _ => {}
            };
        }
        if instance.releases_capacity(report.state, false) {
            self.release(uuid);
        }
        self.change_instance(uuid, |instance| {
            instance.observed.power = power(report.state);
            instance.complete_operation(report.state, host, now);
        });
    }

    fn observe_failure(&mut self, host: &str, instance: &Instance, report: &GuestReport, now: Timestamp) {
        let uuid = instance.uuid;
        match (instance.operation, report.state) {
            (Some(Operation::Spawn), _) => {
                self.change_instance(uuid, |instance| instance.build_failed(host, &report.error, now));
                return;
            }
            (operation, GuestState::Absent)
                if !matches!(operation, Some(Operation::Delete | Operation::Rebuild)) =>
            {
                return self.lose(host, uuid, now);
            }
            _ => {}
        }
        if instance.releases_capacity(report.state, true) {
            self.release(uuid);
        }
        self.change_instance(uuid, |instance| {
            instance.observed.power = power(report.state);
            instance.fail_operation(report, host, now);
        });
    }
}

/// Checks the generations of a report.
fn check_generations(instance: &Instance, report: &GuestReport) -> Result<(), FleetError> {
    // The generation that follows the largest is larger still.
    let most = MAX_GENERATION.max(instance.desired.generation);
    let generations =
        [("guest.generation", report.generation), ("guest.known_generation", report.known_generation)];
    match generations.into_iter().find(|(_, generation)| *generation > most) {
        Some((field, _)) => Err(FleetError::field(field, "is larger than any that was ever sent")),
        None => Ok(()),
    }
}

impl Instance {
    /// Whether nothing is asked of its host, so that no later report will follow: what is reported
    /// is what there is.
    fn is_given_up(&self) -> bool {
        self.vm_state == VmState::Error && self.operation.is_none() && self.migration().is_none()
    }

    /// Why an agent has not done what it reports as done: that is unknown to earlier releases.
    fn ignored_by(&self, report: &GuestReport) -> Option<&'static str> {
        let is_ignored = match self.operation? {
            Operation::Rebuild => {
                self.rebuild.as_ref().is_some_and(|rebuild| report.rebuilt < rebuild.generation)
            }
            Operation::Rescue => !report.is_rescue,
            Operation::Unrescue => report.is_rescue,
            _ => false,
        };
        is_ignored.then_some("the agent is of an earlier release, which does not know that operation")
    }

    fn releases_capacity(&self, found: GuestState, is_failure: bool) -> bool {
        self.operation.is_some_and(|operation| operation.rules().releases_capacity(found, is_failure))
    }

    /// Completes the operation: the agent has applied the latest desired state. The guest may have
    /// changed since.
    fn complete_operation(&mut self, found: GuestState, host: &str, now: Timestamp) {
        let Some(operation) = self.operation else { return self.follow(found, host, now) };
        let Some(done) = operation.rules().done(found) else { return };
        self.vm_state = done;
        self.observed.fault.clear();
        self.location.failures.clear();
        self.operation = None;
        self.rebuild = None;
        if done != VmState::Rescued {
            self.rescue = None;
        }
        self.note(now, operation.task_state(), "", "done");
        self.follow(found, host, now);
    }

    /// Handles a desired state that could not be applied. A deletion is retried; any other
    /// operation ends.
    fn fail_operation(&mut self, report: &GuestReport, host: &str, now: Timestamp) {
        if self.observed.fault != report.error || self.operation.is_some() {
            self.observed.fault.clone_from(&report.error);
            let action = self.operation.map_or("", Operation::task_state);
            let failed = format!("failed on {host}: ");
            // A guest that fails again and again must not displace what happened before.
            let repeats = |last: &Arc<Event>| last.action.is_empty() && last.message.starts_with(&failed);
            if action.is_empty() && self.events.last().is_some_and(repeats) {
                self.events.pop();
            }
            self.note(now, action, "", failed + &report.error);
        }
        match self.operation {
            Some(Operation::Delete) => {}
            Some(operation @ (Operation::Rescue | Operation::Unrescue)) => {
                self.operation = None;
                self.end_rescue(operation, report, now);
            }
            Some(operation) => {
                self.operation = None;
                self.end_rebuild(report);
                operation.rules().apply_failure(self, report.state, now);
            }
            None => match self.consequence(report.state) {
                Consequence::Ignore => {}
                Consequence::Adopt(state) => self.adopt(state, now),
                // The enforcement itself failed.
                Consequence::Enforce => {
                    natural(report.state).into_iter().for_each(|state| self.adopt(state, now));
                }
                Consequence::Undefined => self.vm_state = VmState::Error,
            },
        }
    }

    /// Sets the instance to the observed state of its guest after a failure.
    pub(super) fn follow_failed(&mut self, found: GuestState, now: Timestamp) {
        match natural(found) {
            Some(state) => self.adopt(state, now),
            None if found == GuestState::Shelved => self.vm_state = VmState::Error,
            None => {}
        }
    }

    /// Handles a guest state that was not requested.
    fn follow(&mut self, found: GuestState, host: &str, now: Timestamp) {
        match self.consequence(found) {
            Consequence::Ignore => {}
            Consequence::Adopt(state) => {
                self.observed.fault.clear();
                self.adopt(state, now);
            }
            Consequence::Enforce => {
                self.desired.generation += 1;
                let (found, wanted) = (power_state(power(found)), vm_state(self.vm_state));
                let message = format!("is {found} on {host} without Berth; it is made {wanted} again");
                self.note(now, "guest", "", message);
            }
            Consequence::Undefined => self.fail(
                "guest undefined",
                format!(
                    "the guest was undefined on {host} without Berth; its disks are kept: a hard reboot defines \
                     and starts it again"
                ),
                now,
            ),
        }
    }

    /// Sets the instance to the state that its guest has reached by itself.
    fn adopt(&mut self, found: VmState, now: Timestamp) {
        if found == self.vm_state {
            return;
        }
        self.vm_state = found;
        self.observed.stopped_by_itself = found == VmState::Stopped;
        self.desired.generation += 1;
        self.note(now, "guest", "", format!("is {} by itself", vm_state(found)));
    }

    /// Records an event of the guest that its user has to decide about.
    fn fail(&mut self, action: &str, fault: String, now: Timestamp) {
        self.observed.fault.clone_from(&fault);
        self.vm_state = VmState::Error;
        self.operation = None;
        self.rescue = None;
        self.observed.power = Power::NoState;
        self.note(now, action, "", fault);
    }
}

pub(super) const fn power(state: GuestState) -> Power {
    match state {
        GuestState::Running => Power::Running,
        GuestState::Paused => Power::Paused,
        GuestState::ShutDown => Power::Shutdown,
        GuestState::Crashed => Power::Crashed,
        GuestState::Saved => Power::Suspended,
        GuestState::Absent | GuestState::Shelved | GuestState::Arriving | GuestState::Unknown => {
            Power::NoState
        }
    }
}
