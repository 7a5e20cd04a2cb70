//! Searches for allocation candidates: how many run at once, whose turn is next, and when one is given up.
//!
//! A search is the only request that can take long. Few of them run at once, so that cores are left for all others. Callers
//! take turns: one with many searches waiting delays another by one search at most. A search ends when it has taken its
//! time, or when its client is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_placement::candidates::Stop;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http::socket::Socket;

/// How many searches of one caller may wait.
const MOST_WAITING: usize = 256;

/// How often it is looked whether a client is still there.
const LOOK: Duration = Duration::from_millis(50);

/// How long a search goes on for a client that has closed its sending half: it may still wait for the answer, or be gone.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// The turns of all searches.
#[derive(Debug)]
pub(crate) struct Searches {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many more may run.
    free: usize,
    /// Who waits, in the order of their next turns, and their searches. Nobody is in it without one.
    waiting: VecDeque<(Arc<str>, VecDeque<oneshot::Sender<Turn>>)>,
}

/// The right to search, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Arc<Searches>>);

/// The caller has too many searches waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} searches for allocation candidates of this user are waiting already", MOST_WAITING)]
pub(crate) struct TooMany;

impl Searches {
    /// Turns for so many searches at once.
    pub(crate) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: at_once, waiting: VecDeque::new() }) })
    }

    /// As many as leave a core to other requests.
    pub(crate) fn for_this_machine() -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new(cores.saturating_sub(1).max(1))
    }

    /// Waits for a turn. Dropping the future gives the place in the queue up.
    pub(crate) async fn turn(self: &Arc<Self>, caller: &str) -> Result<Turn, TooMany> {
        let receiver = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn(Some(Arc::clone(self))));
            }
            state.enqueue(caller)?
        };
        Ok(receiver.await.expect("a queued search gets a turn"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enqueue(&mut self, caller: &str) -> Result<oneshot::Receiver<Turn>, TooMany> {
        let (sender, receiver) = oneshot::channel();
        match self.waiting.iter_mut().find(|(known, _)| **known == *caller) {
            Some((_, own)) => {
                own.retain(|waiting| !waiting.is_closed());
                if own.len() >= MOST_WAITING {
                    return Err(TooMany);
                }
                own.push_back(sender);
            }
            None => self.waiting.push_back((caller.into(), VecDeque::from([sender]))),
        }
        Ok(receiver)
    }

    /// The search whose turn is next.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        loop {
            let (caller, mut own) = self.waiting.pop_front()?;
            let next = own.pop_front();
            if !own.is_empty() {
                self.waiting.push_back((caller, own));
            }
            if next.is_some() {
                return next;
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(searches) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = searches.lock();
                let next = state.next();
                state.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            match next.send(Self(Some(Arc::clone(&searches)))) {
                Ok(()) => return,
                Err(mut unwanted) => unwanted.0 = None, // it does not wait any more: another does
            }
        }
    }
}

/// Stops a search that has taken its time, or whose client is gone, until it is dropped.
pub(crate) struct Watch(JoinHandle<()>);

impl Watch {
    pub(crate) fn begin(stop: Stop, time: Duration, client: Option<Socket>) -> Self {
        Self(tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = gone(client) => {}
            }
            stop.set();
        }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until a client is gone, as far as that can be told.
pub(crate) async fn gone(client: Option<Socket>) {
    let Some(client) = client else { return std::future::pending().await };
    while !client.has_closed() {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(HALF_CLOSED).await;
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// A search that waits for its turn; `None` as long as it does.
    fn poll(waiting: &mut std::pin::Pin<Box<dyn Future<Output = Result<Turn, TooMany>>>>) -> Option<Turn> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn.unwrap()),
            Poll::Pending => None,
        }
    }

    fn ask(
        searches: &Arc<Searches>,
        caller: &'static str,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Turn, TooMany>>>> {
        let searches = Arc::clone(searches);
        let mut waiting: std::pin::Pin<Box<dyn Future<Output = _>>> =
            Box::pin(async move { searches.turn(caller).await });
        assert!(poll(&mut waiting).is_none(), "{caller} has to wait");
        waiting
    }

    #[test]
    fn callers_take_turns() {
        let searches = Searches::new(1);
        let first = {
            let mut now = Box::pin(searches.turn("a"));
            match now.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(turn) => turn.unwrap(),
                Poll::Pending => panic!("nobody else searches"),
            }
        };
        let mut many: Vec<_> = (0..5).map(|_| ask(&searches, "a")).collect();
        let mut other = ask(&searches, "b");
        drop(first);
        let second = poll(&mut many[0]).expect("the first that waits");
        assert!(poll(&mut other).is_none());
        drop(second);
        let third = poll(&mut other).expect("the other caller, before four of the first");
        drop(many.remove(1)); // gives up
        drop(third);
        assert!(poll(&mut many[1]).is_some());
    }

    /// A turn that was given to a search which gave up at that moment is not lost.
    #[test]
    fn no_turn_is_lost() {
        let searches = Searches::new(1);
        let first = Turn(Some(Arc::clone(&searches)));
        searches.lock().free = 0;
        let (leaves, mut stays) = (ask(&searches, "a"), ask(&searches, "a"));
        drop(first);
        drop(leaves); // it had the turn
        drop(poll(&mut stays).expect("the turn is passed on"));
        assert_eq!(searches.lock().free, 1);
    }

    #[test]
    fn a_queue_is_bounded() {
        let searches = Searches::new(0);
        let waiting: Vec<_> = (0..MOST_WAITING).map(|_| ask(&searches, "a")).collect();
        let refused = searches.lock().enqueue("a").err();
        assert_eq!(refused, Some(TooMany));
        assert!(searches.lock().enqueue("b").is_ok(), "others are not concerned");
        drop(waiting);
        assert!(searches.lock().enqueue("a").is_ok());
    }
}
