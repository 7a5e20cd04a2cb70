//! The open connections: how many there may be, and which ones end when there are too many.
//!
//! All listeners share the descriptors of the process, and each leaves a quarter of them to the
//! others. When a place is needed, the [`Holder`] with the most connections loses some: first those
//! that are idle (they have had no request, or it was answered, and no other has begun), then those
//! that wait, for a body, for the client to read, for a turn, or for events to stream. Of each
//! kind, those that have been so for the longest end first. A connection whose request is processed
//! does not end, and neither does the last one of a holder that waits. So a caller with many
//! connections loses them first, whatever it does with them, and others keep theirs.
//!
//! Several end at once, so the clients that wait behind many connections need not wait for each of
//! them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::forwarded::one_address;

/// Descriptors for other things than connections of clients: files of the store, logs, Keystone.
/// For small limits, it is an eighth.
const RESERVED: usize = 512;

/// Of the connections that there may be, one in so many ends when a place is needed.
const SHARE_THAT_ENDS: usize = 16;

/// Of the connections that there may be, one in so many is left to the other listeners.
const SHARE_OF_OTHERS: usize = 4;

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
    /// The number of the current period; see [`Pool::end_period`].
    period: Arc<AtomicUsize>,
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

    /// A place. When there is none, connections end first, and further ones as long as that does
    /// not help: those that were chosen may have become busy.
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

/// The party whose connections are counted together.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    /// The system does not say where the connection comes from.
    #[default]
    Unknown,
    /// The clients of an address, as [`one_address`] counts them, until a request identifies its
    /// caller.
    Address(IpAddr),
    /// A caller that was identified: a user, or a certificate.
    Caller(Arc<str>),
}

impl Holder {
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        address.map_or(Self::Unknown, |address| Self::Address(one_address(address)))
    }
}

/// What a connection does, as others see it. No other memory depends on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activity(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests that are being answered, and how many of them are processed.
    requests: AtomicUsize,
    processed: AtomicUsize,
    holder: Mutex<Holder>,
    /// When it became idle or busy, as a number of events.
    since: AtomicU64,
    /// Up to which standing the connection is to end: a number of [`Standing`], or 0.
    ending: AtomicU8,
    unwanted: Notify,
    /// Parts of answers that the client has yet to read, by the period in which they were made.
    unread: [AtomicUsize; PERIODS],
    /// The pool's count of events.
    events: Arc<AtomicU64>,
    /// The pool's number of periods.
    period: Arc<AtomicUsize>,
}

/// The periods that are distinguished: the current one, the one before, and one that nothing may be
/// left of.
const PERIODS: usize = 3;

/// What would be lost with a connection, in the order in which connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Standing {
    /// Nothing: no request is being answered.
    Idle = 1,
    /// The answers to requests that wait.
    Waits = 2,
    /// The outcome of a request that is processed.
    Works = 3,
}

impl Activity {
    /// A request is being answered until what is returned is dropped.
    pub(crate) fn begin(&self) -> Answering {
        if self.0.requests.fetch_add(1, Relaxed) == 0 {
            self.note_change();
        }
        Answering(self.clone())
    }

    /// A request is processed until what is returned is dropped: it waits neither for its client
    /// nor for its turn.
    pub(crate) fn work(&self) -> Processing {
        self.0.processed.fetch_add(1, Relaxed);
        Processing(self.clone())
    }

    /// The client has yet to read a part of an answer, until what is returned is dropped.
    pub(crate) fn unread(&self) -> Unread {
        let slot = self.0.period.load(Relaxed) % PERIODS;
        self.0.unread[slot].fetch_add(1, Relaxed);
        Unread { activity: self.clone(), slot }
    }

    /// Notes whose connection it is.
    pub(crate) fn belongs_to(&self, holder: Holder) {
        *self.0.holder.lock().unwrap_or_else(PoisonError::into_inner) = holder;
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.standing() > Standing::Idle
    }

    fn standing(&self) -> Standing {
        let State { requests, processed, .. } = &*self.0;
        match (requests.load(Relaxed), processed.load(Relaxed)) {
            (_, 1..) => Standing::Works,
            (1.., 0) => Standing::Waits,
            (0, 0) => Standing::Idle,
        }
    }

    fn note_change(&self) {
        let State { since, events, .. } = &*self.0;
        since.store(events.fetch_add(1, Relaxed), Relaxed);
    }

    /// Waits until the connection is to end. It does not if more would be lost by now.
    pub(crate) async fn unwanted(self) {
        loop {
            self.0.unwanted.notified().await;
            if self.standing() as u8 <= self.0.ending.load(Relaxed) {
                return;
            }
            self.0.ending.store(0, Relaxed);
        }
    }

    /// Ends the connection, unless more would be lost by now.
    fn end(&self, standing: Standing) {
        self.0.ending.store(standing as u8, Relaxed);
        self.0.unwanted.notify_one();
    }
}

/// An answer in the making.
#[derive(Debug)]
pub(crate) struct Answering(Activity);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.note_change();
        self.0.0.requests.fetch_sub(1, Relaxed);
    }
}

/// A request that is processed.
#[derive(Debug)]
pub(crate) struct Processing(Activity);

impl Drop for Processing {
    fn drop(&mut self) {
        self.0.0.processed.fetch_sub(1, Relaxed);
    }
}

/// A part of an answer that the client has yet to read.
#[derive(Debug)]
pub(crate) struct Unread {
    activity: Activity,
    slot: usize,
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.activity.0.unread[self.slot].fetch_sub(1, Relaxed);
    }
}

/// The connections of one holder that can end.
#[derive(Debug, Default)]
struct Holding<'a>(Vec<(Reverse<(Standing, u64)>, &'a Activity)>);

impl<'a> Holding<'a> {
    /// Sorts them, the next that ends last, and leaves out one that waits.
    fn sort(&mut self) {
        self.0.sort_unstable_by_key(|(order, _)| *order);
        if self.0.first().is_some_and(|(Reverse((standing, _)), _)| *standing == Standing::Waits) {
            self.0.remove(0);
        }
    }

    /// How early the next one ends: the one of a large holder first, and of equal ones the one that
    /// waits for the longest.
    fn rank(&self) -> Option<(usize, Reverse<(Standing, u64)>)> {
        self.0.last().map(|(order, _)| (self.0.len(), *order))
    }

    fn end_next(&mut self) -> Option<()> {
        let (Reverse((standing, _)), activity) = self.0.pop()?;
        activity.end(standing);
        Some(())
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
        Arc::new(Self {
            places,
            open: Mutex::default(),
            events: Arc::default(),
            period: Arc::default(),
            listeners: AtomicUsize::new(0),
            ended: Notify::new(),
        })
    }

    /// The connections of a further listener, at most so many, and not those of the others.
    pub(crate) fn listener(self: &Arc<Self>, most: usize) -> Connections {
        let listener = self.listeners.fetch_add(1, Relaxed);
        let own = self.places.most - self.places.most / SHARE_OF_OTHERS;
        Connections { pool: Arc::clone(self), listener, places: Places::new(most.min(own)) }
    }

    /// Ends so many connections, if so many can end.
    fn end(&self, count: usize, is_meant: impl Fn(&Entry) -> bool) {
        let open = self.lock();
        let mut holders: BTreeMap<Holder, Holding<'_>> = BTreeMap::new();
        for Entry { activity, .. } in open.values().filter(|entry| is_meant(entry)) {
            let State { ending, since, holder, .. } = &*activity.0;
            let standing = activity.standing();
            if standing < Standing::Works && ending.load(Relaxed) == 0 {
                let holder = holder.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let order = Reverse((standing, since.load(Relaxed)));
                holders.entry(holder).or_default().0.push((order, activity));
            }
        }
        let mut holdings: Vec<Holding<'_>> = holders.into_values().collect();
        holdings.iter_mut().for_each(Holding::sort);
        let ranked = holdings.iter().enumerate();
        let mut ranks: BinaryHeap<_> = ranked.filter_map(|(place, own)| Some((own.rank()?, place))).collect();
        let mut ended = 0;
        while ended < count
            && let Some((_, place)) = ranks.pop()
        {
            ended += usize::from(holdings[place].end_next().is_some());
            ranks.extend(holdings[place].rank().map(|rank| (rank, place)));
        }
        drop(open);
        tracing::debug!(ended, "connections make place for others");
    }

    /// Begins the next period. Connections end on which something is unread since before the period
    /// that has just ended: for between one period and two.
    pub(crate) fn end_period(&self) {
        let next = self.period.fetch_add(1, Relaxed) + 1;
        let oldest = (next + 1) % PERIODS;
        let open = self.lock();
        let stalled = open.values().filter(|entry| entry.activity.0.unread[oldest].load(Relaxed) > 0);
        stalled.for_each(|entry| entry.activity.end(Standing::Waits));
    }

    /// Ends connections after one could not be accepted, most often because too many files are
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
    /// Enters a connection from this address that was accepted. When there are too many, others end
    /// first.
    pub(crate) async fn enter(&self, address: Option<IpAddr>) -> Connection {
        let Self { pool, listener, places } = self;
        let own = places.take(|count| pool.end(count, |entry| entry.listener == *listener)).await;
        let shared = pool.places.take(|count| pool.end(count, |_| true)).await;
        let number = pool.events.fetch_add(1, Relaxed);
        let (events, period) = (Arc::clone(&pool.events), Arc::clone(&pool.period));
        let holder = Mutex::new(Holder::at(address));
        let state = State { since: AtomicU64::new(number), events, period, holder, ..State::default() };
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
        held(connections, Holder::Unknown)
    }

    fn held(connections: &Connections, holder: Holder) -> Connection {
        let Poll::Ready(connection) = poll(connections.enter(None)) else { panic!("there is no place") };
        connection.activity().belongs_to(holder);
        connection
    }

    /// Timers need one.
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn is_unwanted(connection: &Connection) -> bool {
        poll(connection.activity().unwanted()).is_ready()
    }

    /// The places of the connections that end when another is to enter.
    fn ended_for_another(connections: &Connections, open: &[Connection]) -> Vec<usize> {
        assert!(poll(connections.enter(None)).is_pending());
        (0..open.len()).filter(|&place| is_unwanted(&open[place])).collect()
    }

    #[test]
    fn those_that_were_idle_for_longest_end_several_at_once() {
        let runtime = runtime();
        let _context = runtime.enter();
        let listener = Pool::new(None).listener(32);
        let open: Vec<Connection> = (0..32).map(|_| entered(&listener)).collect();
        let busy = open[0].activity().begin();
        drop(open[1].activity().begin()); // the latest
        assert_eq!(ended_for_another(&listener, &open), [2, 3]);
        // They are about to end: others do for the next.
        assert_eq!(ended_for_another(&listener, &open), [4, 5]);
        drop((open, busy));
        drop(entered(&listener));
    }

    #[test]
    fn listeners_share_the_descriptors_and_leave_some_to_each_other() {
        let runtime = runtime();
        let _context = runtime.enter();
        let pool = Pool::new(Some(16));
        let (rest, grpc) = (pool.listener(10), pool.listener(usize::MAX));
        let mut open: Vec<Connection> = (0..11).map(|_| entered(&grpc)).collect();
        let busy: Vec<_> = open.iter().map(|open| open.activity().work()).collect();
        assert!(poll(grpc.enter(None)).is_pending(), "a quarter of 14 is left to others");
        open.extend((0..3).map(|_| entered(&rest)));
        assert_eq!(ended_for_another(&rest, &open), [11], "an eighth of 16 is reserved");
        drop(busy);
        assert_eq!(ended_for_another(&rest, &open), [0], "of either listener");
        drop(open);
        assert!(pool.lock().is_empty());
    }

    #[test]
    fn one_that_begins_to_answer_stays() {
        let runtime = runtime();
        let _context = runtime.enter();
        let listener = Pool::new(None).listener(1);
        let only = entered(&listener);
        assert!(poll(listener.enter(None)).is_pending());
        let answering = only.activity().begin();
        assert!(!is_unwanted(&only));
        drop(answering);
        assert!(poll(listener.enter(None)).is_pending());
        assert!(is_unwanted(&only));
    }

    /// A regression: 909 streams, or unfinished bodies, of one caller kept everybody out.
    #[test]
    fn the_holder_of_the_most_connections_loses_some() {
        let runtime = runtime();
        let _context = runtime.enter();
        let listener = Pool::new(None).listener(48);
        let caller = |name: &str| Holder::Caller(name.into());
        let mut open = vec![entered(&listener), held(&listener, caller("few"))];
        open.extend((2..48).map(|_| held(&listener, caller("many"))));
        let mut waiting: Vec<_> = open[1..].iter().map(|open| open.activity().begin()).collect();
        let processed = open[2].activity().work();
        assert_eq!(ended_for_another(&listener, &open), [3, 4, 5], "not what is processed");
        waiting[5] = open[20].activity().begin(); // the sixth of them is idle now
        assert_eq!(ended_for_another(&listener, &open), [6, 7, 8], "the idle one first");
        open.truncate(3); // the last one that waits stays, also if nothing else can end
        drop(processed);
        let filled: Vec<_> = (3..48).map(|_| entered(&listener)).collect();
        let busy: Vec<_> = filled.iter().map(|open| open.activity().work()).collect();
        assert_eq!(ended_for_another(&listener, &open), [0], "only the idle one");
        drop((busy, waiting));
    }

    /// A regression: over gRPC, answers that nobody read stayed for ever.
    #[test]
    fn one_whose_answers_nobody_reads_ends_after_a_period() {
        let runtime = runtime();
        let _context = runtime.enter();
        let pool = Pool::new(None);
        let listener = pool.listener(3);
        let open = [entered(&listener), entered(&listener)];
        let answering = [open[0].activity().begin(), open[1].activity().begin()];
        let unread = open[0].activity().unread();
        drop(open[1].activity().unread());
        pool.end_period();
        let later = open[1].activity().unread();
        assert!(!is_unwanted(&open[0]), "it may have been made just now");
        pool.end_period();
        assert!(is_unwanted(&open[0]) && !is_unwanted(&open[1]));
        drop((answering, unread, later));
        (0..4).for_each(|_| pool.end_period());
        assert!(!is_unwanted(&open[1]), "all was read");
    }

    #[test]
    fn one_that_begins_to_work_stays() {
        let runtime = runtime();
        let _context = runtime.enter();
        let listener = Pool::new(None).listener(2);
        let open = [entered(&listener), entered(&listener)];
        let waiting = [open[0].activity().begin(), open[1].activity().begin()];
        assert!(poll(listener.enter(None)).is_pending());
        let processed = open[0].activity().work();
        assert!(!is_unwanted(&open[0]) && !is_unwanted(&open[1]));
        drop(processed);
        assert_eq!(ended_for_another(&listener, &open), [0]);
        drop(waiting);
    }
}
