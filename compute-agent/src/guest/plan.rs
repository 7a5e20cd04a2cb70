//! The choice of the next step: a table of desired and observed states.

use crate::{DesiredState, Goal, Power, Record, Step};

/// The next thing to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Do(Step),
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
    power: Power,
    record: Record,
    turning_off: TurningOff,
    has_started: bool,
) -> Next {
    if record.known < desired.generation {
        return Next::Do(Step::Remember(Record { known: desired.generation, ..record }));
    }
    match desired.goal {
        Goal::Absent => absent(power),
        Goal::Shelved => shelved(power, turning_off),
        Goal::Stopped => stopped(desired, power, turning_off),
        Goal::Running | Goal::Paused | Goal::Suspended => {
            alive(desired, power, record, turning_off, has_started)
        }
    }
    .unwrap_or(Next::Do(Step::Remember(Record { fulfilled: desired.generation, ..record })))
}

/// `None`, here and below: the goal is reached.
fn absent(power: Power) -> Option<Next> {
    match power {
        Power::Gone => None,
        Power::Kept => Some(Next::Do(Step::RemoveDisks)),
        Power::ShutDown | Power::Crashed | Power::Saved => Some(Next::Do(Step::Undefine)),
        Power::Running | Power::Paused => Some(Next::Do(Step::Destroy)),
    }
}

fn shelved(power: Power, turning_off: TurningOff) -> Option<Next> {
    match power {
        Power::Gone => Some(Next::Impossible("the guest cannot be shelved: this host has no disk of it")),
        Power::Kept => None,
        Power::ShutDown | Power::Crashed | Power::Saved => Some(Next::Do(Step::Undefine)),
        Power::Running | Power::Paused => Some(turn_off(power, turning_off)),
    }
}

fn stopped(desired: &DesiredState, power: Power, turning_off: TurningOff) -> Option<Next> {
    match power {
        Power::Gone => Some(create(desired)),
        Power::Kept => Some(Next::Do(Step::Define)),
        Power::ShutDown | Power::Crashed => None,
        Power::Saved => Some(Next::Do(Step::DiscardSave)),
        Power::Running | Power::Paused => Some(turn_off(power, turning_off)),
    }
}

fn alive(
    desired: &DesiredState,
    power: Power,
    record: Record,
    turning_off: TurningOff,
    has_started: bool,
) -> Option<Next> {
    match power {
        Power::Gone => Some(create(desired)),
        Power::Kept => Some(Next::Do(Step::Define)),
        // It was started and has shut itself down.
        Power::ShutDown | Power::Crashed if has_started => None,
        Power::ShutDown | Power::Crashed => Some(start(desired, record)),
        Power::Saved if desired.goal == Goal::Suspended => None,
        // A hard reboot discards the saved memory, which may be damaged.
        Power::Saved if desired.hard && record.boot < desired.boot => Some(Next::Do(Step::DiscardSave)),
        Power::Saved => Some(Next::Do(Step::Restore)),
        Power::Running if turning_off != TurningOff::No => Some(turn_off(power, turning_off)),
        Power::Running | Power::Paused => settle(desired, power, record),
    }
}

/// Creates the disks of a new guest.
fn create(desired: &DesiredState) -> Next {
    if desired.must_exist {
        return Next::Impossible("the guest is lost: this host has no disk of it");
    }
    Next::Do(Step::Prepare)
}

/// The boot is stored before the guest is started. In the other order, a crash in between would boot the guest twice.
fn start(desired: &DesiredState, record: Record) -> Next {
    if record.boot == desired.boot {
        return Next::Do(Step::Start);
    }
    Next::Do(Step::Remember(Record { boot: desired.boot, ..record }))
}

/// From running or paused to the goal.
fn settle(desired: &DesiredState, power: Power, record: Record) -> Option<Next> {
    match (desired.goal, power) {
        (Goal::Suspended, _) => Some(Next::Do(Step::Save)),
        (Goal::Paused, Power::Running) => Some(Next::Do(Step::Pause)),
        (Goal::Running, Power::Paused) => Some(Next::Do(Step::Resume)),
        (Goal::Running, _) if record.boot < desired.boot => {
            Some(if desired.hard { Next::Do(Step::Destroy) } else { turn_off(power, TurningOff::No) })
        }
        _ => None,
    }
}

/// Asks the guest to shut down, and destroys it when its time has expired.
fn turn_off(power: Power, turning_off: TurningOff) -> Next {
    match (power, turning_off) {
        (Power::Paused, _) | (_, TurningOff::Overdue) => Next::Do(Step::Destroy),
        (_, TurningOff::Asked) => Next::Wait,
        (_, TurningOff::No) => Next::Do(Step::Shutdown),
    }
}
