//! Changes on their way to the store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_placement::{Recorder, StateChange, Ticket};

use crate::store::Changes;

/// The changes of an index that no group has taken yet, in order.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    /// Signalled when there is something to take, or nobody will add to it.
    grown: Condvar,
    begun: AtomicU64,
    /// Signalled when everything was taken, or nobody will take it.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    changes: Vec<StateChange>,
    records: Changes,
    /// Changes below have ended.
    low: u64,
    /// Of the changes from `low` on, whether they have ended.
    ended: VecDeque<bool>,
    /// The value of `low` in the latest group.
    reported: u64,
    closed: bool,
    /// Whether a change ends only when everything recorded was taken.
    stepwise: bool,
}

/// What is committed as one.
#[derive(Debug, Default, PartialEq)]
pub struct CommitGroup {
    /// Of the index, in order.
    pub changes: Vec<StateChange>,
    /// Of records beside the index, as they are in the end.
    pub records: Changes,
    /// With these, all changes that had begun before this one will have been committed as a whole.
    pub complete: u64,
}

impl Queue {
    /// From now on no group takes two changes, unless they are made at the same time: for tests that cut between any two.
    /// A thread has to take groups.
    pub fn go_stepwise(&self) {
        self.state().stepwise = true;
    }

    /// The number of changes that have begun. A change that a reader has seen a part of is counted here.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Everything to commit; `None` when there is no change and no progress to report.
    #[must_use]
    pub fn take(&self) -> Option<CommitGroup> {
        let group = self.state().take();
        self.emptied.notify_all();
        group
    }

    /// Waits until there is something to commit, or the queue is closed; returns whether that was within the time.
    #[must_use]
    pub(crate) fn has_changes_within(&self, time: Duration) -> bool {
        let is_idle = |state: &mut State| !state.has_news() && !state.closed;
        let waited = self.grown.wait_timeout_while(self.state(), time, is_idle);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// [`Self::take`], as soon as there has been something for the time of `delay`; nothing when there is none and the queue
    /// is closed.
    #[must_use]
    pub fn wait(&self, delay: Duration) -> Option<CommitGroup> {
        let mut state = self.state();
        while !state.has_news() && !state.closed {
            state = self.grown.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !delay.is_zero() {
            let waited = self.grown.wait_timeout_while(state, delay, |state| !state.closed);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let group = state.take();
        self.emptied.notify_all();
        group
    }

    /// Takes down changes of records beside the index, which stand or fall together. `change` makes them where they can be seen.
    pub fn record_beside<T>(&self, change: impl FnOnce() -> (T, Changes)) -> T {
        let _under_way = UnderWay { queue: self, ticket: self.begin() };
        let (outcome, records) = change();
        self.state().records.extend(records);
        outcome
    }

    /// No more will come.
    pub fn close(&self) {
        self.state().closed = true;
        self.grown.notify_all();
        self.emptied.notify_all();
    }

    fn wait_until_taken(&self) {
        drop(self.emptied.wait_while(self.state(), |state| state.has_content() && !state.closed));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change that has begun, until this is dropped: also one that panics ends, or nobody would ever be answered again.
struct UnderWay<'a> {
    queue: &'a Queue,
    ticket: Ticket,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.queue.end(self.ticket);
    }
}

impl State {
    fn has_news(&self) -> bool {
        self.has_content() || self.reported != self.low
    }

    fn has_content(&self) -> bool {
        !self.changes.is_empty() || !self.records.is_empty()
    }

    fn take(&mut self) -> Option<CommitGroup> {
        if !self.has_news() {
            return None;
        }
        self.reported = self.low;
        let (changes, records) = (std::mem::take(&mut self.changes), std::mem::take(&mut self.records));
        Some(CommitGroup { changes, records, complete: self.low })
    }
}

impl Recorder for Queue {
    fn begin(&self) -> Ticket {
        let mut state = self.state();
        let ticket = state.low + state.ended.len() as u64;
        state.ended.push_back(false);
        self.begun.store(ticket + 1, Ordering::Release);
        Ticket(ticket)
    }

    fn record(&self, changes: Vec<StateChange>) {
        self.state().changes.extend(changes);
    }

    fn end(&self, ticket: Ticket) {
        let mut state = self.state();
        let place = usize::try_from(ticket.0 - state.low).expect("few changes are under way");
        state.ended[place] = true;
        while state.ended.front() == Some(&true) {
            state.ended.pop_front();
            state.low += 1;
        }
        let is_stepwise = state.stepwise;
        drop(state);
        self.grown.notify_one();
        if is_stepwise {
            self.wait_until_taken();
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_placement::Row;

    use super::*;

    #[test]
    fn a_group_is_complete_up_to_the_first_change_under_way() {
        let queue = Queue::default();
        let (first, second) = (queue.begin(), queue.begin());
        assert_eq!((queue.begun(), queue.take()), (2, None));
        queue.record(vec![StateChange::Counted(Row(2))]);
        queue.end(second);
        let group = queue.take().unwrap();
        assert_eq!(
            group,
            CommitGroup {
                changes: vec![StateChange::Counted(Row(2))],
                complete: 0,
                ..CommitGroup::default()
            }
        );
        assert_eq!(queue.take(), None);
        queue.end(first);
        assert_eq!(queue.take(), Some(CommitGroup { complete: 2, ..CommitGroup::default() }));
    }

    #[test]
    fn a_change_that_panics_holds_up_nobody() {
        let queue = Queue::default();
        let breaks = || queue.record_beside(|| -> ((), Changes) { panic!("halfway") });
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(breaks)).unwrap_err();
        queue.end(queue.begin());
        assert_eq!(queue.take(), Some(CommitGroup { complete: 2, ..CommitGroup::default() }));
    }

    #[test]
    fn a_closed_queue_is_emptied_first() {
        let queue = Queue::default();
        queue.end(queue.begin());
        queue.close();
        let wait = || queue.wait(Duration::ZERO).map(|group| group.complete);
        assert_eq!((wait(), wait()), (Some(1), None));
    }
}
