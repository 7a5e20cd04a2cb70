//! Groups compared with a naive model: maps of maps that recount everything at each step.
//!
//! The model lists every reason to refuse a step. The index has to refuse for one of them, or apply
//! the step when there is none, and be in the same state afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use berth_placement::{
    ClassId, ConsumerId, ConsumerWrite, GroupError, GroupId, GroupPolicy, Index, Member, Row, Timestamp,
    TransferError,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::fleet::{fleet, write};

const HOSTS: u32 = 4;
const CAPACITY: u32 = 6;
const CONSUMERS: u8 = 8;
const GROUPS: u8 = 3;

/// A consumer's allocations: amounts by host.
type Held = BTreeMap<u32, u32>;

#[derive(Debug, Clone)]
enum Step {
    Add(u8, GroupPolicy),
    Remove(u8),
    /// Members (consumer, host, instance), and what is written.
    Claim(u8, Vec<(u8, u32, u8)>, BTreeMap<u8, Held>),
    Transfer(BTreeMap<u8, Held>),
    Release(u8),
    Forget(u8),
}

fn policy() -> impl Strategy<Value = GroupPolicy> {
    let most =
        (1..4_u32).prop_map(|max| GroupPolicy::AntiAffinity { max_per_host: NonZeroU32::new(max).unwrap() });
    prop_oneof![
        2 => Just(GroupPolicy::Affinity),
        4 => most,
        1 => Just(GroupPolicy::SoftAffinity),
        1 => Just(GroupPolicy::SoftAntiAffinity)
    ]
}

/// Mostly consistent claims: members hold something on their hosts, and migrations keep a place for
/// another consumer.
fn claim() -> impl Strategy<Value = Step> {
    let instance = prop_oneof![4 => Just(None), 1 => (0..CONSUMERS).prop_map(Some)];
    let place = (0..CONSUMERS, 0..HOSTS, instance, 1..3_u32, prop::bool::weighted(0.05));
    (0..GROUPS, vec(place, 1..5), writes(0..2)).prop_map(|(group, places, mut writes)| {
        let mut members = Vec::new();
        for (consumer, host, instance, amount, astray) in places {
            members.push((consumer, host, instance.unwrap_or(consumer)));
            writes.entry(consumer).or_default().insert((host + u32::from(astray)) % HOSTS, amount);
        }
        Step::Claim(group, members, writes)
    })
}

fn writes(count: std::ops::Range<usize>) -> impl Strategy<Value = BTreeMap<u8, Held>> {
    btree_map(0..CONSUMERS, btree_map(0..HOSTS, 1..4_u32, 0..3), count)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..GROUPS, policy()).prop_map(|(group, policy)| Step::Add(group, policy)),
        1 => (0..GROUPS).prop_map(Step::Remove),
        10 => claim(),
        4 => writes(1..4).prop_map(Step::Transfer),
        3 => (0..CONSUMERS).prop_map(Step::Release),
        1 => (0..CONSUMERS).prop_map(Step::Forget),
    ]
}

/// A group and the consumers that join it: consumer, host, and the instance that the consumer
/// stands for.
type Joining<'a> = Option<(u8, &'a [(u8, u32, u8)])>;

/// A reason to refuse a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    NamedTwice,
    NotOnHost,
    UnknownGroup,
    OtherGroup,
    Policy,
    Capacity,
}

impl Reason {
    fn of(error: &TransferError) -> Self {
        match error {
            TransferError::Group(GroupError::NamedTwice(_)) => Self::NamedTwice,
            TransferError::Group(GroupError::NotOnHost { .. }) => Self::NotOnHost,
            TransferError::Group(GroupError::Unknown(_)) => Self::UnknownGroup,
            TransferError::Group(GroupError::InAnotherGroup { .. }) => Self::OtherGroup,
            TransferError::Group(GroupError::Apart { .. } | GroupError::Crowded { .. }) => Self::Policy,
            TransferError::Refused(_) => Self::Capacity,
            other => panic!("an error that no step can cause: {other}"),
        }
    }
}

/// Members by consumer: host and instance.
type Members = BTreeMap<u8, (u32, u8)>;

#[derive(Debug, Clone, Default)]
struct Model {
    held: BTreeMap<u8, Held>,
    groups: BTreeMap<u8, (GroupPolicy, Members)>,
}

fn holds(policy: GroupPolicy, members: &Members) -> bool {
    let instances = members.iter().filter(|(consumer, place)| **consumer == place.1);
    match policy {
        GroupPolicy::Affinity => instances.map(|(_, place)| place.0).collect::<BTreeSet<_>>().len() <= 1,
        GroupPolicy::AntiAffinity { max_per_host } => (0..HOSTS).all(|host| {
            let there = members.values().filter(|place| place.0 == host).map(|place| place.1);
            there.collect::<BTreeSet<_>>().len() <= max_per_host.get() as usize
        }),
        GroupPolicy::SoftAffinity | GroupPolicy::SoftAntiAffinity => true,
    }
}

impl Model {
    fn group_of(&self, consumer: u8) -> Option<u8> {
        self.groups.iter().find(|(_, (_, members))| members.contains_key(&consumer)).map(|(&group, _)| group)
    }

    fn forget(&mut self, consumer: u8) {
        self.held.remove(&consumer);
        for (_, members) in self.groups.values_mut() {
            members.remove(&consumer);
        }
    }

    /// The state after the step, and every reason to refuse it.
    fn after(&self, joining: Joining<'_>, writes: &BTreeMap<u8, Held>) -> (Self, BTreeSet<Reason>) {
        let (mut after, mut reasons) = (self.clone(), BTreeSet::new());
        for (&consumer, held) in writes {
            after.hold(consumer, held);
        }
        let (group, members) = joining.unwrap_or((0, &[]));
        let named: BTreeSet<u8> = members.iter().map(|member| member.0).collect();
        if named.len() < members.len() {
            reasons.insert(Reason::NamedTwice);
        }
        for &(consumer, host, instance) in members {
            if !writes[&consumer].contains_key(&host) {
                reasons.insert(Reason::NotOnHost);
            }
            if self.group_of(consumer).is_some_and(|other| other != group) {
                reasons.insert(Reason::OtherGroup);
            }
            if let Some((_, places)) = after.groups.get_mut(&group) {
                places.insert(consumer, (host, instance));
            } else {
                reasons.insert(Reason::UnknownGroup);
            }
        }
        if after.groups.values().any(|(policy, members)| !holds(*policy, members)) {
            reasons.insert(Reason::Policy);
        }
        let used = |host| after.held.values().filter_map(|held| held.get(&host)).sum::<u32>();
        if (0..HOSTS).any(|host| used(host) > CAPACITY) {
            reasons.insert(Reason::Capacity);
        }
        (after, reasons)
    }

    fn hold(&mut self, consumer: u8, held: &Held) {
        if held.is_empty() && self.held.contains_key(&consumer) {
            return self.forget(consumer);
        }
        self.held.insert(consumer, held.clone());
        for (_, members) in self.groups.values_mut() {
            if let Some(place) = members.get_mut(&consumer)
                && !held.contains_key(&place.0)
            {
                place.0 = *held.keys().next().expect("it is not empty");
            }
        }
    }
}

fn consumer(number: u8) -> ConsumerId {
    ConsumerId(number.into())
}

fn group(number: u8) -> GroupId {
    GroupId(number.into())
}

fn write_all(writes: &BTreeMap<u8, Held>) -> Vec<ConsumerWrite> {
    let of_one = |(&number, held): (&u8, &Held)| {
        let mut write = write(consumer(number), &[], 1);
        let allocation = |(&host, &amount): (&u32, &u32)| berth_placement::Allocation {
            row: Row(host),
            class: ClassId::VCPU,
            amount,
        };
        write.allocations = held.iter().map(allocation).collect();
        write
    };
    writes.iter().map(of_one).collect()
}

/// The index and its model.
struct Both {
    index: Index,
    model: Model,
    done: usize,
    refused: BTreeSet<Reason>,
}

impl Both {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Add(number, policy) => {
                let added = self.index.add_group(group(*number), *policy);
                assert_eq!(added.is_ok(), !self.model.groups.contains_key(number));
                self.model.groups.entry(*number).or_insert((*policy, Members::new()));
            }
            Step::Remove(number) => {
                let removed = self.index.remove_group(group(*number));
                assert_eq!(removed.is_ok(), self.model.groups.remove(number).is_some());
            }
            Step::Claim(number, members, writes) => {
                let named: Vec<Member> = members.iter().map(member).collect();
                let outcome =
                    self.index.claim_group(group(*number), &named, &write_all(writes), Timestamp(1));
                self.compare(outcome, Some((*number, members)), writes);
            }
            Step::Transfer(writes) => {
                let outcome = self.index.transfer(&write_all(writes), Timestamp(1));
                self.compare(outcome, None, writes);
            }
            Step::Release(number) => {
                let released = self.index.release(consumer(*number));
                assert_eq!(released.is_ok(), self.model.held.contains_key(number));
                self.model.forget(*number);
            }
            Step::Forget(number) => {
                let removed = self.index.release_uncounted(consumer(*number));
                let something = self.model.held.get(number).is_some_and(|held| !held.is_empty());
                assert_eq!(removed.is_some(), something);
                if something {
                    self.model.forget(*number);
                }
            }
        }
        self.same();
    }

    fn compare(
        &mut self,
        outcome: Result<(), TransferError>,
        joining: Joining<'_>,
        writes: &BTreeMap<u8, Held>,
    ) {
        let (after, reasons) = self.model.after(joining, writes);
        match outcome {
            Ok(()) => {
                assert!(reasons.is_empty(), "applied despite {reasons:?}");
                (self.model, self.done) = (after, self.done + 1);
            }
            Err(error) => {
                let reason = Reason::of(&error);
                assert!(reasons.contains(&reason), "{error}, but only {reasons:?}");
                self.refused.insert(reason);
            }
        }
    }

    fn same(&self) {
        assert_eq!(self.index.check(), Ok(()));
        assert_eq!(self.index.consumers(), self.model.held.len());
        for (&number, held) in &self.model.held {
            let allocations = self.index.allocations(consumer(number)).expect("the model knows it");
            assert!(allocations.iter().map(|a| (a.row.0, a.amount)).eq(held.iter().map(|(&h, &a)| (h, a))));
            let in_group = self.index.consumer(consumer(number)).and_then(|consumer| consumer.group());
            assert_eq!(in_group, self.model.group_of(number).map(group));
        }
        for number in 0..GROUPS {
            let roster = self.index.group(group(number)).and_then(|group| group.roster());
            let members = self.model.groups.get(&number).map(|(_, members)| {
                members.iter().map(|(&number, &(host, instance))| member(&(number, host, instance))).collect()
            });
            assert_eq!(roster.map(|roster| roster.members().to_vec()), members);
        }
    }
}

fn member(&(number, host, instance): &(u8, u32, u8)) -> Member {
    Member { consumer: consumer(number), host: Row(host), instance: consumer(instance) }
}

fn replay(steps: &[Step]) -> Both {
    let mut both =
        Both { index: fleet(HOSTS, CAPACITY), model: Model::default(), done: 0, refused: BTreeSet::new() };
    steps.iter().for_each(|step| both.step(step));
    both
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn the_index_does_what_the_model_does(steps in vec(step(), 1..60)) {
        replay(&steps);
    }
}

/// Checks that the generated steps succeed often enough and are refused for every reason.
#[test]
fn every_reason_is_met() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let steps = vec(step(), 2000).new_tree(&mut runner).unwrap().current();
    let both = replay(&steps);
    let all = [
        Reason::NamedTwice,
        Reason::NotOnHost,
        Reason::UnknownGroup,
        Reason::OtherGroup,
        Reason::Policy,
        Reason::Capacity,
    ];
    assert!(both.refused.iter().eq(&all), "{:?}", both.refused);
    assert!(both.done > 200, "{}", both.done);
}
