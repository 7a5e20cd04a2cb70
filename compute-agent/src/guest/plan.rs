//! The choice of the next step: a table of desired and observed states.

use berth_api::v1::transfer::Phase;

use crate::disks::DiskRole;
use crate::{DesiredState, GuestGoal, GuestRecord, GuestStep, ObservedState};

/// The next thing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Do(GuestStep),
    /// Give the guest time to shut down.
    Wait,
    /// The guest is on its way, and its hypervisor notices the end.
    Await,
    /// The desired state cannot be reached.
    Impossible(&'static str),
}

/// Whether the guest was asked to shut down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TurningOff {
    No,
    Asked,
    /// Its time has expired.
    Overdue,
}

/// What was done for this generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Done {
    /// The guest was started.
    pub(super) has_started: bool,
    /// Its disks were checked, fetched or taken over, or sending it was forced.
    pub(super) has_acted: bool,
}

/// The next step towards a desired state that is not reached.
pub(super) fn next(
    desired: &DesiredState,
    power: ObservedState,
    record: GuestRecord,
    turning_off: TurningOff,
    done: Done,
) -> Next {
    if record.known < desired.generation {
        return Next::Do(GuestStep::Remember(GuestRecord { known: desired.generation, ..record }));
    }
    match desired.goal {
        GuestGoal::Leaving => leaving(desired, power, done.has_acted),
        GuestGoal::Arriving => arriving(desired, power, done.has_acted),
        GuestGoal::Absent => absent(power),
        _ if power == ObservedState::Leaving => Some(Next::Do(GuestStep::StopSending)),
        _ if power == ObservedState::Arriving => Some(Next::Await),
        _ if power >= ObservedState::ShutDown && !done.has_acted && takes_over(desired).is_some() => {
            takes_over(desired)
        }
        GuestGoal::Running | GuestGoal::Stopped if is_to_be_rebuilt(desired, record) => {
            Some(Next::Do(rebuild(desired, power, record, done.has_acted)))
        }
        GuestGoal::Running | GuestGoal::Stopped if desired.is_rescue() != record.is_rescue => {
            Some(change_disk(desired, power, record, turning_off, done.has_acted))
        }
        GuestGoal::Shelved => shelved(power, turning_off),
        GuestGoal::Outgoing => outgoing(desired, power, turning_off),
        GuestGoal::Stopped => stopped(desired, power, turning_off),
        GuestGoal::Running | GuestGoal::Paused | GuestGoal::Suspended => {
            alive(desired, power, record, turning_off, done.has_started)
        }
    }
    .unwrap_or(Next::Do(GuestStep::Remember(reached(desired, record))))
}

fn is_to_be_rebuilt(desired: &DesiredState, record: GuestRecord) -> bool {
    desired.rebuild && record.rebuilt < desired.generation
}

/// Removes the former disks. That they are gone is stored before others are created: a crash in
/// between would remove those.
fn rebuild(desired: &DesiredState, power: ObservedState, record: GuestRecord, is_checked: bool) -> GuestStep {
    match power {
        ObservedState::Absent => GuestStep::Remember(GuestRecord { rebuilt: desired.generation, ..record }),
        _ if !is_checked => GuestStep::CheckDisks,
        ObservedState::Shelved => GuestStep::RemoveDisks,
        ObservedState::ShutDown | ObservedState::Crashed | ObservedState::Saved => GuestStep::Undefine,
        ObservedState::Running | ObservedState::Paused | ObservedState::Leaving | ObservedState::Arriving => {
            GuestStep::Destroy
        }
    }
}

/// Shuts the guest down and undefines it, so that it is defined with the temporary disk of a
/// rescue, or without.
fn change_disk(
    desired: &DesiredState,
    power: ObservedState,
    record: GuestRecord,
    turning_off: TurningOff,
    is_checked: bool,
) -> Next {
    let is_rescue = desired.is_rescue();
    match power {
        ObservedState::Absent | ObservedState::Shelved => {
            Next::Do(GuestStep::Remember(GuestRecord { is_rescue, ..record }))
        }
        _ if is_rescue && !is_checked => Next::Do(GuestStep::CheckDisks),
        ObservedState::ShutDown | ObservedState::Crashed | ObservedState::Saved => {
            Next::Do(GuestStep::Undefine)
        }
        _ => turn_off(power, turning_off),
    }
}

/// The record of a desired state that is reached. A guest that arrives is in the boot that it has
/// on its way.
fn reached(desired: &DesiredState, record: GuestRecord) -> GuestRecord {
    let boot = if desired.goal == GuestGoal::Arriving { desired.boot } else { record.boot };
    GuestRecord { fulfilled: desired.generation, boot, ..record }
}

/// `None`, here and below: the goal is reached.
fn absent(power: ObservedState) -> Option<Next> {
    match power {
        ObservedState::Absent => None,
        ObservedState::Shelved => Some(Next::Do(GuestStep::RemoveDisks)),
        ObservedState::ShutDown | ObservedState::Crashed | ObservedState::Saved => {
            Some(Next::Do(GuestStep::Undefine))
        }
        ObservedState::Running | ObservedState::Paused | ObservedState::Leaving | ObservedState::Arriving => {
            Some(Next::Do(GuestStep::Destroy))
        }
    }
}

fn leaving(desired: &DesiredState, power: ObservedState, has_forced: bool) -> Option<Next> {
    let is_sent = desired.is_in(Phase::Sending);
    let is_forced = desired.transfer.as_ref().is_some_and(|of| of.is_forced);
    match power {
        ObservedState::Leaving if !is_sent => Some(Next::Do(GuestStep::StopSending)),
        ObservedState::Leaving if is_forced && !has_forced => Some(Next::Do(GuestStep::ForceSending)),
        ObservedState::Leaving => Some(Next::Await),
        ObservedState::Running | ObservedState::Paused if is_sent => {
            Some(Next::Do(GuestStep::Send { generation: desired.generation }))
        }
        ObservedState::ShutDown | ObservedState::Crashed | ObservedState::Saved if is_sent => {
            Some(Next::Impossible("the guest does not run, so it cannot be sent"))
        }
        _ => None,
    }
}

/// The disks are fetched again for each attempt: an earlier one may have left others. Later they
/// may be in use already.
fn arriving(desired: &DesiredState, power: ObservedState, has_fetched: bool) -> Option<Next> {
    let is_shared = desired.transfer.as_ref().is_some_and(|of| of.is_shared);
    match power {
        _ if is_shared || !desired.is_in(Phase::Preparing) => None,
        ObservedState::Absent => Some(Next::Do(GuestStep::Fetch)),
        ObservedState::Shelved if !has_fetched => Some(Next::Do(GuestStep::RemoveDisks)),
        _ => None,
    }
}

/// The step that makes shared disks of a guest that exists this host's.
fn takes_over(desired: &DesiredState) -> Option<Next> {
    let Some(DiskRole::Adopt { migration, may_build }) = desired.disks else { return None };
    Some(Next::Do(GuestStep::Adopt { migration, generation: desired.generation, may_build }))
}

fn shelved(power: ObservedState, turning_off: TurningOff) -> Option<Next> {
    match power {
        ObservedState::Absent => {
            Some(Next::Impossible("the guest cannot be shelved: this host has no disk of it"))
        }
        ObservedState::Shelved => None,
        ObservedState::ShutDown | ObservedState::Crashed | ObservedState::Saved => {
            Some(Next::Do(GuestStep::Undefine))
        }
        _ => Some(turn_off(power, turning_off)),
    }
}

fn outgoing(desired: &DesiredState, power: ObservedState, turning_off: TurningOff) -> Option<Next> {
    match (power, &desired.disks) {
        (ObservedState::Absent, _) => None,
        (ObservedState::Shelved, Some(DiskRole::SetAside(migration))) => {
            Some(Next::Do(GuestStep::SetAside(*migration)))
        }
        (ObservedState::Shelved, Some(DiskRole::Return(migration))) => {
            Some(Next::Do(GuestStep::Return(*migration)))
        }
        (ObservedState::Shelved, _) => {
            Some(Next::Impossible("the disks cannot be set aside: no migration is named"))
        }
        (ObservedState::ShutDown | ObservedState::Crashed | ObservedState::Saved, _) => {
            Some(Next::Do(GuestStep::Undefine))
        }
        _ => Some(turn_off(power, turning_off)),
    }
}

fn stopped(desired: &DesiredState, power: ObservedState, turning_off: TurningOff) -> Option<Next> {
    match power {
        ObservedState::Absent => Some(create(desired)),
        ObservedState::Shelved => Some(Next::Do(GuestStep::Define)),
        ObservedState::ShutDown | ObservedState::Crashed => None,
        ObservedState::Saved => Some(Next::Do(GuestStep::DiscardSave)),
        _ => Some(turn_off(power, turning_off)),
    }
}

fn alive(
    desired: &DesiredState,
    power: ObservedState,
    record: GuestRecord,
    turning_off: TurningOff,
    has_started: bool,
) -> Option<Next> {
    match power {
        ObservedState::Absent => Some(create(desired)),
        ObservedState::Shelved => Some(Next::Do(GuestStep::Define)),
        // It was started and has shut itself down.
        ObservedState::ShutDown | ObservedState::Crashed if has_started => None,
        ObservedState::ShutDown | ObservedState::Crashed => Some(start(desired, record)),
        ObservedState::Saved if desired.goal == GuestGoal::Suspended => None,
        // A hard reboot discards the saved memory, which may be damaged.
        ObservedState::Saved if desired.hard && record.boot < desired.boot => {
            Some(Next::Do(GuestStep::DiscardSave))
        }
        ObservedState::Saved => Some(Next::Do(GuestStep::Restore)),
        ObservedState::Running if turning_off != TurningOff::No => Some(turn_off(power, turning_off)),
        _ => from_alive(desired, power, record),
    }
}

/// Creates the disks of a new guest, or gets those of one that moves here.
fn create(desired: &DesiredState) -> Next {
    if desired.must_exist {
        return Next::Impossible("the guest is lost: this host has no disk of it");
    }
    Next::Do(match &desired.disks {
        Some(DiskRole::Fetch(_)) => GuestStep::Fetch,
        Some(DiskRole::TakeBack(migration)) => GuestStep::TakeBack(*migration),
        Some(DiskRole::Adopt { migration, may_build }) => {
            GuestStep::Adopt { migration: *migration, generation: desired.generation, may_build: *may_build }
        }
        _ => GuestStep::Prepare,
    })
}

/// The boot is stored before the guest is started. In the other order, a crash in between would
/// boot the guest twice.
fn start(desired: &DesiredState, record: GuestRecord) -> Next {
    if record.boot == desired.boot {
        return Next::Do(GuestStep::Start);
    }
    Next::Do(GuestStep::Remember(GuestRecord { boot: desired.boot, ..record }))
}

/// From running or paused to the goal.
fn from_alive(desired: &DesiredState, power: ObservedState, record: GuestRecord) -> Option<Next> {
    match (desired.goal, power) {
        (GuestGoal::Suspended, _) => Some(Next::Do(GuestStep::Save)),
        (GuestGoal::Paused, ObservedState::Running) => Some(Next::Do(GuestStep::Pause)),
        (GuestGoal::Running, ObservedState::Paused) => Some(Next::Do(GuestStep::Resume)),
        (GuestGoal::Running, _) if record.boot < desired.boot => {
            Some(if desired.hard { Next::Do(GuestStep::Destroy) } else { turn_off(power, TurningOff::No) })
        }
        _ => None,
    }
}

/// Asks the guest to shut down, and destroys it when its time has expired.
fn turn_off(power: ObservedState, turning_off: TurningOff) -> Next {
    match (power, turning_off) {
        (ObservedState::Paused, _) | (_, TurningOff::Overdue) => Next::Do(GuestStep::Destroy),
        (_, TurningOff::Asked) => Next::Wait,
        (_, TurningOff::No) => Next::Do(GuestStep::Shutdown),
    }
}
