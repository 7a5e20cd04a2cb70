//! The state machine in a live migration: what hypervisors do meanwhile comes as a disturbance.

use std::sync::Arc;

use berth_api::v1;
use berth_api::v1::transfer::Phase;

use super::tests::{World, desired};
use super::{GuestStep, ObservedState};
use crate::disks::DiskRole;
use crate::{DesiredState, Fault, GuestGoal};

fn transfer(is_shared: bool, phase: Phase, is_forced: bool) -> Option<Arc<v1::Transfer>> {
    Some(Arc::new(v1::Transfer { is_shared, phase: phase.into(), is_forced, ..v1::Transfer::default() }))
}

fn leaving(generation: u64, is_sent: bool, is_forced: bool) -> DesiredState {
    let phase = if is_sent { Phase::Sending } else { Phase::Stopping };
    let transfer = transfer(false, phase, is_forced);
    DesiredState { transfer, ..desired(generation, GuestGoal::Leaving, 1, false) }
}

fn arriving(generation: u64, is_shared: bool, phase: Phase) -> DesiredState {
    DesiredState {
        transfer: transfer(is_shared, phase, false),
        ..desired(generation, GuestGoal::Arriving, 3, false)
    }
}

/// A guest that runs in its first boot, and is to be sent: the step is under way.
fn sent() -> World {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.done.clear();
    world.apply(leaving(2, false, false));
    world.settle(true);
    assert!(world.done.is_empty() && world.guest.concluded_generation() == 2, "it is only described");
    world.apply(leaving(3, true, false));
    world.complete(None, true, true); // the record
    assert_eq!(world.step, Some(GuestStep::Send { generation: 3 }));
    world
}

/// The hypervisor notices a change.
fn notice(world: &mut World, power: ObservedState) {
    world.disturb(power);
    assert_eq!(world.step, Some(GuestStep::Look));
    world.complete(None, true, true);
}

#[test]
fn a_guest_that_has_left_is_reported_then() {
    let mut world = sent();
    world.power = ObservedState::Leaving;
    world.complete(None, false, true);
    assert_eq!(
        (world.guest.phase, world.guest.concluded_generation()),
        (super::Phase::Waiting, 2),
        "it is on its way"
    );
    world.has_reported = false;
    notice(&mut world, ObservedState::Shelved);
    world.settle(true);
    assert!(world.has_reported && world.guest.fault().is_none());
    assert_eq!((world.guest.power(), world.guest.concluded_generation()), (ObservedState::Shelved, 3));
}

#[test]
fn a_guest_that_stays_is_reported_with_the_reason() {
    let mut world = sent();
    world.power = ObservedState::Leaving;
    world.complete(None, false, true);
    notice(&mut world, ObservedState::Running);
    // The hypervisor knows how the attempt has failed.
    assert_eq!(world.step, Some(GuestStep::Send { generation: 3 }));
    world.complete(Some(Fault::permanent("no route")), false, true);
    assert_eq!(world.guest.fault().map(|fault| fault.message.as_str()), Some("no route"));
    assert_eq!((world.guest.power(), world.guest.concluded_generation()), (ObservedState::Running, 3));
}

#[test]
fn sending_is_stopped_and_forced_on_request() {
    let mut world = sent();
    world.power = ObservedState::Leaving;
    world.complete(None, false, true);
    world.apply(leaving(4, true, true));
    world.complete(None, true, true);
    assert_eq!(world.step, Some(GuestStep::ForceSending));
    world.complete(None, false, true);
    assert_eq!(world.guest.phase, super::Phase::Waiting, "it is forced once");
    world.apply(leaving(5, false, false));
    world.complete(None, true, true);
    assert_eq!(world.step, Some(GuestStep::StopSending));
    world.power = ObservedState::Running;
    world.complete(None, false, true);
    world.settle(true);
    assert_eq!((world.guest.power(), world.guest.concluded_generation()), (ObservedState::Running, 5));
    assert!(world.guest.fault().is_none());
}

#[test]
fn a_guest_that_is_off_is_not_sent_and_not_started() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Stopped, 0, false);
    world.done.clear();
    world.apply(leaving(2, true, false));
    world.settle(true);
    assert!(world.done.is_empty());
    assert!(world.guest.fault().is_some_and(|fault| fault.message.contains("does not run")));
}

/// An agent that was restarted sends a guest again that is still there, and waits for one that is
/// on its way.
#[test]
fn a_restart_loses_no_guest() {
    for (power, step) in
        [(ObservedState::Leaving, None), (ObservedState::Running, Some(GuestStep::Send { generation: 3 }))]
    {
        let mut world = sent();
        world.power = power;
        world.restart();
        world.apply(leaving(3, true, false));
        assert_eq!(world.step, step);
        assert_eq!(world.guest.phase == super::Phase::Waiting, step.is_none());
    }
}

#[test]
fn a_target_gets_disks_and_reports_what_arrives() {
    for is_shared in [false, true] {
        let mut world = World::new();
        world.apply(arriving(5, is_shared, Phase::Preparing));
        world.settle(true);
        let fetched: &[GuestStep] = if is_shared { &[] } else { &[GuestStep::Fetch] };
        assert_eq!(world.done, fetched);
        assert_eq!((world.guest.concluded_generation(), world.record.boot), (5, 3), "it is ready");
        notice(&mut world, ObservedState::Arriving);
        world.has_reported = false;
        notice(&mut world, ObservedState::Running);
        assert!(world.has_reported);
        // It is in the boot that it had, so it is not rebooted. Shared disks are taken over once.
        let adopt = DiskRole::Adopt { migration: super::tests::MIGRATION, may_build: false };
        world.done.clear();
        world.apply(DesiredState {
            disks: is_shared.then_some(adopt),
            ..desired(6, GuestGoal::Running, 3, false)
        });
        world.settle(true);
        let steps = world.done.iter().filter(|step| matches!(step, GuestStep::Adopt { .. })).count();
        assert_eq!((world.done.len(), steps), (usize::from(is_shared), usize::from(is_shared)));
        assert_eq!(world.guest.power(), ObservedState::Running);
    }
}

/// What an earlier attempt left may be disks of another size.
#[test]
fn a_target_fetches_disks_again_for_each_attempt() {
    let mut world = World::new();
    world.apply(arriving(5, false, Phase::Preparing));
    world.settle(true);
    world.done.clear();
    world.apply(arriving(6, false, Phase::Preparing));
    world.settle(true);
    assert_eq!(world.done, [GuestStep::RemoveDisks, GuestStep::Fetch]);
    // From now on, the source may begin to send at any moment.
    for (generation, phase) in [(7, Phase::Sending), (8, Phase::Stopping)] {
        world.done.clear();
        world.apply(arriving(generation, false, phase));
        world.settle(true);
        assert!(world.done.is_empty() && world.guest.concluded_generation() == generation);
    }
}

/// The agent of the source was restarted, and offers the disks at another port.
#[test]
fn a_target_fetches_disks_from_where_they_are_offered_now() {
    let from = |port| {
        let transfer =
            v1::Transfer { phase: Phase::Preparing.into(), source_port: port, ..v1::Transfer::default() };
        DesiredState { transfer: Some(Arc::new(transfer)), ..arriving(5, false, Phase::Preparing) }
    };
    let mut world = World::new();
    world.apply(from(1));
    world.complete(None, true, true); // the record
    assert_eq!(world.step, Some(GuestStep::Fetch));
    world.apply(from(2));
    world.complete(Some(Fault::transient("refused")), false, true);
    let desired = world.guest.desired().expect("it is still desired");
    assert_eq!(desired.disk_source(super::tests::MIGRATION).map(|source| source.port), Some(2));
    world.settle(true);
    assert!(world.guest.fault().is_none() && world.guest.concluded_generation() == 5);
}

#[test]
fn what_arrives_is_removed_on_request_only() {
    let mut world = World::new();
    world.apply(arriving(5, false, Phase::Preparing));
    world.settle(true);
    notice(&mut world, ObservedState::Arriving);
    world.apply(desired(6, GuestGoal::Absent, 0, false));
    world.complete(None, true, true);
    assert_eq!(world.step, Some(GuestStep::Destroy));
}
