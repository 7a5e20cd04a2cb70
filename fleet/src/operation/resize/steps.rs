//! The steps of a move, as an instance takes them.

use std::sync::Arc;

use berth_placement::Timestamp;

use crate::flavor::Flavor;
use crate::instance::{Instance, InstanceSpec, Power, VmState};
use crate::migration::MigrationOutcome;
use crate::operation::Operation;

impl Instance {
    /// Whether reports are about a step of its move.
    pub(crate) fn is_moving(&self) -> bool {
        matches!(
            self.operation,
            Some(
                Operation::ResizePrep
                    | Operation::ResizeMigrating
                    | Operation::ResizeFinish
                    | Operation::ResizeConfirming
                    | Operation::ResizeReverting
                    | Operation::ResizeRestoring
                    | Operation::EvacuatePrep
                    | Operation::EvacuateFinish
            )
        ) || self.is_live_migrating()
    }

    /// Whether its move goes on without a report: a target is to be claimed, or the source is due.
    #[must_use]
    pub fn needs_target(&self) -> bool {
        let has_target = self.migration().is_some_and(|migration| !migration.target.is_empty());
        match self.operation {
            Some(Operation::ResizePrep | Operation::ResizeReverting) => true,
            Some(Operation::ResizeFinish) => !has_target,
            // A target may be fenced by now.
            Some(Operation::EvacuatePrep | Operation::EvacuateFinish) => true,
            // A source may be.
            _ if self.is_live_migrating() => true,
            _ => false,
        }
    }

    /// The host whose guest the present desired state is about; empty for none.
    pub(crate) fn acting_host(&self) -> &str {
        match (self.operation, self.migration()) {
            (Some(Operation::ResizeFinish | Operation::EvacuateFinish), Some(migration)) => &migration.target,
            (Some(Operation::EvacuatePrep | Operation::LiveQueued), _) => "",
            (Some(Operation::ResizeRestoring), Some(migration)) => &migration.source,
            (Some(Operation::ResizeReverting), _) => "",
            _ => &self.location.host,
        }
    }

    /// The spec of the guest that the present desired state is about.
    pub(crate) fn acting_spec(&self) -> Arc<InstanceSpec> {
        match (self.operation, self.migration()) {
            (Some(Operation::ResizeFinish), Some(migration)) => self.spec_with(&migration.new_flavor),
            (Some(Operation::ResizeRestoring), Some(migration)) => self.spec_with(&migration.old_flavor),
            (Some(Operation::EvacuateFinish), _) => self.spec_before_rebuild(),
            _ => Arc::clone(&self.spec),
        }
    }

    fn spec_with(&self, flavor: &Flavor) -> Arc<InstanceSpec> {
        if self.spec.flavor == *flavor {
            return Arc::clone(&self.spec);
        }
        Arc::new(InstanceSpec { flavor: flavor.clone(), ..InstanceSpec::clone(&self.spec) })
    }

    /// Goes to a step of the move.
    pub(in crate::operation) fn go_to(&mut self, step: Operation, now: Timestamp) {
        self.operation = Some(step);
        self.desired.generation += 1;
        self.desired.hard = false;
        let boots = step.rules().boots(self.observed.power);
        if let Some(migration) = self.migration_mut() {
            migration.updated_at = now;
            if boots && migration.state_before == VmState::Active {
                self.desired.boot += 1;
            }
        }
    }

    /// The target is claimed: the source is to set the disks aside.
    pub(super) fn leave(&mut self, target: &str, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        target.clone_into(&mut migration.target);
        let source = migration.source.clone();
        self.go_to(Operation::ResizeMigrating, now);
        self.note(now, "resize_prep", "", format!("from {source} to {target}"));
    }

    /// The disks are set aside: the target is to build the guest.
    pub(super) fn arrive(&mut self, now: Timestamp) {
        self.go_to(Operation::ResizeFinish, now);
        self.note(now, "resize_migrating", "", "done");
    }

    /// The step that builds the guest on a target.
    fn arrival(&self) -> (Operation, &'static str) {
        if self.is_evacuating() {
            return (Operation::EvacuateFinish, "evacuate");
        }
        (Operation::ResizeFinish, "resize_finish")
    }

    /// A target is claimed, or another.
    pub(super) fn retarget(&mut self, target: &str, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        target.clone_into(&mut migration.target);
        self.location.leftovers.retain(|left| left != target);
        let (step, action) = self.arrival();
        let message = match self.operation == Some(step) {
            true => format!("goes to {target} instead"),
            false => format!("from {} to {target}", self.location.host),
        };
        self.go_to(step, now);
        self.note(now, action, "", message);
    }

    /// The target could not build the guest. It is to remove what it has, and another is to be
    /// found.
    pub(crate) fn target_failed(&mut self, error: &str, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        let target = std::mem::take(&mut migration.target);
        migration.failures.insert(target.clone(), error.to_owned());
        self.add_leftover(&target);
        let (step, action) = self.arrival();
        self.go_to(step, now);
        self.note(now, action, "", format!("failed on {target}: {error}"));
    }

    /// The target has the guest.
    pub(super) fn arrived(&mut self, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        migration.updated_at = now;
        let (target, flavor) = (migration.target.clone(), migration.new_flavor.clone());
        self.location.leftovers.retain(|left| *left != target);
        self.spec = self.spec_with(&flavor);
        self.note(now, "resize_finish", "", format!("is on {target}; waits for its confirmation"));
        self.location.host = target;
        self.vm_state = VmState::Resized;
        self.operation = None;
        self.observed.fault.clear();
    }

    /// The source has no disks of it any longer: the move is over.
    pub(super) fn confirmed(&mut self, now: Timestamp) {
        self.close_migration(MigrationOutcome::Confirmed, now);
        self.vm_state = self.state_of_guest();
        self.operation = None;
        self.observed.fault.clear();
        self.note(now, "resize_confirming", "", "done");
    }

    /// Goes back: the target is to remove what it has. `error` is empty if the user wants it.
    pub(crate) fn go_back(&mut self, user: &str, error: &str, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        error.clone_into(&mut migration.error);
        let target = migration.target.clone();
        self.add_leftover(&target);
        self.go_to(Operation::ResizeReverting, now);
        self.observed.fault.clear();
        self.note(now, "resize revert", user, error);
    }

    /// The target has nothing: the source is to take its disks back.
    pub(super) fn restore(&mut self, now: Timestamp) {
        self.go_to(Operation::ResizeRestoring, now);
    }

    /// The source has the guest again.
    pub(super) fn restored(&mut self, now: Timestamp) {
        let Some(migration) = self.migration() else { return };
        let (source, flavor, error) =
            (migration.source.clone(), migration.old_flavor.clone(), migration.error.clone());
        let outcome = if error.is_empty() { MigrationOutcome::Reverted } else { MigrationOutcome::Failed };
        self.close_migration(outcome, now);
        self.spec = self.spec_with(&flavor);
        self.note(now, "resize_reverting", "", format!("is on {source} again"));
        self.location.leftovers.retain(|left| *left != source);
        self.location.host = source;
        self.vm_state = self.state_of_guest();
        self.operation = None;
        self.observed.fault = error;
    }

    /// The move is stuck, and its user or an operator has to decide: the migration stays open.
    pub(super) fn move_failed(&mut self, error: String, now: Timestamp) {
        self.vm_state = VmState::Error;
        self.operation = None;
        self.note(now, "resize", "", error.clone());
        self.observed.fault = error;
    }

    /// There is no target: it is as it was before.
    pub(super) fn stay(&mut self, reason: &str, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        reason.clone_into(&mut migration.error);
        self.close_migration(MigrationOutcome::Failed, now);
        self.operation = None;
        self.note(now, "resize_prep", "", reason);
    }

    /// Whether the move is not over only because the host has not reported yet that it has nothing.
    pub(crate) fn only_waits_for(&self, host: &str) -> bool {
        let is_target =
            self.migration().is_some_and(|migration| migration.target == host && migration.source != host);
        match self.operation {
            Some(Operation::ResizeReverting) => is_target,
            Some(Operation::ResizeFinish | Operation::EvacuateFinish) => {
                is_target && self.location.host != host
            }
            _ => false,
        }
    }

    /// A host of the move is deleted: nothing will ever run there again.
    pub(crate) fn lose_side(&mut self, host: &str, now: Timestamp) {
        let Some(migration) = self.migration() else { return };
        let builds = matches!(self.operation, Some(Operation::ResizeFinish | Operation::EvacuateFinish));
        if builds && migration.target == host {
            self.target_failed("the host was deleted", now);
        } else if self.operation == Some(Operation::Delete) && migration.source == host {
            self.close_migration(MigrationOutcome::Deleted, now);
        }
    }

    pub(crate) fn add_leftover(&mut self, host: &str) {
        if !host.is_empty() && !self.location.leftovers.iter().any(|left| left == host) {
            self.location.leftovers.push(host.to_owned());
        }
    }

    /// The state at rest that its guest has.
    pub(crate) fn state_of_guest(&self) -> VmState {
        match self.observed.power {
            Power::Shutdown | Power::Crashed => VmState::Stopped,
            _ => VmState::Active,
        }
    }
}
