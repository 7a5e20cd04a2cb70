//! The open connections: how many there may be, and which ones end when there are too many.
//!
//! All listeners share the descriptors of the process, and each may have a bound of its own. Those
//! connections end that have been idle for the longest: they have had no request, or it was
//! answered, and no other has begun. Several end at once, so the clients that wait behind many idle
//! ones need not wait for each of them. A client that opens many connections loses them first; one
//! whose request is being answered loses none.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Descriptors for other things than connections of clients: files of the store, logs, Keystone.
/// For small limits, it is an eighth.
const RESERVED: usize = 512;

/// Of the connections that there may be, one in so many ends when a place is needed.
const SHARE_THAT_ENDS: usize = 16;

/// The longest pause after a connection could not be accepted. It ends as soon as a connection has
/// ended.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of all listeners.
#[derive(Debug)]
pub(crate) struct Pool {
    places: Places,
    open: Mutex<BTreeMap<u64, Entry>>,
    /// Counts events, which orders them.
    events: Arc<AtomicU64>,
    listeners: AtomicUsize,
    /// Notified when a connection has ended.
    ended: Notify,
}

#[derive(Debug, Clone)]
struct Entry {
    listener: usize,
    activity: Activity,
}

/// A bound of connections.
#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    most: usize,
}

impl Places {
    fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(most)), most }
    }

    /// A place. When there is none, idle connections end first, and further ones as long as that
    /// does not help: those that were chosen may have become busy.
    async fn take(&self, end: impl Fn(usize)) -> OwnedSemaphorePermit {
        let free = || Arc::clone(&self.free);
        if let Ok(place) = free().try_acquire_owned() {
            return place;
        }
        loop {
            end((self.most / SHARE_THAT_ENDS).max(1));
            if let Ok(place) = tokio::time::timeout(PAUSE, free().acquire_owned()).await {
                return place.expect("the semaphore is never closed");
            }
        }
    }
}

/// The connections of a listener.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: Arc<Pool>,
    listener: usize,
    places: Places,
}

/// What a connection does, as others see it. No other memory depends on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activity(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests that are being answered.
    requests: AtomicUsize,
    /// When it became idle, as a number of events.
    idle_since: AtomicU64,
    is_unwanted: AtomicBool,
    unwanted: Notify,
    /// The pool's count of events.
    events: Arc<AtomicU64>,
}

impl Activity {
    /// The connection is busy until what is returned is dropped.
    pub(crate) fn begin(&self) -> Answering {
        self.0.requests.fetch_add(1, Relaxed);
        Answering(self.clone())
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.0.requests.load(Relaxed) > 0
    }

    /// Waits until the connection is to end. It never ends while a request is being answered.
    pub(crate) async fn unwanted(self) {
        loop {
            self.0.unwanted.notified().await;
            if !self.is_busy() {
                return;
            }
            self.0.is_unwanted.store(false, Relaxed);
        }
    }

    /// Ends the connection; returns whether it was not about to end already.
    fn end(&self) -> bool {
        let is_first = !self.0.is_unwanted.swap(true, Relaxed);
        if is_first {
            self.0.unwanted.notify_one();
        }
        is_first
    }
}

/// An answer in the making.
#[derive(Debug)]
pub(crate) struct Answering(Activity);

impl Drop for Answering {
    fn drop(&mut self) {
        let State { requests, idle_since, events, .. } = &*self.0.0;
        idle_since.store(events.fetch_add(1, Relaxed), Relaxed);
        requests.fetch_sub(1, Relaxed);
    }
}

/// One of the connections, until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    activity: Activity,
    pool: Arc<Pool>,
    _places: [OwnedSemaphorePermit; 2],
}

impl Pool {
    /// A pool for a process that may have so many descriptors; `None` for no limit.
    pub(crate) fn new(descriptors: Option<u64>) -> Arc<Self> {
        let most = descriptors.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let places = Places::new(most - RESERVED.min(most / 8));
        let (open, events, ended) = (Mutex::default(), Arc::default(), Notify::new());
        Arc::new(Self { places, open, events, listeners: AtomicUsize::new(0), ended })
    }

    /// The connections of a further listener, at most so many.
    pub(crate) fn listener(self: &Arc<Self>, most: usize) -> Connections {
        let listener = self.listeners.fetch_add(1, Relaxed);
        Connections { pool: Arc::clone(self), listener, places: Places::new(most) }
    }

    /// Ends so many idle connections, those first that have been idle for the longest.
    fn end(&self, count: usize, is_meant: impl Fn(&Entry) -> bool) {
        let open = self.lock();
        let idle = open.values().filter(|entry| !entry.activity.is_busy() && is_meant(entry));
        let since = |entry: &&Entry| entry.activity.0.idle_since.load(Relaxed);
        let mut idle: Vec<(u64, &Entry)> = idle.map(|entry| (since(&entry), entry)).collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        let ended = idle.into_iter().filter(|(_, entry)| entry.activity.end()).take(count).count();
        drop(open);
        tracing::debug!(ended, "idle connections make place for others");
    }

    /// Ends idle connections after one could not be accepted, most often because too many files are
    /// open, and waits until a connection has ended, or for a moment.
    pub(crate) async fn relieve(&self) {
        let ended = self.ended.notified();
        self.end((self.places.most / SHARE_THAT_ENDS).max(1), |_| true);
        let _ = tokio::time::timeout(PAUSE, ended).await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Enters a connection that was accepted. When there are too many, others end first.
    pub(crate) async fn enter(&self) -> Connection {
        let Self { pool, listener, places } = self;
        let own = places.take(|count| pool.end(count, |entry| entry.listener == *listener)).await;
        let shared = pool.places.take(|count| pool.end(count, |_| true)).await;
        let number = pool.events.fetch_add(1, Relaxed);
        let events = Arc::clone(&pool.events);
        let state = State { idle_since: AtomicU64::new(number), events, ..State::default() };
        let activity = Activity(Arc::new(state));
        pool.lock().insert(number, Entry { listener: *listener, activity: activity.clone() });
        Connection { number, activity, pool: Arc::clone(pool), _places: [own, shared] }
    }

    /// [`Pool::relieve`].
    pub(crate) async fn relieve(&self) {
        self.pool.relieve().await;
    }
}

impl Connection {
    pub(crate) fn activity(&self) -> Activity {
        self.activity.clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.pool.lock().remove(&self.number);
        self.pool.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn entered(connections: &Connections) -> Connection {
        let Poll::Ready(connection) = poll(connections.enter()) else { panic!("there is no place") };
        connection
    }

    /// Timers need one.
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn is_unwanted(connection: &Connection) -> bool {
        poll(connection.activity().unwanted()).is_ready()
    }

    #[test]
    fn those_that_were_idle_for_longest_end_several_at_once() {
        let runtime = runtime();
        let _context = runtime.enter();
        let listener = Pool::new(None).listener(32);
        let open: Vec<Connection> = (0..32).map(|_| entered(&listener)).collect();
        let busy = open[0].activity().begin();
        drop(open[1].activity().begin()); // the latest
        assert!(poll(listener.enter()).is_pending());
        let unwanted: Vec<usize> = (0..32).filter(|&place| is_unwanted(&open[place])).collect();
        assert_eq!(unwanted, [2, 3]);
        // They are about to end: others do for the next.
        assert!(poll(listener.enter()).is_pending());
        let unwanted: Vec<usize> = (0..32).filter(|&place| is_unwanted(&open[place])).collect();
        assert_eq!(unwanted, [4, 5]);
        drop((open, busy));
        drop(entered(&listener));
    }

    #[test]
    fn listeners_share_the_descriptors() {
        let runtime = runtime();
        let _context = runtime.enter();
        let pool = Pool::new(Some(16));
        let (rest, grpc) = (pool.listener(10), pool.listener(usize::MAX));
        let open: Vec<Connection> =
            (0..14).map(|number| entered(if number < 8 { &grpc } else { &rest })).collect();
        assert!(poll(rest.enter()).is_pending(), "an eighth is reserved");
        assert!(is_unwanted(&open[0]), "of either listener");
        drop(open);
        assert!(pool.lock().is_empty());
    }

    #[test]
    fn one_that_begins_to_answer_stays() {
        let runtime = runtime();
        let _context = runtime.enter();
        let listener = Pool::new(None).listener(1);
        let only = entered(&listener);
        assert!(poll(listener.enter()).is_pending());
        let answering = only.activity().begin();
        assert!(!is_unwanted(&only));
        drop(answering);
        assert!(poll(listener.enter()).is_pending());
        assert!(is_unwanted(&only));
    }
}
