//! New instances: recorded, then given hosts, then built.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::repeats::Key;
use crate::fleet::ask::Ask;
use crate::fleet::decider::Placed;
use crate::fleet::entry::{Flavor, Hints, Image, Instance, Task, VmState};
use crate::fleet::error::FleetError;
use crate::fleet::quotas::{check_project, granted};
use crate::fleet::schedule::MAX_INSTANCES;
use crate::fleet::state::Transaction;
use crate::fleet::{Fleet, check_name};
use crate::service::now;

/// cloud-init's user data, at most.
const MAX_USER_DATA: usize = 64 * 1024;

/// Entries of a map, and characters of a text, at most.
const MAX_ENTRIES: usize = 128;
const MAX_TEXT: usize = 255;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Creation {
    pub(crate) name: String,
    /// The name of a flavor.
    pub(crate) flavor: String,
    pub(crate) image: Option<Image>,
    pub(crate) project: String,
    pub(crate) user: String,
    pub(crate) availability_zone: String,
    pub(crate) hints: BTreeMap<String, Hints>,
    pub(crate) min_count: usize,
    pub(crate) max_count: usize,
    pub(crate) user_data: Vec<u8>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) idempotency_key: String,
}

impl Fleet {
    /// Makes instances and gives them hosts, as many as find room, but at least the least; else none is made. Agents are told
    /// to build them afterwards.
    ///
    /// The instances are recorded before their room is claimed: what a crash leaves without a host is given one at the next
    /// start.
    pub(crate) fn create_instances(&self, creation: &Creation) -> Result<Vec<Instance>, FleetError> {
        creation.check()?;
        match creation.key() {
            Some(key) => self.creating.answer(&key, || self.create(creation)),
            None => self.create(creation),
        }
    }

    fn create(&self, creation: &Creation) -> Result<Vec<Instance>, FleetError> {
        let (instances, is_repeated) = self.transact(|fleet| {
            let recorded = creation.record(fleet)?;
            self.placing().extend(recorded.0.iter().map(Instance::uuid).filter(|_| !recorded.1));
            Ok::<_, FleetError>(recorded)
        })?;
        if is_repeated {
            return Ok(instances);
        }
        let uuids: Vec<Uuid> = instances.iter().map(Instance::uuid).collect();
        let outcome = self.give_hosts(creation.least(), &instances[0].ask(), &uuids);
        self.placing().retain(|uuid| !uuids.contains(uuid));
        outcome
    }

    /// Has the instances built on hosts with room; those that find none are forgotten.
    fn give_hosts(&self, least: usize, ask: &Ask, uuids: &[Uuid]) -> Result<Vec<Instance>, FleetError> {
        match self.place_new(least, ask, uuids) {
            Ok(placed) => {
                let (placed, spare) = (&placed[..], &uuids[placed.len()..]);
                self.forget_new(spare);
                Ok(placed
                    .iter()
                    .filter_map(|placed| self.spawn(placed.instance, &placed.place.host))
                    .collect())
            }
            Err(error) => {
                self.forget_new(uuids);
                Err(error)
            }
        }
    }

    /// Hosts for all of the instances, or for the first of them: as many as find room.
    fn place_new(&self, least: usize, ask: &Ask, uuids: &[Uuid]) -> Result<Vec<Placed>, FleetError> {
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

    fn forget_new(&self, uuids: &[Uuid]) {
        for &uuid in uuids {
            self.give_back(uuid);
        }
        self.transact(|fleet| uuids.iter().for_each(|&uuid| fleet.remove_instance(uuid)));
    }

    /// The instance has room on the host: it is to be built there.
    pub(in crate::fleet) fn spawn(&self, uuid: Uuid, host: &str) -> Option<Instance> {
        let changed = self.change_instance(uuid, |instance| {
            if instance.task() != Task::Scheduling {
                return None; // it shall go
            }
            instance.host = host.to_owned();
            instance.leftovers.retain(|left| left != host);
            instance.set_task(Task::Spawning);
            instance.generation += 1;
            instance.boot += 1;
            instance.note(now(), "schedule", "", format!("to be built on {host}"));
            Some(instance.clone())
        });
        if changed.is_none() {
            self.give_back(uuid); // it is gone already
        }
        changed.flatten()
    }

    /// Releases what the instance holds.
    pub(in crate::fleet) fn give_back(&self, uuid: Uuid) {
        // It may hold nothing.
        let _ = self.index.release(uuid.into());
    }
}

impl Creation {
    fn least(&self) -> usize {
        self.min_count.max(1)
    }

    fn most(&self) -> usize {
        self.max_count.max(self.least())
    }

    fn check(&self) -> Result<(), FleetError> {
        check_name("name", &self.name, 255)?;
        check_project(&self.project)?;
        if self.max_count > 0 && self.max_count < self.min_count {
            let (least, most) = (self.min_count, self.max_count);
            return Err(FleetError::field(
                "max_count",
                format!("is {most}, less than min_count, which is {least}"),
            ));
        }
        if self.most() > MAX_INSTANCES {
            return Err(FleetError::field("max_count", format!("is more than {MAX_INSTANCES}")));
        }
        self.check_sizes()?;
        if self.user_data.len() > MAX_USER_DATA {
            return Err(FleetError::field("user_data", format!("has more than {MAX_USER_DATA} bytes")));
        }
        Ok(())
    }

    /// Bounds as Nova has them: each instance keeps a copy.
    fn check_sizes(&self) -> Result<(), FleetError> {
        let too_long = |text: &String| text.chars().count() > MAX_TEXT;
        let properties = self.image.as_ref().map(|image| &image.properties);
        for (field, map) in [("metadata", Some(&self.metadata)), ("image.properties", properties)] {
            let Some(map) = map else { continue };
            if map.len() > MAX_ENTRIES || map.iter().any(|(key, value)| too_long(key) || too_long(value)) {
                let problem = format!(
                    "has more than {MAX_ENTRIES} entries, or texts of more than {MAX_TEXT} characters"
                );
                return Err(FleetError::field(field, problem));
            }
        }
        let hints = self.hints.values().map(|hint| hint.values.len()).sum::<usize>();
        if hints + self.hints.len() > MAX_ENTRIES
            || self.hints.values().flat_map(|hint| &hint.values).any(too_long)
        {
            return Err(FleetError::field("hints", format!("more than {MAX_ENTRIES}, or too long")));
        }
        let texts = [
            ("user", &self.user),
            ("idempotency_key", &self.idempotency_key),
            ("availability_zone", &self.availability_zone),
        ];
        match texts.into_iter().find(|(_, text)| too_long(text)) {
            Some((field, _)) => Err(FleetError::field(field, format!("has more than {MAX_TEXT} characters"))),
            None => Ok(()),
        }
    }

    /// What repeats of the request are known by, if it may be repeated.
    fn key(&self) -> Option<Key> {
        (!self.idempotency_key.is_empty()).then(|| (self.project.clone(), self.idempotency_key.clone()))
    }

    /// Records the instances, or finds those of an earlier request.
    fn record(&self, fleet: &mut Transaction<'_>) -> Result<(Vec<Instance>, bool), FleetError> {
        if !self.idempotency_key.is_empty() {
            let same = |known: &&Instance| {
                known.idempotency_key == self.idempotency_key && known.project == self.project
            };
            let earlier: Vec<Instance> = fleet.state.instances.values().filter(same).cloned().collect();
            if !earlier.is_empty() {
                return Ok((earlier, true));
            }
        }
        let flavor = fleet.state.flavors.get(&self.flavor).cloned();
        let flavor = &flavor.ok_or_else(|| FleetError::not_found("flavor", &self.flavor))?;
        let wanted = (self.least() as u64, self.most() as u64);
        let count = granted(fleet.state, &self.project, flavor, wanted)?;
        let instances: Vec<Instance> = (1..=count).map(|number| self.instance(flavor, number)).collect();
        instances.iter().for_each(|instance| fleet.put_instance(instance.uuid(), instance.clone()));
        Ok((instances, false))
    }

    fn instance(&self, flavor: &Flavor, number: u64) -> Instance {
        #[expect(clippy::disallowed_methods, reason = "a new UUID has to be unlike all others")]
        let uuid = Uuid::new_v4();
        let name = if self.most() > 1 { format!("{}-{number}", self.name) } else { self.name.clone() };
        let now = now();
        let mut instance = Instance {
            uuid: uuid.into_bytes().to_vec(),
            name,
            project: self.project.clone(),
            user: self.user.clone(),
            flavor: flavor.clone(),
            image: self.image.clone(),
            availability_zone: self.availability_zone.clone(),
            hints: self.hints.clone(),
            user_data: self.user_data.clone(),
            metadata: self.metadata.clone(),
            idempotency_key: self.idempotency_key.clone(),
            created_at: now.0,
            vm_state: VmState::Building.into(),
            task: Task::Scheduling.into(),
            ..Instance::default()
        };
        instance.note(now, "create", &self.user, "");
        instance
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, PoisonError};
    use std::thread;
    use std::time::Duration;

    use berth_placement::Index;

    use super::*;
    use crate::fleet::{FleetOptions, State};

    /// The first request was still looking for hosts when its repeat was answered with UUIDs; then it found none, and they were
    /// nobody's.
    #[test]
    fn a_repeat_waits_for_the_first_and_gets_its_answer() {
        let fleet =
            Fleet::new(Arc::new(Index::with_holders()), None, State::default(), FleetOptions::default());
        let flavor = Flavor { name: "small".to_owned(), vcpus: 1, memory_mb: 1, ..Flavor::default() };
        fleet.transact(|fleet| fleet.put_flavor(flavor));
        let creation = Creation {
            name: "it".to_owned(),
            flavor: "small".to_owned(),
            project: "p".to_owned(),
            idempotency_key: "k".to_owned(),
            ..Creation::default()
        };
        thread::scope(|scope| {
            let deciding = fleet.decider.lock().unwrap_or_else(PoisonError::into_inner);
            let first = scope.spawn(|| fleet.create_instances(&creation));
            while fleet.state().instances.is_empty() {
                thread::yield_now();
            }
            let repeat = scope.spawn(|| fleet.create_instances(&creation));
            for _ in 0..100 {
                assert!(!repeat.is_finished());
                #[expect(
                    clippy::disallowed_methods,
                    reason = "long enough for an answer that does not wait"
                )]
                thread::sleep(Duration::from_millis(2));
            }
            drop(deciding);
            let (first, repeat) = (first.join().unwrap(), repeat.join().unwrap());
            assert!(first.as_ref().unwrap_err().is_no_valid_host());
            assert_eq!(first, repeat);
        });
        assert!(fleet.state().instances.is_empty());
    }
}
