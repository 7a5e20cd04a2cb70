//! Live migration between fake hypervisors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use berth_api::v1;
use uuid::Uuid;

use super::{Entry, FakeHypervisor};
use crate::{Fault, Notice, ObservedState};

/// Fake hypervisors that send each other guests.
#[derive(Clone, Debug, Default)]
pub struct FakeNetwork(Arc<Mutex<BTreeMap<String, Weak<FakeHypervisor>>>>);

/// A guest that is being sent.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    generation: u64,
    target: Arc<FakeHypervisor>,
    is_shared: bool,
    /// The state in which it is on either side.
    power: ObservedState,
}

impl FakeNetwork {
    /// Other hypervisors of the network can send guests to this one from now on. `name` is unique
    /// in the network.
    pub fn add(&self, name: &str, hypervisor: &Arc<FakeHypervisor>) {
        let uri = format!("fake://{name}");
        self.members().insert(uri.clone(), Arc::downgrade(hypervisor));
        let mut world = hypervisor.world();
        world.network = Some(self.clone());
        world.facts.hypervisor.migration_target =
            Some(v1::MigrationTarget { uri, ..v1::MigrationTarget::default() });
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<String, Weak<FakeHypervisor>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, uri: &str) -> Option<Arc<FakeHypervisor>> {
        self.members().get(uri)?.upgrade()
    }
}

impl FakeHypervisor {
    /// Guests that are sent stay on their way until [`Self::finish_sending`].
    pub fn hold_transfers(&self) {
        self.world().holds_transfers = true;
    }

    /// A guest that is on its way arrives. Returns whether there was one.
    pub fn finish_sending(&self, instance: Uuid) -> bool {
        let mut world = self.world();
        let Some(sending) = world.sending.remove(&instance) else { return false };
        let entry = world.entry(instance);
        // What a hypervisor does at the end happens on both sides at once: its process does not die
        // with the agent.
        let left = Entry { power: ObservedState::Shelved, ..entry };
        world.guests.insert(instance, left);
        let host = world.facts.host_uuid;
        let storage = world.storage.clone().filter(|_| sending.is_shared);
        world.notify(Notice::Disturbed(instance));
        drop(world);
        let mut there = sending.target.world();
        if let Some(storage) = storage {
            storage.move_lock(instance, host, there.facts.host_uuid);
        }
        let arrived = Entry { power: sending.power, data: entry.data, ..there.entry(instance) };
        if sending.is_shared || there.put(instance, arrived).is_err() {
            there.guests.insert(instance, arrived);
        }
        there.notify(Notice::Disturbed(instance));
        true
    }

    /// A guest that is on its way stays, as after an abort or when the other side dies.
    pub fn fail_sending(&self, instance: Uuid, why: &str) {
        let mut world = self.world();
        let Some(sending) = world.sending.remove(&instance) else { return };
        let entry = Entry { power: sending.power, ..world.entry(instance) };
        world.guests.insert(instance, entry);
        world.failed.insert(instance, (sending.generation, Fault::permanent(why)));
        world.notify(Notice::Disturbed(instance));
        drop(world);
        sending.target.stop_receiving(instance);
    }

    /// Begins to send a guest. The target has to have what the guest needs.
    pub(super) fn begin_sending(
        &self,
        instance: Uuid,
        generation: u64,
        transfer: Option<&v1::Transfer>,
    ) -> Result<(), Fault> {
        let world = self.world();
        world.check()?;
        if let Some((_, fault)) = world.failed.get(&instance).filter(|(of, _)| *of == generation) {
            return Err(fault.clone());
        }
        let transfer = transfer.ok_or_else(|| Fault::permanent("desired_guest.transfer: missing"))?;
        let uri = transfer.target.as_ref().map_or("", |of| of.uri.as_str());
        let target = world.network.as_ref().and_then(|network| network.find(uri));
        let target = target.ok_or_else(|| Fault::permanent(format!("{uri:?} cannot be reached")))?;
        let entry = world.entry(instance);
        if !matches!(entry.power, ObservedState::Running | ObservedState::Paused) {
            return Err(Fault::transient(format!("a guest that is {:?} cannot be sent", entry.power)));
        }
        drop(world);
        target.begin_receiving(instance, transfer.is_shared)?;
        let mut world = self.world();
        let is_shared = transfer.is_shared;
        world.sending.insert(instance, Sending { generation, target, is_shared, power: entry.power });
        world.guests.insert(instance, Entry { power: ObservedState::Leaving, ..entry });
        let is_held = world.holds_transfers;
        drop(world);
        if !is_held {
            self.finish_sending(instance);
        }
        Ok(())
    }

    fn begin_receiving(&self, instance: Uuid, is_shared: bool) -> Result<(), Fault> {
        let mut world = self.world();
        world.check()?;
        let entry = world.entry(instance);
        let needed = if is_shared { ObservedState::Absent } else { ObservedState::Shelved };
        if entry.power != needed {
            return Err(Fault::permanent(format!("the target has a guest that is {:?}", entry.power)));
        }
        world.guests.insert(instance, Entry { power: ObservedState::Arriving, ..entry });
        world.notify(Notice::Disturbed(instance));
        Ok(())
    }

    /// What was received of a guest is removed, but for disks that were made before.
    fn stop_receiving(&self, instance: Uuid) {
        let mut world = self.world();
        let entry = world.entry(instance);
        if entry.power == ObservedState::Arriving {
            // On shared storage without disks of its own, that is nothing.
            world.guests.insert(instance, Entry { power: ObservedState::Shelved, ..entry });
            world.notify(Notice::Disturbed(instance));
        }
    }

    /// A guest that is being received is destroyed: its source keeps it.
    pub(super) fn destroy_received(&self, instance: Uuid) {
        let network = self.world().network.clone();
        let members: Vec<_> =
            network.iter().flat_map(|of| of.members().values().cloned().collect::<Vec<_>>()).collect();
        for member in members.iter().filter_map(Weak::upgrade) {
            member.fail_sending(instance, "the target does not answer any longer");
        }
        self.stop_receiving(instance);
    }

    /// The host has lost its power: nothing is sent to it or from it any longer.
    pub(super) fn cut_transfers(&self) {
        let world = self.world();
        let sent: Vec<Uuid> = world.sending.keys().copied().collect();
        let is_received = |(_, entry): &(&Uuid, &Entry)| entry.power == ObservedState::Arriving;
        let received: Vec<Uuid> =
            world.guests.iter().filter(is_received).map(|(&instance, _)| instance).collect();
        drop(world);
        sent.into_iter().for_each(|instance| self.fail_sending(instance, "the host lost its power"));
        received.into_iter().for_each(|instance| self.destroy_received(instance));
    }
}
