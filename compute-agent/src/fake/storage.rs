//! Storage that fake hosts share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::{Fault, GuestStep, ObservedState};

/// The disks of guests on several fake hosts. Each belongs to one host, and is locked while the
/// guest runs, as QEMU locks disks.
#[derive(Clone, Debug, Default)]
pub struct FakeStorage(Arc<Mutex<BTreeMap<Uuid, SharedDisks>>>);

#[derive(Clone, Copy, Debug)]
struct SharedDisks {
    owner: Uuid,
    /// The migration for which the owner took them over, the generation, and the host that had them
    /// before.
    taken: Option<(Uuid, u64, Uuid)>,
    /// The host whose guest uses them.
    locked_by: Option<Uuid>,
    data: u64,
}

impl FakeStorage {
    fn disks(&self) -> MutexGuard<'_, BTreeMap<Uuid, SharedDisks>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of guests with disks here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.disks().len()
    }

    /// Whether no guest has disks here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.disks().is_empty()
    }

    /// The content of the guest's disks if they are the host's.
    pub(super) fn data_of(&self, guest: Uuid, host: Uuid) -> Option<u64> {
        self.disks().get(&guest).filter(|disks| disks.owner == host).map(|disks| disks.data)
    }

    /// Refuses a step that needs disks of another host, or disks that a guest uses.
    pub(super) fn check(&self, guest: Uuid, host: Uuid, step: GuestStep) -> Result<(), Fault> {
        let disks = self.disks().get(&guest).copied();
        match (step, disks) {
            (GuestStep::Prepare | GuestStep::Fetch, Some(disks)) if disks.owner != host => {
                Err(Fault::permanent("the disks belong to another host"))
            }
            (GuestStep::Start | GuestStep::Restore, Some(disks)) if disks.owner != host => {
                Err(Fault::permanent("the disks belong to another host"))
            }
            (GuestStep::Start | GuestStep::Restore, Some(disks))
                if disks.locked_by.is_some_and(|by| by != host) =>
            {
                Err(Fault::transient("Failed to get \"write\" lock"))
            }
            _ => Ok(()),
        }
    }

    /// Takes disks over; returns their content, or `None` if there are none.
    pub(super) fn adopt(
        &self,
        guest: Uuid,
        host: Uuid,
        (migration, generation): (Uuid, u64),
    ) -> Result<Option<u64>, Fault> {
        let mut all = self.disks();
        let Some(disks) = all.get_mut(&guest) else { return Ok(None) };
        if disks.locked_by.is_some_and(|by| by != host) {
            return Err(Fault::permanent("a process uses the disk: the guest still runs on its former host"));
        }
        let before = match disks.taken {
            Some((_, latest, _)) if latest > generation => {
                return Err(Fault::permanent("the desired state is outdated"));
            }
            Some((of, _, before)) if of == migration => before,
            _ => disks.owner,
        };
        (disks.owner, disks.taken) = (host, Some((migration, generation, before)));
        Ok(Some(disks.data))
    }

    /// Returns what the host took over for the migration.
    pub(super) fn return_disks(&self, guest: Uuid, host: Uuid, migration: Uuid) -> Result<(), Fault> {
        let mut all = self.disks();
        let disks = all.get_mut(&guest).filter(|disks| disks.owner == host);
        match disks.and_then(|disks| Some((disks.taken?, disks))) {
            Some(((of, _, before), disks)) if of == migration => disks.owner = before,
            _ => return Err(Fault::permanent("the disks were not taken over for this migration")),
        }
        Ok(())
    }

    /// The disks of one guest are those of another.
    pub(super) fn rename(&self, from: Uuid, to: Uuid) {
        let mut all = self.disks();
        if let Some(disks) = all.remove(&from) {
            all.insert(to, disks);
        }
    }

    /// Notes the state of a guest after a step of its host.
    pub(super) fn note(&self, guest: Uuid, host: Uuid, power: ObservedState, data: u64) {
        let mut all = self.disks();
        let owner = all.get(&guest).map(|disks| disks.owner);
        if power == ObservedState::Absent {
            all.retain(|&of, _| of != guest || owner != Some(host));
            return;
        }
        if owner.is_some_and(|owner| owner != host) {
            return;
        }
        let new = SharedDisks { owner: host, taken: None, locked_by: None, data };
        let disks = all.entry(guest).or_insert(new);
        disks.data = data;
        disks.locked_by = matches!(power, ObservedState::Running | ObservedState::Paused).then_some(host);
    }

    /// A guest has arrived from another host, whose disks it uses.
    pub(super) fn move_lock(&self, guest: Uuid, from: Uuid, to: Uuid) {
        if let Some(disks) = self.disks().get_mut(&guest).filter(|disks| disks.locked_by == Some(from)) {
            disks.locked_by = Some(to);
        }
    }

    /// The host's guests have no process any longer.
    pub(super) fn unlock_all(&self, host: Uuid) {
        for disks in self.disks().values_mut().filter(|disks| disks.locked_by == Some(host)) {
            disks.locked_by = None;
        }
    }
}
