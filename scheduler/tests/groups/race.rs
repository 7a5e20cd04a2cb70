//! Many schedulers at once place instances of one group on few hosts.
//!
//! Each reads hosts and group as Nova does, before it decides; in each round all have read before
//! the first one claims. With the group in the claim no policy is ever broken. Without it, as
//! Nova's schedulers claim, they are: the same checker counts how often.

use std::collections::BTreeMap;
use std::sync::{Barrier, Mutex};
use std::thread;

use berth_placement::{ClassId, ConsumerId, GroupPolicy, Index, Inventory, Row};
use berth_scheduler::hosts::HostRow;
use berth_scheduler::select::{Decision, IndexClaims};
use berth_scheduler::{Options, SelectDestinations};
use uuid::Uuid;

use crate::cloud::{Best, Books, GROUP, NOW, at_most, claimant, hosts, index, request, state, uuid};

const HOSTS: u32 = 4;
const CAPACITY: u32 = 24;
const SCHEDULERS: u128 = 8;
const REQUESTS: u128 = 10;
const ROUNDS: u128 = 8;

/// How instances are claimed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Nova's: capacity alone.
    WithoutGroup,
    OneByOne,
    AsOne,
}

/// What the schedulers of a round share.
struct Cloud {
    index: Index,
    policy: GroupPolicy,
    way: Way,
    /// Nova's database: written once an instance is placed.
    books: Mutex<Books>,
    all_have_read: Barrier,
}

impl Cloud {
    fn new(policy: GroupPolicy, way: Way) -> Self {
        let index = index(HOSTS, |_| Inventory::of(CAPACITY));
        index.add_group(GROUP, policy).unwrap();
        let all_have_read = Barrier::new(usize::try_from(SCHEDULERS).unwrap());
        Self { index, policy, way, books: Mutex::default(), all_have_read }
    }

    /// One, two or three instances. Every third request releases what it was granted.
    fn serve(&self, scheduler: u128, number: u128) {
        let first = (scheduler * REQUESTS + number) * 4 + 1;
        let instances: Vec<String> = (0..=(scheduler + number) % 3).map(|at| uuid(first + at)).collect();
        let known = self.books.lock().unwrap().clone();
        if number == 0 {
            self.all_have_read.wait();
        }
        let Ok(selections) = self.decide(&instances, &known).result else { return };
        let places =
            instances.iter().zip(&selections).map(|(instance, of_one)| (instance.clone(), of_one[0].row));
        if number % 3 != 2 {
            return self.books.lock().unwrap().extend(places);
        }
        for instance in &instances {
            self.index.release(consumer(instance)).expect("it was granted");
        }
    }

    fn decide(&self, instances: &[String], known: &Books) -> Decision {
        let options = Options::default();
        let (mut hosts, mut request) = (hosts(HOSTS, known), request(self.policy, known));
        let mut state = state(HOSTS);
        let instances: Vec<ConsumerId> = instances.iter().map(|one| consumer(one)).collect();
        let instances = &instances;
        let what = SelectDestinations { options: &options, instances, return_alternates: false, now: NOW };
        let claimant = claimant((self.way != Way::WithoutGroup).then_some(GROUP));
        if self.way == Way::AsOne {
            let on = (&self.index, &claimant);
            return what.decide_as_one(&mut hosts, &mut request, &mut state, on, &mut Best).decision;
        }
        let mut claims = IndexClaims::new(&self.index, claimant);
        what.decide(&mut hosts, &mut request, &mut state, &mut claims, &mut Best)
    }

    fn round(&self) {
        thread::scope(|scope| {
            for scheduler in 0..SCHEDULERS {
                scope.spawn(move || (0..REQUESTS).for_each(|number| self.serve(scheduler, number)));
            }
        });
    }

    fn per_host(&self) -> BTreeMap<HostRow, usize> {
        let mut counts = BTreeMap::new();
        self.books.lock().unwrap().values().for_each(|&host| *counts.entry(host).or_default() += 1);
        counts
    }

    fn keeps_its_policy(&self) -> bool {
        let counts = self.per_host();
        match self.policy {
            GroupPolicy::AntiAffinity { max_per_host } => {
                counts.values().all(|&count| count <= max_per_host.get() as usize)
            }
            _ => counts.len() <= 1,
        }
    }

    /// The index holds what was granted, and no host more than it has.
    fn nothing_lost(&self) {
        assert_eq!(self.index.check(), Ok(()));
        let books = self.books.lock().unwrap().clone();
        assert_eq!(self.index.consumers(), books.len());
        for (instance, &host) in &books {
            let allocations = self.index.allocations(consumer(instance)).expect("it was granted");
            assert!(allocations.iter().all(|allocation| allocation.row == Row(host.0)));
        }
        for host in (0..HOSTS).map(Row) {
            assert!(self.index.used(host, ClassId::VCPU) <= i64::from(CAPACITY));
        }
    }
}

fn consumer(instance: &str) -> ConsumerId {
    Uuid::parse_str(instance).unwrap().into()
}

/// Rounds in which the policy was broken, and instances that were placed.
fn broken(policy: GroupPolicy, way: Way) -> (usize, usize) {
    let (mut broken, mut placed) = (0, 0);
    for _ in 0..ROUNDS {
        let cloud = Cloud::new(policy, way);
        cloud.round();
        cloud.nothing_lost();
        broken += usize::from(!cloud.keeps_its_policy());
        placed += cloud.per_host().values().sum::<usize>();
    }
    (broken, placed)
}

#[test]
fn claims_with_the_group_break_no_policy() {
    for policy in [GroupPolicy::Affinity, at_most(1), at_most(3)] {
        for way in [Way::OneByOne, Way::AsOne] {
            let (broken, placed) = broken(policy, way);
            assert_eq!(broken, 0, "{policy:?}, {way:?}");
            assert!(placed > 0, "{policy:?}, {way:?}: an empty cloud proves nothing");
        }
    }
}

#[test]
fn claims_without_the_group_do() {
    for policy in [GroupPolicy::Affinity, at_most(1), at_most(3)] {
        let (broken, _) = broken(policy, Way::WithoutGroup);
        assert!(broken > 0, "{policy:?}: the checker saw nothing, so it proves nothing");
    }
}
