//! One guest: what to do next so that it becomes what is wished.
//!
//! A state machine without I/O. It is told of wishes, of how steps went, and that something may have happened to the guest; it
//! says which step to do next, when to be woken, and when the service should hear of the guest. What a step leads to is taken
//! from looking at the guest afterwards, never from the step.
//!
//! ```text
//!                  newer wish, disturbance
//!      ┌────────┐ ──────────────────────────► ┌────────┐   newer wish: kept, for when the step is done
//!      │  Idle  │                             │ Acting │   disturbance: looked at when the step is done
//!      │        │ ◄────────────────────────── │  step  │
//!      └────────┘   done: fulfilled, failed   └────────┘
//!          tell                                ▲  │  ▲│     (Idle also waits, before it tries again what shall go and could not.)
//!                                       plan,  │  │  ││ done: plan the next step
//!                                  newer wish, │  │  └┘
//!                                  disturbance │  │ done: a guest that was asked to turn itself off is given time,
//!                                              │  ▼       or a failed step is to be tried again
//!                                            ┌─────────┐
//!                                            │ Waiting │
//!                                            └─────────┘
//! ```
//!
//! Which step is next follows from how the guest is and how it shall be (`guest/plan.rs`). Whatever the goal, the way is along these
//! arrows:
//!
//! ```text
//!              Prepare        Define          Start             Pause
//!       Gone ──────────► Kept ────────► ShutDown ────► Running ──────► Paused
//!            ◄────────── ▲    ◄──────── ▲  Crashed ◄── │ ▲    ◄──────  │
//!            RemoveDisks │    Undefine  │   Shutdown,  │ │    Resume   │
//!                        │              │    Destroy   │ │             │
//!                        │  DiscardSave │         Save │ │ Restore     │ Save
//!                        │              │              ▼ │             │
//!                        └──────────────┴────────────── Saved ◄────────┘
//!                            Undefine
//! ```
//!
//! A reboot is turning off and starting. Goals to come (resized, moved to another host) are further rows of the plan.
//!
//! Rules that hold whatever happens:
//! 1. At most one step is under way.
//! 2. Before the first step for a wish, its generation is remembered; a wish with a lower one is refused, before and after a
//!    restart of the agent.
//! 3. That a wish is fulfilled is remembered before it is told.
//! 4. A fulfilled wish is not enforced again. A guest that turns itself off stays off and the service is told: what it means is
//!    the service's to decide.
//! 5. A removal that fails is retried as long as the guest is desired to be absent; so is one of a guest that is there again.
//! 6. No step but a look follows from a state that is older than the last step.

mod plan;
#[cfg(test)]
mod tests;

use crate::{DesiredState, Fault, FaultKind, Goal, Micros, Outcome, Power, Record, Step};
use plan::{Next, TurningOff};

/// How often a step that fails for the time being is tried for one wish, in all.
const TRIES: u32 = 5;
/// The pause before the second try; it doubles with each.
const FIRST_PAUSE: Micros = 500_000;
/// The pause after all of them, if what shall go is wished away once more.
const NEXT_ROUND_PAUSE: Micros = 10_000_000;
/// The pause before looking again for a hypervisor that is away.
const LOST_PAUSE: Micros = 1_000_000;

/// The state machine of one guest.
#[derive(Debug)]
pub struct Guest {
    power: Power,
    record: Record,
    desired: Option<DesiredState>,
    /// Why the wish could not be fulfilled.
    fault: Option<Fault>,
    phase: Phase,
    /// Something happened while a step was under way.
    look_again: bool,
    /// How the guest is after its last step is not known: `power` is older.
    is_stale: bool,
    /// The guest was asked to turn itself off, and has time until then.
    off_by: Option<Micros>,
    /// The generation for which it was started last.
    started_for: u64,
    /// Failed tries for the present wish.
    tries: u32,
    retry_at: Micros,
    /// How long a guest may take to turn itself off.
    grace: Micros,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Acting { step: Step, generation: u64 },
    Waiting,
}

/// What is to be done about a guest now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[must_use]
pub struct Reaction {
    /// Do this; say how it went by [`Guest::done`].
    pub step: Option<Step>,
    /// Call [`Guest::wake`] at this time.
    pub wake_at: Option<Micros>,
    /// The service should hear how the guest is.
    pub tell: bool,
}

impl Guest {
    /// A guest that was found, or heard of for the first time. It may take `grace` to turn itself off when asked.
    #[must_use]
    pub fn new(power: Power, record: Record, grace: Micros) -> Self {
        Self {
            power,
            record,
            desired: None,
            fault: None,
            phase: Phase::Idle,
            look_again: false,
            is_stale: false,
            off_by: None,
            started_for: 0,
            tries: 0,
            retry_at: 0,
            grace,
        }
    }

    /// Takes a wish, which may be older than the one known, or the same again.
    pub fn apply(&mut self, desired: DesiredState, now: Micros) -> Reaction {
        let is_repeated = self.desired.as_ref().is_some_and(|known| known.generation == desired.generation);
        if is_repeated && desired.goal == Goal::Absent && !self.is_acting() {
            if self.fault.is_some() {
                return self.try_again(now);
            }
            let is_to_go = self.desired.as_ref().is_some_and(|known| known.goal == Goal::Absent);
            if is_to_go && self.power != Power::Gone && self.is_settled() {
                // It was gone, or seemed so, and is there.
                self.record.fulfilled = desired.generation.saturating_sub(1);
                return self.proceed(now, false);
            }
        }
        if desired.generation < self.known() || is_repeated {
            return Reaction { tell: self.phase == Phase::Idle, ..Reaction::default() };
        }
        self.desired = Some(desired);
        self.fault = None;
        self.tries = 0;
        self.retry_at = 0;
        if self.is_acting() {
            return Reaction::default();
        }
        self.proceed(now, true)
    }

    /// What shall go and could not is still wished away: somebody may have mended what stood in the way.
    fn try_again(&mut self, now: Micros) -> Reaction {
        self.fault = None;
        self.tries = 0;
        self.retry_at = now + NEXT_ROUND_PAUSE;
        self.proceed(now, false)
    }

    /// Refuses a wish that could not be read: it counts as one that cannot be fulfilled.
    pub fn refuse(&mut self, generation: u64, fault: Fault) -> Reaction {
        if generation >= self.known() {
            let goal = Goal::Absent;
            self.desired =
                Some(DesiredState { generation, goal, boot: 0, hard: false, must_exist: false, spec: None });
            self.fault = Some(fault);
        }
        Reaction { tell: !self.is_acting(), ..Reaction::default() }
    }

    /// Something may have happened to the guest.
    pub fn disturbed(&mut self) -> Reaction {
        if self.is_acting() {
            self.look_again = true;
            return Reaction::default();
        }
        self.act(Step::Look)
    }

    /// Takes how the step under way went.
    pub fn done(&mut self, outcome: Outcome, now: Micros) -> Reaction {
        let Phase::Acting { step, generation } = self.phase else {
            return Reaction::default();
        };
        self.phase = Phase::Idle;
        let mut has_news = self.see(outcome.power);
        match outcome.result {
            Ok(()) => has_news |= self.succeeded(step, generation, now),
            Err(fault) => self.failed(step, generation, fault, now),
        }
        if std::mem::take(&mut self.look_again) {
            let mut reaction = self.act(Step::Look);
            reaction.tell = has_news && self.is_settled();
            return reaction;
        }
        self.proceed(now, has_news)
    }

    /// The time has come that was asked for. Being woken for nothing does no harm.
    pub fn wake(&mut self, now: Micros) -> Reaction {
        if self.phase == Phase::Waiting { self.proceed(now, false) } else { Reaction::default() }
    }

    /// How the guest was seen last.
    #[must_use]
    pub fn power(&self) -> Power {
        self.power
    }

    /// What is remembered of it.
    #[must_use]
    pub fn record(&self) -> Record {
        self.record
    }

    /// Why the present wish could not be fulfilled, if so.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The generation of the last wish that was fulfilled or could not be.
    #[must_use]
    pub fn settled_generation(&self) -> u64 {
        match (&self.fault, &self.desired) {
            (Some(_), Some(desired)) => desired.generation,
            _ => self.record.fulfilled,
        }
    }

    /// The present wish.
    #[must_use]
    pub fn desired(&self) -> Option<&DesiredState> {
        self.desired.as_ref()
    }

    /// Whether a step is under way.
    #[must_use]
    pub fn is_acting(&self) -> bool {
        matches!(self.phase, Phase::Acting { .. })
    }

    /// Whether nothing is left to be said or done of a guest that is gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.power == Power::Gone && self.phase == Phase::Idle && self.fault.is_none() && self.is_settled()
    }

    /// The highest generation heard of.
    #[must_use]
    pub fn known(&self) -> u64 {
        self.desired.as_ref().map_or(0, |desired| desired.generation).max(self.record.known)
    }

    fn is_settled(&self) -> bool {
        let fulfilled = |desired: &DesiredState| self.record.fulfilled >= desired.generation;
        self.fault.is_some() || self.desired.as_ref().is_none_or(fulfilled)
    }

    /// Takes how the guest is; says whether that is news.
    fn see(&mut self, power: Option<Power>) -> bool {
        self.is_stale = power.is_none();
        let Some(power) = power else { return false };
        if power != Power::Running {
            self.off_by = None;
        }
        std::mem::replace(&mut self.power, power) != power
    }

    /// Says whether the service should hear of it.
    fn succeeded(&mut self, step: Step, generation: u64, now: Micros) -> bool {
        match step {
            Step::Remember(record) => {
                let is_fulfilled = record.fulfilled > self.record.fulfilled;
                self.record = record;
                return is_fulfilled;
            }
            Step::Start => self.started_for = generation,
            Step::Shutdown if self.power == Power::Running => self.off_by = Some(now + self.grace),
            _ => {}
        }
        false
    }

    fn failed(&mut self, step: Step, generation: u64, fault: Fault, now: Micros) {
        if fault.kind == FaultKind::Lost {
            self.retry_at = now + LOST_PAUSE;
        } else if step == Step::Shutdown {
            // A guest that cannot be asked has no time to lose.
            self.off_by = Some(now);
        } else if self.desired.as_ref().is_some_and(|desired| desired.generation == generation) {
            self.tries += 1;
            if fault.kind == FaultKind::Transient && self.tries < TRIES {
                self.retry_at = now + (FIRST_PAUSE << (self.tries - 1));
            } else {
                self.fault = Some(fault);
            }
        }
    }

    /// Does what is next. `has_news` says that the service should hear of the guest if nothing is.
    fn proceed(&mut self, now: Micros, has_news: bool) -> Reaction {
        self.phase = Phase::Idle;
        if self.is_settled() {
            return Reaction { tell: has_news || self.fault.is_some(), ..Reaction::default() };
        }
        if self.retry_at > now {
            return self.wait(self.retry_at);
        }
        match self.next(now) {
            Next::Do(step) => self.act(step),
            Next::Wait => self.wait(self.off_by.unwrap_or(now)),
            Next::Impossible(why) => {
                self.fault = Some(Fault::permanent(why));
                Reaction { tell: true, ..Reaction::default() }
            }
        }
    }

    fn next(&self, now: Micros) -> Next {
        let Some(desired) = &self.desired else { return Next::Do(Step::Look) };
        if self.is_stale {
            return Next::Do(Step::Look);
        }
        let turning_off = match self.off_by {
            None => TurningOff::No,
            Some(end) if end > now => TurningOff::Asked,
            Some(_) => TurningOff::Overdue,
        };
        let has_started = self.started_for == desired.generation;
        plan::next(desired, self.power, self.record, turning_off, has_started)
    }

    fn act(&mut self, step: Step) -> Reaction {
        let generation = self.desired.as_ref().map_or(0, |desired| desired.generation);
        self.phase = Phase::Acting { step, generation };
        Reaction { step: Some(step), ..Reaction::default() }
    }

    fn wait(&mut self, until: Micros) -> Reaction {
        self.phase = Phase::Waiting;
        Reaction { wake_at: Some(until), ..Reaction::default() }
    }
}
