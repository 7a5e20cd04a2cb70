//! Fair scheduling: a bounded number of jobs runs at once, and callers take turns.
//!
//! A caller with many waiting jobs delays another caller by one job at most. If the number of
//! running jobs per caller is bounded, no caller can occupy all places.
//!
//! The jobs of one caller run in order, or the latest first while many wait. Then a flood of jobs
//! delays a new job of the same caller little, at the expense of those that have waited for long.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The scheduler of turns.
#[derive(Debug)]
pub(crate) struct Turns {
    /// The largest numbers of running and of waiting jobs per caller.
    most_running: usize,
    most_waiting: usize,
    /// The waiting jobs of a caller up to which they run in order; beyond, the latest comes first.
    in_order: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The number of further jobs that may run.
    free: usize,
    /// The number of running jobs by caller.
    running: BTreeMap<Arc<str>, usize>,
    /// The waiting jobs by caller, in the order of the callers' next turns. Every caller in it has
    /// a waiting job.
    waiting: VecDeque<(Arc<str>, VecDeque<oneshot::Sender<Turn>>)>,
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
        Self::with_latest_first(at_once, most_running, most_waiting, usize::MAX)
    }

    /// As [`Self::new`], but while more than `in_order` jobs of a caller wait, the latest comes
    /// first. A job that comes when `most_waiting` are waiting takes the place of the one that has
    /// waited longest, which fails.
    pub(crate) fn with_latest_first(
        at_once: usize,
        most_running: usize,
        most_waiting: usize,
        in_order: usize,
    ) -> Arc<Self> {
        let state = State { free: at_once, running: BTreeMap::new(), waiting: VecDeque::new() };
        Arc::new(Self { most_running, most_waiting, in_order, state: Mutex::new(state) })
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    pub(crate) async fn turn(self: &Arc<Self>, caller: &str) -> Result<Turn, TooMany> {
        let receiver = {
            let mut state = self.lock();
            let caller: Arc<str> = caller.into();
            if state.free > 0 && state.running(&caller) < self.most_running {
                state.start(&caller);
                return Ok(Turn { turns: Some(Arc::clone(self)), caller });
            }
            state.enqueue(caller, self.most_waiting, self.in_order < self.most_waiting)?
        };
        receiver.await.map_err(|_displaced| TooMany)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn running(&self, caller: &Arc<str>) -> usize {
        self.running.get(caller).copied().unwrap_or(0)
    }

    fn start(&mut self, caller: &Arc<str>) {
        self.free -= 1;
        *self.running.entry(Arc::clone(caller)).or_default() += 1;
    }

    fn finish(&mut self, caller: &Arc<str>) {
        self.free += 1;
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
        match self.waiting.iter_mut().find(|(known, _)| *known == caller) {
            Some((_, own)) => {
                own.retain(|waiting| !waiting.is_closed());
                if own.len() >= most_waiting {
                    if !displaces {
                        return Err(TooMany);
                    }
                    own.pop_front();
                }
                own.push_back(sender);
            }
            None => self.waiting.push_back((caller, VecDeque::from([sender]))),
        }
        Ok(receiver)
    }

    /// Starts the next job, if one may run.
    fn start_next(
        &mut self,
        most_running: usize,
        in_order: usize,
    ) -> Option<(Arc<str>, oneshot::Sender<Turn>)> {
        if self.free == 0 {
            return None;
        }
        let place = self.waiting.iter().position(|(caller, _)| self.running(caller) < most_running)?;
        let (caller, mut own) = self.waiting.remove(place)?;
        let next = if own.len() > in_order { own.pop_back() } else { own.pop_front() }?;
        if !own.is_empty() {
            self.waiting.push_back((Arc::clone(&caller), own));
        }
        self.start(&caller);
        Some((caller, next))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else { return };
        let mut state = turns.lock();
        state.finish(&self.caller);
        while let Some((caller, next)) = state.start_next(turns.most_running, turns.in_order) {
            drop(state);
            let turn = Self { turns: Some(Arc::clone(&turns)), caller };
            let refused = next.send(turn).err();
            state = turns.lock();
            if let Some(mut unwanted) = refused {
                unwanted.turns = None; // its caller is gone
                state.finish(&unwanted.caller);
            }
        }
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
        assert_eq!((state.free, state.running.len(), state.waiting.len()), (1, 0, 0));
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
    fn the_latest_comes_first_while_many_wait() {
        let turns = Turns::with_latest_first(1, 1, 4, 2);
        let mut running = poll(&mut ask(&turns, "a"));
        let mut waiting: Vec<_> = (0..5).map(|_| wait(&turns, "a")).collect();
        let displaced = waiting[0].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(displaced, Poll::Ready(Err(TooMany))));
        for next in [4, 3, 1, 2] {
            drop(running.take());
            running = poll(&mut waiting[next]);
            assert!(running.is_some(), "{next} is next");
        }
    }
}
