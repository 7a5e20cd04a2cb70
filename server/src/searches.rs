//! Searches for allocation candidates: how many run at once, whose turn is next, and when one is given up.
//!
//! A search is the only request that can take long. Searches run on threads of their own, with a lower priority than all
//! others, and few of them run at once, so that cores are left for all other requests. Callers take turns: one with many
//! searches waiting delays another by one search at most. A search ends when it has taken its time, or when its client is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use berth_placement::candidates::Stop;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http::socket::Socket;
use crate::turns::{Turn, Turns};

/// How many searches of one caller may wait.
const MOST_WAITING: usize = 256;

/// How often it is looked whether a client is still there.
const LOOK: Duration = Duration::from_millis(50);

/// How long a search goes on for a client that has closed its sending half: it may still wait for the answer, or be gone.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// How much the threads of searches give way to others, as `nice` counts.
const NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The turns of all searches, and the threads that they run on.
#[derive(Debug)]
pub(crate) struct Searches {
    turns: Arc<Turns>,
    at_once: usize,
    /// What the threads work on. They begin with the first search.
    jobs: OnceLock<mpsc::Sender<Job>>,
}

/// The caller has too many searches waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} searches for allocation candidates of this user are waiting already", MOST_WAITING)]
pub(crate) struct TooMany;

impl Searches {
    /// Turns for so many searches at once.
    pub(crate) fn new(at_once: usize) -> Self {
        let turns = Turns::new(at_once, at_once, MOST_WAITING);
        Self { turns, at_once, jobs: OnceLock::new() }
    }

    /// As many as leave a core to other requests.
    pub(crate) fn for_this_machine() -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new(cores.saturating_sub(1).max(1))
    }

    /// Waits for a turn. Dropping the future gives up the place in the queue.
    pub(crate) async fn turn(&self, caller: &str) -> Result<Turn, TooMany> {
        self.turns.turn(caller).await.map_err(|_| TooMany)
    }

    /// Runs a search on a thread for searches; `None` if it panics. It is stopped when nobody waits for it any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        turn: Turn,
        stop: &Stop,
        search: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || {
            let found = search();
            drop(turn); // it is over
            let _ = sender.send(found); // nobody may be waiting
        });
        let _stops = StopOnDrop(stop.clone());
        self.jobs.get_or_init(|| self.start()).send(job).ok()?;
        receiver.await.ok()
    }

    /// Starts the threads; as many as there are turns, so that a job never waits.
    fn start(&self) -> mpsc::Sender<Job> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..self.at_once {
            let jobs = Arc::clone(&jobs);
            let started = thread::Builder::new().name(format!("search-{number}")).spawn(move || work(&jobs));
            if let Err(error) = started {
                tracing::error!(%error, "a thread for searches cannot be started");
            }
        }
        sender
    }
}

/// Works until nobody can send a job any more.
fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    // The calling thread; without the right to it, searches have the priority of all others.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "searches keep their priority");
    }
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a search panicked");
        }
    }
}

/// Stops a search when it is dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
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

/// Waits until a client has closed its connection, as far as the server can detect it.
pub(crate) async fn gone(client: Option<Socket>) {
    let Some(client) = client else { return std::future::pending().await };
    while !client.has_closed() {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(HALF_CLOSED).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The search of a client that is gone went on and kept a thread.
    #[tokio::test]
    async fn a_search_that_nobody_waits_for_is_stopped() {
        let searches = Searches::new(1);
        let stop = Stop::default();
        let turn = searches.turn("a").await.unwrap();
        let stopped = stop.clone();
        let endless = searches.run(turn, &stop, move || {
            while !stopped.is_set() {
                thread::yield_now();
            }
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), endless).await.is_err());
        let next = searches.turn("a").await.unwrap();
        let stop = Stop::default();
        let name = searches.run(next, &stop, || thread::current().name().map(ToOwned::to_owned));
        assert_eq!(name.await.flatten().as_deref(), Some("search-0"));
    }

    #[tokio::test]
    async fn a_search_that_panics_leaves_its_turn_to_the_next() {
        let searches = Searches::new(1);
        let turn = searches.turn("a").await.unwrap();
        assert_eq!(searches.run(turn, &Stop::default(), || panic!("it fails")).await, None::<()>);
        let turn = searches.turn("a").await.unwrap();
        assert_eq!(searches.run(turn, &Stop::default(), || 7).await, Some(7));
    }
}
