//! Which step is next: a table of how a guest shall be and how it is.

use crate::{Goal, Power, Record, Step, Wish};

/// What is next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Do(Step),
    /// Give the guest time to turn itself off.
    Wait,
    /// It cannot be reached from here.
    Impossible(&'static str),
}

/// Whether the guest was asked to turn itself off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TurningOff {
    No,
    Asked,
    /// Its time is over.
    Overdue,
}

/// What to do for an unfulfilled wish. `has_started`: the guest was started for this very wish.
pub(super) fn next(
    wish: &Wish,
    power: Power,
    record: Record,
    turning_off: TurningOff,
    has_started: bool,
) -> Next {
    if record.known < wish.generation {
        return Next::Do(Step::Remember(Record { known: wish.generation, ..record }));
    }
    match wish.goal {
        Goal::Absent => absent(power),
        Goal::Shelved => shelved(power, turning_off),
        Goal::Stopped => stopped(wish, power, turning_off),
        Goal::Running | Goal::Paused | Goal::Suspended => {
            alive(wish, power, record, turning_off, has_started)
        }
    }
    .unwrap_or(Next::Do(Step::Remember(Record { fulfilled: wish.generation, ..record })))
}

/// `None` here and below: the goal is reached.
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
        Power::Gone => {
            Some(Next::Impossible("there is no disk to keep: nothing of the guest is on this host"))
        }
        Power::Kept => None,
        Power::ShutDown | Power::Crashed | Power::Saved => Some(Next::Do(Step::Undefine)),
        Power::Running | Power::Paused => Some(turn_off(power, turning_off)),
    }
}

fn stopped(wish: &Wish, power: Power, turning_off: TurningOff) -> Option<Next> {
    match power {
        Power::Gone => Some(make(wish)),
        Power::Kept => Some(Next::Do(Step::Define)),
        Power::ShutDown | Power::Crashed => None,
        Power::Saved => Some(Next::Do(Step::DiscardSave)),
        Power::Running | Power::Paused => Some(turn_off(power, turning_off)),
    }
}

fn alive(
    wish: &Wish,
    power: Power,
    record: Record,
    turning_off: TurningOff,
    has_started: bool,
) -> Option<Next> {
    match power {
        Power::Gone => Some(make(wish)),
        Power::Kept => Some(Next::Do(Step::Define)),
        // It was started and has ended by itself.
        Power::ShutDown | Power::Crashed if has_started => None,
        Power::ShutDown | Power::Crashed => Some(start(wish, record)),
        Power::Saved if wish.goal == Goal::Suspended => None,
        // A boot by force forgets the memory, which may be what cannot be restored.
        Power::Saved if wish.hard && record.boot < wish.boot => Some(Next::Do(Step::DiscardSave)),
        Power::Saved => Some(Next::Do(Step::Restore)),
        Power::Running if turning_off != TurningOff::No => Some(turn_off(power, turning_off)),
        Power::Running | Power::Paused => settle(wish, power, record),
    }
}

/// From nothing to disks.
fn make(wish: &Wish) -> Next {
    if wish.must_exist {
        return Next::Impossible("the guest was lost: nothing of it is on this host");
    }
    Next::Do(Step::Prepare)
}

/// The boot is remembered first: were it remembered afterwards, a crash in between would boot the guest twice.
fn start(wish: &Wish, record: Record) -> Next {
    if record.boot == wish.boot {
        return Next::Do(Step::Start);
    }
    Next::Do(Step::Remember(Record { boot: wish.boot, ..record }))
}

/// From running and paused to what is wished of these.
fn settle(wish: &Wish, power: Power, record: Record) -> Option<Next> {
    match (wish.goal, power) {
        (Goal::Suspended, _) => Some(Next::Do(Step::Save)),
        (Goal::Paused, Power::Running) => Some(Next::Do(Step::Pause)),
        (Goal::Running, Power::Paused) => Some(Next::Do(Step::Resume)),
        (Goal::Running, _) if record.boot < wish.boot => {
            Some(if wish.hard { Next::Do(Step::Destroy) } else { turn_off(power, TurningOff::No) })
        }
        _ => None,
    }
}

/// By the guest's own doing where that is possible, in time.
fn turn_off(power: Power, turning_off: TurningOff) -> Next {
    match (power, turning_off) {
        (Power::Paused, _) | (_, TurningOff::Overdue) => Next::Do(Step::Destroy),
        (_, TurningOff::Asked) => Next::Wait,
        (_, TurningOff::No) => Next::Do(Step::Shutdown),
    }
}
