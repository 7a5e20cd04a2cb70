//! Instances: what users ask of them.

mod action;
mod create;
mod desired;
mod repeats;
mod words;

use berth_placement::Timestamp;
use uuid::Uuid;

use super::entry::{Event, Instance};
use super::error::FleetError;
use super::{Fleet, Named};

pub(crate) use action::Action;
pub(crate) use create::Creation;
pub(super) use repeats::Repeats;
pub(crate) use words::{power_state, status, task_state, vm_state};

/// Events of an instance that are kept.
const EVENTS: usize = 100;

impl Instance {
    /// Notes what happened.
    pub(super) fn note(&mut self, at: Timestamp, action: &str, user: &str, message: impl Into<String>) {
        if self.events.len() >= EVENTS {
            self.events.remove(0);
        }
        self.updated_at = at.0;
        let (action, user) = (action.to_owned(), user.to_owned());
        self.events.push(Event { at: at.0, action, user, message: message.into() });
    }
}

impl Fleet {
    pub(crate) fn instance(&self, named: Named<'_>) -> Result<Instance, FleetError> {
        named.resolve(&self.state().instances).map(|(_, instance)| instance.clone())
    }

    pub(crate) fn instance_by_uuid(&self, uuid: Uuid) -> Option<Instance> {
        self.state().instances.get(&uuid).cloned()
    }

    pub(super) fn instance_uuid(&self, named: Named<'_>) -> Result<Uuid, FleetError> {
        named.resolve(&self.state().instances).map(|(uuid, _)| uuid)
    }

    /// All that `wanted` takes, by name and UUID.
    pub(crate) fn instances(&self, wanted: impl Fn(&Instance) -> bool) -> Vec<Instance> {
        let state = self.state();
        let mut found: Vec<Instance> =
            state.instances.values().filter(|instance| wanted(instance)).cloned().collect();
        drop(state);
        found.sort_by(|a, b| (&a.name, &a.uuid).cmp(&(&b.name, &b.uuid)));
        found
    }

    /// The zone of its host; before it has one, the one that was asked for.
    pub(crate) fn zone_of_instance(&self, instance: &Instance) -> String {
        if instance.host.is_empty() {
            return instance.availability_zone.split(':').next().unwrap_or_default().to_owned();
        }
        self.zone_of(&self.state(), &instance.host)
    }

    pub(crate) fn group_of_instance(&self, uuid: Uuid) -> Option<Uuid> {
        self.state().memberships.get(&uuid).copied()
    }

    /// Instances as they change. Who lags too far behind is told so, and has to look at all of them.
    pub(crate) fn watch(&self) -> tokio::sync::broadcast::Receiver<Uuid> {
        self.told.subscribe()
    }

    /// Changes an instance if it is there.
    pub(super) fn change_instance<T>(
        &self,
        uuid: Uuid,
        change: impl FnOnce(&mut Instance) -> T,
    ) -> Option<T> {
        let changed = self.transact(|fleet| {
            let before = fleet.state.instances.get(&uuid)?;
            let mut after = before.clone();
            let outcome = change(&mut after);
            let news = (after != *before).then(|| [before.host.clone(), after.host.clone()]);
            if news.is_some() {
                fleet.put_instance(uuid, after);
            }
            Some((outcome, news))
        });
        let (outcome, news) = changed?;
        if let Some(hosts) = news {
            self.note_hosts(hosts.iter().map(String::as_str));
            self.note_instance(uuid);
        }
        Some(outcome)
    }
}
