//! Fence records and evacuations of hosts from and to the types of the crate `fleet`.

use berth_fleet::{EvacuationPhase, Fence, HostEvacuation};
use berth_placement::Timestamp;

use super::convert::{bytes, uuid};
use super::{StoredEvacuated, StoredEvacuation, StoredFence};

impl From<&Fence> for StoredFence {
    fn from(Fence { at, user, by_command }: &Fence) -> Self {
        Self { at: at.0, user: user.clone(), by_command: *by_command }
    }
}

impl From<StoredFence> for Fence {
    fn from(StoredFence { at, user, by_command }: StoredFence) -> Self {
        Self { at: Timestamp(at), user, by_command }
    }
}

impl From<&HostEvacuation> for StoredEvacuation {
    fn from(run: &HostEvacuation) -> Self {
        let moved = run.migrations.iter().map(|(&instance, &migration)| StoredEvacuated {
            instance: bytes(instance),
            migration: bytes(migration),
            reason: String::new(),
        });
        let skipped = run.skipped.iter().map(|(&instance, reason)| StoredEvacuated {
            instance: bytes(instance),
            migration: Vec::new(),
            reason: reason.clone(),
        });
        Self {
            uuid: bytes(run.uuid),
            user: run.user.clone(),
            is_live: run.is_live,
            is_moving: run.phase == EvacuationPhase::Moving,
            instances: moved.chain(skipped).collect(),
            created_at: run.created_at.0,
        }
    }
}

impl From<StoredEvacuation> for HostEvacuation {
    fn from(record: StoredEvacuation) -> Self {
        let phase = if record.is_moving { EvacuationPhase::Moving } else { EvacuationPhase::Proving };
        let (skipped, moved): (Vec<_>, Vec<_>) =
            record.instances.into_iter().partition(|of| of.migration.is_empty());
        Self {
            uuid: uuid(&record.uuid),
            user: record.user,
            is_live: record.is_live,
            phase,
            migrations: moved.iter().map(|of| (uuid(&of.instance), uuid(&of.migration))).collect(),
            skipped: skipped.into_iter().map(|of| (uuid(&of.instance), of.reason)).collect(),
            created_at: Timestamp(record.created_at),
        }
    }
}
