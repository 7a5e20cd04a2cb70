//! Migrations: what the record of an instance keeps about its moves.
//!
//! A migration is *open* from the request until the instance is at rest again on one host, with the
//! flavor that it keeps. An instance has at most one open migration. `operation/resize.rs` draws
//! its steps.
//!
//! The UUID of a migration names two things beside the record: the consumer that holds the other
//! host in the index, and the disks that the source has set aside.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::Fleet;
use crate::flavor::Flavor;
use crate::instance::{Instance, VmState};
use crate::operation::Operation;

/// The most migrations that an instance keeps, the open one included.
const KEPT: usize = 10;

/// A move of an instance to another host or another flavor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migration {
    /// Its UUID, which is also that of its consumer in the index and of the disks that the source
    /// sets aside.
    pub uuid: Uuid,
    /// Admits the target to these disks. Only the agents of both hosts receive it.
    pub ticket: Uuid,
    /// Its kind.
    pub kind: MigrationKind,
    /// The host that the instance leaves.
    pub source: String,
    /// The host that it goes to; empty while none is chosen.
    pub target: String,
    /// The only host that it may go to; empty for any.
    pub requested_host: String,
    /// Its flavor before.
    pub old_flavor: Flavor,
    /// Its flavor afterwards.
    pub new_flavor: Flavor,
    /// The state that it had, and gets again: active or stopped. An evacuation may give it another.
    pub state_before: VmState,
    /// What was in progress when an evacuation was requested: it goes on if no target is found.
    pub operation_before: Option<Operation>,
    /// Whether an evacuation builds the disks again from the image.
    pub rebuilds: bool,
    /// What is particular to a live migration.
    pub live: LiveMove,
    /// Targets that could not build or receive the guest, each with the error.
    pub failures: BTreeMap<String, String>,
    /// Why the instance goes back without its user's request; empty for none.
    pub error: String,
    /// The user that requested it.
    pub user: String,
    /// How it ended; `None` while it is open.
    pub outcome: Option<MigrationOutcome>,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When its latest step began.
    pub updated_at: Timestamp,
}

/// The kind of a migration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MigrationKind {
    /// To another host, while the guest is off.
    #[default]
    Cold,
    /// To another flavor, on another host or the same.
    Resize,
    /// To another host, because its own is down and fenced.
    Evacuation,
    /// To another host, while the guest runs.
    Live,
}

/// What is particular to a live migration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveMove {
    /// How it was requested.
    pub options: LiveOptions,
    /// Whether source and target share the disks. Known as soon as there is a target.
    pub is_shared: bool,
    /// Whether the guest is to pause until its memory is on the target.
    pub is_forced: bool,
    /// Whether the source does not have the guest any longer: it has reported that, or is fenced.
    pub has_left: bool,
}

/// How an instance is to be live-migrated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveOptions {
    /// Which hosts may be its target.
    pub disks: LiveDisks,
    /// The most that is sent, in MiB/s; 0 for no limit.
    pub bandwidth_mib: u32,
    /// After how many seconds of sending it is aborted, or forced; 0 for never.
    pub timeout_s: u32,
    /// Whether it is forced then.
    pub forces_at_timeout: bool,
}

/// Which hosts may be the target of a live migration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LiveDisks {
    /// All: the disks are sent to those that do not share them.
    #[default]
    Any,
    /// Those that share the disks with the source.
    Shared,
    /// Those that do not. The disks are sent.
    Sent,
}

/// How a migration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationOutcome {
    /// The instance stays on the target.
    Confirmed,
    /// Its user took the instance back to the source.
    Reverted,
    /// No target could build the guest: the instance is as before.
    Failed,
    /// The instance was evacuated.
    Evacuated,
    /// The guest runs on the target.
    Completed,
    /// A user has aborted it: the guest stays on the source.
    Aborted,
    /// The instance was deleted.
    Deleted,
}

/// Something that happened to a migration, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveNotice {
    /// The target has the guest.
    Arrived {
        /// Its kind: Nova's `migration_type`.
        kind: &'static str,
        /// Since the request, in microseconds.
        micros: u64,
    },
    /// It is over.
    Ended {
        /// Its kind: Nova's `migration_type`.
        kind: &'static str,
        /// How: Nova's status.
        outcome: &'static str,
    },
}

impl MoveNotice {
    /// What a change of an instance means for its move.
    pub(crate) fn of_change(before: &Instance, after: &Instance) -> impl Iterator<Item = Self> {
        let same = |open: &Migration| after.migrations.iter().find(|migration| migration.uuid == open.uuid);
        let migration = before.migration().and_then(same);
        let is_resized = before.vm_state != VmState::Resized && after.vm_state == VmState::Resized;
        let arrived = migration
            .filter(|of| {
                let arrived = [MigrationOutcome::Evacuated, MigrationOutcome::Completed];
                is_resized || of.outcome.is_some_and(|outcome| arrived.contains(&outcome))
            })
            .map(|of| Self::Arrived {
                kind: of.kind_name(),
                micros: of.updated_at.0.saturating_sub(of.created_at.0),
            });
        let ended = migration
            .filter(|of| of.outcome.is_some())
            .map(|of| Self::Ended { kind: of.kind_name(), outcome: of.status(after) });
        arrived.into_iter().chain(ended)
    }
}

impl MigrationKind {
    /// Whether the source is no target.
    #[must_use]
    pub const fn leaves_host(self) -> bool {
        !matches!(self, Self::Resize)
    }

    /// Whether the source sets the disks aside, under the UUID of the migration.
    #[must_use]
    pub const fn sets_disks_aside(self) -> bool {
        matches!(self, Self::Cold | Self::Resize)
    }
}

impl Migration {
    /// Nova's `migration_type`.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            MigrationKind::Cold => "migration",
            MigrationKind::Resize => "resize",
            MigrationKind::Evacuation => "evacuation",
            MigrationKind::Live => "live-migration",
        }
    }

    /// Why no target could build the guest: the errors of all, and a further reason if there is
    /// one.
    pub(crate) fn failure(&self, what: &str, reason: &str) -> String {
        let failures = self.failures.iter().map(|(host, error)| format!("{host}: {error}"));
        let reasons: Vec<String> = failures.chain((!reason.is_empty()).then(|| reason.to_owned())).collect();
        format!("{what}: {}", reasons.join("; "))
    }

    /// Nova's status of a migration of this instance.
    #[must_use]
    pub fn status(&self, instance: &Instance) -> &'static str {
        match (self.outcome, instance.operation) {
            (Some(MigrationOutcome::Confirmed), _) => "confirmed",
            (Some(MigrationOutcome::Reverted), _) => "reverted",
            (Some(MigrationOutcome::Failed | MigrationOutcome::Deleted), _) => "failed",
            (Some(MigrationOutcome::Evacuated), _) if instance.is_evacuated_from(&self.source) => "done",
            (Some(MigrationOutcome::Evacuated | MigrationOutcome::Completed), _) => "completed",
            (Some(MigrationOutcome::Aborted), _) => "cancelled",
            (None, Some(Operation::LiveQueued)) => "queued",
            (None, Some(Operation::LivePreparing)) => "preparing",
            (None, Some(Operation::LiveRunning | Operation::LiveAborting)) => "running",
            (None, Some(Operation::LiveSettling)) => "post-migrating",
            (None, Some(Operation::ResizePrep | Operation::EvacuatePrep)) => "pre-migrating",
            (None, Some(Operation::ResizeMigrating)) => "migrating",
            (None, Some(Operation::ResizeFinish | Operation::EvacuateFinish)) => "post-migrating",
            (None, Some(Operation::ResizeConfirming)) => "confirming",
            (None, Some(Operation::ResizeReverting | Operation::ResizeRestoring)) => "reverting",
            (None, _) if instance.vm_state == VmState::Error => "error",
            (None, _) => "finished",
        }
    }
}

impl Instance {
    /// The open migration.
    #[must_use]
    pub fn migration(&self) -> Option<&Migration> {
        self.migrations.last().map(AsRef::as_ref).filter(|migration| migration.outcome.is_none())
    }

    /// The open migration, to change it.
    pub(crate) fn migration_mut(&mut self) -> Option<&mut Migration> {
        self.migrations.last_mut().filter(|migration| migration.outcome.is_none()).map(Arc::make_mut)
    }

    /// Adds an open migration, and forgets the oldest beyond the limit.
    pub(crate) fn open_migration(&mut self, migration: Migration) {
        if self.migrations.len() >= KEPT {
            self.migrations.remove(0);
        }
        self.migrations.push(Arc::new(migration));
    }

    /// Ends the open migration.
    pub(crate) fn close_migration(&mut self, outcome: MigrationOutcome, now: Timestamp) {
        if let Some(migration) = self.migration_mut() {
            migration.outcome = Some(outcome);
            migration.updated_at = now;
        }
    }

    /// Whether the host is source or target of the open migration.
    pub(crate) fn moves_over(&self, host: &str) -> bool {
        self.migration().is_some_and(|migration| migration.source == host || migration.target == host)
    }
}

impl Fleet {
    /// The migrations of the instances that match, with their instances, oldest first.
    pub fn migrations(
        &self,
        matches: impl Fn(&Instance, &Migration) -> bool,
    ) -> Vec<(Arc<Instance>, Arc<Migration>)> {
        let all = self.state.instances.values().flat_map(|instance| {
            instance.migrations.iter().map(move |migration| (Arc::clone(instance), Arc::clone(migration)))
        });
        let mut found: Vec<_> = all.filter(|(instance, migration)| matches(instance, migration)).collect();
        found.sort_by_key(|(_, migration)| (migration.created_at, migration.uuid));
        found
    }

    /// The instance of an open migration.
    pub(crate) fn instance_of_migration(&self, migration: Uuid) -> Option<Arc<Instance>> {
        self.state.migrations.get(&migration).and_then(|&instance| self.instance_by_uuid(instance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceSpec;

    #[test]
    fn an_instance_keeps_its_latest_migrations() {
        let mut instance = Instance::new(Uuid::from_u128(1), Arc::new(InstanceSpec::default()));
        assert_eq!(instance.migration(), None);
        for number in 1..=12 {
            instance.open_migration(Migration { uuid: Uuid::from_u128(number), ..Migration::default() });
            assert_eq!(instance.migration().map(|open| open.uuid), Some(Uuid::from_u128(number)));
            instance.close_migration(MigrationOutcome::Reverted, Timestamp(9));
            assert_eq!(instance.migration(), None);
        }
        let kept: Vec<u128> = instance.migrations.iter().map(|kept| kept.uuid.as_u128()).collect();
        assert_eq!(kept, (3..=12).collect::<Vec<_>>());
    }
}
