//! The open connections: how many there may be, and which one ends when there are too many.
//!
//! The one that has been idle for the longest ends: it has had no request, or has answered it, and no other has begun. A
//! client that opens many connections loses them first; one whose request is being answered loses none.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// All connections of a listener.
#[derive(Debug)]
pub(crate) struct Connections {
    places: Arc<Semaphore>,
    open: Mutex<BTreeMap<u64, Activity>>,
    /// Counts events, which orders them.
    events: Arc<AtomicU64>,
}

/// What a connection does, as others see it. No other memory depends on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activity(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// When it became idle, as a number of events; [`BUSY`] while a request is being answered.
    idle_since: AtomicU64,
    unwanted: Notify,
    /// The listener's count of events.
    events: Arc<AtomicU64>,
}

const BUSY: u64 = u64::MAX;

impl Activity {
    /// The connection is busy until what is returned is dropped.
    pub(crate) fn begin(&self) -> Answering {
        self.0.idle_since.store(BUSY, Relaxed);
        Answering(self.clone())
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.0.idle_since.load(Relaxed) == BUSY
    }
}

/// An answer in the making.
pub(crate) struct Answering(Activity);

impl Drop for Answering {
    fn drop(&mut self) {
        let State { idle_since, events, .. } = &*self.0.0;
        idle_since.store(events.fetch_add(1, Relaxed), Relaxed);
    }
}

/// One of the connections, until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    activity: Activity,
    all: Arc<Connections>,
    _place: OwnedSemaphorePermit,
}

impl Connections {
    /// At most so many connections.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { places, open: Mutex::default(), events: Arc::default() })
    }

    /// Enters a connection that was accepted. When there are too many, another one ends first.
    pub(crate) async fn enter(self: &Arc<Self>) -> Connection {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                self.end_one();
                let place = Arc::clone(&self.places).acquire_owned().await;
                place.expect("the semaphore is never closed")
            }
        };
        let number = self.events.fetch_add(1, Relaxed);
        let (idle_since, unwanted) = (AtomicU64::new(number), Notify::new());
        let activity = Activity(Arc::new(State { idle_since, unwanted, events: Arc::clone(&self.events) }));
        self.lock().insert(number, activity.clone());
        Connection { number, activity, all: Arc::clone(self), _place: place }
    }

    /// Ends the connection that has been idle for the longest; whether there is one.
    pub(crate) fn end_one(&self) -> bool {
        let open = self.lock();
        let since = |activity: &&Activity| activity.0.idle_since.load(Relaxed);
        let oldest = open.values().filter(|activity| since(activity) != BUSY).min_by_key(since);
        oldest.inspect(|activity| activity.0.unwanted.notify_one()).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Activity>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    pub(crate) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Waits until the connection is to end. It never ends while a request is being answered.
    pub(crate) async fn unwanted(&self) {
        loop {
            self.activity.0.unwanted.notified().await;
            if !self.activity.is_busy() {
                return;
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.lock().remove(&self.number);
    }
}
