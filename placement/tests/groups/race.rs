//! Hundreds of concurrent requests for one group on few hosts. After each round, a checker inspects
//! the result.
//!
//! The same requests also run as Nova makes them: check the group, then claim without it. That
//! violates the policies, so it proves that the checker detects violations.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Barrier;
use std::thread;

use berth_placement::{
    ClassId, ConsumerId, GroupError, GroupId, GroupPolicy, Index, Member, Row, Timestamp, TransferError,
};

use crate::fleet::{fleet, instances, write};

const GROUP: GroupId = GroupId(1);
const NOW: Timestamp = Timestamp(1);
const HOSTS: u32 = 4;
const CAPACITY: u32 = 40;
const THREADS: u128 = 8;
const REQUESTS: u128 = 40;
const ROUNDS: u128 = if cfg!(miri) { 2 } else { 150 };

/// How a claim respects the group.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// The claim includes the group.
    Claimed,
    /// The caller checks the group before the claim. Members are never added, so one request per
    /// thread is enough.
    CheckedBefore,
}

/// One thread's requests.
struct Requests<'a> {
    index: &'a Index,
    way: Way,
    random: u64,
    granted: Books,
}

/// The granted and not yet released instances, with their hosts.
type Books = BTreeMap<ConsumerId, Row>;

impl Requests<'_> {
    fn below(&mut self, bound: u32) -> u32 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.random >> 33) % u64::from(bound)).unwrap()
    }

    /// Requests one or two instances. Tries each host for the first one; the second goes to the
    /// same or the next host.
    fn request(&mut self, number: u128, policy: GroupPolicy, all_checked: Option<&Barrier>) {
        let first = self.below(HOSTS);
        let pair = self.below(3) == 0;
        for turn in 0..HOSTS {
            let host = Row((first + turn) % HOSTS);
            let other = if policy == GroupPolicy::Affinity { host } else { Row((host.0 + 1) % HOSTS) };
            let mut places = vec![(ConsumerId(number), host)];
            places.extend(pair.then_some((ConsumerId(number + 1), other)));
            if self.claim(&places, all_checked.filter(|_| turn == 0)) {
                self.granted.extend(places);
                return;
            }
        }
    }

    fn claim(&self, places: &[(ConsumerId, Row)], all_checked: Option<&Barrier>) -> bool {
        let (members, writes) = instances(places);
        let checked = self.index.group(GROUP).unwrap().check(&members);
        if let Some(barrier) = all_checked {
            barrier.wait();
        }
        match self.way {
            // The check is advisory; its result is ignored here, so that claims collide as often as
            // possible.
            Way::Claimed => self.index.claim_group(GROUP, &members, &writes, NOW).is_ok(),
            Way::CheckedBefore => checked.is_ok() && self.index.transfer(&writes, NOW).is_ok(),
        }
    }

    /// Releases an instance, or moves it and confirms or reverts the move.
    fn disturb(&mut self, policy: GroupPolicy) {
        let Some((&instance, &host)) = self.granted.first_key_value() else { return };
        if self.below(2) == 0 {
            self.granted.remove(&instance);
            self.index.release(instance).expect("it was granted");
            return;
        }
        let (to, migration) = (Row((host.0 + 1) % HOSTS), ConsumerId(instance.0 | 1 << 100));
        let places = [Member::new(instance, to), Member::kept(migration, host, instance)];
        let writes = [write(instance, &[to], 1), write(migration, &[host], 1)];
        if self.index.claim_group(GROUP, &places, &writes, NOW).is_err() {
            return;
        }
        if self.below(2) == 0 {
            self.index.release(migration).expect("it was granted");
            self.granted.insert(instance, to);
        } else {
            let back = [write(migration, &[], 1), write(instance, &[host], 1)];
            let reverted = self.index.claim_group(GROUP, &[Member::new(instance, host)], &back, NOW);
            // Under affinity, others may have joined it on its new host; then it stays there.
            let is_bound = matches!(reverted, Err(TransferError::Group(GroupError::Apart { .. })));
            if policy == GroupPolicy::Affinity && is_bound {
                self.index.release(migration).expect("it was granted");
                self.granted.insert(instance, to);
                return;
            }
            assert_eq!(reverted, Ok(()), "the old place was not kept free");
        }
    }
}

/// Runs all threads' requests; returns everything that was granted.
fn round(index: &Index, way: Way, policy: GroupPolicy, seed: u128, disturb: bool) -> Books {
    let count = if way == Way::CheckedBefore { 1 } else { REQUESTS };
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    let work = |thread: u128| {
        let random = u64::try_from(seed * THREADS + thread).unwrap();
        let mut requests = Requests { index, way, random, granted: Books::new() };
        for number in 0..count {
            let meet = (number == 0).then_some(&barrier);
            requests.request((thread * REQUESTS + number) * 2, policy, meet);
            if disturb && number % 3 == 0 {
                requests.disturb(policy);
            }
        }
        requests.granted
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread failed")).collect()
    })
}

fn per_host(books: &Books) -> BTreeMap<Row, usize> {
    let mut counts = BTreeMap::new();
    books.values().for_each(|&host| *counts.entry(host).or_default() += 1);
    counts
}

fn keeps(policy: GroupPolicy, books: &Books) -> bool {
    let counts = per_host(books);
    match policy {
        GroupPolicy::Affinity => counts.len() <= 1,
        GroupPolicy::AntiAffinity { max_per_host } => {
            counts.values().all(|&count| count <= max_per_host.get() as usize)
        }
        GroupPolicy::SoftAffinity | GroupPolicy::SoftAntiAffinity => true,
    }
}

/// Checks that nothing exceeds its capacity, and that the index holds exactly what was granted.
fn nothing_lost(index: &Index, books: &Books) {
    assert_eq!(index.check(), Ok(()));
    assert_eq!(index.consumers(), books.len());
    for (&instance, &host) in books {
        let allocations = index.allocations(instance).expect("it was granted");
        assert_eq!((allocations.len(), allocations[0].row, allocations[0].amount), (1, host, 1));
    }
    let counts = per_host(books);
    for host in (0..HOSTS).map(Row) {
        let used = index.used(host, ClassId::VCPU);
        assert_eq!(usize::try_from(used).unwrap(), counts.get(&host).copied().unwrap_or(0));
        assert!(used <= i64::from(CAPACITY));
    }
}

fn at_most(max: u32) -> GroupPolicy {
    GroupPolicy::AntiAffinity { max_per_host: NonZeroU32::new(max).unwrap() }
}

fn grouped(policy: GroupPolicy) -> Index {
    let index = fleet(HOSTS, CAPACITY);
    index.add_group(GROUP, policy).unwrap();
    index
}

#[test]
fn no_policy_is_ever_broken() {
    for policy in [GroupPolicy::Affinity, at_most(1), at_most(5)] {
        for seed in 0..ROUNDS {
            let index = grouped(policy);
            let books = round(&index, Way::Claimed, policy, seed, seed % 2 == 0);
            assert!(keeps(policy, &books), "{policy:?}, round {seed}: {:?}", per_host(&books));
            nothing_lost(&index, &books);
            let roster = index.group(GROUP).unwrap().roster().unwrap();
            assert!(roster.members().iter().map(|member| (member.consumer, member.host)).eq(books));
        }
    }
}

/// Without releases, and with requests that try every host, the group grows to its largest allowed
/// size.
#[test]
fn no_place_is_left_over() {
    for seed in 0..ROUNDS {
        let index = grouped(at_most(5));
        let books = round(&index, Way::Claimed, at_most(5), seed, false);
        assert_eq!(per_host(&books).values().copied().collect::<Vec<_>>(), [5; HOSTS as usize]);
    }
}

/// Nova's order, a check before the claim, violates policies. The checker detects it in most
/// rounds.
#[test]
fn checking_before_claiming_breaks_policies() {
    for policy in [GroupPolicy::Affinity, at_most(1), at_most(2)] {
        let broken = (0..ROUNDS).filter(|&seed| {
            let index = grouped(policy);
            let books = round(&index, Way::CheckedBefore, policy, seed, false);
            nothing_lost(&index, &books);
            !keeps(policy, &books)
        });
        let broken = broken.count();
        assert!(broken > 0, "{policy:?}: the checker saw nothing, so it proves nothing");
    }
}

/// A claim that a provider refuses leaves no member behind, even among concurrent claims.
#[test]
fn a_full_host_refuses_without_a_trace() {
    let index = &fleet(1, 3);
    index.add_group(GROUP, GroupPolicy::Affinity).unwrap();
    let claim = move |number: u128| {
        let (members, writes) = instances(&[(ConsumerId(number), Row(0)), (ConsumerId(number + 1), Row(0))]);
        index.claim_group(GROUP, &members, &writes, NOW)
    };
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u128).map(|thread| scope.spawn(move || claim(thread * 2))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(TransferError::Refused(_)))));
    assert_eq!((index.consumers(), index.check()), (2, Ok(())));
}
