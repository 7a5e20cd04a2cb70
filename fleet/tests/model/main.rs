//! Random commands, reports, failures and deaths of agents against a small world of hosts.
//!
//! The world knows what is really on each host. An agent receives desired guests late, twice or not at all, fails, and loses its
//! connection with the reports that were on their way. Guests change by themselves. After every step:
//!
//! - a guest that may run has capacity on its host;
//! - every host with remains of an instance is one of its places;
//! - an instance is counted once in the usage of its project;
//! - no generation decreases.
//!
//! In the end everything is delivered, and nothing is left to do: deleted instances are forgotten, and no other consumer holds
//! capacity.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use berth_fleet::{
    Creation, DesiredGuest, Flavor, Fleet, FleetOptions, Goal, GuestReport, GuestState, Introduction, Moment,
    Monotonic, Named, Operation, Recorded, ReportedInventory, ReportedProvider, Session, State,
};
use berth_placement::{Allocation, Index, Inventory, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

const HOSTS: usize = 3;
const CAPACITY: u32 = 4;
const CLASS: &str = "CUSTOM_SLOT";

const OPERATIONS: [Operation; 8] = [
    Operation::Start,
    Operation::Stop,
    Operation::Reboot { hard: false },
    Operation::Reboot { hard: true },
    Operation::Pause,
    Operation::Unpause,
    Operation::Suspend,
    Operation::Resume,
];

/// A step of a run. Numbers choose among what exists, modulo its count.
#[derive(Debug, Clone, Copy)]
enum Step {
    Create {
        count: usize,
    },
    Act {
        instance: usize,
        operation: usize,
    },
    Shelve {
        instance: usize,
    },
    Unshelve {
        instance: usize,
    },
    Delete {
        instance: usize,
    },
    /// Schedules what waits for a host, and forgets what is deleted.
    Reconcile,
    /// The agent applies what it last received of an instance, again if it has before.
    Apply {
        host: usize,
        instance: usize,
        fails: bool,
        leaves: usize,
    },
    /// The service sends the present desired guests.
    Send,
    /// The service receives a report.
    Receive {
        host: usize,
    },
    /// The guest changes without Berth.
    Change {
        host: usize,
        instance: usize,
        state: usize,
    },
    /// The agent loses its connection, and reports everything on a new one.
    Reconnect {
        host: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let any_instance = 0..8_usize;
    let any_host = 0..HOSTS;
    prop_oneof![
        2 => (1..3_usize).prop_map(|count| Step::Create { count }),
        3 => (any_instance.clone(), 0..8_usize)
            .prop_map(|(instance, operation)| Step::Act { instance, operation }),
        1 => any_instance.clone().prop_map(|instance| Step::Shelve { instance }),
        1 => any_instance.clone().prop_map(|instance| Step::Unshelve { instance }),
        1 => any_instance.clone().prop_map(|instance| Step::Delete { instance }),
        4 => Just(Step::Reconcile),
        10 => (any_host.clone(), any_instance.clone(), prop::bool::weighted(0.2), 0..4_usize)
            .prop_map(|(host, instance, fails, leaves)| Step::Apply { host, instance, fails, leaves }),
        6 => Just(Step::Send),
        10 => any_host.clone().prop_map(|host| Step::Receive { host }),
        2 => (any_host.clone(), any_instance, 0..5_usize)
            .prop_map(|(host, instance, state)| Step::Change { host, instance, state }),
        1 => any_host.prop_map(|host| Step::Reconnect { host }),
    ]
}

/// What an agent knows of a guest.
#[derive(Debug, Clone)]
struct Guest {
    state: GuestState,
    /// The latest generation that was applied or failed.
    generation: u64,
    /// Why it failed; empty if it was applied.
    error: String,
}

impl Guest {
    fn report(&self, instance: Uuid) -> GuestReport {
        let Self { state, generation, ref error } = *self;
        let error = error.clone();
        GuestReport { instance, generation, known_generation: generation, state, error }
    }
}

impl Guest {
    fn apply(&mut self, desired: &DesiredGuest, fails: bool, leaves: usize) {
        self.generation = desired.desired.generation;
        let is_lost = desired.must_exist && self.state == GuestState::Absent;
        let is_done = desired.goal == Goal::Absent && self.state == GuestState::Absent;
        let has_failed = !is_done && (fails || is_lost);
        self.error = if has_failed { "it failed".to_owned() } else { String::new() };
        self.state = match desired.goal {
            _ if is_lost => GuestState::Absent,
            // A failure leaves the guest as it was, or another part of it.
            _ if has_failed => {
                [self.state, GuestState::Running, GuestState::ShutDown, GuestState::Shelved][leaves]
            }
            Goal::Running => GuestState::Running,
            Goal::Stopped => GuestState::ShutDown,
            Goal::Paused => GuestState::Paused,
            Goal::Suspended => GuestState::Saved,
            Goal::Shelved => GuestState::Shelved,
            Goal::Absent => GuestState::Absent,
        };
    }
}

/// A host with its agent.
struct HostModel {
    name: String,
    uuid: Uuid,
    session: Session,
    guests: BTreeMap<Uuid, Guest>,
    /// The latest desired state of each guest that was sent.
    inbox: BTreeMap<Uuid, DesiredGuest>,
    reports: VecDeque<GuestReport>,
}

struct World {
    index: Arc<Index>,
    fleet: Fleet,
    hosts: Vec<HostModel>,
    /// All instances that were ever created.
    instances: Vec<Uuid>,
    generations: BTreeMap<Uuid, u64>,
    clock: u64,
    uuids: u128,
}

impl World {
    fn new() -> Self {
        let index = Arc::new(Index::with_holders());
        let mut options = FleetOptions { trust_on_first_use: true, ..FleetOptions::default() };
        options.scheduler.scheduler.max_attempts = 2;
        let mut fleet = Fleet::new(Arc::clone(&index), State::default(), options, Monotonic(0));
        let flavor = Flavor { name: "f".to_owned(), vcpus: 1, memory_mb: 1, ..Flavor::default() };
        fleet.create_flavor(flavor).unwrap();
        let mut world = Self {
            index,
            fleet,
            hosts: Vec::new(),
            instances: Vec::new(),
            generations: BTreeMap::new(),
            clock: 0,
            uuids: 1000,
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
        let tree = [ReportedProvider {
            uuid,
            name: name.clone(),
            parent: None,
            inventories: vec![inventory],
            traits: Vec::new(),
        }];
        self.fleet.announce_providers(&mut writer, &name, &tree).unwrap();
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

    fn take(&mut self, step: Step) {
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
            Step::Reconcile => self.reconcile(),
            Step::Apply { host, instance, fails, leaves } => {
                if let Some(uuid) = self.instance(instance) {
                    self.apply(host, uuid, fails, leaves);
                }
            }
            Step::Send => self.send(),
            Step::Receive { host } => self.receive(host),
            Step::Change { host, instance, state } => {
                if let Some(uuid) = self.instance(instance) {
                    self.change(host, uuid, state);
                }
            }
            Step::Reconnect { host } => self.reconnect(host),
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
        let row = self.index.find(host.uuid).unwrap();
        let class = self.index.topology().class(CLASS).unwrap();
        self.index.claim(uuid.into(), &[Allocation { row, class, amount: 1 }]).is_ok()
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
                    host.inbox.insert(uuid, guest);
                }
            }
        }
    }

    /// The agent applies the latest desired state that it received.
    fn apply(&mut self, host: usize, uuid: Uuid, fails: bool, leaves: usize) {
        let host = &mut self.hosts[host % HOSTS];
        let Some(desired) = host.inbox.get(&uuid) else { return };
        let new = Guest { state: GuestState::Absent, generation: 0, error: String::new() };
        let guest = host.guests.entry(uuid).or_insert(new);
        let generation = desired.desired.generation;
        if generation < guest.generation {
            return; // it knows a later one
        }
        // A repeated desired state is only reported again, but a removal is tried again.
        if generation > guest.generation || desired.goal == Goal::Absent {
            guest.apply(desired, fails, leaves);
        }
        host.reports.push_back(guest.report(uuid));
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
        let host = &mut self.hosts[host % HOSTS];
        self.fleet.leave(&host.name, host.session, false, now);
        (host.inbox, host.reports) = (BTreeMap::new(), VecDeque::new());
        let introduction =
            Introduction { host: host.name.clone(), uuid: host.uuid, ..Introduction::default() };
        host.session = self.fleet.join(&introduction, now).unwrap();
        assert_eq!(self.fleet.reconciled_session(&host.name), None);
        for (&uuid, guest) in &host.guests {
            if guest.state != GuestState::Absent {
                self.fleet.report(&host.name, host.session, &guest.report(uuid), now.wall).unwrap();
            }
        }
        self.fleet.all_reported(&host.name, host.session, now.wall);
    }

    fn check(&mut self) {
        let count = self.fleet.state().instances().count() as u64;
        let quota = self.fleet.quota("p").unwrap();
        assert_eq!((quota.instances, quota.vcpus, quota.memory_mb), (count, count, count));
        for host in &self.hosts {
            for (&uuid, guest) in &host.guests {
                if guest.state == GuestState::Absent {
                    continue;
                }
                let instance = self.fleet.instance_by_uuid(uuid);
                let instance = instance.unwrap_or_else(|| panic!("{uuid} has remains on {}", host.name));
                assert!(
                    instance.places().any(|place| *place == host.name),
                    "{} is no place of {instance:?}",
                    host.name
                );
                if matches!(guest.state, GuestState::Running | GuestState::Paused) {
                    let root = self.index.find(host.uuid).unwrap();
                    let held = self.index.allocations(uuid.into()).unwrap_or_default();
                    assert!(
                        held.iter().any(|held| held.row == root),
                        "a guest on {} runs without capacity: {instance:?}",
                        host.name
                    );
                }
            }
        }
        for (uuid, instance) in self.fleet.state().instances() {
            let before = self.generations.insert(uuid, instance.desired.generation).unwrap_or(0);
            assert!(before <= instance.desired.generation, "a generation decreases: {instance:?}");
        }
    }

    /// Delivers everything, without failures, until nothing changes.
    fn settle(&mut self) {
        for _ in 0..20 {
            self.reconcile();
            self.send();
            for host in 0..HOSTS {
                for uuid in self.instances.clone() {
                    self.apply(host, uuid, false, 0);
                }
                while !self.hosts[host].reports.is_empty() {
                    self.receive(host);
                }
            }
            self.check();
        }
        let unfinished = self.fleet.unfinished();
        assert!(unfinished.is_empty(), "{:?}", self.fleet.instance_by_uuid(unfinished[0]));
        for &uuid in &self.instances {
            let instance = self.fleet.instance_by_uuid(uuid);
            let needs_capacity = instance.is_some_and(|instance| {
                !instance.location.host.is_empty()
                    && instance.vm_state != berth_fleet::VmState::ShelvedOffloaded
            });
            if !needs_capacity {
                assert!(!self.fleet.holds_capacity(uuid), "{uuid} holds capacity that it does not need");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_run_breaks_an_invariant(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check();
        }
        world.settle();
    }
}
