//! The state machine of one guest: it chooses the next step towards the desired state.
//!
//! It performs no I/O. Its inputs are desired states, outcomes of steps, and disturbances (the
//! guest may have changed). Its outputs are the next step, a time to be woken at, and whether to
//! report the guest to the service. The state after a step is observed on the guest, never inferred
//! from the step.
//!
//! ```text
//!                  newer desired state, disturbance
//!      ┌────────┐ ──────────────────────────► ┌────────┐   newer desired state: applied after the step
//!      │  Idle  │                             │ Acting │   disturbance: observed after the step
//!      │        │ ◄────────────────────────── │  step  │
//!      └────────┘   done: reached, failed      └────────┘
//!         report                               ▲  │  ▲│     (Idle also waits, before a failed removal is retried.)
//!                                       plan,  │  │  ││ done: plan the next step
//!                                newer desired │  │  └┘
//!                           state, disturbance │  │ done: a guest that was asked to shut down is given time,
//!                                              │  ▼       or a failed step is to be retried
//!                                            ┌─────────┐
//!                                            │ Waiting │
//!                                            └─────────┘
//! ```
//!
//! The next step follows from the observed and the desired state (`guest/plan.rs`). Every step is
//! one of these arrows:
//!
//! ```text
//!           Prepare           Define          Start             Pause
//! Absent ──────────► Shelved ────────► ShutDown ────► Running ──────► Paused
//!        ◄────────── ▲       ◄──────── ▲  Crashed ◄── │ ▲    ◄──────  │
//!        RemoveDisks │       Undefine  │   Shutdown,  │ │    Resume   │
//!                    │                 │    Destroy   │ │             │
//!                    │     DiscardSave │         Save │ │ Restore     │ Save
//!                    │                 │              ▼ │             │
//!                    └─────────────────┴────────────── Saved ◄────────┘
//!                            Undefine
//! ```
//!
//! A reboot is a shutdown and a start. A rebuild leads to Absent and back, and a rescue to
//! Shelved and back; `CheckDisks` comes first, and changes nothing.
//!
//! When an instance moves, its disks become those of another guest on the same host (`SetAside`,
//! and `TakeBack` on the way back), and `Fetch` replaces `Prepare` on the host that it goes to:
//!
//! ```text
//! source:  Shelved ── SetAside ──► Absent       Absent ── TakeBack ──► Shelved
//!          the migration: Absent ► Shelved      the migration: Shelved ► Absent
//! target:  Absent ── Fetch ──► Shelved
//! ```
//!
//! In an evacuation, `Adopt` takes the disks over from a host that is down, and `Return` gives them
//! back to it:
//!
//! ```text
//! target:  Absent ── Adopt ──► Shelved          Shelved ── Return ──► Absent
//! ```
//!
//! In a live migration, the hypervisors move the guest, and notice when that ends. What arrives
//! runs, or is paused:
//!
//! ```text
//! source:  Running, Paused ── Send ──► Leaving ──► Shelved
//!                          ◄───────────
//!                 StopSending, or it failed
//! target:  Absent ── Fetch ──► Shelved ──► Arriving ──► Running, Paused
//!          Absent (shared disks) ────────► Arriving
//! ```
//!
//! Invariants:
//! 1. At most one step runs at a time.
//! 2. The generation of a desired state is stored before its first step. A lower generation is
//!    refused, before and after a restart of the agent.
//! 3. That a desired state was reached is stored before it is reported.
//! 4. A desired state that was reached is not enforced again. A guest that shuts itself down stays
//!    off, and the agent reports it: the service decides what that means.
//! 5. A failed removal is retried as long as the desired state is ABSENT, and so is the removal of
//!    a guest that reappears.
//! 6. After a step whose result could not be observed, the next step is an observation.

#[cfg(test)]
mod live_tests;
mod plan;
#[cfg(test)]
mod tests;

use crate::{
    DesiredState, Fault, FaultKind, GuestGoal, GuestRecord, GuestStep, MonotonicMicros, ObservedState,
    StepOutcome,
};
use plan::{Done, Next, TurningOff};

/// The number of attempts of steps with transient faults, in total for one desired state.
const ATTEMPTS: u32 = 5;
/// The pause before the second attempt. It doubles with each further one.
const FIRST_PAUSE: MonotonicMicros = 500_000;
/// The pause after the last attempt of a removal, if the service requests the removal again.
const NEXT_ROUND_PAUSE: MonotonicMicros = 10_000_000;
/// The pause between observations while the hypervisor is unreachable.
const LOST_PAUSE: MonotonicMicros = 1_000_000;

/// The state machine of one guest.
#[derive(Debug)]
pub struct Guest {
    power: ObservedState,
    record: GuestRecord,
    received: Option<Received>,
    /// Why the desired state could not be reached.
    fault: Option<Fault>,
    phase: Phase,
    /// The guest was disturbed while a step ran.
    observe_again: bool,
    /// The last step's result could not be observed: `power` is older.
    is_stale: bool,
    /// The guest was asked to shut down and has until this time.
    off_by: Option<MonotonicMicros>,
    /// The generation for which it was last started.
    started_for: u64,
    /// The generation for which its disks were last checked, fetched or taken over, or sending it
    /// was forced.
    acted_for: u64,
    /// Failed attempts for the current desired state.
    attempts: u32,
    retry_at: MonotonicMicros,
    /// How long the guest may take to shut down.
    grace: MonotonicMicros,
}

/// The last desired state that was received.
#[derive(Debug)]
enum Received {
    State(DesiredState),
    /// It could not be parsed. The guest stays as it is until a valid one arrives.
    Invalid {
        generation: u64,
    },
}

impl Received {
    fn generation(&self) -> u64 {
        match self {
            Self::State(desired) => desired.generation,
            Self::Invalid { generation } => *generation,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Acting { step: GuestStep, generation: u64 },
    Waiting,
}

/// What the caller has to do for a guest.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[must_use]
pub struct Reaction {
    /// Run this step, and pass its outcome to [`Guest::done`].
    pub step: Option<GuestStep>,
    /// Call [`Guest::wake`] at this time.
    pub wake_at: Option<MonotonicMicros>,
    /// Report the guest to the service.
    pub report: bool,
}

impl Guest {
    /// A guest that was discovered, or is desired for the first time. It may take `grace` to shut
    /// down.
    #[must_use]
    pub fn new(power: ObservedState, record: GuestRecord, grace: MonotonicMicros) -> Self {
        Self {
            power,
            record,
            received: None,
            fault: None,
            phase: Phase::Idle,
            observe_again: false,
            is_stale: false,
            off_by: None,
            started_for: 0,
            acted_for: 0,
            attempts: 0,
            retry_at: 0,
            grace,
        }
    }

    /// Applies a desired state, unless it is outdated or a repetition.
    pub fn apply(&mut self, desired: DesiredState, now: MonotonicMicros) -> Reaction {
        let is_repeated = self.desired().is_some_and(|known| known.generation == desired.generation);
        if is_repeated && desired.goal == GuestGoal::Absent && !self.is_acting() {
            if self.fault.is_some() {
                return self.retry_removal(now);
            }
            let is_removal = self.desired().is_some_and(|known| known.goal == GuestGoal::Absent);
            if is_removal && self.power != ObservedState::Absent && self.is_concluded() {
                // The guest was or seemed removed, and exists.
                self.record.fulfilled = desired.generation.saturating_sub(1);
                return self.proceed(now, false);
            }
        }
        if is_repeated && let Some(Received::State(known)) = &mut self.received {
            // An agent that was restarted may offer disks at another port.
            (known.disks, known.transfer) = (desired.disks, desired.transfer);
            return Reaction { report: self.phase == Phase::Idle, ..Reaction::default() };
        }
        if desired.generation < self.known() || is_repeated {
            return Reaction { report: self.phase == Phase::Idle, ..Reaction::default() };
        }
        self.received = Some(Received::State(desired));
        self.fault = None;
        self.attempts = 0;
        self.retry_at = 0;
        if self.is_acting() {
            return Reaction::default();
        }
        self.proceed(now, true)
    }

    /// Retries a failed removal that is still desired: the obstacle may have been fixed.
    fn retry_removal(&mut self, now: MonotonicMicros) -> Reaction {
        self.fault = None;
        self.attempts = 0;
        self.retry_at = now + NEXT_ROUND_PAUSE;
        self.proceed(now, false)
    }

    /// Refuses an invalid desired state, which is reported as one that cannot be reached.
    pub fn refuse(&mut self, generation: u64, fault: Fault) -> Reaction {
        if generation >= self.known() {
            self.received = Some(Received::Invalid { generation });
            self.fault = Some(fault);
        }
        Reaction { report: !self.is_acting(), ..Reaction::default() }
    }

    /// Handles a possible change of the guest.
    pub fn disturbed(&mut self) -> Reaction {
        if self.is_acting() {
            self.observe_again = true;
            return Reaction::default();
        }
        self.act(GuestStep::Look)
    }

    /// Handles the outcome of the running step.
    pub fn done(&mut self, outcome: StepOutcome, now: MonotonicMicros) -> Reaction {
        let Phase::Acting { step, generation } = self.phase else {
            return Reaction::default();
        };
        self.phase = Phase::Idle;
        let mut has_changed = self.observe(outcome.power);
        match outcome.result {
            Ok(()) => has_changed |= self.succeeded(step, generation, now),
            Err(fault) => self.failed(step, generation, fault, now),
        }
        if std::mem::take(&mut self.observe_again) {
            let mut reaction = self.act(GuestStep::Look);
            reaction.report = has_changed && self.is_concluded();
            return reaction;
        }
        self.proceed(now, has_changed)
    }

    /// Handles a requested wake-up. A spurious wake-up has no effect.
    pub fn wake(&mut self, now: MonotonicMicros) -> Reaction {
        if self.phase == Phase::Waiting { self.proceed(now, false) } else { Reaction::default() }
    }

    /// The state last observed.
    #[must_use]
    pub fn power(&self) -> ObservedState {
        self.power
    }

    /// The stored record.
    #[must_use]
    pub fn record(&self) -> GuestRecord {
        self.record
    }

    /// Why the current desired state could not be reached.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The generation of the last desired state that was reached or failed.
    #[must_use]
    pub fn concluded_generation(&self) -> u64 {
        match (&self.fault, &self.received) {
            (Some(_), Some(received)) => received.generation(),
            _ => self.record.fulfilled,
        }
    }

    /// The current desired state. `None` if there is none yet, or if it is invalid.
    #[must_use]
    pub fn desired(&self) -> Option<&DesiredState> {
        match self.received.as_ref()? {
            Received::State(desired) => Some(desired),
            Received::Invalid { .. } => None,
        }
    }

    /// The step that is running.
    #[must_use]
    pub fn step(&self) -> Option<GuestStep> {
        match self.phase {
            Phase::Acting { step, .. } => Some(step),
            _ => None,
        }
    }

    /// Whether a step is running.
    #[must_use]
    pub fn is_acting(&self) -> bool {
        matches!(self.phase, Phase::Acting { .. })
    }

    /// Whether the guest is removed, and nothing remains to be done or reported.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.power == ObservedState::Absent
            && self.phase == Phase::Idle
            && self.fault.is_none()
            && self.is_concluded()
    }

    /// The highest generation received.
    #[must_use]
    pub fn known(&self) -> u64 {
        self.received_generation().max(self.record.known)
    }

    /// The generation of the last desired state that was received; 0 without one.
    fn received_generation(&self) -> u64 {
        self.received.as_ref().map_or(0, Received::generation)
    }

    fn is_concluded(&self) -> bool {
        self.fault.is_some() || self.record.fulfilled >= self.received_generation()
    }

    /// Applies an observation. Returns whether the state has changed.
    fn observe(&mut self, power: Option<ObservedState>) -> bool {
        self.is_stale = power.is_none();
        let Some(power) = power else { return false };
        if power != ObservedState::Running {
            self.off_by = None;
        }
        std::mem::replace(&mut self.power, power) != power
    }

    /// Applies a successful step. Returns whether the service has to receive a report.
    fn succeeded(&mut self, step: GuestStep, generation: u64, now: MonotonicMicros) -> bool {
        match step {
            GuestStep::Remember(record) => {
                let is_fulfilled = record.fulfilled > self.record.fulfilled;
                self.record = record;
                return is_fulfilled;
            }
            GuestStep::Start => self.started_for = generation,
            GuestStep::CheckDisks | GuestStep::Fetch | GuestStep::Adopt { .. } | GuestStep::ForceSending => {
                self.acted_for = generation;
            }
            GuestStep::Shutdown if self.power == ObservedState::Running => {
                self.off_by = Some(now + self.grace);
            }
            _ => {}
        }
        false
    }

    fn failed(&mut self, step: GuestStep, generation: u64, fault: Fault, now: MonotonicMicros) {
        if fault.kind == FaultKind::Lost {
            self.retry_at = now + LOST_PAUSE;
        } else if step == GuestStep::Shutdown {
            // The guest could not be asked to shut down, so its time is over.
            self.off_by = Some(now);
        } else if self.received.as_ref().is_some_and(|received| received.generation() == generation) {
            self.attempts += 1;
            if fault.kind == FaultKind::Transient && self.attempts < ATTEMPTS {
                self.retry_at = now + (FIRST_PAUSE << (self.attempts - 1));
            } else {
                self.fault = Some(fault);
            }
        }
    }

    /// Starts what comes next. If nothing does and `has_changed`, the guest is reported.
    fn proceed(&mut self, now: MonotonicMicros, has_changed: bool) -> Reaction {
        self.phase = Phase::Idle;
        if self.is_concluded() {
            return Reaction { report: has_changed || self.fault.is_some(), ..Reaction::default() };
        }
        if self.retry_at > now {
            return self.wait(self.retry_at);
        }
        match self.next(now) {
            Next::Do(step) => self.act(step),
            Next::Wait => self.wait(self.off_by.unwrap_or(now)),
            Next::Await => {
                self.phase = Phase::Waiting;
                Reaction { report: has_changed, ..Reaction::default() }
            }
            Next::Impossible(why) => {
                self.fault = Some(Fault::permanent(why));
                Reaction { report: true, ..Reaction::default() }
            }
        }
    }

    fn next(&self, now: MonotonicMicros) -> Next {
        let Some(desired) = self.desired() else { return Next::Do(GuestStep::Look) };
        if self.is_stale {
            return Next::Do(GuestStep::Look);
        }
        let turning_off = match self.off_by {
            None => TurningOff::No,
            Some(end) if end > now => TurningOff::Asked,
            Some(_) => TurningOff::Overdue,
        };
        let done = Done {
            has_started: self.started_for == desired.generation,
            has_acted: self.acted_for == desired.generation,
        };
        plan::next(desired, self.power, self.record, turning_off, done)
    }

    fn act(&mut self, step: GuestStep) -> Reaction {
        let generation = self.received_generation();
        self.phase = Phase::Acting { step, generation };
        Reaction { step: Some(step), ..Reaction::default() }
    }

    fn wait(&mut self, until: MonotonicMicros) -> Reaction {
        self.phase = Phase::Waiting;
        Reaction { wake_at: Some(until), ..Reaction::default() }
    }
}
