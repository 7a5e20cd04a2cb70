//! Random commands, reports, failures and deaths of agents against a small world of hosts.
//!
//! The world knows what is really on each host. An agent receives desired guests late, twice or not
//! at all, fails, and loses its connection with the reports that were on their way. Guests change
//! by themselves. Hosts lose their power and get it back, two of them share storage, and dead ones
//! are evacuated. Running guests are sent to other hosts, with their disks or without. After every
//! step:
//!
//! - no instance runs on two hosts;
//! - no host erases disks that a guest on another host uses;
//! - no host sends or receives more guests at a time than it may;
//! - a guest that may run has capacity on its host, as its instance or as the open migration of
//!   that;
//! - every host with remains of an instance is one of its places;
//! - an instance has the disks that were built for it, wherever it has moved, from the image that
//!   it names;
//! - the guest of an instance at rest boots from a temporary disk if, and only if, it is rescued;
//! - an instance is counted once in the usage of its project;
//! - only open migrations hold capacity;
//! - no generation decreases.
//!
//! In the end everything is delivered, and nothing is left to do: deleted instances are forgotten,
//! no other consumer holds capacity, and the disks of open migrations are the only ones that are
//! set aside.

mod host;
mod world;

use std::cell::RefCell;

use berth_fleet::Operation;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use world::World;

const HOSTS: usize = 3;

const OPERATIONS: [Operation; 9] = [
    Operation::Start,
    Operation::Stop,
    Operation::Reboot { hard: false },
    Operation::Reboot { hard: true },
    Operation::Pause,
    Operation::Unpause,
    Operation::Suspend,
    Operation::Resume,
    Operation::Unrescue,
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
    /// Builds its disks again, from another image each time.
    Rebuild {
        instance: usize,
    },
    /// Boots it from a temporary disk.
    Rescue {
        instance: usize,
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
    /// Moves the instance: to another flavor, if `resizes`. The target is the first with capacity,
    /// counted from `host`.
    Move {
        instance: usize,
        host: usize,
        resizes: bool,
    },
    /// Moves the instance while its guest runs.
    Live {
        instance: usize,
        host: usize,
    },
    /// Aborts a live migration, or forces it.
    Steer {
        migration: usize,
        aborts: bool,
    },
    /// Confirms the move of an instance that has moved.
    Confirm {
        instance: usize,
    },
    /// Reverts it.
    Revert {
        instance: usize,
    },
    /// Schedules what waits for a host, and forgets what is deleted.
    Reconcile,
    /// The agent applies what it last received of an instance or of its migration, again if it has
    /// before.
    Apply {
        host: usize,
        instance: usize,
        fails: bool,
        leaves: usize,
    },
    /// The service sends the present desired guests.
    Send,
    /// Everything on its way is delivered and applied, and so is what follows from it, so many
    /// times.
    Deliver {
        times: usize,
        /// Hosts on which builds fail, one bit for each.
        failing: usize,
    },
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
    /// The agent loses its connection, and reports everything on a new one. A host without power
    /// gets it back.
    Reconnect {
        host: usize,
    },
    /// The host loses its power.
    Die {
        host: usize,
    },
    /// The instance is evacuated, if its host is dead, which is fenced then.
    Evacuate {
        instance: usize,
        host: usize,
        rebuild: bool,
        stopped: bool,
    },
    /// All guests of a host that is up leave it while they run, or none.
    EvacuateLive {
        host: usize,
    },
    /// All instances of a dead host are evacuated, or none.
    EvacuateHost {
        host: usize,
        rebuild: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let any_instance = 0..4_usize;
    let any_host = 0..HOSTS;
    prop_oneof![
        1 => (1..3_usize).prop_map(|count| Step::Create { count }),
        3 => (any_instance.clone(), 0..9_usize)
            .prop_map(|(instance, operation)| Step::Act { instance, operation }),
        2 => any_instance.clone().prop_map(|instance| Step::Rebuild { instance }),
        2 => any_instance.clone().prop_map(|instance| Step::Rescue { instance }),
        1 => any_instance.clone().prop_map(|instance| Step::Shelve { instance }),
        1 => any_instance.clone().prop_map(|instance| Step::Unshelve { instance }),
        1 => any_instance.clone().prop_map(|instance| Step::Delete { instance }),
        6 => (any_instance.clone(), any_host.clone(), any::<bool>())
            .prop_map(|(instance, host, resizes)| Step::Move { instance, host, resizes }),
        6 => (any_instance.clone(), any_host.clone())
            .prop_map(|(instance, host)| Step::Live { instance, host }),
        3 => (0..4_usize, prop::bool::weighted(0.7))
            .prop_map(|(migration, aborts)| Step::Steer { migration, aborts }),
        3 => any_instance.clone().prop_map(|instance| Step::Confirm { instance }),
        3 => any_instance.clone().prop_map(|instance| Step::Revert { instance }),
        4 => Just(Step::Reconcile),
        14 => (any_host.clone(), 0..16_usize, prop::bool::weighted(0.2), 0..4_usize)
            .prop_map(|(host, instance, fails, leaves)| Step::Apply { host, instance, fails, leaves }),
        6 => Just(Step::Send),
        8 => (1..5_usize, prop_oneof![2 => Just(0), 1 => 0..1_usize << HOSTS]).prop_map(|(times, failing)| Step::Deliver { times, failing }),
        10 => any_host.clone().prop_map(|host| Step::Receive { host }),
        2 => (any_host.clone(), any_instance.clone(), 0..5_usize)
            .prop_map(|(host, instance, state)| Step::Change { host, instance, state }),
        3 => any_host.clone().prop_map(|host| Step::Reconnect { host }),
        2 => any_host.clone().prop_map(|host| Step::Die { host }),
        4 => (any_instance, any_host.clone(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(instance, host, rebuild, stopped)| Step::Evacuate { instance, host, rebuild, stopped }),
        2 => (any_host.clone(), any::<bool>())
            .prop_map(|(host, rebuild)| Step::EvacuateHost { host, rebuild }),
        3 => any_host.prop_map(|host| Step::EvacuateLive { host }),
    ]
}

/// How many migrations of the runs ended in each way.
type Outcomes = [usize; 7];

#[test]
fn no_run_breaks_an_invariant() {
    let outcomes = RefCell::new(Outcomes::default());
    let mut runner = TestRunner::new(ProptestConfig { cases: 800, ..ProptestConfig::default() });
    let run = runner.run(&prop::collection::vec(step(), 1..120), |steps| {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check();
        }
        world.settle();
        let counted = world.outcomes();
        outcomes.borrow_mut().iter_mut().zip(counted).for_each(|(sum, count)| *sum += count);
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}\n{runner}"));
    // A run that moves nothing to its end would find nothing.
    let outcomes = outcomes.into_inner();
    assert!(
        outcomes.iter().all(|count| *count > 0),
        "confirmed, reverted, failed, open, evacuated, completed, aborted: {outcomes:?}"
    );
}
