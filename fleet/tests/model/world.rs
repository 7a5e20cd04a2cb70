//! The service and the hosts, what is really on them, and what has to be true of both.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use berth_fleet::{
    Creation, DiskMove, EvacuationRequest, Flavor, Fleet, FleetOptions, Goal, GuestState, HostStatus,
    HypervisorInfo, Instance, Introduction, Migration, MigrationKind, MigrationOutcome, Moment, Monotonic,
    Named, Operation, Recorded, ReportedInventory, ReportedProvider, ResizeRequest, Session, State, VmState,
};
use berth_placement::{Allocation, ConsumerWrite, ExpectedGeneration, Index, Inventory, Owner, Timestamp};
use uuid::Uuid;

use crate::host::{Attempt, Guest, HostModel};
use crate::{HOSTS, OPERATIONS, Step};

const CAPACITY: u32 = 4;
const CLASS: &str = "CUSTOM_SLOT";

/// Flavors with their vCPUs, each of which takes a slot.
const FLAVORS: [(&str, u32); 2] = [("f", 1), ("g", 2)];

/// The hosts that share storage, counted from the first.
const SHARING: usize = 2;

pub(crate) struct World {
    index: Arc<Index>,
    fleet: Fleet,
    hosts: Vec<HostModel>,
    /// All instances that were ever created.
    instances: Vec<Uuid>,
    /// All migrations that were ever requested.
    migrations: Vec<Uuid>,
    /// The content of the disks that were last built for each instance.
    data: BTreeMap<Uuid, u64>,
    generations: BTreeMap<Uuid, u64>,
    clock: u64,
    uuids: u128,
    /// The hosts without power.
    dead: [bool; HOSTS],
}

impl World {
    pub(crate) fn new() -> Self {
        let index = Arc::new(Index::with_holders());
        let mut options = FleetOptions {
            trust_on_first_use: true,
            allow_resize_to_same_host: true,
            ..FleetOptions::default()
        };
        options.scheduler.scheduler.max_attempts = 2;
        let mut fleet = Fleet::new(Arc::clone(&index), State::default(), options, Monotonic(0));
        for (name, vcpus) in FLAVORS {
            let flavor = Flavor { name: name.to_owned(), vcpus, memory_mb: 1, ..Flavor::default() };
            fleet.create_flavor(flavor).unwrap();
        }
        let mut world = Self {
            index,
            fleet,
            hosts: Vec::new(),
            instances: Vec::new(),
            migrations: Vec::new(),
            data: BTreeMap::new(),
            generations: BTreeMap::new(),
            clock: 0,
            uuids: 1000,
            dead: [false; HOSTS],
        };
        (1..=HOSTS).for_each(|number| world.add_host(number));
        world
    }

    fn now(&mut self) -> Moment {
        self.clock += 1;
        Moment { wall: Timestamp(self.clock), monotonic: Monotonic(self.clock) }
    }

    fn add_host(&mut self, number: usize) {
        let (name, uuid) = (format!("h{number}"), Uuid::from_u128(number as u128));
        let index = Arc::clone(&self.index);
        let mut writer = index.write_at(Timestamp(0));
        self.fleet.admit(&mut writer, (&name, |_| Ok(())), uuid, false).unwrap();
        let inventory =
            ReportedInventory { class: CLASS.to_owned(), inventory: Inventory::of(CAPACITY), ratio: None };
        let mut tree = [ReportedProvider {
            uuid,
            name: name.clone(),
            parent: None,
            inventories: vec![inventory],
            traits: Vec::new(),
        }];
        assert_eq!(self.fleet.announce_providers(&mut writer, &name, &mut tree), Ok(None));
        self.fleet.set_providers(&mut writer, &name, &tree).unwrap();
        drop(writer);
        let host = HostModel {
            name,
            uuid,
            session: Session::default(),
            guests: BTreeMap::new(),
            inbox: BTreeMap::new(),
            reports: VecDeque::new(),
        };
        self.hosts.push(host);
        self.reconnect(number - 1);
    }

    fn instance(&self, number: usize) -> Option<Uuid> {
        let count = self.instances.len();
        (count > 0).then(|| self.instances[number % count])
    }

    /// An instance that waits for its confirmation.
    fn moved(&self, number: usize) -> Option<Uuid> {
        let moved = self.fleet.instances(|instance| instance.vm_state == VmState::Resized);
        (!moved.is_empty()).then(|| moved[number % moved.len()].uuid)
    }

    /// An instance, or a migration.
    fn guest(&self, number: usize) -> Option<Uuid> {
        let all: Vec<Uuid> = self.instances.iter().chain(&self.migrations).copied().collect();
        (!all.is_empty()).then(|| all[number % all.len()])
    }

    pub(crate) fn take(&mut self, step: Step) {
        let now = self.now();
        let user = ("user", false);
        match step {
            Step::Create { count } => self.create(count),
            Step::Act { instance, operation } => {
                if let Some(uuid) = self.instance(instance) {
                    let _ = self.fleet.act(uuid, OPERATIONS[operation % OPERATIONS.len()], user, now.wall);
                }
            }
            Step::Shelve { instance } => {
                if let Some(uuid) = self.instance(instance) {
                    let _ = self.fleet.act(uuid, Operation::Shelve, user, now.wall);
                }
            }
            Step::Unshelve { instance } => {
                if let Some(uuid) = self.instance(instance) {
                    self.unshelve(uuid);
                }
            }
            Step::Delete { instance } => {
                if let Some(uuid) = self.instance(instance) {
                    let name = uuid.to_string();
                    let named = Named { name: &name, project: "" };
                    self.fleet.delete_instance(named, user, now.wall).unwrap();
                }
            }
            Step::Move { instance, host, resizes } => {
                if let Some(uuid) = self.instance(instance) {
                    self.begin_move(uuid, host, resizes);
                }
            }
            Step::Confirm { instance } => {
                if let Some(uuid) = self.moved(instance) {
                    let name = uuid.to_string();
                    let _ = self.fleet.confirm_move(Named { name: &name, project: "" }, user, now.wall);
                }
            }
            Step::Revert { instance } => {
                if let Some(uuid) = self.moved(instance) {
                    let name = uuid.to_string();
                    let _ = self.fleet.revert_move(Named { name: &name, project: "" }, user, now.wall);
                }
            }
            Step::Reconcile => self.reconcile(),
            Step::Apply { host, instance, fails, leaves } => {
                if let Some(uuid) = self.guest(instance) {
                    self.apply(host, uuid, fails, leaves);
                }
            }
            Step::Send => self.send(),
            Step::Deliver { times, failing } => (0..times).for_each(|_| self.deliver(failing)),
            Step::Receive { host } => self.receive(host),
            Step::Change { host, instance, state } => {
                if let Some(uuid) = self.instance(instance) {
                    self.change(host, uuid, state);
                }
            }
            Step::Reconnect { host } => self.reconnect(host % HOSTS),
            Step::Die { host } => self.die(host % HOSTS),
            Step::Evacuate { instance, host, rebuild, stopped } => {
                if let Some(uuid) = self.instance(instance) {
                    self.evacuate(uuid, host, rebuild, stopped);
                }
            }
            Step::EvacuateHost { host, rebuild } => self.evacuate_host(host % HOSTS, rebuild),
        }
    }

    fn create(&mut self, count: usize) {
        let now = self.now();
        let creation = Creation {
            name: "i".to_owned(),
            flavor: "f".to_owned(),
            project: "p".to_owned(),
            min_count: count,
            ..Creation::default()
        };
        let uuids = &mut self.uuids;
        let new_uuid = || {
            *uuids += 1;
            Uuid::from_u128(*uuids)
        };
        let recorded = self.fleet.record_instances(&creation, new_uuid, now.wall).unwrap();
        let Recorded::New(new) = recorded else { panic!("no request has a key") };
        let new: Vec<Uuid> = new.iter().map(|instance| instance.uuid).collect();
        self.instances.extend(&new);
        self.fleet.end_placing(&new);
    }

    /// Claims capacity on the host.
    fn claim(&self, uuid: Uuid, host: &HostModel) -> bool {
        let flavor = &self.fleet.instance_by_uuid(uuid).unwrap().spec.flavor;
        self.index.claim(uuid.into(), &self.needs(host, flavor)).is_ok()
    }

    fn needs(&self, host: &HostModel, flavor: &Flavor) -> [Allocation; 1] {
        let row = self.index.find(host.uuid).unwrap();
        let class = self.index.topology().class(CLASS).unwrap();
        [Allocation { row, class, amount: flavor.vcpus }]
    }

    /// Claims a target for a move: the migration gets what the instance holds.
    fn claim_target(&self, instance: &Instance, host: &HostModel) -> bool {
        let migration = instance.migration().unwrap();
        let held = self.index.consumer(instance.uuid.into());
        let owner = Arc::new(Owner { project: "p".into(), user: "u".into(), consumer_type: None });
        let generation = held
            .as_ref()
            .map_or(ExpectedGeneration::New, |held| ExpectedGeneration::Exactly(held.generation));
        let new = ConsumerWrite {
            consumer: instance.uuid.into(),
            generation,
            owner: Arc::clone(&owner),
            allocations: self.needs(host, &migration.new_flavor).into_iter().collect(),
        };
        let kept = held.filter(|_| !self.fleet.holds_capacity(migration.uuid)).map(|held| ConsumerWrite {
            consumer: migration.uuid.into(),
            generation: ExpectedGeneration::New,
            owner,
            allocations: held.allocations,
        });
        let writes: Vec<ConsumerWrite> = kept.into_iter().chain([new]).collect();
        self.index.transfer(&writes, Timestamp(0)).is_ok()
    }

    /// The first host with capacity for a move, counted from `from`.
    fn choose_target(&self, instance: &Instance, from: usize) -> Option<String> {
        let migration = instance.migration().unwrap();
        let is_possible = |host: &&HostModel| {
            let stays = host.name == migration.source && migration.kind.leaves_host();
            let keeps = migration.kind != MigrationKind::Evacuation
                || migration.rebuilds
                || self.fleet.share_storage(&migration.source, &host.name);
            let is_dead =
                self.hosts.iter().position(|of| of.name == host.name).is_some_and(|at| self.dead[at]);
            !stays && keeps && !is_dead && !migration.failures.contains_key(&host.name)
        };
        let hosts = (0..HOSTS).map(|number| &self.hosts[(from + number) % HOSTS]);
        let mut claimed = hosts.filter(is_possible).filter(|host| self.claim_target(instance, host));
        claimed.next().map(|host| host.name.clone())
    }

    fn begin_move(&mut self, uuid: Uuid, from: usize, resizes: bool) {
        let now = self.now();
        let name = uuid.to_string();
        let [migration, ticket] = [(); 2].map(|()| {
            self.uuids += 1;
            Uuid::from_u128(self.uuids)
        });
        let flavor = self.fleet.instance_by_uuid(uuid).map(|instance| instance.spec.flavor.name.clone());
        let other = FLAVORS.iter().find(|(name, _)| flavor.as_deref() != Some(*name)).map(|(name, _)| *name);
        let request = ResizeRequest { flavor: other.filter(|_| resizes), host: None, migration, ticket };
        let named = Named { name: &name, project: "" };
        let Ok(instance) = self.fleet.begin_move(named, &request, ("user", false), now.wall) else { return };
        self.migrations.push(migration);
        assert!(self.fleet.begin_move(named, &request, ("user", false), now.wall).is_err(), "two moves");
        match self.choose_target(&instance, from) {
            Some(target) => self.fleet.leave_source(uuid, &target, now.wall),
            None => self.fleet.cancel_move(uuid, "no host", now.wall),
        }
        self.fleet.end_placing(&[uuid]);
    }

    /// The host loses its power: its guests are off, and nothing reaches it until [`Self::reconnect`].
    fn die(&mut self, host: usize) {
        let now = self.now();
        self.dead[host] = true;
        let host = &mut self.hosts[host];
        self.fleet.leave(&host.name, host.session, true, now);
        (host.inbox, host.reports) = (BTreeMap::new(), VecDeque::new());
        for guest in host.guests.values_mut().filter(|guest| is_alive(guest)) {
            guest.state = GuestState::ShutDown;
        }
    }

    fn evacuate(&mut self, uuid: Uuid, from: usize, rebuild: bool, stopped: bool) {
        let now = self.now();
        self.uuids += 1;
        let migration = Uuid::from_u128(self.uuids);
        let Some(instance) = self.fleet.instance_by_uuid(uuid) else { return };
        let at = self.hosts.iter().position(|host| host.name == instance.location.host);
        let state = stopped.then_some(VmState::Stopped);
        let request = EvacuationRequest { host: None, rebuild, state, migration };
        let name = uuid.to_string();
        let named = Named { name: &name, project: "" };
        let begin = |fleet: &mut Fleet| fleet.begin_evacuation(named, &request, ("user", true), now);
        let Some(at) = at.filter(|&at| self.dead[at]) else {
            assert!(begin(&mut self.fleet).is_err(), "its host is up, or it has none");
            return;
        };
        let source = self.hosts[at].name.clone();
        if self.fleet.check_fenced(&source, now).is_err() {
            assert!(begin(&mut self.fleet).is_err(), "its host is not fenced");
            self.fleet.fence_host(&source, "user", false, now).unwrap();
        }
        let Ok(begun) = begin(&mut self.fleet) else { return };
        self.migrations.push(migration);
        match self.choose_target(&begun, from) {
            Some(target) => self.fleet.leave_source(uuid, &target, now.wall),
            None => {
                self.fleet.cancel_move(uuid, "no host", now.wall);
                let after = self.fleet.instance_by_uuid(uuid).unwrap();
                let of = |of: &Instance| {
                    (of.location.clone(), of.operation, of.vm_state, of.desired, of.observed.clone())
                };
                assert_eq!(of(&instance), of(&after), "no target: nothing has changed");
            }
        }
        self.fleet.end_placing(&[uuid]);
    }

    fn evacuate_host(&mut self, host: usize, rebuild: bool) {
        let now = self.now();
        let name = self.hosts[host].name.clone();
        if !self.dead[host] {
            return;
        }
        self.fleet.fence_host(&name, "user", false, now).unwrap();
        self.uuids += 1;
        let (run, mut uuids) = (Uuid::from_u128(self.uuids), self.uuids);
        let request = EvacuationRequest { host: None, rebuild, state: None, migration: run };
        let new_uuid = || {
            uuids += 1;
            Uuid::from_u128(uuids)
        };
        let begun = self.fleet.begin_host_evacuation(&name, run, &request, new_uuid, "user", now);
        self.uuids = uuids;
        let Ok((run, true)) = begun else { return };
        let again = self.fleet.begin_host_evacuation(&name, Uuid::nil(), &request, Uuid::nil, "user", now);
        assert!(run.migrations.is_empty() || again.unwrap() == (run.clone(), false), "two triggers, one run");
        self.migrations.extend(run.migrations.values());
        let moving: Vec<Uuid> = run.migrations.keys().copied().collect();
        let mut refused = BTreeMap::new();
        for instance in self.fleet.proving(&run) {
            if self.choose_target(&instance, 0).is_none() {
                refused.insert(instance.uuid, "no host".to_owned());
            }
        }
        let before: Vec<_> = moving.iter().map(|&uuid| self.fleet.instance_by_uuid(uuid).unwrap()).collect();
        if refused.is_empty() {
            self.fleet.leave_host(&name, now).unwrap();
        } else {
            self.fleet.refuse_host_evacuation(&name, &refused, "others have none", now.wall);
            for before in before {
                let after = self.fleet.instance_by_uuid(before.uuid).unwrap();
                assert_eq!((&before.location, before.vm_state), (&after.location, after.vm_state));
                assert!(self.fleet.state().host(&name).is_some() && after.migration().is_none());
            }
        }
        self.fleet.end_placing(&moving);
    }

    /// What a host returns when it is to return the disks that it took over.
    fn return_disks(&mut self, host: usize, uuid: Uuid) {
        let Some(DiskMove::Return { migration }) =
            self.hosts[host].inbox.get(&uuid).and_then(|desired| desired.disks.clone())
        else {
            return;
        };
        let Some(guest) = self.hosts[host].guests.get_mut(&uuid) else { return };
        let Some((of, origin)) = guest.origin.filter(|_| guest.state == GuestState::Absent) else { return };
        if of != migration {
            return;
        }
        guest.origin = None;
        let (data, before) = (guest.data, self.hosts[origin].guests.get_mut(&uuid).unwrap());
        (before.is_bereft, before.data) = (false, data);
        if before.state == GuestState::Absent {
            before.state = GuestState::Shelved;
        }
    }

    /// The host that has the disks of a guest on the storage that this host shares, and that no running guest uses.
    fn shared_disks(&self, host: usize, uuid: Uuid) -> Option<(u64, usize)> {
        let mut sharing = (0..SHARING).filter(|&other| other != host && host < SHARING);
        sharing.find_map(|other| {
            let guest = self.hosts[other].has(uuid)?;
            let alive = (0..SHARING).any(|any| self.hosts[any].has(uuid).is_some_and(is_alive));
            (!guest.is_bereft && !alive).then_some((guest.data, other))
        })
    }

    fn unshelve(&mut self, uuid: Uuid) {
        let now = self.now();
        let name = uuid.to_string();
        let named = Named { name: &name, project: "" };
        let Ok(unshelving) = self.fleet.begin_unshelving(named, false) else { return };
        assert!(self.fleet.begin_unshelving(named, false).is_err(), "two requests unshelve one instance");
        let host = self.hosts.iter().find(|host| host.name == unshelving.instance.location.host).unwrap();
        let has_capacity = self.fleet.holds_capacity(uuid) || self.claim(uuid, host);
        let begun =
            has_capacity && self.fleet.act(uuid, Operation::Unshelve, ("user", false), now.wall).is_ok();
        if !begun && unshelving.holds_none {
            self.fleet.release_unused(uuid);
        }
        self.fleet.end_placing(&[uuid]);
    }

    fn reconcile(&mut self) {
        for uuid in self.instances.clone() {
            let now = self.now();
            self.fleet.finish_deletion(uuid);
            if let Some(instance) = self.fleet.next_target(uuid, now) {
                match self.choose_target(&instance, 0) {
                    Some(target) => self.fleet.retarget(uuid, &target, now.wall),
                    None => self.fleet.abandon_move(uuid, "no host", now.wall),
                }
            }
            let Some(instance) = self.fleet.next_build(uuid, now) else { continue };
            let failed = &instance.location.failures;
            let held = self.fleet.holds_capacity(uuid);
            assert!(!held, "what a crash leaves is no part of this world");
            let mut hosts = self.hosts.iter().filter(|host| !failed.contains_key(&host.name));
            let claimed = hosts.find(|host| self.claim(uuid, host)).map(|host| host.name.clone());
            match claimed {
                Some(host) => drop(self.fleet.spawn(uuid, &host, now.wall)),
                None => self.fleet.give_up(uuid, "no host", now.wall),
            }
        }
    }

    fn send(&mut self) {
        for uuid in self.instances.clone() {
            let Some(instance) = self.fleet.instance_by_uuid(uuid) else { continue };
            for guest in instance.desired_guests() {
                let host = self.hosts.iter_mut().find(|host| host.name == guest.host).unwrap();
                if self.fleet.reconciled_session(&host.name) == Some(host.session) {
                    host.inbox.insert(guest.instance, guest);
                }
            }
        }
    }

    fn apply(&mut self, host: usize, uuid: Uuid, fails: bool, leaves: usize) {
        let host = host % HOSTS;
        self.uuids += 1;
        let data = u64::try_from(self.uuids).unwrap();
        let before = self.hosts[host].has(uuid).is_some();
        let fetched = self.hosts[host].inbox.get(&uuid).and_then(|desired| match &desired.disks {
            Some(DiskMove::Fetch { migration, source, .. }) => {
                let source = self.hosts.iter().find(|host| host.name == *source)?;
                source.has(*migration).map(|kept| kept.data)
            }
            _ => None,
        });
        let adopted = self.shared_disks(host, uuid);
        let had = self.hosts[host].has(uuid).is_some();
        self.hosts[host].apply(uuid, Attempt { fails, leaves, data, fetched, adopted });
        if let Some((adopted, other)) = adopted
            && !had
            && self.hosts[host].has(uuid).is_some_and(|guest| guest.data == adopted)
        {
            let bereft = self.hosts[other].guests.get_mut(&uuid).unwrap();
            bereft.is_bereft = true;
            if bereft.state == GuestState::Shelved {
                bereft.state = GuestState::Absent;
            }
            // As the file of the owner: a chain of targets leads back to the first.
            let origin = bereft.origin.take();
            let guest = self.hosts[host].guests.get_mut(&uuid).unwrap();
            if let (Some((of, first)), Some((migration, _))) = (origin, guest.origin)
                && of == migration
            {
                guest.origin = Some((migration, first));
            }
        }
        self.return_disks(host, uuid);
        if !before && self.hosts[host].has(uuid).is_some_and(|guest| guest.data == data) {
            self.data.insert(uuid, data);
        }
    }

    fn receive(&mut self, host: usize) {
        let now = self.now();
        let host = &mut self.hosts[host % HOSTS];
        if let Some(report) = host.reports.pop_front() {
            self.fleet.report(&host.name, host.session, &report, now.wall).unwrap();
        }
    }

    /// A guest changes without Berth. Nobody starts one that is shelved or to be removed.
    fn change(&mut self, host: usize, uuid: Uuid, state: usize) {
        let host = &mut self.hosts[host % HOSTS];
        let Some(guest) = host.guests.get_mut(&uuid) else { return };
        let states = [
            GuestState::ShutDown,
            GuestState::Crashed,
            GuestState::Saved,
            GuestState::Shelved,
            GuestState::Absent,
        ];
        let is_there = !matches!(guest.state, GuestState::Absent | GuestState::Shelved);
        if is_there {
            guest.state = states[state % states.len()];
            host.reports.push_back(guest.report(uuid));
        }
    }

    fn reconnect(&mut self, host: usize) {
        let now = self.now();
        self.dead[host] = false;
        let number = host;
        let host = &mut self.hosts[host];
        self.fleet.leave(&host.name, host.session, false, now);
        (host.inbox, host.reports) = (BTreeMap::new(), VecDeque::new());
        let storage = Uuid::from_u128(if number < SHARING { 1 } else { 100 + number as u128 });
        let hypervisor = HypervisorInfo { disks_port: 1, storage, ..HypervisorInfo::default() };
        let introduction = Introduction {
            host: host.name.clone(),
            uuid: host.uuid,
            hypervisor: Some(hypervisor),
            ..Introduction::default()
        };
        host.session = self.fleet.join(&introduction, now).unwrap();
        self.fleet.heartbeat(&host.name, host.session, 100, now);
        self.fleet.end_fence(&host.name);
        assert_eq!(self.fleet.reconciled_session(&host.name), None);
        for (&uuid, guest) in &host.guests {
            if guest.state != GuestState::Absent {
                self.fleet.report(&host.name, host.session, &guest.report(uuid), now.wall).unwrap();
            }
        }
        self.fleet.all_reported(&host.name, host.session, now.wall);
    }

    pub(crate) fn check(&mut self) {
        let instances = self.fleet.state().instances();
        let size = |instance: &Instance| {
            let migration =
                instance.migration().map_or(0, |open| open.old_flavor.vcpus.max(open.new_flavor.vcpus));
            u64::from(instance.spec.flavor.vcpus.max(migration))
        };
        let sizes: Vec<u64> = instances.map(|(_, instance)| size(instance)).collect();
        let (count, vcpus) = (sizes.len() as u64, sizes.iter().sum());
        let quota = self.fleet.quota("p").unwrap();
        assert_eq!((quota.instances, quota.vcpus, quota.memory_mb), (count, vcpus, count));
        let mut alive = BTreeMap::new();
        for host in &self.hosts {
            for (&uuid, guest) in &host.guests {
                if guest.state != GuestState::Absent {
                    self.check_guest(host, uuid, guest);
                }
                if is_alive(guest) {
                    let other = alive.insert(uuid, &host.name);
                    assert_eq!(other, None, "{uuid} runs on {} as well", host.name);
                }
            }
        }
        let open = self.fleet.migrations(|_, migration| migration.outcome.is_none());
        let open: Vec<Uuid> = open.iter().map(|(_, migration)| migration.uuid).collect();
        for migration in &self.migrations {
            assert!(
                open.contains(migration) || !self.fleet.holds_capacity(*migration),
                "{migration} is over and holds capacity"
            );
        }
        for (uuid, instance) in self.fleet.state().instances() {
            let before = self.generations.insert(uuid, instance.desired.generation).unwrap_or(0);
            assert!(before <= instance.desired.generation, "a generation decreases: {instance:?}");
        }
    }

    fn check_guest(&self, host: &HostModel, uuid: Uuid, guest: &Guest) {
        let of_migration =
            self.fleet.migrations(|_, migration| migration.uuid == uuid && migration.outcome.is_none()).pop();
        if let Some((instance, migration)) = of_migration {
            assert_eq!(migration.source, host.name, "disks are set aside on another host: {instance:?}");
            assert_eq!(Some(&guest.data), self.data.get(&instance.uuid), "other disks are set aside");
            assert!(!is_alive(guest));
            return;
        }
        let instance = self.fleet.instance_by_uuid(uuid);
        let instance = instance.unwrap_or_else(|| panic!("{uuid} has remains on {}", host.name));
        assert!(
            instance.places().any(|place| *place == host.name),
            "{} is no place of {instance:?}",
            host.name
        );
        if is_alive(guest) {
            let root = self.index.find(host.uuid).unwrap();
            let migration = instance.migration().map(|migration| migration.uuid);
            let consumers = [Some(uuid), migration].into_iter().flatten();
            let mut held = consumers.filter_map(|consumer| self.index.allocations(consumer.into())).flatten();
            assert!(
                held.any(|held| held.row == root),
                "a guest on {} runs without capacity: {instance:?}",
                host.name
            );
        }
        let is_here = host.name == instance.location.host && !instance.is_evacuating();
        if is_here && !guest.is_bereft && instance.vm_state != VmState::Error {
            assert_eq!(Some(&guest.data), self.data.get(&uuid), "{instance:?} has other disks");
        }
    }

    /// Delivers everything, and lets builds fail on the hosts of these bits.
    fn deliver(&mut self, failing: usize) {
        self.reconcile();
        self.send();
        for host in (0..HOSTS).filter(|&host| !self.dead[host]).collect::<Vec<_>>() {
            for uuid in self.instances.iter().chain(&self.migrations).copied().collect::<Vec<_>>() {
                let is_build = self.hosts[host].inbox.get(&uuid).is_some_and(|desired| {
                    !desired.must_exist && matches!(desired.goal, Goal::Running | Goal::Stopped)
                });
                self.apply(host, uuid, is_build && failing & 1 << host != 0, 0);
            }
            while !self.hosts[host].reports.is_empty() {
                self.receive(host);
            }
        }
    }

    /// How many of the migrations that are still known were confirmed, were reverted, have failed after a target was tried, and are
    /// open.
    pub(crate) fn outcomes(&self) -> [usize; 5] {
        let count = |matches: fn(&Migration) -> bool| self.fleet.migrations(|_, of| matches(of)).len();
        [
            count(|of| of.outcome == Some(MigrationOutcome::Confirmed)),
            count(|of| of.outcome == Some(MigrationOutcome::Reverted)),
            count(|of| of.outcome == Some(MigrationOutcome::Failed) && !of.failures.is_empty()),
            count(|of| of.outcome.is_none()),
            count(|of| of.outcome == Some(MigrationOutcome::Evacuated)),
        ]
    }

    /// Delivers everything, without failures, until nothing changes.
    pub(crate) fn settle(&mut self) {
        for host in 0..HOSTS {
            if self.dead[host] {
                self.reconnect(host);
            }
        }
        for _ in 0..20 {
            self.deliver(0);
            self.check();
        }
        for host in self.hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>() {
            self.fleet.set_host(&host, HostStatus::Enabled, "").unwrap();
        }
        let unfinished = self.fleet.unfinished();
        assert!(unfinished.is_empty(), "{:?}", self.fleet.instance_by_uuid(unfinished[0]));
        for &uuid in &self.instances {
            let instance = self.fleet.instance_by_uuid(uuid);
            let needs_capacity = instance.is_some_and(|instance| {
                !instance.location.host.is_empty() && instance.vm_state != VmState::ShelvedOffloaded
            });
            if !needs_capacity {
                assert!(!self.fleet.holds_capacity(uuid), "{uuid} holds capacity that it does not need");
            }
        }
        let open = self.fleet.migrations(|_, migration| migration.outcome.is_none());
        for migration in &self.migrations {
            let holder = open.iter().find(|(_, open)| open.uuid == *migration);
            let kept = self.hosts.iter().any(|host| host.has(*migration).is_some());
            assert!(!kept || holder.is_some(), "disks of {migration} are set aside and forgotten");
        }
    }
}

fn is_alive(guest: &Guest) -> bool {
    matches!(guest.state, GuestState::Running | GuestState::Paused)
}
