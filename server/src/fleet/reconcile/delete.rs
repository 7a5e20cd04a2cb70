//! Ending an instance: its room is given back when nothing of it is left on any host.

use uuid::Uuid;

use crate::fleet::Fleet;
use crate::fleet::entry::Task;

impl Fleet {
    /// Forgets an instance that shall go, once no host has anything of it.
    pub(super) fn finish_deletion(&self, uuid: Uuid) {
        let Some(instance) = self.instance_by_uuid(uuid) else { return };
        if instance.task() != Task::Deleting || !instance.host.is_empty() || !instance.leftovers.is_empty() {
            return;
        }
        // First the room: a record without room is taken up again after a crash, room without a record would be lost.
        self.give_back(uuid);
        self.transact(|fleet| fleet.remove_instance(uuid));
        debug_assert!(self.index.consumer(uuid.into()).is_none());
        let _ = self.told.send(uuid); // nobody may be watching
    }

    /// Nothing of the instance is on the host any more, or the host is gone.
    pub(in crate::fleet) fn is_gone_from(&self, uuid: Uuid, host: &str) {
        self.change_instance(uuid, |instance| {
            instance.leftovers.retain(|left| left != host);
            if instance.host == host && instance.task() == Task::Deleting {
                instance.host.clear();
            }
        });
    }
}
