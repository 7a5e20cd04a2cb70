//! The queue of changes that await a commit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_placement::{Recorder, StateChange, Ticket};

use crate::store::Changes;

/// The changes of an index that await a commit, in order.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    /// Signalled when changes or progress await a commit, and when the queue is closed.
    grown: Condvar,
    begun: AtomicU64,
    /// Signalled when the queue is empty, and when it is closed.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    changes: Vec<StateChange>,
    records: Changes,
    /// All operations with a lower ticket have ended.
    low: u64,
    /// For each ticket from `low` on, whether its operation has ended.
    ended: VecDeque<bool>,
    /// The value of `low` in the latest commit group.
    reported: u64,
    closed: bool,
    /// Whether an operation ends only after its changes were taken.
    stepwise: bool,
}

/// The changes of one commit.
#[derive(Debug, Default, PartialEq)]
pub struct CommitGroup {
    /// Changes of the index, in order.
    pub changes: Vec<StateChange>,
    /// Records outside the index with their final values.
    pub records: Changes,
    /// After this commit, every operation with a lower ticket is committed completely.
    pub complete: u64,
}

impl Queue {
    /// Commits each operation by itself from now on, unless operations overlap. For tests that
    /// interrupt the service between two operations. Another thread must take the groups.
    pub fn go_stepwise(&self) {
        self.state().stepwise = true;
    }

    /// The number of operations that have begun. It includes every operation whose changes a reader
    /// can see, even in part.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Takes everything that awaits a commit; `None` if there is no change and no progress to
    /// report.
    #[must_use]
    pub fn take(&self) -> Option<CommitGroup> {
        let group = self.state().take();
        self.emptied.notify_all();
        group
    }

    /// Waits at most `time` until there is something to commit or the queue is closed; returns
    /// false if the time has passed.
    #[must_use]
    pub(crate) fn has_changes_within(&self, time: Duration) -> bool {
        let is_idle = |state: &mut State| !state.has_changes() && !state.closed;
        let waited = self.grown.wait_timeout_while(self.state(), time, is_idle);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits until there is something to commit, then for `delay`, and takes everything
    /// ([`Self::take`]). Returns `None` once the queue is closed and empty.
    #[must_use]
    pub fn wait(&self, delay: Duration) -> Option<CommitGroup> {
        let mut state = self.state();
        while !state.has_changes() && !state.closed {
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

    /// Records changes outside the index, which are committed together. `change` makes them visible
    /// to readers.
    pub fn record_beside<T>(&self, change: impl FnOnce() -> (T, Changes)) -> T {
        let _under_way = UnderWay { queue: self, ticket: self.begin() };
        let (outcome, records) = change();
        self.state().records.extend(records);
        outcome
    }

    /// Closes the queue: no operation follows.
    pub fn close(&self) {
        self.state().closed = true;
        self.grown.notify_all();
        self.emptied.notify_all();
    }

    fn wait_until_taken(&self) {
        drop(self.emptied.wait_while(self.state(), |state| state.has_content() && !state.closed));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every point that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operation that has begun. Dropping it ends the operation, also on a panic: otherwise later
/// operations could never be reported as durable.
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
    fn has_changes(&self) -> bool {
        self.has_content() || self.reported != self.low
    }

    fn has_content(&self) -> bool {
        !self.changes.is_empty() || !self.records.is_empty()
    }

    fn take(&mut self) -> Option<CommitGroup> {
        if !self.has_changes() {
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
    fn a_change_that_panics_does_not_delay_later_ones() {
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
