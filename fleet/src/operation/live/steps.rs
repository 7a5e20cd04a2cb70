//! The steps of a live migration, as an instance takes them.

use berth_placement::Timestamp;

use crate::instance::{Instance, Power, VmState};
use crate::migration::MigrationOutcome;
use crate::operation::Operation;
use crate::operation::report::{GuestState, power};
use crate::operation::unexpected::{Consequence, natural};

impl Instance {
    /// Whether it is being live-migrated.
    #[must_use]
    pub const fn is_live_migrating(&self) -> bool {
        matches!(
            self.operation,
            Some(
                Operation::LiveQueued
                    | Operation::LivePreparing
                    | Operation::LiveRunning
                    | Operation::LiveAborting
                    | Operation::LiveSettling
            )
        )
    }

    /// Whether the source does not have the guest any longer.
    pub(crate) fn has_left(&self) -> bool {
        self.migration().is_some_and(|migration| migration.live.has_left)
    }

    /// A target is claimed.
    pub(in crate::operation) fn prepare(&mut self, target: &str, is_shared: bool, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        target.clone_into(&mut migration.target);
        migration.live.is_shared = is_shared;
        let disks = if is_shared { "shared disks" } else { "its disks" };
        let message = format!("from {} to {target}, with {disks}", migration.source);
        self.location.leftovers.retain(|left| left != target);
        self.go_to(Operation::LivePreparing, now);
        self.note(now, super::NAME, "", message);
    }

    /// The target is ready.
    pub(super) fn send(&mut self, now: Timestamp) {
        self.go_to(Operation::LiveRunning, now);
    }

    /// The target cannot receive the guest: another is to be found.
    pub(super) fn refused_by_target(&mut self, error: &str, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        let target = std::mem::take(&mut migration.target);
        migration.failures.insert(target.clone(), error.to_owned());
        self.add_leftover(&target);
        self.go_to(Operation::LiveQueued, now);
        self.note(now, super::NAME, "", format!("host {target} cannot receive the guest: {error}"));
    }

    /// The source is to stop sending the guest.
    pub(super) fn abort(&mut self, user: &str, now: Timestamp) {
        self.go_to(Operation::LiveAborting, now);
        self.note(now, "abort live migration", user, "");
    }

    /// The source is to pause the guest until its memory is on the target.
    pub(super) fn force(&mut self, user: &str, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        migration.live.is_forced = true;
        self.go_to(Operation::LiveRunning, now);
        self.note(now, "force live migration", user, "");
    }

    /// The source does not have the guest any longer: the target is to report whether it does.
    pub(super) fn leave_live(&mut self, why: &str, now: Timestamp) {
        let Some(migration) = self.migration_mut() else { return };
        if !migration.live.has_left {
            migration.live.has_left = true;
            self.go_to(Operation::LiveRunning, now);
            self.note(now, super::NAME, "", why);
        }
    }

    /// The target has the guest, in this state, and is its host from now on.
    pub(super) fn settle(&mut self, found: GuestState, now: Timestamp) {
        let Some(migration) = self.migration() else { return };
        self.location.host = migration.target.clone();
        self.follow_sent(found);
        self.go_to(Operation::LiveSettling, now);
    }

    /// The target could not take the disks over: it is to try again.
    pub(super) fn settle_again(&mut self, now: Timestamp) {
        self.observed.fault.clear();
        self.go_to(Operation::LiveSettling, now);
    }

    /// The target has the guest, in this state, and its disks: the source is to remove what it has.
    /// `error`: why it does not have what else is desired; empty if it has.
    pub(super) fn settled(&mut self, found: GuestState, error: &str, now: Timestamp) {
        let Some(migration) = self.migration() else { return };
        let (source, target) = (migration.source.clone(), migration.target.clone());
        self.close_migration(MigrationOutcome::Completed, now);
        self.add_leftover(&source);
        self.operation = None;
        self.desired.generation += 1;
        self.note(now, super::NAME, "", format!("is on {target}"));
        error.clone_into(&mut self.observed.fault);
        self.observed.power = power(found);
        if natural(found).is_none() {
            self.vm_state = VmState::Error;
        }
    }

    /// The source has the guest, and the target is to remove what it has. `found` is the state that
    /// the source reported, if it did.
    pub(super) fn stay_live(
        &mut self,
        outcome: MigrationOutcome,
        reason: &str,
        found: Option<GuestState>,
        now: Timestamp,
    ) {
        let Some(migration) = self.migration_mut() else { return };
        reason.clone_into(&mut migration.error);
        let target = migration.target.clone();
        // A refusal of the request is the caller's to know.
        let was_tried = !target.is_empty() || !migration.failures.is_empty();
        self.close_migration(outcome, now);
        self.add_leftover(&target);
        self.operation = None;
        self.desired.generation += 1;
        self.note(now, super::NAME, "", reason);
        if outcome == MigrationOutcome::Failed && was_tried {
            reason.clone_into(&mut self.observed.fault);
        }
        if let Some(found) = found {
            self.follow_sent(found);
        }
    }

    /// The guest may have changed its state by itself while it was sent.
    fn follow_sent(&mut self, found: GuestState) {
        if let Consequence::Adopt(state) = self.consequence(found) {
            self.observed.stopped_by_itself = state == VmState::Stopped;
            self.vm_state = state;
        }
        self.observed.power = power(found);
    }

    /// Neither side has the guest any longer: its user or an operator has to decide. Its disks are
    /// on the source.
    pub(super) fn lost_on_the_way(&mut self, now: Timestamp) {
        let Some(migration) = self.migration() else { return };
        let (source, target) = (migration.source.clone(), migration.target.clone());
        let reason = format!("the guest was lost: neither host {source:?} nor host {target:?} has it");
        self.stay_live(MigrationOutcome::Failed, &reason, None, now);
        self.vm_state = VmState::Error;
        self.observed.power = Power::NoState;
    }
}
