//! The choice of the next step: a table of desired and observed states.

use crate::disks::DiskRole;
use crate::{DesiredState, GuestPower, GuestRecord, GuestStep, TargetState};

/// The next thing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Do(GuestStep),
    /// Give the guest time to shut down.
    Wait,
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

/// The next step towards a desired state that is not reached. `has_started`: the guest was started for this generation.
pub(super) fn next(
    desired: &DesiredState,
    power: GuestPower,
    record: GuestRecord,
    turning_off: TurningOff,
    has_started: bool,
) -> Next {
    if record.known < desired.generation {
        return Next::Do(GuestStep::Remember(GuestRecord { known: desired.generation, ..record }));
    }
    match desired.goal {
        TargetState::Absent => absent(power),
        TargetState::Shelved => shelved(power, turning_off),
        TargetState::Outgoing => outgoing(desired, power, turning_off),
        TargetState::Stopped => stopped(desired, power, turning_off),
        TargetState::Running | TargetState::Paused | TargetState::Suspended => {
            alive(desired, power, record, turning_off, has_started)
        }
    }
    .unwrap_or(Next::Do(GuestStep::Remember(GuestRecord { fulfilled: desired.generation, ..record })))
}

/// `None`, here and below: the goal is reached.
fn absent(power: GuestPower) -> Option<Next> {
    match power {
        GuestPower::Gone => None,
        GuestPower::Kept => Some(Next::Do(GuestStep::RemoveDisks)),
        GuestPower::ShutDown | GuestPower::Crashed | GuestPower::Saved => Some(Next::Do(GuestStep::Undefine)),
        GuestPower::Running | GuestPower::Paused => Some(Next::Do(GuestStep::Destroy)),
    }
}

fn shelved(power: GuestPower, turning_off: TurningOff) -> Option<Next> {
    match power {
        GuestPower::Gone => {
            Some(Next::Impossible("the guest cannot be shelved: this host has no disk of it"))
        }
        GuestPower::Kept => None,
        GuestPower::ShutDown | GuestPower::Crashed | GuestPower::Saved => Some(Next::Do(GuestStep::Undefine)),
        GuestPower::Running | GuestPower::Paused => Some(turn_off(power, turning_off)),
    }
}

fn outgoing(desired: &DesiredState, power: GuestPower, turning_off: TurningOff) -> Option<Next> {
    match (power, &desired.disks) {
        (GuestPower::Gone, _) => None,
        (GuestPower::Kept, Some(DiskRole::SetAside(migration))) => {
            Some(Next::Do(GuestStep::SetAside(*migration)))
        }
        (GuestPower::Kept, Some(DiskRole::Return(migration))) => {
            Some(Next::Do(GuestStep::Return(*migration)))
        }
        (GuestPower::Kept, _) => {
            Some(Next::Impossible("the disks cannot be set aside: no migration is named"))
        }
        (GuestPower::ShutDown | GuestPower::Crashed | GuestPower::Saved, _) => {
            Some(Next::Do(GuestStep::Undefine))
        }
        (GuestPower::Running | GuestPower::Paused, _) => Some(turn_off(power, turning_off)),
    }
}

fn stopped(desired: &DesiredState, power: GuestPower, turning_off: TurningOff) -> Option<Next> {
    match power {
        GuestPower::Gone => Some(create(desired)),
        GuestPower::Kept => Some(Next::Do(GuestStep::Define)),
        GuestPower::ShutDown | GuestPower::Crashed => None,
        GuestPower::Saved => Some(Next::Do(GuestStep::DiscardSave)),
        GuestPower::Running | GuestPower::Paused => Some(turn_off(power, turning_off)),
    }
}

fn alive(
    desired: &DesiredState,
    power: GuestPower,
    record: GuestRecord,
    turning_off: TurningOff,
    has_started: bool,
) -> Option<Next> {
    match power {
        GuestPower::Gone => Some(create(desired)),
        GuestPower::Kept => Some(Next::Do(GuestStep::Define)),
        // It was started and has shut itself down.
        GuestPower::ShutDown | GuestPower::Crashed if has_started => None,
        GuestPower::ShutDown | GuestPower::Crashed => Some(start(desired, record)),
        GuestPower::Saved if desired.goal == TargetState::Suspended => None,
        // A hard reboot discards the saved memory, which may be damaged.
        GuestPower::Saved if desired.hard && record.boot < desired.boot => {
            Some(Next::Do(GuestStep::DiscardSave))
        }
        GuestPower::Saved => Some(Next::Do(GuestStep::Restore)),
        GuestPower::Running if turning_off != TurningOff::No => Some(turn_off(power, turning_off)),
        GuestPower::Running | GuestPower::Paused => from_alive(desired, power, record),
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

/// The boot is stored before the guest is started. In the other order, a crash in between would boot the guest twice.
fn start(desired: &DesiredState, record: GuestRecord) -> Next {
    if record.boot == desired.boot {
        return Next::Do(GuestStep::Start);
    }
    Next::Do(GuestStep::Remember(GuestRecord { boot: desired.boot, ..record }))
}

/// From running or paused to the goal.
fn from_alive(desired: &DesiredState, power: GuestPower, record: GuestRecord) -> Option<Next> {
    match (desired.goal, power) {
        (TargetState::Suspended, _) => Some(Next::Do(GuestStep::Save)),
        (TargetState::Paused, GuestPower::Running) => Some(Next::Do(GuestStep::Pause)),
        (TargetState::Running, GuestPower::Paused) => Some(Next::Do(GuestStep::Resume)),
        (TargetState::Running, _) if record.boot < desired.boot => {
            Some(if desired.hard { Next::Do(GuestStep::Destroy) } else { turn_off(power, TurningOff::No) })
        }
        _ => None,
    }
}

/// Asks the guest to shut down, and destroys it when its time has expired.
fn turn_off(power: GuestPower, turning_off: TurningOff) -> Next {
    match (power, turning_off) {
        (GuestPower::Paused, _) | (_, TurningOff::Overdue) => Next::Do(GuestStep::Destroy),
        (_, TurningOff::Asked) => Next::Wait,
        (_, TurningOff::No) => Next::Do(GuestStep::Shutdown),
    }
}
