//! Migrations from and to the types of the crate `fleet`.

use berth_fleet::{LiveDisks, LiveMove, LiveOptions, Migration, MigrationKind, MigrationOutcome};
use berth_placement::Timestamp;

use super::convert::{bytes, uuid};
use super::{
    StoredLiveDisks, StoredLiveMove, StoredMigration, StoredMigrationKind, StoredMigrationOutcome,
    StoredTask, StoredVmState,
};

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
            live: (migration.kind == MigrationKind::Live).then(|| (&migration.live).into()),
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
            live: record.live.map(Into::into).unwrap_or_default(),
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

impl From<&LiveMove> for StoredLiveMove {
    fn from(live: &LiveMove) -> Self {
        let options = &live.options;
        let disks = match options.disks {
            LiveDisks::Any => StoredLiveDisks::Any,
            LiveDisks::Shared => StoredLiveDisks::Shared,
            LiveDisks::Sent => StoredLiveDisks::Sent,
        };
        Self {
            disks: disks.into(),
            bandwidth_mib: options.bandwidth_mib,
            timeout_s: options.timeout_s,
            forces_at_timeout: options.forces_at_timeout,
            is_shared: live.is_shared,
            is_forced: live.is_forced,
            has_left: live.has_left,
        }
    }
}

impl From<StoredLiveMove> for LiveMove {
    fn from(record: StoredLiveMove) -> Self {
        let disks = match record.disks() {
            StoredLiveDisks::Any => LiveDisks::Any,
            StoredLiveDisks::Shared => LiveDisks::Shared,
            StoredLiveDisks::Sent => LiveDisks::Sent,
        };
        let StoredLiveMove { bandwidth_mib, timeout_s, forces_at_timeout, .. } = record;
        Self {
            options: LiveOptions { disks, bandwidth_mib, timeout_s, forces_at_timeout },
            is_shared: record.is_shared,
            is_forced: record.is_forced,
            has_left: record.has_left,
        }
    }
}

impl From<MigrationKind> for StoredMigrationKind {
    fn from(kind: MigrationKind) -> Self {
        match kind {
            MigrationKind::Cold => Self::Cold,
            MigrationKind::Resize => Self::Resize,
            MigrationKind::Evacuation => Self::Evacuation,
            MigrationKind::Live => Self::Live,
        }
    }
}

impl From<StoredMigrationKind> for MigrationKind {
    fn from(kind: StoredMigrationKind) -> Self {
        match kind {
            StoredMigrationKind::Cold => Self::Cold,
            StoredMigrationKind::Resize => Self::Resize,
            StoredMigrationKind::Evacuation => Self::Evacuation,
            StoredMigrationKind::Live => Self::Live,
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
            Some(MigrationOutcome::Completed) => Self::Completed,
            Some(MigrationOutcome::Aborted) => Self::Aborted,
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
            StoredMigrationOutcome::Completed => MigrationOutcome::Completed,
            StoredMigrationOutcome::Aborted => MigrationOutcome::Aborted,
        })
    }
}
