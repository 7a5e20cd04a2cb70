//! The state machine against a simulated host, which runs its steps or fails them.

use std::sync::Arc;

use berth_api::v1;
use proptest::prelude::*;
use uuid::Uuid;

use super::{ATTEMPTS, Guest, Phase, Reaction};
use crate::disks::{DiskRole, DiskSource};
use crate::fake::after;
use crate::{
    DesiredState, Fault, GuestGoal, GuestRecord, GuestStep, MonotonicMicros, ObservedState, StepOutcome,
};

const GRACE: MonotonicMicros = 60_000_000;

pub(super) fn desired(generation: u64, goal: GuestGoal, boot: u32, hard: bool) -> DesiredState {
    let spec = Some(Arc::new(v1::GuestSpec::default()));
    let disks = (goal == GuestGoal::Outgoing).then_some(DiskRole::SetAside(MIGRATION));
    DesiredState {
        generation,
        goal,
        boot,
        hard,
        must_exist: false,
        spec,
        disks,
        transfer: None,
        rebuild: false,
    }
}

pub(super) const MIGRATION: Uuid = Uuid::from_u128(0xb);

/// A guest, its state machine, and the running step.
pub(super) struct World {
    pub(super) guest: Guest,
    pub(super) power: ObservedState,
    pub(super) record: GuestRecord,
    pub(super) step: Option<GuestStep>,
    wake_at: Option<MonotonicMicros>,
    now: MonotonicMicros,
    /// The highest generation that the state machine can know.
    latest: u64,
    pub(super) has_reported: bool,
    /// Steps that changed the guest.
    pub(super) done: Vec<GuestStep>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            guest: Guest::new(ObservedState::Absent, GuestRecord::default(), GRACE),
            power: ObservedState::Absent,
            record: GuestRecord::default(),
            step: None,
            wake_at: None,
            now: 0,
            latest: 0,
            has_reported: false,
            done: Vec::new(),
        }
    }

    fn take(&mut self, reaction: Reaction) {
        self.has_reported |= reaction.report;
        if let Some(at) = reaction.wake_at {
            assert_eq!(self.guest.phase, Phase::Waiting);
            self.wake_at = Some(at);
        }
        let Some(step) = reaction.step else { return };
        assert_eq!(self.step, None, "two steps at once");
        if step != GuestStep::Look {
            let generation = self.guest.desired().expect("no step without a desired state").generation;
            assert_eq!(generation, self.latest, "a step for a stale desired state");
            if !matches!(step, GuestStep::Remember(_)) {
                assert_eq!(self.record.known, generation, "a step for a generation that is not stored");
            }
        }
        self.step = Some(step);
    }

    pub(super) fn apply(&mut self, desired: DesiredState) {
        let is_stale = desired.generation < self.latest;
        self.latest = self.latest.max(desired.generation);
        let reaction = self.guest.apply(desired, self.now);
        assert!(!is_stale || reaction.step.is_none(), "a stale desired state has no effect");
        self.take(reaction);
    }

    pub(super) fn disturb(&mut self, power: ObservedState) {
        self.power = power;
        let reaction = self.guest.disturbed();
        self.take(reaction);
    }

    /// Completes the running step. `is_done`: it took effect, even if it reports a fault.
    pub(super) fn complete(&mut self, fault: Option<Fault>, is_done: bool, obeys: bool) {
        let Some(step) = self.step.take() else { return };
        let mut result = fault.map_or(Ok(()), Err);
        if is_done {
            match self.run(step, obeys) {
                Some(()) => {}
                None => result = result.and(Err(Fault::transient("wrong state"))),
            }
        }
        let is_lost = result.as_ref().is_err_and(|fault| fault.kind == crate::FaultKind::Lost);
        let outcome = StepOutcome { result, power: (!is_lost).then_some(self.power) };
        let reaction = self.guest.done(outcome, self.now);
        self.take(reaction);
    }

    fn run(&mut self, step: GuestStep, obeys: bool) -> Option<()> {
        match step {
            GuestStep::Look => return Some(()),
            GuestStep::Remember(record) => {
                self.record = record;
                return Some(());
            }
            _ => {}
        }
        self.done.push(step);
        if step != GuestStep::Shutdown || obeys {
            self.power = after(step, self.power)?;
        }
        Some(())
    }

    fn advance(&mut self, by: MonotonicMicros) {
        self.now += by;
        let reaction = self.guest.wake(self.now);
        self.take(reaction);
    }

    pub(super) fn restart(&mut self) {
        self.step = None;
        self.latest = self.record.known;
        self.guest = Guest::new(self.power, self.record, GRACE);
    }

    /// Lets every step succeed until the state machine is idle.
    pub(super) fn settle(&mut self, obeys: bool) {
        for _ in 0..100 {
            if self.step.is_some() {
                self.complete(None, true, obeys);
            } else if self.guest.phase == Phase::Waiting {
                let until = self.wake_at.expect("a waiting guest has a wake-up time");
                self.advance(until.saturating_sub(self.now));
            } else {
                return;
            }
        }
        panic!("the guest does not settle: {:?}", self.guest);
    }

    pub(super) fn reach(
        &mut self,
        generation: u64,
        goal: GuestGoal,
        boot: u32,
        hard: bool,
    ) -> Vec<GuestStep> {
        self.done.clear();
        self.apply(desired(generation, goal, boot, hard));
        self.settle(true);
        self.done.clone()
    }
}

#[test]
fn disks_are_set_aside_and_come_back_or_come_from_another_host() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    assert_eq!(
        world.reach(2, GuestGoal::Outgoing, 1, false),
        [GuestStep::Shutdown, GuestStep::Undefine, GuestStep::SetAside(MIGRATION)]
    );
    assert!(world.reach(3, GuestGoal::Outgoing, 1, false).is_empty(), "they are set aside");
    let source = DiskSource {
        migration: MIGRATION,
        ticket: "t".to_owned(),
        host: "h".to_owned(),
        address: "a".to_owned(),
        port: 1,
    };
    let adopt = |generation| GuestStep::Adopt { migration: MIGRATION, generation, may_build: false };
    let ways = [
        (DiskRole::TakeBack(MIGRATION), GuestStep::TakeBack(MIGRATION)),
        (DiskRole::Fetch(Arc::new(source)), GuestStep::Fetch),
        (DiskRole::Adopt { migration: MIGRATION, may_build: false }, adopt(8)),
    ];
    for ((disks, step), generation) in ways.into_iter().zip([4, 6, 8]) {
        world.done.clear();
        world.apply(DesiredState { disks: Some(disks), ..desired(generation, GuestGoal::Running, 2, false) });
        world.settle(true);
        assert_eq!(world.done, [step, GuestStep::Define, GuestStep::Start]);
        world.reach(generation + 1, GuestGoal::Outgoing, 2, false);
    }
}

/// Disks that were taken over are returned, not erased, if the guest cannot be built.
#[test]
fn disks_that_were_taken_over_are_returned() {
    let mut world = World::new();
    let adopt = Some(DiskRole::Adopt { migration: MIGRATION, may_build: false });
    world.apply(DesiredState { disks: adopt, ..desired(1, GuestGoal::Running, 1, false) });
    world.settle(true);
    world.done.clear();
    let returned = Some(DiskRole::Return(MIGRATION));
    world.apply(DesiredState { disks: returned, ..desired(2, GuestGoal::Outgoing, 1, false) });
    world.settle(true);
    assert_eq!(world.done, [GuestStep::Shutdown, GuestStep::Undefine, GuestStep::Return(MIGRATION)]);
    assert_eq!(world.power, ObservedState::Absent);
}

#[test]
fn each_goal_is_reached_by_the_shortest_path() {
    let mut world = World::new();
    assert_eq!(
        world.reach(1, GuestGoal::Running, 1, false),
        [GuestStep::Prepare, GuestStep::Define, GuestStep::Start]
    );
    assert_eq!(world.record, GuestRecord { known: 1, fulfilled: 1, boot: 1, rebuilt: 0, is_rescue: false });
    assert_eq!(world.reach(2, GuestGoal::Paused, 1, false), [GuestStep::Pause]);
    assert_eq!(world.reach(3, GuestGoal::Running, 1, false), [GuestStep::Resume]);
    assert_eq!(world.reach(4, GuestGoal::Running, 2, false), [GuestStep::Shutdown, GuestStep::Start]);
    assert_eq!(world.reach(5, GuestGoal::Running, 3, true), [GuestStep::Destroy, GuestStep::Start]);
    assert_eq!(world.record.boot, 3);
    assert_eq!(world.reach(6, GuestGoal::Suspended, 3, false), [GuestStep::Save]);
    assert_eq!(world.reach(7, GuestGoal::Running, 3, false), [GuestStep::Restore]);
    assert_eq!(world.reach(8, GuestGoal::Stopped, 3, false), [GuestStep::Shutdown]);
    assert_eq!(world.reach(9, GuestGoal::Running, 4, false), [GuestStep::Start]);
    assert_eq!(world.reach(10, GuestGoal::Shelved, 4, false), [GuestStep::Shutdown, GuestStep::Undefine]);
    assert_eq!(world.reach(11, GuestGoal::Running, 5, false), [GuestStep::Define, GuestStep::Start]);
    assert_eq!(
        world.reach(12, GuestGoal::Absent, 5, false),
        [GuestStep::Destroy, GuestStep::Undefine, GuestStep::RemoveDisks]
    );
    assert!(world.guest.is_over());
}

/// The data on its disks is lost. An empty guest would hide that.
#[test]
fn a_lost_guest_is_not_created_again() {
    for goal in [GuestGoal::Running, GuestGoal::Paused, GuestGoal::Suspended, GuestGoal::Stopped] {
        let mut world = World::new();
        world.apply(DesiredState { must_exist: true, ..desired(1, goal, 1, false) });
        world.settle(true);
        assert_eq!((&*world.done, world.power), (&[][..], ObservedState::Absent));
        assert!(
            world.guest.fault().is_some_and(|fault| fault.message.contains("is lost")),
            "{:?}",
            world.guest
        );
    }
    let mut world = World::new();
    world.reach(1, GuestGoal::Shelved, 1, false);
    world.power = ObservedState::Shelved;
    world.disturb(ObservedState::Shelved);
    world.settle(true);
    world.apply(DesiredState { must_exist: true, ..desired(2, GuestGoal::Running, 1, false) });
    world.settle(true);
    assert_eq!(world.power, ObservedState::Running);
}

/// An agent that does not understand a message must not act on it, and no event may make it act.
#[test]
fn an_invalid_desired_state_is_reported_and_leaves_the_guest_as_it_is() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.done.clear();
    let reaction = world.guest.refuse(2, Fault::permanent("goal: 99"));
    assert!(reaction.report);
    world.take(reaction);
    assert_eq!((world.guest.known(), world.guest.concluded_generation()), (2, 2));
    world.latest = 2;
    world.disturb(ObservedState::Paused);
    world.settle(true);
    world.apply(desired(1, GuestGoal::Absent, 1, false));
    world.settle(true);
    assert_eq!((&*world.done, world.power), (&[][..], ObservedState::Paused));
    assert!(world.guest.fault().is_some_and(|fault| fault.message == "goal: 99"));

    // A valid message of the same generation is not a repetition.
    assert_eq!(world.reach(2, GuestGoal::Running, 1, false), [GuestStep::Resume]);
    assert!(world.guest.fault().is_none());
}

#[test]
fn a_guest_that_ignores_the_shutdown_is_destroyed_after_its_grace_period() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.done.clear();
    world.apply(desired(2, GuestGoal::Stopped, 1, false));
    let begin = world.now;
    world.settle(false);
    assert_eq!(world.done, [GuestStep::Shutdown, GuestStep::Destroy]);
    assert_eq!(world.now - begin, GRACE);
}

#[test]
fn a_guest_that_is_shutting_down_is_removed_at_once() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.apply(desired(2, GuestGoal::Stopped, 1, false));
    while world.step.is_some() {
        world.complete(None, true, false);
    }
    let begin = world.now;
    assert_eq!(
        world.reach(3, GuestGoal::Absent, 1, false),
        [GuestStep::Destroy, GuestStep::Undefine, GuestStep::RemoveDisks]
    );
    assert_eq!(world.now, begin);
}

#[test]
fn a_guest_that_shuts_itself_down_is_reported_and_not_started_again() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.has_reported = false;
    world.disturb(ObservedState::ShutDown);
    world.settle(true);
    assert!(world.has_reported);
    assert_eq!((world.guest.power(), world.guest.concluded_generation()), (ObservedState::ShutDown, 1));
    world.apply(desired(1, GuestGoal::Running, 1, false));
    world.settle(true);
    world.restart();
    world.apply(desired(1, GuestGoal::Running, 1, false));
    world.settle(true);
    assert_eq!(world.power, ObservedState::ShutDown);
}

/// libvirt-guests saves guests when their host shuts down. The service then requests that they run.
#[test]
fn a_guest_that_was_saved_from_outside_is_restored() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.has_reported = false;
    world.disturb(ObservedState::Saved);
    world.settle(true);
    assert!(world.has_reported);
    assert_eq!(world.reach(2, GuestGoal::Running, 1, false), [GuestStep::Restore]);
    world.disturb(ObservedState::Saved);
    world.settle(true);
    assert_eq!(world.reach(3, GuestGoal::Running, 2, true), [GuestStep::DiscardSave, GuestStep::Start]);

    // The memory was saved while the guest was paused.
    world.disturb(ObservedState::Saved);
    world.settle(true);
    world.apply(desired(4, GuestGoal::Running, 2, false));
    while world.step != Some(GuestStep::Restore) {
        world.complete(None, true, true);
    }
    world.power = ObservedState::Paused;
    world.step = None;
    let reaction =
        world.guest.done(StepOutcome { result: Ok(()), power: Some(ObservedState::Paused) }, world.now);
    assert_eq!(reaction.step, Some(GuestStep::Resume));
}

/// By `virsh undefine`: a hard reboot defines it again.
#[test]
fn a_guest_that_was_undefined_from_outside_is_defined_again() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.disturb(ObservedState::Shelved);
    world.settle(true);
    world.done.clear();
    world.apply(DesiredState { must_exist: true, ..desired(2, GuestGoal::Running, 2, true) });
    world.settle(true);
    assert_eq!(world.done, [GuestStep::Define, GuestStep::Start]);
}

#[test]
fn a_transient_fault_is_retried_and_then_reported() {
    let mut world = World::new();
    world.apply(desired(1, GuestGoal::Running, 1, false));
    let mut attempts = 0;
    while world.guest.fault().is_none() {
        if world.step == Some(GuestStep::Prepare) {
            attempts += 1;
            world.complete(Some(Fault::transient("disk full")), false, true);
        } else if world.step.is_some() {
            world.complete(None, true, true);
        } else {
            world.advance(1_000_000);
        }
    }
    assert_eq!(attempts, ATTEMPTS);
    assert_eq!(world.guest.concluded_generation(), 1);
    assert_eq!(world.record.fulfilled, 0);
    assert!(world.has_reported);
    assert_eq!(world.reach(2, GuestGoal::Absent, 1, false), []);
    assert!(world.guest.is_over());
}

#[test]
fn a_permanent_fault_is_reported_at_once() {
    let mut world = World::new();
    world.apply(desired(1, GuestGoal::Running, 1, false));
    world.complete(None, true, true);
    assert_eq!(world.step, Some(GuestStep::Prepare));
    world.complete(Some(Fault::permanent("no such image")), false, true);
    assert_eq!((world.step, world.has_reported), (None, true));
    assert_eq!(world.guest.fault(), Some(&Fault::permanent("no such image")));
}

#[test]
fn a_failed_removal_is_retried() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.apply(desired(2, GuestGoal::Absent, 1, false));
    while world.guest.fault().is_none() {
        let is_stuck = world.step == Some(GuestStep::Destroy);
        let fault = is_stuck.then(|| Fault::permanent("the process does not end"));
        world.complete(fault, !is_stuck, true);
    }
    world.has_reported = false;
    world.apply(desired(2, GuestGoal::Absent, 1, false));
    assert_eq!((world.step, world.guest.phase), (None, Phase::Waiting), "not at once");
    world.settle(true);
    assert!(world.has_reported);
    assert_eq!((world.power, world.guest.concluded_generation()), (ObservedState::Absent, 2));
}

#[test]
fn a_disturbance_during_a_step_is_observed_after_it() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.apply(desired(2, GuestGoal::Paused, 1, false));
    assert!(matches!(world.step, Some(GuestStep::Remember(_))));
    assert_eq!(world.guest.disturbed(), Reaction::default());
    let seen_before = StepOutcome { result: Ok(()), power: Some(ObservedState::Running) };
    assert_eq!(world.guest.done(seen_before, 0).step, Some(GuestStep::Look));
}

/// libvirtd dies during a step. Whether the step took effect is observed when libvirtd is back.
#[test]
fn an_unobserved_result_is_observed_before_the_next_step() {
    let mut world = World::new();
    world.apply(desired(1, GuestGoal::Running, 1, false));
    while world.step != Some(GuestStep::Prepare) {
        world.complete(None, true, true);
    }
    // The disks are created, but the result is not observed.
    world.complete(Some(Fault::lost("away")), true, true);
    world.apply(desired(2, GuestGoal::Absent, 1, false));
    world.settle(true);
    assert_eq!((world.power, world.guest.power()), (ObservedState::Absent, ObservedState::Absent));
    assert!(world.guest.is_over());
}

/// A removed guest reappears, for example because libvirtd finished a step late.
#[test]
fn a_guest_that_reappears_is_removed_again() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.reach(2, GuestGoal::Absent, 1, false);
    world.disturb(ObservedState::Running);
    world.settle(true);
    assert_eq!(world.power, ObservedState::Running, "the removal was not requested again");
    world.has_reported = false;
    world.done.clear();
    world.apply(desired(2, GuestGoal::Absent, 1, false));
    world.settle(true);
    assert_eq!(world.done, [GuestStep::Destroy, GuestStep::Undefine, GuestStep::RemoveDisks]);
    assert!(world.has_reported && world.guest.is_over());
}

#[test]
fn an_unreachable_hypervisor_uses_up_no_attempts() {
    let mut world = World::new();
    world.apply(desired(1, GuestGoal::Running, 1, false));
    for _ in 0..3 * ATTEMPTS {
        world.complete(Some(Fault::lost("away")), false, true);
        world.advance(1_000_000);
    }
    world.settle(true);
    assert_eq!(world.power, ObservedState::Running);
}

#[test]
fn a_shelved_guest_without_a_disk_is_an_error() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Shelved, 1, false);
    assert!(world.guest.fault().is_some_and(|fault| fault.message.contains("cannot be shelved")));
}

#[derive(Clone, Debug)]
enum Action {
    Newer { goal: GuestGoal, boots: bool, hard: bool },
    Older { back: u64, goal: GuestGoal },
    Complete { fault: Option<Fault>, is_done: bool, obeys: bool },
    Disturb(usize),
    Advance(MonotonicMicros),
    Restart,
}

fn goals() -> impl Strategy<Value = GuestGoal> {
    use GuestGoal::{Absent, Outgoing, Paused, Running, Shelved, Stopped, Suspended};
    prop::sample::select(vec![Running, Stopped, Paused, Suspended, Absent, Shelved, Outgoing])
}

fn faults() -> impl Strategy<Value = Option<Fault>> {
    let faults = vec![Fault::transient("t"), Fault::permanent("p"), Fault::lost("l")];
    prop_oneof![3 => Just(None), 1 => prop::sample::select(faults).prop_map(Some)]
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (goals(), any::<bool>(), any::<bool>())
            .prop_map(|(goal, boots, hard)| Action::Newer { goal, boots, hard }),
        1 => (0_u64..4, goals()).prop_map(|(back, goal)| Action::Older { back, goal }),
        8 => (faults(), any::<bool>(), any::<bool>())
            .prop_map(|(fault, is_done, obeys)| Action::Complete { is_done: is_done || fault.is_none(), fault, obeys }),
        2 => (0_usize..20).prop_map(Action::Disturb),
        2 => (0..2 * GRACE).prop_map(Action::Advance),
        1 => Just(Action::Restart),
    ]
}

/// The states that a guest may reach without the agent.
fn by_itself(power: ObservedState, choice: usize) -> ObservedState {
    use ObservedState::{Crashed, Paused, Running, Saved, Shelved, ShutDown};
    let choices: &[ObservedState] = match power {
        Running => &[ShutDown, Crashed, Paused, Saved, Shelved],
        Paused => &[ShutDown, Crashed, Running, Saved, Shelved],
        Saved => &[Running, Paused, ShutDown, Shelved],
        ShutDown | Crashed => &[Running, Paused, Shelved],
        Shelved | ObservedState::Absent | ObservedState::Leaving | ObservedState::Arriving => &[power],
    };
    choices[choice % choices.len()]
}

fn is_reached(goal: GuestGoal, power: ObservedState) -> bool {
    match goal {
        GuestGoal::Running => power == ObservedState::Running,
        GuestGoal::Stopped => matches!(power, ObservedState::ShutDown | ObservedState::Crashed),
        GuestGoal::Paused => power == ObservedState::Paused,
        GuestGoal::Suspended => power == ObservedState::Saved,
        GuestGoal::Absent | GuestGoal::Outgoing => power == ObservedState::Absent,
        GuestGoal::Shelved => power == ObservedState::Shelved,
        GuestGoal::Leaving | GuestGoal::Arriving => unreachable!("live_tests.rs has these"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// After any history, the latest desired state is reached once every step succeeds.
    #[test]
    fn the_latest_desired_state_is_reached(
        history in prop::collection::vec(actions(), 0..60),
        goal in goals(),
        boots in any::<bool>(),
        hard in any::<bool>(),
        obeys in any::<bool>(),
    ) {
        let mut world = World::new();
        let (mut generation, mut boot) = (0, 1);
        for action in history {
            match action {
                Action::Newer { goal, boots, hard } => {
                    generation += 1;
                    boot += u32::from(boots);
                    world.apply(desired(generation, goal, boot, hard));
                }
                Action::Older { back, goal } if generation > back => {
                    world.apply(desired(generation - back, goal, boot, false));
                }
                Action::Older { .. } => {}
                Action::Complete { fault, is_done, obeys } => world.complete(fault, is_done, obeys),
                Action::Disturb(choice) => world.disturb(by_itself(world.power, choice)),
                Action::Advance(by) => world.advance(by),
                Action::Restart => world.restart(),
            }
        }
        world.has_reported = false;
        generation += 1;
        boot += u32::from(boots);
        world.disturb(world.power);
        world.apply(desired(generation, goal, boot, hard));
        world.settle(obeys);

        prop_assert!(world.has_reported);
        prop_assert_eq!(world.guest.concluded_generation(), generation);
        prop_assert_eq!(world.guest.power(), world.power);
        if goal == GuestGoal::Shelved && world.power == ObservedState::Absent {
            prop_assert!(world.guest.fault().is_some());
        } else {
            prop_assert!(is_reached(goal, world.power), "{:?}", world.guest);
            prop_assert_eq!(world.record.fulfilled, generation);
            prop_assert_eq!(world.record, world.guest.record());
        }
        if goal == GuestGoal::Running {
            prop_assert_eq!(world.record.boot, boot);
        }
    }
}

fn rebuilt(generation: u64, goal: GuestGoal) -> DesiredState {
    DesiredState { rebuild: true, ..desired(generation, goal, 2, false) }
}

impl World {
    fn rebuild(&mut self, generation: u64, goal: GuestGoal) -> Vec<GuestStep> {
        self.done.clear();
        self.apply(rebuilt(generation, goal));
        self.settle(true);
        self.done.clone()
    }
}

/// Disks are removed only after it is known that others can be built, and only once.
#[test]
fn a_rebuild_checks_then_removes_then_builds() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    assert_eq!(
        world.rebuild(2, GuestGoal::Running),
        [
            GuestStep::CheckDisks,
            GuestStep::Destroy,
            GuestStep::Undefine,
            GuestStep::RemoveDisks,
            GuestStep::Prepare,
            GuestStep::Define,
            GuestStep::Start,
        ]
    );
    assert_eq!((world.record.rebuilt, world.record.fulfilled, world.record.boot), (2, 2, 2));
    assert_eq!(world.rebuild(2, GuestGoal::Running), []);
    assert_eq!(world.reach(3, GuestGoal::Running, 2, false), []);
    world.restart();
    assert_eq!(world.reach(4, GuestGoal::Running, 2, false), []);
    let steps = world.rebuild(5, GuestGoal::Stopped);
    assert_eq!((steps[0], steps.last()), (GuestStep::CheckDisks, Some(&GuestStep::Define)));
    assert_eq!((world.power, world.record.rebuilt), (ObservedState::ShutDown, 5));
}

#[test]
fn a_rebuild_that_cannot_succeed_touches_nothing() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.done.clear();
    world.apply(rebuilt(2, GuestGoal::Running));
    while world.step != Some(GuestStep::CheckDisks) {
        world.complete(None, true, true);
    }
    world.complete(Some(Fault::permanent("no such image")), false, true);
    assert_eq!((world.step, world.done.len(), world.power), (None, 0, ObservedState::Running));
    assert_eq!((world.record.rebuilt, world.guest.concluded_generation()), (0, 2));
    assert!(world.guest.fault().is_some());
}

/// Wherever the agent dies, the guest ends with new disks, and is not started with the former ones.
#[test]
fn a_rebuild_survives_restarts() {
    for cut in 0.. {
        let mut world = World::new();
        world.reach(1, GuestGoal::Running, 1, false);
        world.done.clear();
        world.apply(rebuilt(2, GuestGoal::Running));
        for _ in 0..cut {
            world.complete(None, true, true);
        }
        let is_over = world.step.is_none();
        world.restart();
        world.apply(rebuilt(2, GuestGoal::Running));
        world.settle(true);
        assert_eq!(
            (world.power, world.record.rebuilt, world.record.fulfilled),
            (ObservedState::Running, 2, 2)
        );
        let at = |step| world.done.iter().rposition(|done| *done == step);
        assert!(at(GuestStep::Start) > at(GuestStep::Prepare), "{:?}", world.done);
        assert_eq!(
            world.done.iter().filter(|step| **step == GuestStep::Start).count(),
            1,
            "{:?}",
            world.done
        );
        if is_over {
            break;
        }
    }
}

/// The guest is to boot the temporary disk of a rescue.
fn rescued(generation: u64, boot: u32) -> DesiredState {
    let spec = v1::GuestSpec { rescue_image: Some(v1::Image::default()), ..v1::GuestSpec::default() };
    DesiredState { spec: Some(Arc::new(spec)), ..desired(generation, GuestGoal::Running, boot, false) }
}

#[test]
fn a_rescue_defines_the_guest_again_and_so_does_its_end() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.done.clear();
    world.apply(rescued(2, 2));
    world.settle(true);
    let changed = [GuestStep::Shutdown, GuestStep::Undefine, GuestStep::Define, GuestStep::Start];
    assert_eq!((world.done[0], &world.done[1..]), (GuestStep::CheckDisks, &changed[..]));
    assert!(world.record.is_rescue && world.record.fulfilled == 2);
    world.restart();
    world.done.clear();
    world.apply(rescued(2, 2));
    world.settle(true);
    assert_eq!(world.done, []);
    assert_eq!(world.reach(3, GuestGoal::Running, 3, false), changed);
    assert!(!world.record.is_rescue);
}

#[test]
fn a_rescue_whose_image_is_missing_touches_nothing() {
    let mut world = World::new();
    world.reach(1, GuestGoal::Running, 1, false);
    world.done.clear();
    world.apply(rescued(2, 2));
    while world.step != Some(GuestStep::CheckDisks) {
        world.complete(None, true, true);
    }
    world.complete(Some(Fault::permanent("no such image")), false, true);
    assert_eq!((world.step, world.done.len(), world.power), (None, 0, ObservedState::Running));
    assert!(!world.record.is_rescue && world.guest.fault().is_some());
}
