//! The service and the hosts, what is really on them, and what has to be true of both.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use berth_fleet::{
    Creation, DiskMove, EvacuationRequest, Flavor, Fleet, FleetOptions, Goal, GuestState, HostStatus,
    HypervisorInfo, Image, Instance, Introduction, LiveOptions, LiveRequest, Migration, MigrationKind,
    MigrationOutcome, Moment, Monotonic, Named, Operation, Recorded, ReportedInventory, ReportedProvider,
    ResizeRequest, Session, State, TransferPhase, VmState,
};
use berth_placement::{Allocation, ConsumerWrite, ExpectedGeneration, Index, Inventory, Owner, Timestamp};
use uuid::Uuid;

use crate::host::{Attempt, Guest, HostModel, Sent, is_alive};
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
    /// The image that each content of disks was built from.
    images: BTreeMap<u64, Option<Image>>,
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
            images: BTreeMap::new(),
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
            Step::Rebuild { instance } => {
                if let Some(uuid) = self.instance(instance) {
                    let name = uuid.to_string();
                    let image = Image { name: format!("image {}", self.clock), ..Image::default() };
                    let named = Named { name: &name, project: "" };
                    let _ = self.fleet.rebuild(named, Some(image), user, now.wall);
                }
            }
            Step::Rescue { instance } => {
                if let Some(uuid) = self.instance(instance) {
                    let name = uuid.to_string();
                    let named = Named { name: &name, project: "" };
                    let _ = self.fleet.rescue(named, Some(Image::default()), user, now.wall);
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
            Step::Live { instance, host } => {
                if let Some(uuid) = self.instance(instance) {
                    self.begin_live(uuid, host);
                }
            }
            Step::Steer { migration, aborts } => self.steer(migration, aborts),
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
            Step::EvacuateLive { host } => self.evacuate_live(host % HOSTS),
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
        // The guests of a host that is emptied wait for their targets.
        let waits = self.fleet.proving_host(instance).is_some();
        let is_possible = |host: &&HostModel| {
            let stays = host.name == migration.source && migration.kind.leaves_host();
            let keeps = migration.kind != MigrationKind::Evacuation
                || migration.rebuilds
                || self.fleet.share_storage(&migration.source, &host.name);
            let is_dead =
                self.hosts.iter().position(|of| of.name == host.name).is_some_and(|at| self.dead[at]);
            let is_busy = migration.kind == MigrationKind::Live
                && !waits
                && self.fleet.busy_targets().contains(&host.name);
            let has_remains = instance.location.leftovers.contains(&host.name);
            !stays
                && keeps
                && !is_dead
                && !is_busy
                && !has_remains
                && !migration.failures.contains_key(&host.name)
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

    fn begin_live(&mut self, uuid: Uuid, from: usize) {
        let now = self.now();
        let name = uuid.to_string();
        let [migration, ticket] = [(); 2].map(|()| {
            self.uuids += 1;
            Uuid::from_u128(self.uuids)
        });
        let request = LiveRequest { host: None, options: LiveOptions::default(), migration, ticket };
        let named = Named { name: &name, project: "" };
        let Ok(instance) = self.fleet.begin_live(named, &request, ("user", false), now.wall) else { return };
        self.migrations.push(migration);
        assert!(self.fleet.begin_live(named, &request, ("user", false), now.wall).is_err(), "two moves");
        if self.fleet.may_send(&instance.location.host) {
            match self.choose_target(&instance, from) {
                Some(target) => self.fleet.leave_source(uuid, &target, now.wall),
                None => self.fleet.cancel_move(uuid, "no host", now.wall),
            }
        }
        self.fleet.end_placing(&[uuid]);
    }

    /// Aborts an open migration, or forces it. One that is no live migration refuses that.
    fn steer(&mut self, migration: usize, aborts: bool) {
        let now = self.now();
        let open = self.fleet.migrations(|it, of| of.outcome.is_none() && it.is_live_migrating());
        let Some((instance, migration)) = open.get(migration % open.len().max(1)) else { return };
        let user = ("user", false);
        if aborts {
            let aborted = self.fleet.abort_live(migration.uuid, user, now.wall);
            let has_target = instance.operation == Some(Operation::LiveSettling) || migration.live.has_left;
            assert_eq!(aborted.is_err(), has_target, "it is too late only when the guest has left");
        } else {
            let forced = self.fleet.force_live(migration.uuid, user, now.wall);
            assert_eq!(forced.is_ok(), instance.operation == Some(Operation::LiveRunning));
        }
    }

    /// The host loses its power: its guests are off, and nothing reaches it until
    /// [`Self::reconnect`].
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

    fn evacuate_live(&mut self, host: usize) {
        let now = self.now();
        let (name, mut uuids) = (self.hosts[host].name.clone(), self.uuids);
        let new_uuid = || {
            uuids += 1;
            Uuid::from_u128(uuids)
        };
        let options = LiveOptions::default();
        let begun = self.fleet.begin_live_evacuation(&name, &options, new_uuid, "user", now);
        self.uuids = uuids;
        let Ok((run, true)) = begun else { return };
        assert!(!self.dead[host], "a host that is down sends no guests");
        let again = self.fleet.begin_live_evacuation(&name, &options, Uuid::nil, "user", now);
        assert!(run.migrations.is_empty() || again.unwrap() == (run.clone(), false), "two triggers, one run");
        self.migrations.extend(run.migrations.values());
        let leaving = self.fleet.proving(&run);
        let uuids: Vec<Uuid> = leaving.iter().map(|instance| instance.uuid).collect();
        let chosen: Vec<_> = leaving.iter().map(|instance| self.choose_target(instance, 0)).collect();
        if chosen.iter().all(Option::is_some) {
            self.fleet.leave_host(&name, now).unwrap();
            assert!(
                uuids.iter().all(|&uuid| self.fleet.holds_capacity(run.migrations[&uuid])),
                "all have two"
            );
        } else {
            self.fleet.refuse_host_evacuation(&name, &BTreeMap::new(), "one gets no host", now.wall);
            for before in leaving {
                let after = self.fleet.instance_by_uuid(before.uuid).unwrap();
                assert_eq!((&before.location, before.vm_state), (&after.location, after.vm_state));
                assert!(after.migration().is_none() && after.operation.is_none());
            }
        }
        self.fleet.end_placing(&uuids);
        self.fleet.set_host(&name, HostStatus::Enabled, "").ok();
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

    /// The host that has the disks of a guest on the storage that this host shares, and that no
    /// running guest uses.
    fn shared_disks(&self, host: usize, uuid: Uuid) -> Option<(u64, usize)> {
        let mut sharing = (0..SHARING).filter(|&other| other != host && host < SHARING);
        sharing.find_map(|other| {
            let guest = self.hosts[other].has(uuid)?;
            let alive = (0..SHARING).any(|any| self.hosts[any].has(uuid).is_some_and(is_alive));
            // The agent looks for the image below.
            let desired = self.hosts[host].inbox.get(&uuid).and_then(|desired| desired.spec.as_ref());
            let is_of_image = desired.is_none_or(|spec| self.images.get(&guest.data) == Some(&spec.image));
            (!guest.is_bereft && !alive && is_of_image).then_some((guest.data, other))
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
            self.find_target(uuid, 0);
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

    /// Claims a target for a move that needs one now.
    fn find_target(&mut self, uuid: Uuid, from: usize) {
        let now = self.now();
        let Some(instance) = self.fleet.next_target(uuid, now) else { return };
        let is_first = instance.operation == Some(Operation::LiveQueued);
        match self.choose_target(&instance, from) {
            Some(target) if is_first => self.fleet.leave_source(uuid, &target, now.wall),
            Some(target) => self.fleet.retarget(uuid, &target, now.wall),
            None if is_first => self.fleet.cancel_move(uuid, "no host", now.wall),
            None => self.fleet.abandon_move(uuid, "no host", now.wall),
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
        let fetched = self.hosts[host].inbox.get(&uuid).and_then(|desired| match &desired.disks {
            Some(DiskMove::Fetch { migration, source, .. }) => {
                let source = self.hosts.iter().find(|host| host.name == *source)?;
                source.has(*migration).map(|kept| kept.data)
            }
            _ => None,
        });
        let adopted = self.shared_disks(host, uuid);
        let had = self.hosts[host].has(uuid).is_some();
        let rebuilds = self.hosts[host].inbox.get(&uuid).is_some_and(|desired| desired.rebuilds);
        let before_it = self.hosts[host].has(uuid).cloned();
        let sent = self.sent(host, uuid, leaves);
        self.check_erasure(host, uuid);
        let fails = fails || self.is_locked(host, uuid);
        self.hosts[host].apply(uuid, Attempt { fails, leaves, data, fetched, adopted, sent });
        if let Some(guest) = before_it.as_ref().filter(|guest| is_alive(guest)) {
            self.arrive(host, uuid, guest);
        }
        if before_it.is_some() {
            self.take_over(host, uuid);
        }
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
        let is_built = self.hosts[host].has(uuid).is_some_and(|guest| guest.data == data);
        if is_built && (!had || rebuilds) {
            let desired = self.hosts[host].inbox.get(&uuid).and_then(|desired| desired.spec.as_ref());
            self.images.insert(data, desired.and_then(|spec| spec.image.clone()));
            self.data.insert(uuid, data);
        }
    }

    /// What becomes of a guest if it is sent: it arrives only where it is expected.
    fn sent(&self, host: usize, uuid: Uuid, leaves: usize) -> Sent {
        let desired = self.hosts[host].inbox.get(&uuid);
        let Some(transfer) = desired.and_then(|desired| desired.transfer.as_ref()) else {
            return Sent::Stays;
        };
        let target = self.hosts.iter().position(|host| host.name == transfer.target);
        let expects = |at: usize| {
            let guest = self.hosts[at].guests.get(&uuid);
            let has_disks = |guest: &Guest| transfer.is_shared || guest.state == GuestState::Shelved;
            let expects = |guest: &&Guest| guest.expected_by == Some(transfer.migration) && has_disks(guest);
            !self.dead[at] && guest.filter(expects).is_some()
        };
        match leaves {
            3 => Sent::IsOnItsWay,
            0 | 1 if target.is_some_and(expects) => Sent::Leaves,
            _ => Sent::Stays,
        }
    }

    /// The guest runs on the target when it has left the source.
    fn arrive(&mut self, host: usize, uuid: Uuid, before: &Guest) {
        let left = self.hosts[host].guests.get(&uuid).is_some_and(|guest| guest.state == GuestState::Shelved);
        let desired = self.hosts[host].inbox.get(&uuid);
        let transfer = desired.and_then(|desired| desired.transfer.clone());
        let Some(transfer) = transfer.filter(|of| left && of.phase == TransferPhase::Sending) else { return };
        let target = self.hosts.iter_mut().find(|host| host.name == transfer.target).unwrap();
        let guest = target.guests.get_mut(&uuid).unwrap();
        (guest.state, guest.data, guest.is_bereft) = (before.state, before.data, transfer.is_shared);
        guest.expected_by = None;
        let report = guest.report(uuid);
        target.reports.push_back(report);
    }

    /// Whether a guest that is here is to take disks over that one on another host uses.
    fn is_locked(&self, host: usize, uuid: Uuid) -> bool {
        let desired = self.hosts[host].inbox.get(&uuid);
        let is_due = desired.is_some_and(|desired| matches!(desired.disks, Some(DiskMove::Adopt { .. })));
        let is_used = |other: usize| other != host && self.hosts[other].has(uuid).is_some_and(is_alive);
        let is_bereft = self.hosts[host].has(uuid).is_some_and(|guest| guest.is_bereft);
        is_due && is_bereft && host < SHARING && (0..SHARING).any(is_used)
    }

    /// A guest that is here, on shared disks of another host, takes them over, as soon as it is to
    /// do so.
    fn take_over(&mut self, host: usize, uuid: Uuid) {
        let desired = self.hosts[host].inbox.get(&uuid);
        let is_due = desired.is_some_and(|desired| matches!(desired.disks, Some(DiskMove::Adopt { .. })));
        let Some(guest) = self.hosts[host]
            .guests
            .get_mut(&uuid)
            .filter(|guest| is_due && guest.is_bereft && guest.error.is_empty())
        else {
            return;
        };
        guest.is_bereft = false;
        for other in (0..SHARING).filter(|&other| other != host) {
            if let Some(left) = self.hosts[other].guests.get_mut(&uuid).filter(|left| !left.is_bereft) {
                left.is_bereft = true;
                if left.state == GuestState::Shelved {
                    left.state = GuestState::Absent;
                }
            }
        }
    }

    /// A host that is to remove a guest erases its disks, unless they are another host's. Nobody
    /// may use them then.
    fn check_erasure(&self, host: usize, uuid: Uuid) {
        let removes = self.hosts[host].inbox.get(&uuid).is_some_and(|desired| desired.goal == Goal::Absent);
        let has_disks = self.hosts[host].has(uuid).is_some_and(|guest| !guest.is_bereft);
        let is_deleted =
            self.fleet.instance_by_uuid(uuid).is_none_or(|it| it.operation == Some(Operation::Delete));
        if removes && has_disks && host < SHARING && !is_deleted {
            let uses =
                |&other: &usize| self.hosts[other].has(uuid).is_some_and(|it| is_alive(it) && it.is_bereft);
            assert_eq!((0..SHARING).find(uses), None, "disks of {uuid} are erased while they are used");
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
        let exists = !matches!(guest.state, GuestState::Absent | GuestState::Shelved);
        if exists {
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
        self.check_limits();
        for (uuid, instance) in self.fleet.state().instances() {
            let before = self.generations.insert(uuid, instance.desired.generation).unwrap_or(0);
            assert!(before <= instance.desired.generation, "a generation decreases: {instance:?}");
        }
    }

    /// By default, a host sends one guest at a time, and receives one.
    fn check_limits(&self) {
        let is_live = |instance: &Instance, of: &Migration| {
            of.outcome.is_none()
                && instance.is_live_migrating()
                && instance.operation != Some(Operation::LiveQueued)
        };
        let live = self.fleet.migrations(is_live);
        let mut sides: Vec<_> = live.iter().flat_map(|(_, of)| [(0, &of.source), (1, &of.target)]).collect();
        sides.sort();
        let all = sides.len();
        sides.dedup();
        assert_eq!(all, sides.len(), "a host sends or receives two guests: {sides:?}");
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
            if instance.operation.is_none() && guest.state != GuestState::Shelved {
                let is_rescued = instance.vm_state == VmState::Rescued;
                assert_eq!(guest.is_rescue, is_rescued, "{instance:?} has a guest of another mode");
            }
            let is_of_image = self.images.get(&guest.data) == Some(&instance.spec.image);
            assert!(is_of_image || instance.rebuild.is_some(), "{instance:?} has disks of another image");
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

    /// How many of the migrations that are still known were confirmed, were reverted, have failed
    /// after a target was tried, and are open.
    pub(crate) fn outcomes(&self) -> [usize; 7] {
        let count = |matches: fn(&Migration) -> bool| self.fleet.migrations(|_, of| matches(of)).len();
        [
            count(|of| of.outcome == Some(MigrationOutcome::Confirmed)),
            count(|of| of.outcome == Some(MigrationOutcome::Reverted)),
            count(|of| of.outcome == Some(MigrationOutcome::Failed) && !of.failures.is_empty()),
            count(|of| of.outcome.is_none()),
            count(|of| of.outcome == Some(MigrationOutcome::Evacuated)),
            count(|of| of.outcome == Some(MigrationOutcome::Completed)),
            count(|of| of.outcome == Some(MigrationOutcome::Aborted) && !of.target.is_empty()),
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
            self.clock += 10_000_000; // what failed is tried again
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
