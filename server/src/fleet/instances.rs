//! Creating and unshelving instances: records, decisions and claims in turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_api::v1;
use berth_fleet::{Creation, FleetError, Instance, Named, Operation, Recorded, RequestedZone, Session};
use uuid::Uuid;

use super::FleetHandle;
use super::ask::Ask;
use super::decider::NamedPlacement;
use super::handle::new_uuid;
use super::message::read_report;

impl FleetHandle {
    /// Creates instances and gives them hosts: as many as have capacity, but at least the least
    /// number; else none. Their agents receive them afterwards.
    ///
    /// The instances are recorded before they claim capacity, so those that a crash leaves without
    /// a host get one after the next start.
    pub(crate) fn create_instances(&self, creation: &Creation) -> Result<Vec<Arc<Instance>>, FleetError> {
        creation.check()?;
        if creation.idempotency_key.is_empty() {
            return self.create(creation);
        }
        let key = (creation.project.clone(), creation.idempotency_key.clone());
        self.creating.answer(&key, || self.create(creation))
    }

    fn create(&self, creation: &Creation) -> Result<Vec<Arc<Instance>>, FleetError> {
        let recorded = self.command(|fleet, now| fleet.record_instances(creation, new_uuid, now.wall))?;
        let instances = match recorded {
            Recorded::Repeated(instances) => return Ok(instances),
            Recorded::New(instances) => instances,
        };
        let uuids: Vec<Uuid> = instances.iter().map(|instance| instance.uuid).collect();
        let placed = self.place_new(creation.least(), &Ask::of(&instances[0]), &uuids);
        self.command(|fleet, now| {
            let placements = placed.as_deref().unwrap_or_default();
            let with_host: BTreeSet<Uuid> = placements.iter().map(|placement| placement.instance).collect();
            let without: Vec<Uuid> = uuids.iter().copied().filter(|uuid| !with_host.contains(uuid)).collect();
            fleet.forget_instances(&without);
            let spawned = placements
                .iter()
                .filter_map(|placed| fleet.spawn(placed.instance, &placed.place.host, now.wall));
            let spawned = spawned.collect();
            fleet.end_placing(&uuids);
            placed.map(|_| spawned)
        })
    }

    /// Hosts for all of the instances, or for the first of them: as many as have capacity.
    fn place_new(&self, least: usize, ask: &Ask, uuids: &[Uuid]) -> Result<Vec<NamedPlacement>, FleetError> {
        let place = |uuids: &[Uuid]| self.schedule(&Ask { instances: uuids.to_vec(), ..ask.clone() }, false);
        match place(uuids) {
            Err(error) if error.is_no_valid_host() && least < uuids.len() => {
                let mut placed = place(&uuids[..least])?;
                let others = uuids[least..].iter().map_while(|&uuid| place(&[uuid]).ok());
                placed.extend(others.flatten());
                Ok(placed)
            }
            outcome => outcome,
        }
    }

    /// Begins an operation that a user asks for; the agent receives it afterwards. `may_override`:
    /// also on a locked instance.
    pub(crate) fn act(
        &self,
        named: Named<'_>,
        operation: Operation,
        user: &str,
        may_override: bool,
    ) -> Result<Arc<Instance>, FleetError> {
        if operation == Operation::Unshelve {
            return self.unshelve(named, user, may_override);
        }
        self.command(|fleet, now| {
            let uuid = fleet.instance_uuid(named)?;
            fleet.act(uuid, operation, (user, may_override), now.wall)
        })
    }

    /// Claims capacity for a shelved instance on the host with its disk, and begins to unshelve it.
    fn unshelve(
        &self,
        named: Named<'_>,
        user: &str,
        may_override: bool,
    ) -> Result<Arc<Instance>, FleetError> {
        let unshelving = self.observe(|fleet, _| fleet.begin_unshelving(named, may_override))?;
        let uuid = unshelving.instance.uuid;
        let host = &unshelving.instance.location.host;
        let mut ask = Ask::of(&unshelving.instance);
        // Its own host alone, and with every filter: a host that is down or disabled gets no guest.
        ask.ignore_hosts = unshelving.other_hosts.iter().cloned().collect();
        ask.availability_zone = RequestedZone::default();
        let placed = self.schedule(&ask, false).and_then(|placed| match placed.first() {
            Some(placed) if placed.place.host == *host => Ok(()),
            // On a host that has joined since.
            _ => Err(FleetError::precondition("ELSEWHERE", "the instance holds capacity on another host")),
        });
        self.command(|fleet, now| {
            let outcome =
                placed.and_then(|()| fleet.act(uuid, Operation::Unshelve, (user, may_override), now.wall));
            if outcome.is_err() && unshelving.holds_none {
                fleet.release_unused(uuid);
            }
            fleet.end_placing(&[uuid]);
            outcome
        })
    }

    /// Applies the report of an agent about a guest.
    pub(crate) fn report(
        &self,
        host: &str,
        session: Session,
        report: &v1::GuestReport,
    ) -> Result<(), FleetError> {
        let report = read_report(report)?;
        self.command(|fleet, now| fleet.report(host, session, &report, now.wall))
    }

    /// Applies that an agent has reported all its guests.
    pub(crate) fn all_reported(&self, host: &str, session: Session) {
        self.command(|fleet, now| fleet.all_reported(host, session, now.wall));
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use berth_fleet::{Flavor, FleetOptions};
    use berth_placement::Index;

    use super::*;
    use crate::fleet::FleetState;

    /// The first request was still looking for hosts when its repeat returned UUIDs; then it found
    /// none, and the UUIDs belonged to no instance.
    #[test]
    fn a_repeat_waits_for_the_first_request_and_gets_its_response() {
        let index = Arc::new(Index::with_holders());
        let fleet = FleetHandle::new(index, None, FleetState::default(), FleetOptions::default());
        let flavor = Flavor { name: "small".to_owned(), vcpus: 1, memory_mb: 1, ..Flavor::default() };
        fleet.command(|fleet, _| fleet.create_flavor(flavor)).unwrap();
        let creation = Creation {
            name: "it".to_owned(),
            flavor: "small".to_owned(),
            project: "p".to_owned(),
            idempotency_key: "k".to_owned(),
            ..Creation::default()
        };
        let instances = || fleet.read(|fleet| fleet.state().instances().count());
        thread::scope(|scope| {
            let deciding = fleet.lock_decider();
            let first = scope.spawn(|| fleet.create_instances(&creation));
            while instances() == 0 {
                thread::yield_now();
            }
            let repeat = scope.spawn(|| fleet.create_instances(&creation));
            let key = ("p".to_owned(), "k".to_owned());
            while fleet.creating.in_progress(&key) < 2 {
                thread::yield_now();
            }
            assert!(!repeat.is_finished());
            drop(deciding);
            let (first, repeat) = (first.join().unwrap(), repeat.join().unwrap());
            assert!(first.as_ref().unwrap_err().is_no_valid_host());
            assert_eq!(first, repeat);
        });
        assert_eq!(instances(), 0);
    }
}
