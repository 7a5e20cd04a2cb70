//! The live evacuation of a host: all its instances that run leave it, or none.
//!
//! It is a run as that of a host that is down (`evacuate/run.rs`): all its instances are queued and
//! get a claim before the first leaves. Then they take their turns, and hold their targets
//! meanwhile.

use std::sync::Arc;

use uuid::Uuid;

use super::LiveRequest;
use crate::Fleet;
use crate::error::FleetError;
use crate::group::ServerGroupPolicy;
use crate::instance::Instance;
use crate::migration::LiveOptions;
use crate::named::Named;
use crate::operation::{HostEvacuation, Operation};
use crate::time::Moment;

impl Fleet {
    /// Records the live evacuation of a host that is up, and reserves its instances for the request
    /// that claims targets, until [`Self::end_placing`]. Returns the run, and whether it is a new
    /// one: one that is in progress is returned.
    ///
    /// # Errors
    /// A host that is unknown or down; an evacuation of it that is in progress and not live; an
    /// instance for which another request is choosing a host.
    pub fn begin_live_evacuation(
        &mut self,
        name: &str,
        options: &LiveOptions,
        mut new_uuid: impl FnMut() -> Uuid,
        user: &str,
        now: Moment,
    ) -> Result<(HostEvacuation, bool), FleetError> {
        self.known_host(name)?;
        if let Some(run) = self.open_run(name, true)? {
            return Ok((run, false));
        }
        self.check_sender(name)?;
        let mut run = HostEvacuation {
            uuid: new_uuid(),
            user: user.to_owned(),
            is_live: true,
            created_at: now.wall,
            ..HostEvacuation::default()
        };
        let there: Vec<_> = self.state.on_host(name).filter_map(|uuid| self.instance_by_uuid(uuid)).collect();
        let mut leaving = Vec::new();
        for instance in there.iter().filter(|instance| instance.location.host == name) {
            match self.check_leaving(instance, &there) {
                Ok(()) => leaving.push(instance.uuid),
                Err(why) => drop(run.skipped.insert(instance.uuid, why)),
            }
        }
        leaving.iter().try_for_each(|&uuid| self.check_not_placing(uuid))?;
        for uuid in leaving {
            let request = LiveRequest {
                host: None,
                options: options.clone(),
                migration: new_uuid(),
                ticket: new_uuid(),
            };
            let named = uuid.to_string();
            self.begin_live(Named { name: &named, project: "" }, &request, (user, true), now.wall)?;
            run.migrations.insert(uuid, request.migration);
        }
        self.put_run(name, Some(run.clone()));
        Ok((run, true))
    }

    /// Checks that a host can send guests.
    ///
    /// # Errors
    /// It is down.
    pub(in crate::operation) fn check_sender(&self, host: &str) -> Result<(), FleetError> {
        self.check_up(host, "its agent has to send the guest")
    }

    /// Whether an instance leaves its host with the others on it; if not, why.
    fn check_leaving(&self, instance: &Instance, there: &[Arc<Instance>]) -> Result<(), String> {
        instance.check(Operation::LiveQueued, true).map_err(|error| error.to_string())?;
        let group = self.state.membership(instance.uuid);
        let policy = group.and_then(|group| self.state.group(group)).map(|group| group.policy);
        let is_of_group =
            |other: &Instance| other.uuid != instance.uuid && self.state.membership(other.uuid) == group;
        if policy == Some(ServerGroupPolicy::Affinity) && there.iter().any(|other| is_of_group(other)) {
            return Err(
                "the others of its affinity group bind it to the host: guests are sent one by one".to_owned()
            );
        }
        Ok(())
    }
}
