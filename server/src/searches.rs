//! Scheduling of searches for allocation candidates.
//!
//! A search is the only request that can take long. Searches run on threads of their own with a
//! lower priority, and their number is bounded, so that cores remain free for other requests.
//! Callers take turns: a caller with many waiting searches delays another caller by one search at
//! most. A search stops when it exceeds its time limit or its client is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use berth_placement::candidates::Stop;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http::socket::Socket;
use crate::turns::{Turn, Turns};

/// The largest number of waiting searches per caller.
const MAX_WAITING: usize = 256;

/// The interval at which the connection of a client is checked.
const CLIENT_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// How long a search continues after its client has closed the sending half of the connection. The
/// client may still wait for the response.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// The niceness of the search threads.
const NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The turns of all searches, and the threads that run them.
#[derive(Debug)]
pub(crate) struct Searches {
    turns: Arc<Turns>,
    at_once: usize,
    /// The queue of the search threads. The first search starts the threads.
    jobs: OnceLock<mpsc::Sender<Job>>,
}

/// The caller has too many waiting searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} searches for allocation candidates of this user are waiting already", MAX_WAITING)]
pub(crate) struct TooMany;

impl Searches {
    /// Allows `at_once` searches at a time.
    pub(crate) fn new(at_once: usize) -> Self {
        let turns = Turns::new(at_once, at_once, MAX_WAITING);
        Self { turns, at_once, jobs: OnceLock::new() }
    }

    /// Allows one search fewer at a time than the machine has cores, but at least one.
    pub(crate) fn for_this_machine() -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new(cores.saturating_sub(1).max(1))
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    pub(crate) async fn turn(&self, caller: &str) -> Result<Turn, TooMany> {
        self.turns.turn(caller).await.map_err(|_| TooMany)
    }

    /// Runs a search on a search thread; `None` if it panics. Dropping the future stops the search.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        turn: Turn,
        stop: &Stop,
        search: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || {
            let found = search();
            drop(turn); // frees the place before the caller continues
            let _ = sender.send(found); // fails if the caller is gone
        });
        let _stops = StopOnDrop(stop.clone());
        self.jobs.get_or_init(|| self.start()).send(job).ok()?;
        receiver.await.ok()
    }

    /// Starts one thread per turn, so that a job never waits for a thread.
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

/// Runs jobs until the sender is dropped.
fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    // Applies to the calling thread. If it is not permitted, searches run with normal priority.
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

/// Stops a search when it exceeds its time limit or its client is gone. Dropping the watch ends
/// this.
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
        tokio::time::sleep(CLIENT_CHECK_INTERVAL).await;
    }
    tokio::time::sleep(HALF_CLOSED).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A regression: the search of a disconnected client continued and occupied a thread.
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
