//! The steps of an evacuation, as an instance takes them.

use berth_placement::Timestamp;

use crate::instance::{Instance, VmState};
use crate::migration::{MigrationKind, MigrationOutcome};
use crate::operation::Operation;

impl Instance {
    /// Whether it is being evacuated.
    #[must_use]
    pub const fn is_evacuating(&self) -> bool {
        matches!(self.operation, Some(Operation::EvacuatePrep | Operation::EvacuateFinish))
    }

    /// Whether the host may still have something of it from before an evacuation.
    pub(crate) fn is_evacuated_from(&self, host: &str) -> bool {
        let has_left = |migration: &crate::Migration| {
            migration.kind == MigrationKind::Evacuation
                && (migration.source == host || migration.failures.contains_key(host))
        };
        let is_left = self.location.leftovers.iter().any(|left| left == host);
        let evacuations = self.migrations.iter().filter(|migration| has_left(migration));
        let is_open = self.is_evacuating() && self.location.host == host;
        is_open || (is_left && evacuations.count() > 0)
    }

    /// The target has the guest. The source may still have remains, which it is to remove.
    pub(super) fn evacuated(&mut self, now: Timestamp) {
        let Some(migration) = self.migration() else { return };
        let (source, target) = (migration.source.clone(), migration.target.clone());
        self.close_migration(MigrationOutcome::Evacuated, now);
        self.location.leftovers.retain(|left| *left != target);
        self.add_leftover(&source);
        self.location.failures.clear();
        self.note(now, "evacuate", "", format!("is on {target}"));
        self.location.host = target;
        self.keep_image();
        self.rescue = None;
        self.vm_state = self.state_of_guest();
        self.operation = None;
        self.observed.fault.clear();
        self.observed.stopped_by_itself = false;
    }

    /// No target has the guest, and none has remains: it is on the source, as before, and its user
    /// or an operator has to decide.
    pub(super) fn evacuation_failed(&mut self, error: String, now: Timestamp) {
        if let Some(migration) = self.migration_mut() {
            migration.error.clone_from(&error);
        }
        self.close_migration(MigrationOutcome::Failed, now);
        self.operation = None;
        self.rescue = None;
        self.vm_state = VmState::Error;
        self.note(now, "evacuate", "", error.clone());
        self.observed.fault = error;
    }

    /// It stays where it is, because there is no target or the source is back. What was in progress
    /// goes on.
    pub(crate) fn cancel_evacuation(&mut self, reason: &str, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        reason.clone_into(&mut migration.error);
        let before = migration.operation_before;
        self.close_migration(MigrationOutcome::Failed, now);
        self.operation = before;
        self.note(now, "evacuate", "", reason);
    }
}
