//! Migrations from and to the types of the crate `fleet`.

use berth_fleet::{Migration, MigrationKind, MigrationOutcome};
use berth_placement::Timestamp;

use super::convert::{bytes, uuid};
use super::{StoredMigration, StoredMigrationKind, StoredMigrationOutcome, StoredTask, StoredVmState};

impl From<&Migration> for StoredMigration {
    fn from(migration: &Migration) -> Self {
        Self {
            uuid: bytes(migration.uuid),
            ticket: bytes(migration.ticket),
            kind: StoredMigrationKind::from(migration.kind).into(),
            source: migration.source.clone(),
            target: migration.target.clone(),
            requested_host: migration.requested_host.clone(),
            old_flavor: (&migration.old_flavor).into(),
            new_flavor: (&migration.new_flavor).into(),
            state_before: StoredVmState::from(migration.state_before).into(),
            failures: migration.failures.clone(),
            error: migration.error.clone(),
            user: migration.user.clone(),
            outcome: StoredMigrationOutcome::from(migration.outcome).into(),
            created_at: migration.created_at.0,
            updated_at: migration.updated_at.0,
            task_before: StoredTask::from(migration.operation_before).into(),
            rebuilds: migration.rebuilds,
        }
    }
}

impl From<StoredMigration> for Migration {
    fn from(record: StoredMigration) -> Self {
        let (kind, outcome) = (record.kind().into(), record.outcome().into());
        Self {
            uuid: uuid(&record.uuid),
            ticket: uuid(&record.ticket),
            kind,
            outcome,
            state_before: record.state_before().into(),
            operation_before: record.task_before().into(),
            rebuilds: record.rebuilds,
            source: record.source,
            target: record.target,
            requested_host: record.requested_host,
            old_flavor: record.old_flavor.into(),
            new_flavor: record.new_flavor.into(),
            failures: record.failures,
            error: record.error,
            user: record.user,
            created_at: Timestamp(record.created_at),
            updated_at: Timestamp(record.updated_at),
        }
    }
}

impl From<MigrationKind> for StoredMigrationKind {
    fn from(kind: MigrationKind) -> Self {
        match kind {
            MigrationKind::Cold => Self::Cold,
            MigrationKind::Resize => Self::Resize,
            MigrationKind::Evacuation => Self::Evacuation,
        }
    }
}

impl From<StoredMigrationKind> for MigrationKind {
    fn from(kind: StoredMigrationKind) -> Self {
        match kind {
            StoredMigrationKind::Cold => Self::Cold,
            StoredMigrationKind::Resize => Self::Resize,
            StoredMigrationKind::Evacuation => Self::Evacuation,
        }
    }
}

impl From<Option<MigrationOutcome>> for StoredMigrationOutcome {
    fn from(outcome: Option<MigrationOutcome>) -> Self {
        match outcome {
            None => Self::Open,
            Some(MigrationOutcome::Confirmed) => Self::Confirmed,
            Some(MigrationOutcome::Reverted) => Self::Reverted,
            Some(MigrationOutcome::Failed) => Self::Failed,
            Some(MigrationOutcome::Deleted) => Self::Deleted,
            Some(MigrationOutcome::Evacuated) => Self::Evacuated,
        }
    }
}

impl From<StoredMigrationOutcome> for Option<MigrationOutcome> {
    fn from(outcome: StoredMigrationOutcome) -> Self {
        Some(match outcome {
            StoredMigrationOutcome::Open => return None,
            StoredMigrationOutcome::Confirmed => MigrationOutcome::Confirmed,
            StoredMigrationOutcome::Reverted => MigrationOutcome::Reverted,
            StoredMigrationOutcome::Failed => MigrationOutcome::Failed,
            StoredMigrationOutcome::Deleted => MigrationOutcome::Deleted,
            StoredMigrationOutcome::Evacuated => MigrationOutcome::Evacuated,
        })
    }
}
