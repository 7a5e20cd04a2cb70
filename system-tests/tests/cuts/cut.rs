//! Where a process dies: at its n-th step, before it has happened or after it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// On which side of a step a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// What a step of a process comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It happens as always.
    Happens,
    /// It is the last one, and happens only if the side is [`Side::After`]. Nothing may follow.
    IsLast(Side),
}

/// The one cut of a life. Shared by the steps that are counted.
pub(crate) struct Cut {
    state: Mutex<State>,
    ended: Condvar,
    died: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// Steps that still happen, and what comes then.
    armed: Option<(u64, Side)>,
    has_ended: bool,
}

impl Cut {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), ended: Condvar::new(), died: watch::Sender::new(false) }
    }

    /// From now on counts: the `number`-th step is the last.
    pub(crate) fn arm(&self, number: u64, side: Side) {
        self.state().armed = Some((number, side));
    }

    /// Announces a step. It is the last one for exactly one of the callers that share the cut.
    pub(crate) fn step(&self) -> Step {
        let mut state = self.state();
        match &mut state.armed {
            None => Step::Happens,
            Some((left, _)) if *left > 1 => {
                *left -= 1;
                Step::Happens
            }
            Some((_, side)) => {
                let side = *side;
                state.armed = None;
                Step::IsLast(side)
            }
        }
    }

    /// The last step is over.
    pub(crate) fn die(&self) {
        self.died.send_replace(true);
    }

    /// Waits until it has died.
    pub(crate) async fn death(&self) {
        let mut died = self.died.subscribe();
        died.wait_for(|died| *died).await.expect("it outlives its receivers");
    }

    pub(crate) fn has_died(&self) -> bool {
        *self.died.borrow()
    }

    /// Keeps the thread of a process that is dead from doing anything before all of the process has
    /// ended.
    pub(crate) fn wait_for_end(&self) {
        let state = self.state();
        drop(self.ended.wait_while(state, |state| !state.has_ended));
    }

    /// All of the process has ended.
    pub(crate) fn end(&self) {
        self.state().has_ended = true;
        self.ended.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
