//! Fair scheduling: a bounded number of jobs runs at once, and callers take turns.
//!
//! A caller with many waiting jobs delays another caller by one job at most. If the number of
//! running jobs per caller is bounded, no caller can occupy all places.
//!
//! The jobs of one caller run in order. While many of them wait, the latest and the oldest one come
//! next in turn: a flood of jobs then delays some new jobs of the same caller little, and those
//! that wait longer than the others not for ever.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The scheduler of turns.
#[derive(Debug)]
pub(crate) struct Turns {
    /// The largest number of waiting jobs per caller.
    most_waiting: usize,
    /// The waiting jobs of a caller up to which they run in order; beyond, every other turn is that
    /// of the latest.
    in_order: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The largest numbers of running jobs, in all and per caller.
    at_once: usize,
    most_running: usize,
    /// The number of running jobs, in all and by caller.
    in_all: usize,
    running: BTreeMap<Arc<str>, usize>,
    /// The callers with waiting jobs, in the order of their next turns.
    waiting: VecDeque<Queue>,
}

/// The waiting jobs of a caller; it has at least one.
#[derive(Debug)]
struct Queue {
    caller: Arc<str>,
    jobs: VecDeque<oneshot::Sender<Turn>>,
    /// Whether the next turn is that of the latest job, if many wait.
    takes_latest: bool,
}

impl Queue {
    fn next(&mut self, in_order: usize) -> Option<oneshot::Sender<Turn>> {
        self.jobs.retain(|job| !job.is_closed());
        let has_many = self.jobs.len() > in_order;
        let takes_latest = has_many && self.takes_latest;
        self.takes_latest = !takes_latest;
        if takes_latest { self.jobs.pop_back() } else { self.jobs.pop_front() }
    }
}

/// The permission to run one job, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Option<Arc<Turns>>,
    caller: Arc<str>,
}

/// The caller has too many waiting jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Turns {
    /// Allows `at_once` jobs at a time. A caller has at most `most_running` running and
    /// `most_waiting` waiting jobs.
    pub(crate) fn new(at_once: usize, most_running: usize, most_waiting: usize) -> Arc<Self> {
        Self::with_latest_in_turn(at_once, most_running, most_waiting, usize::MAX)
    }

    /// As [`Self::new`], but while more than `in_order` jobs of a caller wait, the latest and the
    /// oldest come next in turn. A job that comes when `most_waiting` are waiting takes the place
    /// of the one that has waited longest, which fails.
    pub(crate) fn with_latest_in_turn(
        at_once: usize,
        most_running: usize,
        most_waiting: usize,
        in_order: usize,
    ) -> Arc<Self> {
        let (running, waiting) = (BTreeMap::new(), VecDeque::new());
        let state = Mutex::new(State { at_once, most_running, in_all: 0, running, waiting });
        Arc::new(Self { most_waiting, in_order, state })
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    pub(crate) async fn turn(self: &Arc<Self>, caller: &str) -> Result<Turn, TooMany> {
        let receiver = {
            let mut state = self.lock();
            let caller: Arc<str> = caller.into();
            if state.may_start(&caller) {
                state.start(&caller);
                return Ok(Turn { turns: Some(Arc::clone(self)), caller });
            }
            state.enqueue(caller, self.most_waiting, self.in_order < self.most_waiting)?
        };
        receiver.await.map_err(|_displaced| TooMany)
    }

    /// Whether jobs are waiting.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Allows so many jobs at a time from now on, in all and per caller.
    pub(crate) fn set_most(self: &Arc<Self>, at_once: usize, most_running: usize) {
        let mut state = self.lock();
        (state.at_once, state.most_running) = (at_once, most_running);
        self.start_waiting(state);
    }

    /// Starts waiting jobs, as many as may run.
    fn start_waiting<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) {
        while let Some((caller, next)) = state.start_next(self.in_order) {
            drop(state);
            let turn = Turn { turns: Some(Arc::clone(self)), caller };
            let refused = next.send(turn).err();
            state = self.lock();
            if let Some(mut unwanted) = refused {
                unwanted.turns = None; // its caller is gone
                state.finish(&unwanted.caller);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_start(&self, caller: &Arc<str>) -> bool {
        let running = self.running.get(caller).copied().unwrap_or(0);
        self.in_all < self.at_once && running < self.most_running
    }

    fn start(&mut self, caller: &Arc<str>) {
        self.in_all += 1;
        *self.running.entry(Arc::clone(caller)).or_default() += 1;
    }

    fn finish(&mut self, caller: &Arc<str>) {
        self.in_all -= 1;
        if let Some(running) = self.running.get_mut(caller) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(caller);
            }
        }
    }

    fn enqueue(
        &mut self,
        caller: Arc<str>,
        most_waiting: usize,
        displaces: bool,
    ) -> Result<oneshot::Receiver<Turn>, TooMany> {
        let (sender, receiver) = oneshot::channel();
        match self.waiting.iter_mut().find(|queue| queue.caller == caller) {
            Some(Queue { jobs, .. }) => {
                if jobs.len() >= most_waiting {
                    jobs.retain(|waiting| !waiting.is_closed());
                }
                if jobs.len() >= most_waiting {
                    if !displaces {
                        return Err(TooMany);
                    }
                    jobs.pop_front();
                }
                jobs.push_back(sender);
            }
            None => {
                let jobs = VecDeque::from([sender]);
                self.waiting.push_back(Queue { caller, jobs, takes_latest: true });
            }
        }
        Ok(receiver)
    }

    /// Starts the next job, if one may run.
    fn start_next(&mut self, in_order: usize) -> Option<(Arc<str>, oneshot::Sender<Turn>)> {
        loop {
            let place = self.waiting.iter().position(|queue| self.may_start(&queue.caller))?;
            let mut queue = self.waiting.remove(place)?;
            let next = queue.next(in_order);
            let caller = Arc::clone(&queue.caller);
            if !queue.jobs.is_empty() {
                self.waiting.push_back(queue);
            }
            if let Some(next) = next {
                self.start(&caller);
                return Some((caller, next));
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else { return };
        let mut state = turns.lock();
        state.finish(&self.caller);
        turns.start_waiting(state);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Result<Turn, TooMany>>>>;

    /// The turn, if it has come.
    fn poll(waiting: &mut Waiting) -> Option<Turn> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn.unwrap()),
            Poll::Pending => None,
        }
    }

    fn ask(turns: &Arc<Turns>, caller: &'static str) -> Waiting {
        let turns = Arc::clone(turns);
        Box::pin(async move { turns.turn(caller).await })
    }

    /// Enqueues a job that has to wait.
    fn wait(turns: &Arc<Turns>, caller: &'static str) -> Waiting {
        let mut waiting = ask(turns, caller);
        assert!(poll(&mut waiting).is_none(), "{caller} has to wait");
        waiting
    }

    #[test]
    fn callers_take_turns() {
        let turns = Turns::new(1, 1, 256);
        let first = poll(&mut ask(&turns, "a")).expect("nothing else runs");
        let mut many: Vec<_> = (0..5).map(|_| wait(&turns, "a")).collect();
        let mut other = wait(&turns, "b");
        drop(first);
        let second = poll(&mut many[0]).expect("the first that waits");
        assert!(poll(&mut other).is_none());
        drop(second);
        let third = poll(&mut other).expect("the other caller, before four of the first");
        drop(many.remove(1)); // gives up
        drop(third);
        assert!(poll(&mut many[1]).is_some());
    }

    /// A turn is passed on if its caller leaves the queue at the moment of receiving it.
    #[test]
    fn no_turn_is_lost() {
        let turns = Turns::new(1, 1, 256);
        let first = poll(&mut ask(&turns, "a")).unwrap();
        let (leaves, mut stays) = (wait(&turns, "a"), wait(&turns, "a"));
        drop(first);
        drop(leaves); // it had the turn
        drop(poll(&mut stays).expect("the turn is passed on"));
        let state = turns.lock();
        assert_eq!((state.in_all, state.running.len(), state.waiting.len()), (0, 0, 0));
    }

    /// A caller with many jobs leaves places to other callers.
    #[test]
    fn one_caller_does_not_have_all_places() {
        let turns = Turns::new(3, 2, 256);
        let mut own: Vec<_> = (0..2).map(|_| poll(&mut ask(&turns, "a")).unwrap()).collect();
        let mut more = wait(&turns, "a");
        let other = poll(&mut ask(&turns, "b")).expect("one place is left");
        let mut others = wait(&turns, "b");
        drop(other);
        assert!(poll(&mut more).is_none(), "its places are in use");
        let second = poll(&mut others).expect("the place of the other caller");
        drop(own.pop());
        assert!(poll(&mut more).is_some());
        drop(second);
    }

    #[test]
    fn a_queue_is_bounded() {
        let turns = Turns::new(0, 1, 256);
        let waiting: Vec<_> = (0..256).map(|_| wait(&turns, "a")).collect();
        let refused = turns.lock().enqueue("a".into(), 256, false).err();
        assert_eq!(refused, Some(TooMany));
        assert!(turns.lock().enqueue("b".into(), 256, false).is_ok(), "others are not concerned");
        drop(waiting);
        assert!(turns.lock().enqueue("a".into(), 256, false).is_ok());
    }

    #[test]
    fn the_latest_and_the_oldest_come_in_turn_while_many_wait() {
        let turns = Turns::with_latest_in_turn(1, 1, 6, 2);
        let mut running = poll(&mut ask(&turns, "a"));
        let mut waiting: Vec<_> = (0..7).map(|_| wait(&turns, "a")).collect();
        let displaced = waiting[0].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(displaced, Poll::Ready(Err(TooMany))));
        for next in [6, 1, 5, 2, 3, 4] {
            drop(running.take());
            running = poll(&mut waiting[next]);
            assert!(running.is_some(), "{next} is next");
        }
    }

    #[test]
    fn more_jobs_run_as_soon_as_more_may() {
        let turns = Turns::new(1, 1, 256);
        let first = poll(&mut ask(&turns, "a")).unwrap();
        let (mut own, mut other) = (wait(&turns, "a"), wait(&turns, "b"));
        turns.set_most(2, 1);
        let second = poll(&mut other).expect("a caller has one");
        assert!(poll(&mut own).is_none());
        turns.set_most(3, 2);
        let third = poll(&mut own).expect("a caller has two");
        turns.set_most(1, 1);
        let mut more = wait(&turns, "c");
        drop((first, second));
        assert!(poll(&mut more).is_none(), "one still runs");
        drop(third);
        assert!(poll(&mut more).is_some());
    }
}
