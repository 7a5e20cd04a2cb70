//! Scheduling of requests that can take long: searches for allocation candidates, and other
//! [`lengthy`](crate::lengthy) ones.
//!
//! They run on threads of their own with a lower priority, and their number is bounded, so that
//! cores remain free for other requests. Callers take turns: a caller with many waiting requests
//! delays another caller by one of them at most. A search stops when it exceeds its time limit or
//! its client is gone.

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

/// The niceness of the threads that search for candidates.
const SEARCH_NICE: i32 = 10;

/// The niceness of the threads of other lengthy requests. Some of these hold locks that cheap
/// requests need, so they do not wait for long when all cores are busy.
const LENGTHY_NICE: i32 = 3;

type Job = Box<dyn FnOnce() + Send>;

/// The turns of all searches, and the threads that run them.
#[derive(Debug)]
pub(crate) struct Searches {
    turns: Arc<Turns>,
    at_once: usize,
    /// The name of the threads, and their niceness.
    name: &'static str,
    nice: i32,
    /// The queue of the threads. The first request starts them.
    jobs: OnceLock<mpsc::Sender<Job>>,
}

/// The caller has too many waiting requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} requests of this user that take long are waiting already", MAX_WAITING)]
pub(crate) struct TooMany;

impl Searches {
    /// Allows `at_once` requests at a time, on threads of this name and niceness.
    fn new(at_once: usize, name: &'static str, nice: i32) -> Self {
        let turns = Turns::new(at_once, at_once, MAX_WAITING);
        Self { turns, at_once, name, nice, jobs: OnceLock::new() }
    }

    /// The threads that search for candidates: one fewer than the machine has cores, but at least
    /// one.
    pub(crate) fn for_candidates() -> Self {
        Self::new(spare_cores(), "search", SEARCH_NICE)
    }

    /// The threads of other lengthy requests, as many. They do not wait for searches, which may
    /// take seconds.
    pub(crate) fn for_lengthy() -> Self {
        Self::new(spare_cores(), "lengthy", LENGTHY_NICE)
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
            let (name, nice) = (format!("{}-{number}", self.name), self.nice);
            if let Err(error) = thread::Builder::new().name(name).spawn(move || work(&jobs, nice)) {
                tracing::error!(%error, "a thread for lengthy requests cannot be started");
            }
        }
        sender
    }
}

fn spare_cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get).saturating_sub(1).max(1)
}

/// Runs jobs until the sender is dropped.
fn work(jobs: &Mutex<mpsc::Receiver<Job>>, nice: i32) {
    // Applies to the calling thread. If it is not permitted, they run with normal priority.
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::debug!(%error, "lengthy requests keep their priority");
    }
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a lengthy request panicked");
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
        let searches = Searches::new(1, "search", SEARCH_NICE);
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
        let searches = Searches::new(1, "search", SEARCH_NICE);
        let turn = searches.turn("a").await.unwrap();
        assert_eq!(searches.run(turn, &Stop::default(), || panic!("it fails")).await, None::<()>);
        let turn = searches.turn("a").await.unwrap();
        assert_eq!(searches.run(turn, &Stop::default(), || 7).await, Some(7));
    }
}
