//! Kills a process of a workflow at each of its steps.
//!
//! A workflow runs against the real service on a real store, with agents on fake hypervisors. The
//! service dies at its first commit, at its second, and so on, until the workflow completes first:
//! each time once before the commit is durable, and once after it, before it has any effect. An
//! agent dies in the same way at each step on a guest. The dead process is restarted on its state,
//! and when nothing is in progress any more, the books must agree: instances, allocations and the
//! actual guests ([`berth_system_tests::books`]). Finally the client, which repeats unanswered
//! requests, must have completed all its actions.

mod client;
mod cut;
mod hypervisor;
mod store;
mod world;

use std::sync::Arc;

use berth_compute_agent::{Fault, GuestStep};

use crate::client::Client;
use crate::cut::Side;
use crate::world::World;
use berth_system_tests::books::Action::{
    self, Confirm, Create, Delete, Evacuate, LiveMigrate, Migrate, Pause, Reboot, Rebuild, Rescue, Resume,
    Revert, Shelve, Start, Stop, Suspend, Unpause, Unrescue, Unshelve,
};

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mortal {
    Service,
    Agent,
}

#[derive(Debug, Clone, Copy, Default)]
struct Workflow<'a> {
    hosts: u32,
    /// Whether builds fail on the host that is chosen first.
    first_host_fails: bool,
    /// Whether hosts share storage, and the one that is chosen first loses its power before the
    /// actions. It gets it back after them.
    first_host_dies: bool,
    /// Whether hosts share storage.
    shares_storage: bool,
    /// Whether the first target then fails to start the guest.
    first_target_fails: bool,
    /// Done before anybody may die.
    before: &'a [Action],
    actions: &'a [Action],
    /// Commits and calls that there are at least.
    least: (u64, u64),
}

#[test]
fn a_build_that_fails_is_cut() {
    let actions = &[Create(1)];
    live_all(&Workflow { hosts: 2, first_host_fails: true, actions, least: (7, 10), ..Workflow::default() });
}

#[test]
fn a_group_that_is_made_is_cut() {
    live_all(&Workflow { hosts: 4, actions: &[Create(3)], least: (4, 15), ..Workflow::default() });
}

#[test]
fn a_deletion_is_cut() {
    let (before, actions) = (&[Create(2)], &[Delete]);
    live_all(&Workflow { hosts: 2, before, actions, least: (4, 8), ..Workflow::default() });
}

#[test]
fn stopping_and_starting_is_cut() {
    let (before, actions) = (&[Create(1)], &[Stop, Start, Reboot]);
    live_all(&Workflow { hosts: 1, before, actions, least: (6, 9), ..Workflow::default() });
}

#[test]
fn pausing_and_suspending_is_cut() {
    let (before, actions) = (&[Create(1)], &[Pause, Unpause, Suspend, Resume]);
    live_all(&Workflow { hosts: 1, before, actions, least: (8, 12), ..Workflow::default() });
}

#[test]
fn a_rebuild_is_cut() {
    let (before, actions) = (&[Create(1)], &[Rebuild]);
    live_all(&Workflow { hosts: 1, before, actions, least: (2, 10), ..Workflow::default() });
}

#[test]
fn a_rescue_is_cut() {
    let (before, actions) = (&[Create(1)], &[Rescue, Unrescue]);
    live_all(&Workflow { hosts: 1, before, actions, least: (4, 14), ..Workflow::default() });
}

#[test]
fn shelving_is_cut() {
    let (before, actions) = (&[Create(1)], &[Shelve, Unshelve]);
    live_all(&Workflow { hosts: 2, before, actions, least: (5, 8), ..Workflow::default() });
}

#[test]
fn a_migration_that_is_confirmed_is_cut() {
    let (before, actions) = (&[Create(1)], &[Migrate, Confirm]);
    live_all(&Workflow { hosts: 2, before, actions, least: (8, 14), ..Workflow::default() });
}

#[test]
fn a_migration_that_is_reverted_is_cut() {
    let (before, actions) = (&[Create(1)], &[Migrate, Revert]);
    live_all(&Workflow { hosts: 2, before, actions, least: (9, 16), ..Workflow::default() });
}

#[test]
fn a_migration_of_a_group_is_cut() {
    let (before, actions) = (&[Create(2)], &[Migrate, Revert]);
    live_all(&Workflow { hosts: 4, before, actions, least: (16, 40), ..Workflow::default() });
}

#[test]
fn a_deletion_in_the_middle_of_a_migration_is_cut() {
    let (before, actions) = (&[Create(1), Migrate], &[Delete]);
    live_all(&Workflow { hosts: 2, before, actions, least: (4, 10), ..Workflow::default() });
}

#[test]
fn a_live_migration_is_cut() {
    let (before, actions) = (&[Create(1)], &[LiveMigrate]);
    live_all(&Workflow { hosts: 2, before, actions, least: (6, 9), ..Workflow::default() });
}

#[test]
fn a_live_migration_with_shared_disks_is_cut() {
    let (before, actions) = (&[Create(1)], &[LiveMigrate]);
    live_all(&Workflow {
        hosts: 2,
        shares_storage: true,
        before,
        actions,
        least: (6, 9),
        ..Workflow::default()
    });
}

/// Both hosts are free, and each guest gets one.
#[test]
fn live_migrations_of_a_group_are_cut() {
    let (before, actions) = (&[Create(2)], &[LiveMigrate]);
    live_all(&Workflow { hosts: 4, before, actions, least: (12, 18), ..Workflow::default() });
}

#[test]
fn a_deletion_of_a_live_migrated_instance_is_cut() {
    let (before, actions) = (&[Create(1)], &[LiveMigrate, Delete]);
    live_all(&Workflow { hosts: 2, before, actions, least: (8, 12), ..Workflow::default() });
}

#[test]
fn an_evacuation_is_cut() {
    let (before, actions) = (&[Create(1)], &[Evacuate]);
    live_all(&Workflow {
        hosts: 2,
        first_host_dies: true,
        before,
        actions,
        least: (4, 5),
        ..Workflow::default()
    });
}

#[test]
fn an_evacuation_whose_target_fails_is_cut() {
    let (before, actions) = (&[Create(1)], &[Evacuate]);
    live_all(&Workflow {
        hosts: 3,
        first_host_dies: true,
        first_target_fails: true,
        before,
        actions,
        least: (6, 10),
        ..Workflow::default()
    });
}

/// The instance stays on its host, with its claim and its disks.
#[test]
fn an_evacuation_that_fails_is_cut() {
    let (before, actions) = (&[Create(1)], &[Evacuate]);
    live_all(&Workflow {
        hosts: 2,
        first_host_dies: true,
        first_target_fails: true,
        before,
        actions,
        least: (5, 8),
        ..Workflow::default()
    });
}

/// Cuts the workflow everywhere.
fn live_all(workflow: &Workflow<'_>) {
    for (mortal, least) in [(Mortal::Service, workflow.least.0), (Mortal::Agent, workflow.least.1)] {
        for side in [Side::Before, Side::After] {
            let cuts = (1..).take_while(|&number| live(workflow, mortal, side, number)).count() as u64;
            eprintln!("{mortal:?} {side:?}: {cuts} cuts");
            assert!(cuts >= least, "it has fewer steps than it needs");
        }
    }
}

/// Lives with one cut; returns whether there was one before the end.
#[tokio::main(flavor = "current_thread")]
async fn live(workflow: &Workflow<'_>, mortal: Mortal, side: Side, number: u64) -> bool {
    eprintln!("{mortal:?} dies {side:?} step {number}");
    let mut world = World::new(workflow.hosts, workflow.first_host_dies, workflow.shares_storage).await;
    let mut client = Client::new(&world.channel).await;
    if workflow.first_host_fails {
        let fail =
            |_| world.machines[0].hypervisor.fail_next(GuestStep::Start, Fault::permanent("no bridge"));
        (0..100).for_each(fail);
    }
    client.add(workflow.before);
    world.rest().await;
    client.go_on().await;
    world.rest().await;

    if workflow.first_host_dies {
        world.power_off().await;
        client.leaves("h1", workflow.first_target_fails && workflow.hosts == 2);
    }
    if workflow.first_target_fails {
        let fail =
            |_| world.machines[1].hypervisor.fail_next(GuestStep::Start, Fault::permanent("no bridge"));
        (0..100).for_each(fail);
    }
    let cut = Arc::clone(if mortal == Mortal::Service { &world.commits } else { &world.calls });
    cut.arm(number, side);
    client.add(workflow.actions);
    tokio::select! {
        () = cut.death() => {}
        () = go_to_the_end(&mut client, &mut world) => return false,
    }
    match mortal {
        Mortal::Service => world.restart_service(),
        Mortal::Agent => world.restart_dead_agent(),
    }
    if workflow.first_host_dies {
        world.until_it_answers().await;
    } else {
        client.check(&world.rest().await);
    }
    go_to_the_end(&mut client, &mut world).await;
    true
}

async fn go_to_the_end(client: &mut Client, world: &mut World) {
    client.go_on().await;
    let was_off = world.power_on();
    let books = world.rest().await;
    client.check(&books);
    assert!(!was_off || client.is_evacuated(&books), "{books:?}");
}
